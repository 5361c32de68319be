package identity

import (
	"context"
	"encoding/json"
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

// Providers returns the names of the OpenID providers and what people are to read.
func (s *Service) Providers() []weft.SignInProvider {
	var all []weft.SignInProvider
	for _, p := range s.now.Load().providers {
		all = append(all, weft.SignInProvider{Name: p.Name, Title: p.title()})
	}
	return all
}

// Reach asks the systems that the settings name whether they are there, and returns what
// is wrong by their names. Nobody's sign-in waits for it.
func (s *Service) Reach(ctx context.Context) map[string]error {
	now := s.now.Load()
	wrong := map[string]error{}
	for _, p := range now.providers {
		if _, err := p.discover(ctx); err != nil {
			wrong["the OpenID provider "+p.Name] = err
		}
	}
	if now.directory != nil {
		if err := now.directory.reach(ctx); err != nil {
			wrong["the directory"] = err
		}
	}
	return wrong
}

// URL returns the address by which browsers reach this server, "" if each request says.
func (s *Service) URL() string { return s.now.Load().SignIn.URL }

// BeginOIDC begins a sign-in at a provider. The browser is to keep state, as a cookie,
// and to go to the URL; the provider sends it back to redirect. next is where it is to
// go in the end.
func (s *Service) BeginOIDC(ctx context.Context, name, redirect, next string) (url, state string, err error) {
	p, err := s.provider(name)
	if err != nil {
		return "", "", err
	}
	f := flow{Redirect: redirect, Next: next}
	if url, err = p.begin(ctx, &f); err != nil {
		s.log.WarnContext(ctx, "an OpenID provider does not serve", "provider", name, "error", err)
		return "", "", err
	}
	text, err := json.Marshal(f)
	if err != nil {
		return "", "", err
	}
	sealed, err := s.keys.Seal(flowPurpose, text)
	return url, encode(sealed), err
}

func (s *Service) provider(name string) (*provider, error) {
	for _, p := range s.now.Load().providers {
		if p.Name == name {
			return p, nil
		}
	}
	return nil, weft.Errorf(weft.NotFound, "there is no sign-in by %q here", name)
}

// FinishOIDC tells whom a provider has sent back with query, to the browser that keeps
// state. Each sign-in can be finished once.
func (s *Service) FinishOIDC(ctx context.Context, name, state string, query map[string][]string, from string) (u weft.User, next string, err error) {
	p, err := s.provider(name)
	if err != nil {
		return u, "", err
	}
	if err := s.fails.take(from); err != nil {
		return u, "", err
	}
	who, f, err := s.returned(ctx, p, state, query)
	if err == nil {
		u, err = s.admit(ctx, who, p.Groups)
	}
	e := weft.Audit{Name: who.Name, From: from, Action: ActionSignIn, Object: who.Name, Result: weft.AuditDenied, Detail: "by " + p.Name}
	switch weft.KindOf(err) {
	case "":
		s.fails.giveBack(from)
		e.Who, e.Name, e.Object, e.Result = u.ID, u.Name, u.Name, weft.AuditDone
	case weft.Unavailable, weft.Internal, weft.Canceled:
		s.log.WarnContext(ctx, "an OpenID provider does not serve", "provider", name, "error", err)
		return u, "", err
	default:
		e.Detail += ": " + err.Error()
	}
	if err2 := s.audit(ctx, e); err2 != nil {
		return u, "", err2
	}
	return u, f.Next, err
}

// returned opens what the browser kept and has the provider check the rest.
func (s *Service) returned(ctx context.Context, p *provider, state string, query map[string][]string) (Person, flow, error) {
	var f flow
	again := weft.Errorf(weft.Unauthenticated, "this sign-in was not begun by this browser, or is over").WithAdvice("sign in again")
	sealed, err := decode(state)
	if err != nil {
		return Person{}, f, again
	}
	text, err := s.keys.Open(flowPurpose, sealed)
	if err != nil {
		return Person{}, f, again
	}
	if err := json.Unmarshal(text, &f); err != nil {
		return Person{}, f, again
	}
	if err := s.store.Spend(ctx, hashSecret(flowPurpose+f.State), f.Until); err != nil {
		if weft.KindOf(err) == weft.Conflict {
			err = again
		}
		return Person{}, f, err
	}
	who, err := p.finish(ctx, f, query)
	return who, f, err
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
