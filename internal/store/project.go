package store

import (
	"context"
	"fmt"
	"time"

	"github.com/weft-dev/weft"
)

// CreateProject makes a project. The principal by, unless it is zero, becomes its
// manager.
func (s *Store) CreateProject(ctx context.Context, name string, by weft.PrincipalID) (weft.Project, error) {
	p := weft.Project{Name: name}
	if err := weft.CheckProjectName(name); err != nil {
		return p, err
	}
	err := s.changeAccess(ctx, func(ctx context.Context, t *tx) error {
		t.subject = name
		found, err := t.findProject(ctx, &weft.Project{Name: name})
		if err == nil && found {
			err = weft.Errorf(weft.Conflict, "there is a project %s already", name)
		}
		if err != nil {
			return err
		}
		if err := t.createProject(ctx, &p); err != nil {
			return err
		}
		t.about = p.ID
		if by.IsZero() {
			return nil
		}
		_, err = t.exec(ctx, "INSERT INTO member (project, principal, role) VALUES ($1, $2, $3) ON CONFLICT (principal, project) DO NOTHING", p.ID, by, int(weft.Manager))
		return err
	})
	if err != nil {
		return weft.Project{}, fmt.Errorf("create project: %w", err)
	}
	return p, nil
}

// Projects returns all projects, by name.
func (s *Store) Projects(ctx context.Context) ([]weft.Project, error) {
	var all []weft.Project
	err := s.read(ctx, func(t *tx) error {
		return t.rows(ctx, func(r scanner) error {
			var p weft.Project
			err := r.Scan(&p.ID, &p.Name)
			all = append(all, p)
			return err
		}, "SELECT id, name FROM project ORDER BY name")
	})
	if err != nil {
		return nil, fmt.Errorf("list projects: %w", err)
	}
	return all, nil
}

// ProjectNamed returns the project of that name. What it knows may be a second old where
// another replica made the change.
func (s *Store) ProjectNamed(ctx context.Context, name string) (weft.Project, error) {
	if err := s.currentAccess(ctx); err != nil {
		return weft.Project{}, fmt.Errorf("find project: %w", err)
	}
	return s.access.project(name, time.Now(), func() (weft.Project, error) {
		p := weft.Project{Name: name}
		err := s.read(ctx, func(t *tx) error {
			found, err := t.findProject(ctx, &p)
			if err == nil && !found {
				err = noProject(name)
			}
			return err
		})
		if err != nil {
			return weft.Project{}, fmt.Errorf("find project: %w", err)
		}
		return p, nil
	})
}

// ProjectByID returns the project with that id.
func (s *Store) ProjectByID(ctx context.Context, id weft.ProjectID) (weft.Project, error) {
	p := weft.Project{ID: id}
	err := s.read(ctx, func(t *tx) error {
		found, err := t.row(ctx, "SELECT name FROM project WHERE id = $1", []any{id}, &p.Name)
		if err == nil && !found {
			err = notFound("project", id)
		}
		return err
	})
	return p, err
}

func noProject(name string) error {
	return weft.Errorf(weft.NotFound, "there is no project %q", name).WithAdvice("`weft project ls` shows those that you are a member of")
}

// RenameProject gives a project another name. Whatever named it by the old one has to be
// told: nothing is there under that name any more.
func (s *Store) RenameProject(ctx context.Context, id weft.ProjectID, name string) error {
	if err := weft.CheckProjectName(name); err != nil {
		return err
	}
	err := s.changeAccess(ctx, func(ctx context.Context, t *tx) error {
		p, err := t.lockProject(ctx, id)
		if err != nil {
			return err
		}
		other := weft.Project{Name: name}
		found, err := t.findProject(ctx, &other)
		if err == nil && found && other.ID != id {
			err = weft.Errorf(weft.Conflict, "there is a project %s already", name)
		}
		if err != nil {
			return err
		}
		t.detail = "renamed from " + p.Name + " to " + name
		_, err = t.exec(ctx, "UPDATE project SET name = $1 WHERE id = $2", name, id)
		return err
	})
	if err != nil {
		return fmt.Errorf("rename project: %w", err)
	}
	return nil
}

// lockProject reads a project that will be renamed or removed, which the default one
// cannot.
func (t *tx) lockProject(ctx context.Context, id weft.ProjectID) (weft.Project, error) {
	p := weft.Project{ID: id}
	found, err := t.row(ctx, "SELECT name FROM project WHERE id = $1"+t.s.forUpdate, []any{id}, &p.Name)
	t.subject, t.about = p.Name, id
	switch {
	case err != nil:
	case !found:
		err = notFound("project", id)
	case p.Name == weft.DefaultProject:
		err = weft.Errorf(weft.Conflict, "the project %s stays as it is", p.Name)
	}
	return p, err
}

