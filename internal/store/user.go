package store

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strings"

	"github.com/weft-dev/weft"
)

const userColumns = `p.id, p.name, p.kind, p.full_name, p.email, p.admin, p.disabled, p.password, p.created_at, p.signed_in_at, p.home, h.name`

const fromUsers = " FROM principal p JOIN project h ON h.id = p.home "

func scanUser(r scanner) (weft.Credential, error) {
	var c weft.Credential
	var kind, admin, disabled, created int64
	var password sql.NullString
	var signedIn sql.NullInt64
	err := r.Scan(&c.ID, &c.Name, &kind, &c.FullName, &c.Email, &admin, &disabled, &password, &created, &signedIn, &c.Home.ID, &c.Home.Name)
	c.Kind, c.Admin, c.Disabled = kindOf(kind), admin != 0, disabled != 0
	c.PasswordHash, c.HasPassword = password.String, password.String != ""
	c.CreatedAt, c.SignedInAt = fromMicros(created), fromNull(signedIn)
	return c, err
}

func kindOf(code int64) weft.PrincipalKind {
	if code == 1 {
		return weft.Service
	}
	return weft.Person
}

func kindCode(k weft.PrincipalKind) int {
	if k == weft.Service {
		return 1
	}
	return 0
}

// CreateUser makes an account, and its membership in its home project if role is not
// weft.NoRole. A Home that is zero is the default project. passwordHash may be "".
func (s *Store) CreateUser(ctx context.Context, u weft.User, passwordHash string, role weft.Role) (weft.User, error) {
	if err := weft.CheckUserName(u.Name); err != nil {
		return weft.User{}, err
	}
	home, err := s.DefaultProject(ctx)
	if err == nil {
		if u.Home.ID.IsZero() {
			u.Home = home
		}
		err = s.change(ctx, func(ctx context.Context, t *tx) error { return t.createUser(ctx, u, passwordHash, role) })
	}
	if err != nil {
		return weft.User{}, fmt.Errorf("create user: %w", err)
	}
	return s.User(ctx, u.Name)
}

func (t *tx) createUser(ctx context.Context, u weft.User, passwordHash string, role weft.Role) error {
	t.subject, t.detail = u.Name, string(u.Kind)
	if u.Admin {
		t.detail += ", administrator"
	}
	if role != weft.NoRole {
		t.detail += ", " + role.String() + " of its home"
	}
	if u.ID.IsZero() {
		u.ID = weft.NewID[weft.Principal]()
	}
	n, err := t.exec(ctx, `INSERT INTO principal (id, name, kind, full_name, email, admin, disabled, password, home, created_at)
		VALUES ($1, $2, $3, $4, $5, $6, 0, $7, $8, $9) ON CONFLICT (name) DO NOTHING`,
		u.ID, u.Name, kindCode(u.Kind), u.FullName, u.Email, bit(u.Admin), textOrNull(passwordHash), u.Home.ID, micros(t.now))
	if err != nil {
		return err
	}
	if n == 0 {
		return weft.Errorf(weft.Conflict, "there is a user %s already", u.Name)
	}
	for _, i := range u.Identities {
		if err := t.addIdentity(ctx, i, u.ID); err != nil {
			return err
		}
	}
	if role == weft.NoRole {
		return nil
	}
	_, err = t.exec(ctx, "INSERT INTO member (project, principal, role) VALUES ($1, $2, $3)", u.Home.ID, u.ID, int(role))
	return err
}

func (t *tx) addIdentity(ctx context.Context, i weft.Identity, id weft.PrincipalID) error {
	n, err := t.exec(ctx, "INSERT INTO identity (issuer, subject, principal) VALUES ($1, $2, $3) ON CONFLICT (issuer, subject) DO NOTHING", i.Issuer, i.Subject, id)
	if err == nil && n == 0 {
		err = weft.Errorf(weft.Conflict, "%s of %s belongs to another user", i.Subject, i.Issuer)
	}
	return err
}

