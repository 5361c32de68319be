package identity

import (
	"context"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/weft-dev/weft"
)

const (
	freeFailures = 4                // in a row, under one name, before it is locked
	maxLock      = 15 * time.Minute // of one name
	maxName      = 256              // bytes of a name that is tried
	failAfter    = 300 * time.Millisecond
)

// lockFor is for how long a name is locked after so many failures in a row. The time
// doubles with each. Whoever knows the password and is not let in can still use the
// session or the token that he has, or another way to sign in.
func lockFor(failures int) time.Duration {
	if failures <= freeFailures {
		return 0
	}
	return min(time.Second<<min(failures-freeFailures-1, 20), maxLock)
}

// SignIn checks a name and a password that came from an address: of an account here, or
// else of one in the directory. What fails does so in the same way and after the same
// time whether there is such an account or not.
//
// A failure is Unauthenticated. After a few of them in a row the name is locked for a
// while, Unavailable, even to the right password; so is an address that fails often.
func (s *Service) SignIn(ctx context.Context, name, password, from string) (weft.User, error) {
	end := time.Now().Add(failAfter)
	u, err := s.signIn(ctx, name, password, from)
	if weft.KindOf(err) == weft.Unauthenticated {
		if err := pause(ctx, time.Until(end)); err != nil {
			return weft.User{}, err
		}
	}
	return u, err
}

func (s *Service) signIn(ctx context.Context, name, password, from string) (weft.User, error) {
	name = strings.ToLower(strings.TrimSpace(name))
	if name == "" || password == "" || len(name) > maxName || !utf8.ValidString(name) || strings.ContainsRune(name, 0) {
		return weft.User{}, wrongPassword()
	}
	if err := s.fails.take(from); err != nil {
		return weft.User{}, err
	}
	defer s.turns.take(name)() // else many guesses at once would count as one
	f, err := s.store.SignInFailures(ctx, name)
	if err != nil {
		return weft.User{}, err
	}
	if wait := time.Until(f.LockedUntil); wait > 0 {
		return weft.User{}, weft.Errorf(weft.Unavailable, "too many sign-ins under this name have failed").
			WithAdvice("try again in %s; an administrator can unlock it", max(wait.Round(time.Second), time.Second))
	}
	u, by, known, err := s.check(ctx, name, password)
	switch weft.KindOf(err) {
	case "":
		s.fails.giveBack(from)
		if f.Count > 0 {
			err = s.store.ClearSignInFailures(ctx, name)
		}
		if err == nil {
			err = s.audit(ctx, weft.Audit{Who: u.ID, Name: u.Name, From: from, Action: ActionSignIn, Object: u.Name, Result: weft.AuditDone, Detail: "by " + by})
		}
	case weft.Unauthenticated, weft.Forbidden:
		err = s.failed(context.WithoutCancel(ctx), name, known, from, err)
	default:
		s.fails.giveBack(from)
	}
	return u, err
}

// ActionSignIn is the name of signing in, and of a failure of it, in the audit log.
const ActionSignIn = "sign-in"

// failed counts a failure, records it, and returns it. A name that nobody has is not
// recorded: it may be a password in the wrong place.
func (s *Service) failed(ctx context.Context, name string, known bool, from string, cause error) error {
	f, err := s.store.SignInFailed(ctx, name, lockFor)
	if err != nil {
		return err
	}
	e := weft.Audit{From: from, Action: ActionSignIn, Result: weft.AuditDenied, Detail: "a name that nobody has"}
	if known {
		e.Name, e.Object, e.Detail = name, name, fmt.Sprintf("failure %d in a row", f.Count)
	}
	if weft.KindOf(cause) == weft.Forbidden {
		e.Detail = cause.Error()
	}
	if err := s.audit(ctx, e); err != nil {
		return err
	}
	return cause
}

func wrongPassword() error {
	return weft.Errorf(weft.Unauthenticated, "the name or the password is not right").WithAdvice("mind capital letters")
}

