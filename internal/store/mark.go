package store

import (
	"context"
	"fmt"
	"net/url"

	"github.com/weft-dev/weft"
)

// SetNote writes the note about something in a project, or removes it when the text is
// empty. At is the present.
func (s *Store) SetNote(ctx context.Context, project weft.ProjectID, n weft.Note) (weft.Note, error) {
	if err := weft.CheckNote(n.Text); err != nil {
		return n, err
	}
	err := s.change(ctx, func(ctx context.Context, t *tx) error {
		n.At = t.now
		if err := t.holdSubject(ctx, project, n.Subject); err != nil {
			return err
		}
		if n.Text == "" {
			_, err := t.exec(ctx, "DELETE FROM note WHERE project = $1 AND kind = $2 AND subject = $3", project, n.Subject.Kind, n.Subject.ID)
			return err
		}
		_, err := t.exec(ctx, `INSERT INTO note (project, kind, subject, body, by, updated_at) VALUES ($1, $2, $3, $4, $5, $6)
			ON CONFLICT (project, kind, subject) DO UPDATE SET body = excluded.body, by = excluded.by, updated_at = excluded.updated_at`,
			project, n.Subject.Kind, n.Subject.ID, n.Text, n.By, micros(t.now))
		return err
	})
	if err != nil {
		return n, fmt.Errorf("write note: %w", err)
	}
	return n, nil
}

// Note returns the note about something in a project; one without text when there is none.
func (s *Store) Note(ctx context.Context, project weft.ProjectID, about weft.Subject) (weft.Note, error) {
	n := weft.Note{Subject: about}
	err := s.read(ctx, func(t *tx) error {
		if err := t.holdSubject(ctx, project, about); err != nil {
			return err
		}
		var at int64
		found, err := t.row(ctx, "SELECT body, by, updated_at FROM note WHERE project = $1 AND kind = $2 AND subject = $3",
			[]any{project, about.Kind, about.ID}, &n.Text, &n.By, &at)
		if found {
			n.At = fromMicros(at)
		}
		return err
	})
	if err != nil {
		return n, fmt.Errorf("read note: %w", err)
	}
	return n, nil
}

// holdSubject is NotFound unless the project has what a note is to be about.
func (t *tx) holdSubject(ctx context.Context, project weft.ProjectID, about weft.Subject) error {
	var id weft.DataID // all kinds of ids are read alike
	if err := id.UnmarshalText([]byte(about.ID)); err != nil {
		return err
	}
	var one int64
	found, err := t.row(ctx, "SELECT 1 FROM "+about.Kind+" WHERE id = $1 AND project = $2", []any{id, project}, &one) // the kind was checked: it is a table's name
	if err == nil && !found {
		err = notFound(about.Kind, id)
	}
	return err
}

// SetFavourite marks something in a project for somebody, or takes the mark away.
func (s *Store) SetFavourite(ctx context.Context, who weft.PrincipalID, project weft.ProjectID, about weft.Subject, marked bool) error {
	err := s.change(ctx, func(ctx context.Context, t *tx) error {
		if !marked {
			_, err := t.exec(ctx, "DELETE FROM favourite WHERE principal = $1 AND project = $2 AND kind = $3 AND subject = $4", who, project, about.Kind, about.ID)
			return err
		}
		if err := t.holdSubject(ctx, project, about); err != nil {
			return err
		}
		_, err := t.exec(ctx, `INSERT INTO favourite (principal, project, kind, subject, marked_at) VALUES ($1, $2, $3, $4, $5)
			ON CONFLICT (principal, project, kind, subject) DO NOTHING`, who, project, about.Kind, about.ID, micros(t.now))
		return err
	})
	if err != nil {
		return fmt.Errorf("mark favourite: %w", err)
	}
	return nil
}

