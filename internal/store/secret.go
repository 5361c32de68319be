package store

import (
	"context"
	"fmt"

	"github.com/weft-dev/weft"
)

// Secrets are kept as whoever seals them gives them: the store cannot read them.

// SetSecret keeps a sealed value under a name, in the place of an earlier one.
func (s *Store) SetSecret(ctx context.Context, v weft.Secret, sealed []byte) error {
	err := s.change(ctx, func(ctx context.Context, t *tx) error {
		_, err := t.exec(ctx, `INSERT INTO secret (project, name, sealed, changed_at, by) VALUES ($1, $2, $3, $4, $5)
			ON CONFLICT (project, name) DO UPDATE SET sealed = excluded.sealed, changed_at = excluded.changed_at, by = excluded.by`,
			v.Project, v.Name, sealed, micros(t.now), idOrNull(v.By))
		return err
	})
	return wrapped("set secret", err)
}

// Secrets lists the secrets of a project by name, without their values.
func (s *Store) Secrets(ctx context.Context, project weft.ProjectID) ([]weft.Secret, error) {
	var out []weft.Secret
	err := s.read(ctx, func(t *tx) error {
		return t.rows(ctx, func(r scanner) error {
			v := weft.Secret{Project: project}
			var at int64
			err := r.Scan(&v.Name, &at, &v.By)
			v.ChangedAt = fromMicros(at)
			out = append(out, v)
			return err
		}, "SELECT name, changed_at, by FROM secret WHERE project = $1 ORDER BY name", project)
	})
	return out, wrapped("list secrets", err)
}

// RemoveSecret removes a secret.
func (s *Store) RemoveSecret(ctx context.Context, project weft.ProjectID, name string) error {
	err := s.change(ctx, func(ctx context.Context, t *tx) error {
		n, err := t.exec(ctx, "DELETE FROM secret WHERE project = $1 AND name = $2", project, name)
		if err == nil && n == 0 {
			err = weft.Errorf(weft.NotFound, "the project has no secret %q", name)
		}
		return err
	})
	return wrapped("remove secret", err)
}

// SealedSecrets returns the sealed values of those of the names that there are.
func (s *Store) SealedSecrets(ctx context.Context, project weft.ProjectID, names []string) (map[string][]byte, error) {
	found := map[string][]byte{}
	if len(names) == 0 {
		return found, nil
	}
	args := []any{project}
	for _, name := range names {
		args = append(args, name)
	}
	err := s.read(ctx, func(t *tx) error {
		return t.rows(ctx, func(r scanner) error {
			var name string
			var sealed []byte
			err := r.Scan(&name, &sealed)
			found[name] = sealed
			return err
		}, "SELECT name, sealed FROM secret WHERE project = $1 AND name IN ("+params(2, len(names))+")", args...)
	})
	return found, wrapped("read secrets", err)
}

// AddGiven notes what an attempt was given, sealed, beside what it was given before.
func (s *Store) AddGiven(ctx context.Context, a weft.Attempt, sealed []byte) error {
	err := s.write(ctx, func(ctx context.Context, t *tx) error {
		_, err := t.exec(ctx, `INSERT INTO run_secret (run, attempt, nth, sealed)
			SELECT $1, $2, count(*), $3 FROM run_secret WHERE run = $4 AND attempt = $5`, a.Run, a.Number, sealed, a.Run, a.Number)
		return err
	})
	return wrapped("note secrets of attempt", err)
}

// Given returns what AddGiven noted of an attempt, the first first.
func (s *Store) Given(ctx context.Context, a weft.Attempt) ([][]byte, error) {
	var out [][]byte
	err := s.read(ctx, func(t *tx) error {
		return t.rows(ctx, func(r scanner) error {
			var sealed []byte
			err := r.Scan(&sealed)
			out = append(out, sealed)
			return err
		}, "SELECT sealed FROM run_secret WHERE run = $1 AND attempt = $2 ORDER BY nth", a.Run, a.Number)
	})
	return out, wrapped("read secrets of attempt", err)
}

// SweepGiven forgets what attempts were given that are over.
func (s *Store) SweepGiven(ctx context.Context) error {
	var some bool
	err := s.read(ctx, func(t *tx) (err error) {
		some, err = t.row(ctx, "SELECT 1 FROM run_secret LIMIT 1", nil, new(int64))
		return err
	})
	if err != nil || !some {
		return wrapped("sweep secrets of attempts", err)
	}
	err = s.write(ctx, func(ctx context.Context, t *tx) error {
		live := []any{}
		for _, status := range []weft.Status{weft.Ready, weft.Starting, weft.Running, weft.Completing, weft.Aborting} {
			live = append(live, statusCode(status))
		}
		_, err := t.exec(ctx, fmt.Sprintf(`DELETE FROM run_secret WHERE NOT EXISTS (SELECT 1 FROM run
			WHERE run.id = run_secret.run AND run.attempt = run_secret.attempt AND run.status IN (%s))`, params(1, len(live))), live...)
		return err
	})
	return wrapped("sweep secrets of attempts", err)
}