// pause waits, or ends with ctx.
func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// check tells who somebody is, and by what. known says that there is an account of that
// name.
func (s *Service) check(ctx context.Context, name, password string) (u weft.User, by string, known bool, err error) {
	c, err := s.store.Credential(ctx, name)
	if err != nil && weft.KindOf(err) != weft.NotFound {
		return u, "", false, err
	}
	known = err == nil
	hash := s.nobody
	if c.PasswordHash != "" {
		hash = c.PasswordHash
	}
	err = CheckPassword(hash, password)
	now := s.now.Load()
	switch {
	case weft.KindOf(err) != "" && weft.KindOf(err) != weft.Unauthenticated:
		return u, "", known, err
	case c.PasswordHash == "" && now.directory != nil && c.Kind != weft.Service:
		u, err = s.checkDirectory(ctx, now, name, password)
		return u, "directory", known, err
	case err != nil || c.PasswordHash == "" || c.Disabled || c.Kind == weft.Service:
		return u, "", known, wrongPassword()
	}
	if outdated(hash) {
		s.renew(ctx, c, password)
	}
	return c.User, "password", known, nil
}

// renew hashes a password again, at the present costs. That it could not be stored is no
// reason to keep anybody out.
func (s *Service) renew(ctx context.Context, c weft.Credential, password string) {
	next, err := HashPassword(password)
	if err == nil {
		err = s.store.RenewPasswordHash(ctx, c.ID, c.PasswordHash, next)
	}
	if err != nil {
		s.log.WarnContext(ctx, "a password keeps its old hash", "user", c.Name, "error", err)
	}
}

func (s *Service) checkDirectory(ctx context.Context, now *outside, name, password string) (weft.User, error) {
	p, err := now.directory.signIn(ctx, name, password)
	if weft.KindOf(err) == weft.Unauthenticated {
		return weft.User{}, wrongPassword()
	}
	if err != nil {
		s.log.WarnContext(ctx, "the directory does not serve", "error", err)
		return weft.User{}, err
	}
	return s.admit(ctx, p, now.LDAP.Groups)
}

// admit returns the account of somebody whom another system has sent, which is made the
// first time, with the rights that their groups give.
//
// An account that is here already belongs to whoever has its password or its identity: a
// name alone proves nothing. Only one with neither, which an administrator has made for
// that, is taken over by the first who comes from outside under its name; never one that
// administers the system.
func (s *Service) admit(ctx context.Context, p Person, groups Groups) (weft.User, error) {
	rights, err := groups.rights(p)
	if err != nil {
		return weft.User{}, err
	}
	c, err := s.store.CredentialByIdentity(ctx, p.Identity)
	if weft.KindOf(err) == weft.NotFound {
		c.User, err = s.join(ctx, p)
	}
	if err != nil {
		return weft.User{}, err
	}
	if c.Disabled {
		return weft.User{}, weft.Errorf(weft.Forbidden, "the account %s is disabled", c.Name).WithAdvice("ask an administrator")
	}
	unknown, err := s.store.ApplyGroups(ctx, c.ID, rights.Admin, rights.Roles)
	if err != nil {
		return weft.User{}, err
	}
	if len(unknown) > 0 {
		s.log.WarnContext(ctx, "groups give roles in projects that do not exist", "projects", unknown)
	}
	return s.refresh(ctx, c.User, p)
}

// join gives somebody who comes for the first time an account.
func (s *Service) join(ctx context.Context, p Person) (weft.User, error) {
	u := weft.User{Name: p.Name, Kind: weft.Person, FullName: clean(p.FullName), Email: clean(p.Email), Identities: []weft.Identity{p.Identity}}
	made, err := s.store.CreateUser(ctx, u, "", weft.NoRole)
	if weft.KindOf(err) != weft.Conflict {
		return made, err
	}
	c, err := s.store.Credential(ctx, p.Name)
	if err != nil {
		return weft.User{}, err
	}
	if c.Kind == weft.Service || c.Admin || c.Disabled || c.PasswordHash != "" || len(c.Identities) > 0 {
		return weft.User{}, weft.Errorf(weft.Forbidden, "there is another account of the name %s here", p.Name).
			WithAdvice("an administrator can rename or remove it, or take its password away so that it becomes yours")
	}
	return c.User, s.store.LinkIdentity(ctx, c.ID, p.Identity)
}

// refresh keeps what people read in step with the other system.
func (s *Service) refresh(ctx context.Context, u weft.User, p Person) (weft.User, error) {
	full, email := clean(p.FullName), clean(p.Email)
	var c weft.UserChange
	if full != "" && full != u.FullName {
		c.FullName = &full
	}
	if email != "" && email != u.Email {
		c.Email = &email
	}
	if c == (weft.UserChange{}) {
		return s.store.UserByID(ctx, u.ID)
	}
	return s.store.ChangeUser(ctx, u.Name, c)
}

// clean returns text if people may be shown it, else nothing.
func clean(text string) string {
	if weft.CheckTitle("name", text) != nil || !utf8.ValidString(text) {
		return ""
	}
	return text
}