// Users returns all accounts, by name.
func (s *Store) Users(ctx context.Context) ([]weft.User, error) {
	var users []weft.User
	err := s.read(ctx, func(t *tx) error {
		at := map[weft.PrincipalID]int{}
		err := t.rows(ctx, func(r scanner) error {
			c, err := scanUser(r)
			at[c.ID] = len(users)
			users = append(users, c.User)
			return err
		}, "SELECT "+userColumns+fromUsers+"ORDER BY p.name")
		if err != nil {
			return err
		}
		return t.identities(ctx, func(id weft.PrincipalID, i weft.Identity) {
			if n, ok := at[id]; ok {
				users[n].Identities = append(users[n].Identities, i)
			}
		}, "")
	})
	if err != nil {
		return nil, fmt.Errorf("list users: %w", err)
	}
	return users, nil
}

// identities reads how other systems call users; where may be "".
func (t *tx) identities(ctx context.Context, each func(weft.PrincipalID, weft.Identity), where string, args ...any) error {
	return t.rows(ctx, func(r scanner) error {
		var id weft.PrincipalID
		var i weft.Identity
		err := r.Scan(&id, &i.Issuer, &i.Subject)
		each(id, i)
		return err
	}, "SELECT principal, issuer, subject FROM identity "+where+" ORDER BY issuer, subject", args...)
}

// User returns the account of that name.
func (s *Store) User(ctx context.Context, name string) (weft.User, error) {
	c, err := s.Credential(ctx, name)
	return c.User, err
}

// UserByID returns the account with that id.
func (s *Store) UserByID(ctx context.Context, id weft.PrincipalID) (weft.User, error) {
	c, err := s.credential(ctx, "p.id = $1", id)
	if weft.KindOf(err) == weft.NotFound {
		err = notFound("user", id)
	}
	return c.User, err
}

// Credential returns the account of that name, as signing in needs it.
func (s *Store) Credential(ctx context.Context, name string) (weft.Credential, error) {
	c, err := s.credential(ctx, "p.name = $1", name)
	if weft.KindOf(err) == weft.NotFound {
		err = noUser(name)
	}
	return c, err
}

func noUser(name string) error {
	return weft.Errorf(weft.NotFound, "there is no user %q", name).WithAdvice("`weft user ls` shows all")
}

// CredentialByIdentity returns the account that signs in from outside as i.
func (s *Store) CredentialByIdentity(ctx context.Context, i weft.Identity) (weft.Credential, error) {
	return s.credential(ctx, "p.id = (SELECT principal FROM identity WHERE issuer = $1 AND subject = $2)", i.Issuer, i.Subject)
}

func (s *Store) credential(ctx context.Context, where string, args ...any) (weft.Credential, error) {
	var c weft.Credential
	err := s.read(ctx, func(t *tx) error {
		found := false
		err := t.rows(ctx, func(r scanner) (err error) {
			found = true
			c, err = scanUser(r)
			return err
		}, "SELECT "+userColumns+fromUsers+"WHERE "+where, args...)
		if err != nil {
			return err
		}
		if !found {
			return weft.Errorf(weft.NotFound, "there is no such user")
		}
		return t.identities(ctx, func(_ weft.PrincipalID, i weft.Identity) { c.Identities = append(c.Identities, i) }, "WHERE principal = $1", c.ID)
	})
	if err != nil {
		return weft.Credential{}, fmt.Errorf("find user: %w", err)
	}
	return c, nil
}

// LinkIdentity lets the account sign in from outside as i too.
func (s *Store) LinkIdentity(ctx context.Context, id weft.PrincipalID, i weft.Identity) error {
	err := s.change(ctx, func(ctx context.Context, t *tx) error { return t.addIdentity(ctx, i, id) })
	if err != nil {
		return fmt.Errorf("link identity: %w", err)
	}
	return nil
}

