package store

import (
	"context"
	"fmt"

	"github.com/weft-dev/weft"
)

// DefaultProject returns the project that exists from the beginning, and makes it, with
// its built-in Plans, the first time.
func (s *Store) DefaultProject(ctx context.Context) (weft.Project, error) {
	p := weft.Project{Name: weft.DefaultProject}
	find := func(ctx context.Context, t *tx) (bool, error) {
		return t.row(ctx, "SELECT id FROM project WHERE name = $1", []any{p.Name}, &p.ID)
	}
	found := false
	err := s.read(ctx, func(t *tx) (err error) {
		found, err = find(ctx, t)
		return err
	})
	if err == nil && !found {
		err = s.write(ctx, func(ctx context.Context, t *tx) error {
			if found, err := find(ctx, t); err != nil || found {
				return err
			}
			return t.createProject(ctx, &p)
		})
	}
	if err != nil {
		return weft.Project{}, fmt.Errorf("find the default project: %w", err)
	}
	return p, nil
}

// createProject makes a project and its built-in Plans. Of two processes that make it
// at once the second takes over the id of the first.
func (t *tx) createProject(ctx context.Context, p *weft.Project) error {
	p.ID = weft.NewID[weft.Project]()
	n, err := t.exec(ctx, "INSERT INTO project (id, name) VALUES ($1, $2) ON CONFLICT (name) DO NOTHING", p.ID, p.Name)
	if err != nil {
		return err
	}
	if n == 0 {
		_, err := t.row(ctx, "SELECT id FROM project WHERE name = $1", []any{p.Name}, &p.ID)
		return err
	}
	return nil
}
