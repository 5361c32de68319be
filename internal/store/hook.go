package store

import (
	"context"
	"fmt"

	"github.com/weft-dev/weft"
)

// RunEnv returns the sealed variables that hooks gave an attempt before it was started;
// nil when there are none, or when it runs already and they are no longer needed.
func (s *Store) RunEnv(ctx context.Context, a weft.Attempt) ([]byte, error) {
	var env []byte
	err := s.read(ctx, func(t *tx) error {
		_, err := t.row(ctx, "SELECT env FROM run_env WHERE run = $1 AND attempt = $2", []any{a.Run, a.Number}, &env)
		return err
	})
	return env, wrapped("read variables of hooks", err)
}

// keepEnv records the variables that come with saves, and forgets those of Runs that
// have left starting. Where hooks give no variables it does nothing.
func (t *tx) keepEnv(ctx context.Context, saves []*weft.Save, was map[weft.RunID]saved) error {
	var args []any
	var gone []weft.RunID
	for _, v := range saves {
		switch {
		case v.Run.Status == weft.Starting && len(v.Env) > 0:
			args = append(args, v.Run.ID[:], v.Run.Attempt, v.Env)
		case was[v.Run.ID].status == weft.Starting && v.Run.Status != weft.Starting:
			gone = append(gone, v.Run.ID)
		}
	}
	if len(args) > 0 {
		t.s.envs.Store(true)
		err := t.insert(ctx, "INSERT INTO run_env (run, attempt, env) VALUES ", 3, args, " ON CONFLICT (run, attempt) DO UPDATE SET env = excluded.env")
		if err != nil {
			return err
		}
	}
	if len(gone) == 0 || !t.s.envs.Load() {
		return nil
	}
	return t.execByIDs(ctx, "DELETE FROM run_env WHERE run IN", raw(gone...), "")
}

// pruneEnv forgets the variables of attempts that are not starting: those that were
// stopped, or that another process has taken on.
func (t *tx) pruneEnv(ctx context.Context) error {
	_, err := t.exec(ctx, `DELETE FROM run_env WHERE NOT EXISTS
		(SELECT 1 FROM run WHERE run.id = run_env.run AND run.attempt = run_env.attempt AND run.status = $1)`, statusCode(weft.Starting))
	return err
}

// findEnv looks whether there are variables from before this process.
func (s *Store) findEnv(ctx context.Context, t *tx) error {
	found, err := t.row(ctx, "SELECT attempt FROM run_env LIMIT 1", nil, new(int64))
	s.envs.Store(found)
	if err != nil {
		return fmt.Errorf("look for variables of hooks: %w", err)
	}
	return nil
}