// ChangeUser changes an account. Whoever is disabled loses tokens and sessions for good.
// One administrator who can sign in stays, always.
func (s *Store) ChangeUser(ctx context.Context, name string, c weft.UserChange) (weft.User, error) {
	err := s.changeAccess(ctx, func(ctx context.Context, t *tx) error {
		u, err := t.lockUser(ctx, name)
		if err != nil {
			return err
		}
		return t.changeUser(ctx, u, c)
	})
	if err != nil {
		return weft.User{}, fmt.Errorf("change user: %w", err)
	}
	return s.User(ctx, name)
}

func (t *tx) changeUser(ctx context.Context, u weft.User, c weft.UserChange) error {
	t.detail = whatChanges(c)
	loses := c.Admin != nil && !*c.Admin || c.Disabled != nil && *c.Disabled
	if loses {
		if err := t.keepAnAdmin(ctx, u); err != nil {
			return err
		}
	}
	if c.Admin != nil && *c.Admin && u.Kind == weft.Service && !u.Admin {
		return weft.Errorf(weft.Invalid, "%s is a service, which cannot administer the system", u.Name)
	}
	for _, set := range []struct {
		column string
		to     any
		wanted bool
	}{
		{"full_name", deref(c.FullName), c.FullName != nil}, {"email", deref(c.Email), c.Email != nil},
		{"admin", bit(deref(c.Admin)), c.Admin != nil}, {"disabled", bit(deref(c.Disabled)), c.Disabled != nil},
		{"home", deref(c.Home), c.Home != nil},
	} {
		if set.wanted {
			if _, err := t.exec(ctx, "UPDATE principal SET "+set.column+" = $1 WHERE id = $2", set.to, u.ID); err != nil {
				return err
			}
		}
	}
	if c.Disabled != nil && *c.Disabled {
		return t.endCredentials(ctx, u.ID)
	}
	return nil
}

// whatChanges tells what of an account is changed, for the audit log.
func whatChanges(c weft.UserChange) string {
	var all []string
	for text, is := range map[string]bool{
		"name for people": c.FullName != nil, "address": c.Email != nil, "home": c.Home != nil, "disabled": c.Disabled != nil && *c.Disabled,
		"enabled": c.Disabled != nil && !*c.Disabled, "made an administrator": c.Admin != nil && *c.Admin, "no administrator any more": c.Admin != nil && !*c.Admin,
	} {
		if is {
			all = append(all, text)
		}
	}
	slices.Sort(all)
	return strings.Join(all, ", ")
}

// endCredentials revokes what u could still show. The token of a state directory stays:
// whoever can read that file can do everything anyway.
func (t *tx) endCredentials(ctx context.Context, id weft.PrincipalID) error {
	for _, statement := range []string{"DELETE FROM token WHERE principal = $1 AND system = 0", "DELETE FROM session WHERE principal = $1", "DELETE FROM device WHERE principal = $1"} {
		if _, err := t.exec(ctx, statement, id); err != nil {
			return err
		}
	}
	return nil
}

// lockUser reads an account that will be changed.
func (t *tx) lockUser(ctx context.Context, name string) (weft.User, error) {
	t.subject = name
	var u weft.User
	var kind, admin, disabled int64
	found, err := t.row(ctx, "SELECT id, name, kind, admin, disabled FROM principal WHERE name = $1"+t.s.forUpdate, []any{name}, &u.ID, &u.Name, &kind, &admin, &disabled)
	if err == nil && !found {
		err = noUser(name)
	}
	u.Kind, u.Admin, u.Disabled = kindOf(kind), admin != 0, disabled != 0
	return u, err
}

// keepAnAdmin refuses unless there is an administrator beside u. All of them are locked,
// so that two cannot remove one another.
func (t *tx) keepAnAdmin(ctx context.Context, u weft.User) error {
	others := 0
	err := t.rows(ctx, func(r scanner) error {
		var id weft.PrincipalID
		var disabled int64
		err := r.Scan(&id, &disabled)
		if id != u.ID && disabled == 0 {
			others++
		}
		return err
	}, "SELECT id, disabled FROM principal WHERE admin = 1 ORDER BY id"+t.s.forUpdate)
	if err == nil && u.Admin && !u.Disabled && others == 0 {
		err = weft.Errorf(weft.Conflict, "%s is the last administrator", u.Name).WithAdvice("make another one first: `weft user change NAME --admin`")
	}
	return err
}

