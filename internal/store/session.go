package store

import (
	"context"
	"fmt"
	"time"

	"github.com/weft-dev/weft"
)

// CreateSession keeps a session, of whose cookie it gets the SHA-256, and that its owner
// signed in. The id may be left out.
func (s *Store) CreateSession(ctx context.Context, n weft.Session, hash [32]byte) (weft.Session, error) {
	if n.ID.IsZero() {
		n.ID = weft.NewID[weft.Session]()
	}
	err := s.change(ctx, func(ctx context.Context, t *tx) error {
		n.CreatedAt, n.UsedAt = t.now, t.now
		k, err := t.exec(ctx, "UPDATE principal SET signed_in_at = $1 WHERE id = $2 AND disabled = 0", micros(t.now), n.Owner)
		if err != nil {
			return err
		}
		if k == 0 {
			return weft.Errorf(weft.Unauthenticated, "this account is disabled").WithAdvice("ask an administrator")
		}
		_, err = t.exec(ctx, `INSERT INTO session (hash, id, principal, created_at, expires_at, idle, used_at, source, agent, note)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)`, hash[:], n.ID, n.Owner, micros(t.now), micros(n.ExpiresAt), n.Idle.Microseconds(), micros(t.now), n.From, n.Agent, n.Note)
		if err != nil {
			return err
		}
		_, err = t.exec(ctx, "DELETE FROM session WHERE expires_at <= $1 OR idle > 0 AND used_at <= $1 - idle", micros(t.now))
		return err
	})
	if err != nil {
		return weft.Session{}, fmt.Errorf("begin session: %w", err)
	}
	return n, nil
}

const sessionColumns = "id, principal, created_at, expires_at, idle, used_at, source, agent, note"

func scanSession(r scanner) (weft.Session, error) {
	var n weft.Session
	var created, expires, idle, used int64
	err := r.Scan(&n.ID, &n.Owner, &created, &expires, &idle, &used, &n.From, &n.Agent, &n.Note)
	n.CreatedAt, n.ExpiresAt, n.UsedAt = fromMicros(created), fromMicros(expires), fromMicros(used)
	n.Idle = time.Duration(idle) * time.Microsecond
	return n, err
}

// Session returns the session whose cookie has that hash. It is Unauthenticated when
// there is none or it has ended.
func (s *Store) Session(ctx context.Context, hash [32]byte) (weft.Session, error) {
	var n weft.Session
	err := s.read(ctx, func(t *tx) error {
		found := false
		err := t.rows(ctx, func(r scanner) (err error) {
			found = true
			n, err = scanSession(r)
			return err
		}, "SELECT "+sessionColumns+" FROM session WHERE hash = $1", hash[:])
		if err == nil && (!found || n.Over(t.now)) {
			err = noSession()
		}
		return err
	})
	if err != nil {
		return weft.Session{}, fmt.Errorf("find session: %w", err)
	}
	return n, nil
}

func noSession() error {
	return weft.Errorf(weft.Unauthenticated, "the session has ended").WithAdvice("sign in again")
}

// PrincipalBySession returns who is signed in by the cookie of that hash. It is
// Unauthenticated when there is no such session, when it has ended, and when its owner
// is disabled. Being asked keeps the session from becoming idle.
func (s *Store) PrincipalBySession(ctx context.Context, hash [32]byte, from string) (weft.Principal, error) {
	var k shown
	at, err := time.Now(), s.currentAccess(ctx)
	read := func() (shown, error) { return s.readSession(ctx, hash) }
	if err == nil {
		k, err = s.access.find(hash, at, read)
	}
	if err == nil && k.over(at) && k.read.Before(at) { // another replica may know of later uses
		s.access.drop(hash)
		k, err = s.access.find(hash, at, read)
	}
	if err == nil && k.over(at) {
		err = noSession()
	}
	if err != nil {
		return weft.Principal{}, fmt.Errorf("find principal: %w", err)
	}
	s.touch(hash, "session", from, at)
	return k.who, nil
}

// over reports whether a session has ended by now.
func (k shown) over(now time.Time) bool {
	return !now.Before(k.who.Expires) || k.idle > 0 && now.Sub(k.used) >= k.idle
}

func (s *Store) readSession(ctx context.Context, hash [32]byte) (shown, error) {
	var k shown
	p := &k.who
	err := s.read(ctx, func(t *tx) error {
		var admin, disabled, expires, used, idle int64
		found, err := t.row(ctx, `SELECT p.id, p.name, p.admin, p.disabled, p.home, n.expires_at, n.used_at, n.idle
			FROM session n JOIN principal p ON p.id = n.principal WHERE n.hash = $1`, []any{hash[:]},
			&p.ID, &p.Name, &admin, &disabled, &p.Project, &expires, &used, &idle)
		if err != nil {
			return err
		}
		if !found || disabled != 0 {
			return noSession()
		}
		p.Kind, p.Admin, p.Expires, p.Scope = weft.Person, admin != 0, fromMicros(expires), weft.ScopeAll
		k.used, k.idle = fromMicros(used), time.Duration(idle)*time.Microsecond
		return t.roles(ctx, p)
	})
	return k, err
}

// Sessions returns the sessions of one owner that have not ended, the latest first.
func (s *Store) Sessions(ctx context.Context, owner weft.PrincipalID) ([]weft.Session, error) {
	var all []weft.Session
	err := s.read(ctx, func(t *tx) error {
		return t.rows(ctx, func(r scanner) error {
			n, err := scanSession(r)
			if !n.Over(t.now) {
				all = append(all, n)
			}
			return err
		}, "SELECT "+sessionColumns+" FROM session WHERE principal = $1 ORDER BY created_at DESC", owner)
	})
	if err != nil {
		return nil, fmt.Errorf("list sessions: %w", err)
	}
	return all, nil
}

// DeleteSession ends the session whose cookie has that hash, if it has not ended yet.
func (s *Store) DeleteSession(ctx context.Context, hash [32]byte) error {
	return s.endSessions(ctx, "hash = $1", hash[:])
}

// DeleteSessions ends all sessions of one owner.
func (s *Store) DeleteSessions(ctx context.Context, owner weft.PrincipalID) error {
	return s.endSessions(ctx, "principal = $1", owner)
}

func (s *Store) endSessions(ctx context.Context, where string, arg any) error {
	err := s.changeAccess(ctx, func(ctx context.Context, t *tx) error {
		_, err := t.exec(ctx, "DELETE FROM session WHERE "+where, arg)
		return err
	})
	if err != nil {
		return fmt.Errorf("end session: %w", err)
	}
	return nil
}
