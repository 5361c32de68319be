package identity

import (
	"context"
	"encoding/json"

	"github.com/weft-dev/weft"
)

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