// Favourites returns what somebody has marked in a project, the latest first; of one
// kind, unless it is "". What is gone meanwhile is left out.
func (s *Store) Favourites(ctx context.Context, who weft.PrincipalID, project weft.ProjectID, kind string) ([]weft.Favourite, error) {
	var all []weft.Favourite
	err := s.read(ctx, func(t *tx) error {
		var marked []weft.Favourite
		err := t.rows(ctx, func(r scanner) error {
			var f weft.Favourite
			var at int64
			err := r.Scan(&f.Subject.Kind, &f.Subject.ID, &at)
			f.At = fromMicros(at)
			marked = append(marked, f)
			return err
		}, "SELECT kind, subject, marked_at FROM favourite WHERE principal = $1 AND project = $2 ORDER BY marked_at DESC, kind, subject", who, project)
		if err != nil {
			return err
		}
		for _, f := range marked {
			if kind != "" && f.Subject.Kind != kind {
				continue
			}
			err := t.holdSubject(ctx, project, f.Subject)
			if weft.KindOf(err) == weft.NotFound {
				continue
			}
			if err != nil {
				return err
			}
			all = append(all, f)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("list favourites: %w", err)
	}
	return all, nil
}

// SaveSearch keeps a query under a name, in place of what its owner kept there before.
// Conflict when the name is another's.
func (s *Store) SaveSearch(ctx context.Context, project weft.ProjectID, q weft.Search) error {
	if err := q.Validate(); err != nil {
		return err
	}
	err := s.change(ctx, func(ctx context.Context, t *tx) error {
		n, err := t.exec(ctx, `INSERT INTO search (project, name, kind, query, shared, owner, updated_at) VALUES ($1, $2, $3, $4, $5, $6, $7)
			ON CONFLICT (project, name) DO UPDATE SET kind = excluded.kind, query = excluded.query, shared = excluded.shared, updated_at = excluded.updated_at
			WHERE search.owner = excluded.owner`, project, q.Name, q.Kind, q.Query.Encode(), flag(q.Shared), q.Owner, micros(t.now))
		if err == nil && n == 0 {
			err = weft.Errorf(weft.Conflict, "the name %s is taken by another's search", q.Name).WithAdvice("choose another name")
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("save search: %w", err)
	}
	return nil
}

// Searches returns the queries that somebody can use in a project: his own and the
// shared ones, by name.
func (s *Store) Searches(ctx context.Context, who weft.PrincipalID, project weft.ProjectID) ([]weft.Search, error) {
	var all []weft.Search
	err := s.read(ctx, func(t *tx) error {
		return t.rows(ctx, func(r scanner) error {
			var q weft.Search
			var query string
			var shared, at int64
			err := r.Scan(&q.Name, &q.Kind, &query, &shared, &q.Owner, &q.By, &at)
			if err == nil {
				q.Shared, q.At = shared != 0, fromMicros(at)
				q.Query, err = url.ParseQuery(query)
			}
			all = append(all, q)
			return err
		}, `SELECT q.name, q.kind, q.query, q.shared, q.owner, coalesce(p.name, ''), q.updated_at FROM search q LEFT JOIN principal p ON p.id = q.owner
			WHERE q.project = $1 AND (q.shared = 1 OR q.owner = $2) ORDER BY q.name`, project, who)
	})
	if err != nil {
		return nil, fmt.Errorf("list searches: %w", err)
	}
	return all, nil
}

// DeleteSearch forgets a query: one's own, or a shared one if any is true.
func (s *Store) DeleteSearch(ctx context.Context, who weft.PrincipalID, project weft.ProjectID, name string, any bool) error {
	err := s.change(ctx, func(ctx context.Context, t *tx) error {
		n, err := t.exec(ctx, "DELETE FROM search WHERE project = $1 AND name = $2 AND (owner = $3 OR shared = 1 AND $4 = 1)", project, name, who, flag(any))
		if err == nil && n == 0 {
			err = weft.Errorf(weft.NotFound, "there is no search %q that you may remove", name).WithAdvice("`weft search ls` lists them; a shared one is removed by its owner or a manager")
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("remove search: %w", err)
	}
	return nil
}