// DeleteProject removes a project in which nothing is left, with its memberships and
// the tokens that are bound to it. Users whose home it was get the default one.
func (s *Store) DeleteProject(ctx context.Context, id weft.ProjectID) error {
	home, err := s.DefaultProject(ctx)
	if err == nil {
		err = s.changeAccess(ctx, func(ctx context.Context, t *tx) error { return t.deleteProject(ctx, id, home.ID) })
	}
	if err != nil {
		return fmt.Errorf("delete project: %w", err)
	}
	return nil
}

// What a project has by its column "project": some of it must be gone before the project
// is removed, some goes with it, and some tells of it afterwards.
var (
	projectHolds = []struct{ table, where, what, advice string }{
		{"run", "", "runs", "`weft run rm` removes them, and their data"},
		{"data", "", "data", "`weft run rm` removes them with their runs"},
		{"image_manifest", "", "images", "`weft image rm` removes them"},
		{"plan", " AND state <> 2 AND name NOT LIKE 'knit#%'", "plans", "`weft plan rm` removes them"},
	}
	projectOwns = []string{
		"member", "group_role", "token", "favourite", "note", "search", "secret", "notify_rule", "data_share", "push_key", "plan_revision", "import",
		"change", "image_tag", "image_ref", "repo_blob", "plan",
	}
	projectRemembered = []string{"event", "audit"}
)

func (t *tx) deleteProject(ctx context.Context, id, home weft.ProjectID) error {
	p, err := t.lockProject(ctx, id)
	if err != nil {
		return err
	}
	for _, h := range projectHolds {
		found, err := t.row(ctx, "SELECT 1 FROM "+h.table+" WHERE project = $1"+h.where+" LIMIT 1", []any{id}, new(int64))
		if err != nil {
			return err
		}
		if found {
			return weft.Errorf(weft.Conflict, "there are %s left in the project %s", h.what, p.Name).WithAdvice("%s", h.advice)
		}
	}
	if _, err := t.exec(ctx, "UPDATE principal SET home = $1 WHERE home = $2", home, id); err != nil {
		return err
	}
	for _, statement := range []string{
		"DELETE FROM plan_input WHERE plan IN (SELECT id FROM plan WHERE project = $1)",
		"DELETE FROM notice WHERE rule IN (SELECT id FROM notify_rule WHERE project = $1)",
	} {
		if _, err := t.exec(ctx, statement, id); err != nil {
			return err
		}
	}
	for _, table := range projectOwns {
		if _, err := t.exec(ctx, "DELETE FROM "+table+" WHERE project = $1", id); err != nil {
			return err
		}
	}
	_, err = t.exec(ctx, "DELETE FROM project WHERE id = $1", id)
	return err
}

// Members returns who has a role in a project, by name; or, if project is zero, the
// roles of one principal, by project.
func (s *Store) Members(ctx context.Context, project weft.ProjectID, id weft.PrincipalID) ([]weft.Membership, error) {
	where, arg := "m.project = $1 ORDER BY p.name", any(project)
	if project.IsZero() {
		where, arg = "m.principal = $1 ORDER BY o.name", any(id)
	}
	var all []weft.Membership
	err := s.read(ctx, func(t *tx) error {
		return t.rows(ctx, func(r scanner) error {
			var m weft.Membership
			var kind int64
			err := r.Scan(&m.Project.ID, &m.Project.Name, &m.ID, &m.Name, &kind, &m.Role)
			m.Kind = kindOf(kind)
			all = append(all, m)
			return err
		}, "SELECT o.id, o.name, p.id, p.name, p.kind, m.role FROM member m JOIN project o ON o.id = m.project JOIN principal p ON p.id = m.principal WHERE "+where, arg)
	})
	if err != nil {
		return nil, fmt.Errorf("list members: %w", err)
	}
	return all, nil
}

// SetMember gives a user a role in a project; weft.NoRole takes it away. Who is not a
// member of its home has this one for a home from now on.
func (s *Store) SetMember(ctx context.Context, project weft.ProjectID, name string, role weft.Role) error {
	err := s.changeAccess(ctx, func(ctx context.Context, t *tx) error {
		u, err := t.lockUser(ctx, name)
		if err != nil {
			return err
		}
		t.about, t.detail = project, "role "+role.String()
		if role == weft.NoRole {
			n, err := t.exec(ctx, "DELETE FROM member WHERE project = $1 AND principal = $2", project, u.ID)
			if err == nil && n == 0 {
				err = weft.Errorf(weft.NotFound, "%s is not a member of this project", name)
			}
			return err
		}
		_, err = t.exec(ctx, `INSERT INTO member (project, principal, role) VALUES ($1, $2, $3)
			ON CONFLICT (principal, project) DO UPDATE SET role = excluded.role`, project, u.ID, int(role))
		if err != nil {
			return err
		}
		_, err = t.exec(ctx, `UPDATE principal SET home = $1 WHERE id = $2 AND admin = 0
			AND NOT EXISTS (SELECT 1 FROM member m WHERE m.principal = principal.id AND m.project = principal.home)`, project, u.ID)
		return err
	})
	if err != nil {
		return fmt.Errorf("set member: %w", err)
	}
	return nil
}
