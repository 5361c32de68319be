package identity

import (
	"context"
	"fmt"
	"time"

	"github.com/weft-dev/weft"
)

// tokenPrefix marks tokens of Weft for those who look for leaked secrets.
const tokenPrefix = "weft_"

// maxAgent is how much of a browser's name is kept.
const maxAgent = 200

// BeginSession makes a session for somebody who has just signed in, and returns the
// secret for the cookie. A session is always a new one: former, the secret that the
// browser had, ends, so that nobody can have prepared it.
func (s *Service) BeginSession(ctx context.Context, u weft.User, from, agent, former string) (secret string, n weft.Session, err error) {
	if former != "" {
		if err := s.store.DeleteSession(ctx, hashSecret(former)); err != nil {
			return "", n, err
		}
	}
	c := s.now.Load().SignIn
	secret = newSecret()
	n = weft.Session{Owner: u.ID, ExpiresAt: time.Now().Add(c.SessionLife), Idle: c.SessionIdle, From: from, Agent: shorten(agent, maxAgent)}
	n, err = s.store.CreateSession(ctx, n, hashSecret(secret))
	return secret, n, err
}

// EndSession ends the session of a cookie, or with everywhere all of its owner's.
func (s *Service) EndSession(ctx context.Context, p weft.Principal, secret, from string, everywhere bool) error {
	var err error
	detail := "this browser"
	if everywhere {
		detail = "every browser"
		err = s.store.DeleteSessions(ctx, p.ID)
	} else {
		err = s.store.DeleteSession(ctx, hashSecret(secret))
	}
	if err != nil {
		return err
	}
	return s.audit(ctx, weft.Audit{Who: p.ID, Name: p.Name, From: from, Action: "sign-out", Object: p.Name, Result: weft.AuditDone, Detail: detail})
}

// MakeToken makes a token by which a program can act as somebody who has just signed in.
func (s *Service) MakeToken(ctx context.Context, u weft.User, name string) (secret string, k weft.Token, err error) {
	secret = tokenPrefix + newSecret()
	k = weft.Token{Name: name, Owner: u.ID, Scope: weft.ScopeAll, ExpiresAt: time.Now().Add(s.now.Load().SignIn.TokenLife)}
	if k, err = s.store.CreateToken(ctx, k, hashSecret(secret)); err != nil {
		return "", k, err
	}
	return secret, k, s.store.SignedIn(ctx, u.ID)
}

// Revoke ends a token that somebody shows (RFC 7009). One that is not known is as good
// as ended.
func (s *Service) Revoke(ctx context.Context, secret, from string) error {
	p, err := s.store.PrincipalByToken(ctx, hashSecret(secret), from)
	if weft.KindOf(err) == weft.Unauthenticated {
		return nil
	}
	if err == nil {
		err = s.store.DeleteToken(ctx, p.TokenID, p.ID)
	}
	if err != nil {
		return fmt.Errorf("revoke: %w", err)
	}
	return s.audit(ctx, weft.Audit{Who: p.ID, Name: p.Name, Token: p.TokenID, From: from, Action: "sign-out", Object: p.Name, Result: weft.AuditDone, Detail: fmt.Sprintf("the token %q", p.Token)})
}
