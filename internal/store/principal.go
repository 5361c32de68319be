package store

import (
	"context"
	"fmt"

	"github.com/weft-dev/weft"
)

// adminName is the name of the principal that exists from the beginning.
const adminName = "admin"

// DefaultProject returns the project that exists from the beginning, and makes it, with
// its built-in Plans, the first time.
func (s *Store) DefaultProject(ctx context.Context) (weft.Project, error) {
	p := weft.Project{Name: weft.DefaultProject}
	found := false
	err := s.read(ctx, func(t *tx) (err error) {
		found, err = t.findProject(ctx, &p)
		return err
	})
	if err == nil && !found {
		err = s.writeAlone(ctx, func(ctx context.Context, t *tx) error { return t.createProject(ctx, &p) })
	}
	if err != nil {
		return weft.Project{}, fmt.Errorf("find the default project: %w", err)
	}
	return p, nil
}

// findProject fills in the id of the project of that name.
func (t *tx) findProject(ctx context.Context, p *weft.Project) (bool, error) {
	return t.row(ctx, "SELECT id FROM project WHERE name = $1", []any{p.Name}, &p.ID)
}

// createProject makes a project and its built-in Plans, unless it is there already.
func (t *tx) createProject(ctx context.Context, p *weft.Project) error {
	id := weft.NewID[weft.Project]()
	n, err := t.exec(ctx, "INSERT INTO project (id, name) VALUES ($1, $2) ON CONFLICT (name) DO NOTHING", id, p.Name)
	if err != nil {
		return err
	}
	if n == 0 {
		_, err := t.findProject(ctx, p)
		return err
	}
	p.ID = id
	for _, name := range []string{weft.PlanUploaded, weft.PlanImported} {
		plan := builtInPlan(name)
		plan.ID, plan.Project, plan.CreatedAt = weft.NewID[weft.Plan](), id, t.now
		if err := t.insertPlan(ctx, plan, weft.PrincipalID{}); err != nil {
			return err
		}
	}
	return nil
}

// builtInPlan returns the Plan of that name, for any project.
func builtInPlan(name string) weft.Plan {
	path := "/upload"
	if name == weft.PlanImported {
		path = "/imported"
	}
	return weft.Plan{Name: name, Active: true, Outputs: []weft.Output{{Path: path}}}
}

// EnsureAdmin returns the administrator that exists from the beginning, makes it the
// first time, and lets the token of that hash be its.
func (s *Store) EnsureAdmin(ctx context.Context, tokenHash [32]byte) (weft.Principal, error) {
	project, err := s.DefaultProject(ctx)
	if err == nil {
		err = s.write(ctx, func(ctx context.Context, t *tx) error { return t.ensureAdmin(ctx, project, tokenHash) })
	}
	if err != nil {
		return weft.Principal{}, fmt.Errorf("ensure administrator: %w", err)
	}
	return s.PrincipalByToken(ctx, tokenHash, "")
}

func (t *tx) ensureAdmin(ctx context.Context, project weft.Project, tokenHash [32]byte) error {
	_, err := t.exec(ctx, "INSERT INTO principal (id, name, admin, home, created_at) VALUES ($1, $2, 1, $3, $4) ON CONFLICT (name) DO NOTHING",
		weft.NewID[weft.Principal](), adminName, project.ID, micros(t.now))
	if err != nil {
		return err
	}
	var admin weft.PrincipalID
	if _, err := t.row(ctx, "SELECT id FROM principal WHERE name = $1", []any{adminName}, &admin); err != nil {
		return err
	}
	if t.s.single { // there is one state directory, so a token that its file has no more was done away with
		n, err := t.exec(ctx, "DELETE FROM token WHERE system = 1 AND hash <> $1", tokenHash[:])
		if err == nil && n > 0 {
			err = t.rightsChange(ctx)
		}
		if err != nil {
			return err
		}
	}
	_, err = t.exec(ctx, `INSERT INTO token (hash, id, principal, name, system, created_at) VALUES ($1, $2, $3, 'admin.token', 1, $4)
		ON CONFLICT (hash) DO NOTHING`, tokenHash[:], weft.NewID[weft.Token](), admin, micros(t.now))
	return err
}