// SetPassword gives an account another password and ends its sessions, except the one
// named. "" takes the password away.
func (s *Store) SetPassword(ctx context.Context, id weft.PrincipalID, passwordHash string, keep weft.SessionID) error {
	err := s.changeAccess(ctx, func(ctx context.Context, t *tx) error {
		n, err := t.exec(ctx, "UPDATE principal SET password = $1 WHERE id = $2 AND kind = 0", passwordHash, id) // not NULL, which is for one that never had any
		if err != nil {
			return err
		}
		if n == 0 {
			return weft.Errorf(weft.NotFound, "there is no such person").WithAdvice("services have tokens only")
		}
		_, err = t.exec(ctx, "DELETE FROM session WHERE principal = $1 AND id <> $2", id, keep[:])
		return err
	})
	if err != nil {
		return fmt.Errorf("set password: %w", err)
	}
	return nil
}

// LacksFirstPassword reports whether SetFirstPassword would set one.
func (s *Store) LacksFirstPassword(ctx context.Context) (bool, error) {
	lacks := false
	err := s.read(ctx, func(t *tx) (err error) {
		lacks, err = t.row(ctx, "SELECT 1 FROM principal WHERE name = $1 AND password IS NULL AND signed_in_at IS NULL", []any{adminName}, new(int64))
		return err
	})
	if err != nil {
		return false, fmt.Errorf("look for the administrator's password: %w", err)
	}
	return lacks, nil
}

// SetFirstPassword gives the first administrator a password unless it has one, and
// reports whether it did: so of several servers that start together one does.
func (s *Store) SetFirstPassword(ctx context.Context, passwordHash string) (bool, error) {
	set := false
	err := s.write(ctx, func(ctx context.Context, t *tx) error {
		n, err := t.exec(ctx, "UPDATE principal SET password = $1 WHERE name = $2 AND password IS NULL AND signed_in_at IS NULL", passwordHash, adminName)
		set = n > 0
		return err
	})
	if err != nil {
		return false, fmt.Errorf("set the administrator's password: %w", err)
	}
	return set, nil
}

// userOwns are the tables from which a user who is deleted goes, beside what
// endCredentials takes.
var userOwns = []string{"member", "group_role", "identity", "favourite"}

// DeleteUser removes an account with its memberships, tokens and sessions. What it did
// stays, under its id.
func (s *Store) DeleteUser(ctx context.Context, name string) error {
	err := s.changeAccess(ctx, func(ctx context.Context, t *tx) error {
		u, err := t.lockUser(ctx, name)
		if err != nil {
			return err
		}
		if u.Name == adminName {
			return weft.Errorf(weft.Conflict, "%s owns the token of the state directory, and stays", u.Name).WithAdvice("`weft user disable %s` keeps it from signing in", u.Name)
		}
		if err := t.keepAnAdmin(ctx, u); err != nil {
			return err
		}
		if err := t.endCredentials(ctx, u.ID); err != nil {
			return err
		}
		for _, table := range userOwns {
			if _, err := t.exec(ctx, "DELETE FROM "+table+" WHERE principal = $1", u.ID); err != nil {
				return err
			}
		}
		for _, statement := range []string{"DELETE FROM search WHERE owner = $1 AND shared = 0", "DELETE FROM principal WHERE id = $1"} {
			if _, err := t.exec(ctx, statement, u.ID); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("delete user: %w", err)
	}
	return nil
}

func bit(b bool) int {
	if b {
		return 1
	}
	return 0
}

func deref[T any](p *T) (v T) {
	if p != nil {
		v = *p
	}
	return v
}
