package store

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/weft-dev/weft"
)

// RenewPasswordHash replaces the hash of a password by another hash of the same one.
// Sessions go on, unlike with SetPassword. If it is not that hash any more, nothing
// happens.
func (s *Store) RenewPasswordHash(ctx context.Context, id weft.PrincipalID, from, to string) error {
	err := s.write(ctx, func(ctx context.Context, t *tx) error {
		_, err := t.exec(ctx, "UPDATE principal SET password = $1 WHERE id = $2 AND password = $3", to, id, from)
		return err
	})
	if err != nil {
		return fmt.Errorf("renew a password's hash: %w", err)
	}
	return nil
}

// Spend notes that what is good for one time was used. It is Conflict if it was before.
func (s *Store) Spend(ctx context.Context, hash [32]byte, until time.Time) error {
	err := s.write(ctx, func(ctx context.Context, t *tx) error {
		if _, err := t.exec(ctx, "DELETE FROM spent WHERE until < $1", micros(t.now)); err != nil {
			return err
		}
		n, err := t.exec(ctx, "INSERT INTO spent (hash, until) VALUES ($1, $2) ON CONFLICT (hash) DO NOTHING", hash[:], micros(until))
		if err == nil && n == 0 {
			err = weft.Errorf(weft.Conflict, "this was used already")
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("use once: %w", err)
	}
	return nil
}

// ApplyGroups gives an account the roles that its groups elsewhere give in projects, by
// their names, and takes back what they gave before and give no longer. A membership that
// was given or changed by hand is left alone. With admin, it also says whether the account
// administers the system; the last administrator stays one. It returns the projects
// that do not exist.
func (s *Store) ApplyGroups(ctx context.Context, id weft.PrincipalID, admin *bool, roles map[string]weft.Role) (unknown []string, err error) {
	err = s.write(ctx, func(ctx context.Context, t *tx) error {
		var was int64
		found, err := t.row(ctx, "SELECT admin FROM principal WHERE id = $1"+t.s.forUpdate, []any{id}, &was)
		if err == nil && !found {
			err = notFound("user", id)
		}
		if err == nil && admin != nil && *admin != (was != 0) {
			err = t.applyAdmin(ctx, id, *admin)
		}
		if err != nil {
			return err
		}
		if unknown, err = t.applyRoles(ctx, id, roles); err != nil {
			return err
		}
		return t.rightsChange(ctx)
	})
	if err != nil {
		return nil, fmt.Errorf("apply groups: %w", err)
	}
	return unknown, nil
}

func (t *tx) applyAdmin(ctx context.Context, id weft.PrincipalID, admin bool) error {
	if !admin {
		err := t.keepAnAdmin(ctx, weft.User{ID: id, Admin: true})
		if weft.KindOf(err) == weft.Conflict {
			return nil
		}
		if err != nil {
			return err
		}
	}
	_, err := t.exec(ctx, "UPDATE principal SET admin = $1 WHERE id = $2", bit(admin), id)
	return err
}

// applyRoles brings the memberships from what the groups gave to what they give.
func (t *tx) applyRoles(ctx context.Context, id weft.PrincipalID, roles map[string]weft.Role) (unknown []string, err error) {
	give := map[weft.ProjectID]weft.Role{}
	for name, role := range roles {
		p := weft.Project{Name: name}
		found, err := t.findProject(ctx, &p)
		if err != nil {
			return nil, err
		}
		if !found {
			unknown = append(unknown, name)
			continue
		}
		give[p.ID] = role
	}
	slices.Sort(unknown)
	gave, err := t.roleTable(ctx, "group_role", id)
	if err != nil {
		return nil, err
	}
	has, err := t.roleTable(ctx, "member", id)
	if err != nil {
		return nil, err
	}
	for project := range gave {
		if _, still := give[project]; !still {
			give[project] = weft.NoRole
		}
	}
	for project, role := range give {
		if has[project] != gave[project] || has[project] == role {
			continue // by hand, or as it should be
		}
		if err := t.giveRole(ctx, id, project, role); err != nil {
			return nil, err
		}
	}
	return unknown, t.moveHome(ctx, id)
}

func (t *tx) roleTable(ctx context.Context, table string, id weft.PrincipalID) (map[weft.ProjectID]weft.Role, error) {
	all := map[weft.ProjectID]weft.Role{}
	err := t.rows(ctx, func(r scanner) error {
		var project weft.ProjectID
		var role weft.Role
		err := r.Scan(&project, &role)
		all[project] = role
		return err
	}, "SELECT project, role FROM "+table+" WHERE principal = $1", id)
	return all, err
}

// giveRole makes a role in a project one that groups gave, NoRole none.
func (t *tx) giveRole(ctx context.Context, id weft.PrincipalID, project weft.ProjectID, role weft.Role) error {
	for _, table := range []string{"member", "group_role"} {
		query, args := "DELETE FROM "+table+" WHERE principal = $1 AND project = $2", []any{id, project}
		if role != weft.NoRole {
			query = "INSERT INTO " + table + " (principal, project, role) VALUES ($1, $2, $3) ON CONFLICT (principal, project) DO UPDATE SET role = excluded.role"
			args = append(args, int(role))
		}
		if _, err := t.exec(ctx, query, args...); err != nil {
			return err
		}
	}
	return nil
}

// moveHome makes a project that somebody is a member of theirs, if the present one is
// none and there is one.
func (t *tx) moveHome(ctx context.Context, id weft.PrincipalID) error {
	_, err := t.exec(ctx, `UPDATE principal SET home = (SELECT m.project FROM member m WHERE m.principal = principal.id ORDER BY m.project LIMIT 1) WHERE id = $1 AND admin = 0
		AND EXISTS (SELECT 1 FROM member m WHERE m.principal = principal.id)
		AND NOT EXISTS (SELECT 1 FROM member m WHERE m.principal = principal.id AND m.project = principal.home)`, id)
	return err
}
