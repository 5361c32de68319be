package store

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"github.com/weft-dev/weft"
)

// showExpired is how long a token that has expired is still listed, and its bearer told so.
const showExpired = 30 * 24 * time.Hour

// CreateToken keeps a token, of which it gets the SHA-256. The id may be left out.
func (s *Store) CreateToken(ctx context.Context, k weft.Token, hash [32]byte) (weft.Token, error) {
	if k.ID.IsZero() {
		k.ID = weft.NewID[weft.Token]()
	}
	err := s.change(ctx, func(ctx context.Context, t *tx) error {
		t.subject, t.about, t.detail = k.ID.String(), k.Project.ID, fmt.Sprintf("%q, scope %s", k.Name, k.Scope)
		var name string
		var disabled int64
		found, err := t.row(ctx, "SELECT name, disabled FROM principal WHERE id = $1"+t.s.forShare, []any{k.Owner}, &name, &disabled)
		if err == nil && !found {
			err = notFound("user", k.Owner)
		}
		if err == nil && disabled != 0 {
			err = weft.Errorf(weft.Conflict, "%s is disabled", name)
		}
		if err != nil {
			return err
		}
		t.detail += ", for " + name
		if _, err := t.exec(ctx, "DELETE FROM token WHERE expires_at < $1", micros(t.now.Add(-showExpired))); err != nil {
			return err
		}
		_, err = t.exec(ctx, `INSERT INTO token (hash, id, principal, name, scope, project, created_at, expires_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)`,
			hash[:], k.ID, k.Owner, k.Name, string(k.Scope), idOrNull(k.Project.ID), micros(t.now), orNull(k.ExpiresAt))
		return err
	})
	if err != nil {
		return weft.Token{}, fmt.Errorf("create token: %w", err)
	}
	all, err := s.tokens(ctx, "k.id = $1", k.ID)
	if err == nil && len(all) == 0 {
		err = notFound("token", k.ID) // its owner was deleted meanwhile
	}
	if err != nil {
		return weft.Token{}, err
	}
	return all[0], nil
}

// Tokens returns the tokens of one owner, or of all if it is zero, the oldest first.
func (s *Store) Tokens(ctx context.Context, owner weft.PrincipalID) ([]weft.Token, error) {
	if owner.IsZero() {
		return s.tokens(ctx, "1 = 1")
	}
	return s.tokens(ctx, "k.principal = $1", owner)
}

func (s *Store) tokens(ctx context.Context, where string, args ...any) ([]weft.Token, error) {
	var all []weft.Token
	err := s.read(ctx, func(t *tx) error {
		return t.rows(ctx, func(r scanner) error {
			k, err := scanToken(r)
			all = append(all, k)
			return err
		}, `SELECT k.id, k.name, k.principal, p.name, k.scope, k.project, o.name, k.system, k.created_at, k.expires_at, k.used_at, k.used_from
			FROM token k JOIN principal p ON p.id = k.principal LEFT JOIN project o ON o.id = k.project
			WHERE `+where+` ORDER BY k.created_at, k.id`, args...)
	})
	if err != nil {
		return nil, fmt.Errorf("list tokens: %w", err)
	}
	return all, nil
}

func scanToken(r scanner) (weft.Token, error) {
	var k weft.Token
	var project sql.NullString
	var system, created int64
	var expires, used sql.NullInt64
	err := r.Scan(&k.ID, &k.Name, &k.Owner, &k.OwnerName, &k.Scope, &k.Project.ID, &project, &system, &created, &expires, &used, &k.UsedFrom)
	k.Project.Name, k.System = project.String, system != 0
	k.CreatedAt, k.ExpiresAt, k.UsedAt = fromMicros(created), fromNull(expires), fromNull(used)
	return k, err
}

// DeleteToken revokes a token at once; only one of that owner's, unless owner is zero.
func (s *Store) DeleteToken(ctx context.Context, id weft.TokenID, owner weft.PrincipalID) error {
	err := s.changeAccess(ctx, func(ctx context.Context, t *tx) error {
		t.subject = id.String()
		var of weft.PrincipalID
		var name, whose string
		var system int64
		found, err := t.row(ctx, "SELECT k.principal, k.name, p.name, k.system FROM token k JOIN principal p ON p.id = k.principal WHERE k.id = $1", []any{id}, &of, &name, &whose, &system)
		switch {
		case err != nil:
			return err
		case !found || !owner.IsZero() && of != owner:
			return notFound("token", id)
		}
		t.detail = fmt.Sprintf("%q, of %s", name, whose)
		_, err = t.exec(ctx, "DELETE FROM token WHERE id = $1", id)
		return err
	})
	if err != nil {
		return fmt.Errorf("revoke token: %w", err)
	}
	return nil
}

// PrincipalByToken returns who acts by the token of that hash, from an address. It is
// Unauthenticated when there is none, when it has expired, and when its owner is
// disabled. What it knows may be a second old where another replica made the change.
func (s *Store) PrincipalByToken(ctx context.Context, tokenHash [32]byte, from string) (weft.Principal, error) {
	var k shown
	at, err := time.Now(), s.currentAccess(ctx)
	if err == nil {
		k, err = s.access.find(tokenHash, at, func() (shown, error) { return s.readToken(ctx, tokenHash) })
	}
	if err != nil {
		return weft.Principal{}, fmt.Errorf("find principal: %w", err)
	}
	if !k.who.Expires.IsZero() && !at.Before(k.who.Expires) {
		return weft.Principal{}, weft.Errorf(weft.Unauthenticated, "the token %q has expired", k.who.Token).WithAdvice("make another: `weft token add`, or `weft login`")
	}
	s.touch(tokenHash, "token", from, at)
	return k.who, nil
}

func (s *Store) readToken(ctx context.Context, hash [32]byte) (shown, error) {
	var k shown
	p := &k.who
	err := s.read(ctx, func(t *tx) error {
		var kind, admin, disabled, system int64
		var expires, used sql.NullInt64
		found, err := t.row(ctx, `SELECT p.id, p.name, p.kind, p.admin, p.disabled, p.home, k.id, k.name, k.scope, k.project, k.system, k.expires_at, k.used_at
			FROM token k JOIN principal p ON p.id = k.principal WHERE k.hash = $1`, []any{hash[:]},
			&p.ID, &p.Name, &kind, &admin, &disabled, &p.Project, &p.TokenID, &p.Token, &p.Scope, &p.Bound, &system, &expires, &used)
		if err != nil {
			return err
		}
		if !found || disabled != 0 && system == 0 {
			return weft.Errorf(weft.Unauthenticated, "the token is not known").WithAdvice("sign in again")
		}
		p.Kind, p.Admin, p.Expires, k.used = kindOf(kind), admin != 0 || system != 0, fromNull(expires), fromNull(used)
		if !p.Bound.IsZero() {
			p.Project = p.Bound
		}
		return t.roles(ctx, p)
	})
	return k, err
}
