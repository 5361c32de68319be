package server

import (
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"net"
	"net/http"
	"strings"

	"github.com/go-chi/chi/v5"

	"github.com/weft-dev/weft"
	"github.com/weft-dev/weft/api"
)

// A Guard tells who makes a request, and decides by weft.May what they may do.
type Guard struct {
	principals Principals
	sessions   Sessions // nil: cookies are nothing
	anonymous  *weft.Principal
}

// NewGuard returns a Guard. If anonymous is not nil, everyone is that principal,
// whatever credentials they send: that is for networks that are trusted.
func NewGuard(p Principals, anonymous *weft.Principal) *Guard {
	return &Guard{principals: p, anonymous: anonymous}
}

// HashToken returns the form in which tokens are kept: who reads the database cannot
// sign in, and the time that a look-up takes tells nothing about other tokens.
func HashToken(token string) [32]byte { return sha256.Sum256([]byte(token)) }

// Authenticate returns who makes a request. The token is sent as Bearer, or as the
// password of Basic, which is how knit, docker and skopeo send it. Browsers send the
// cookie of their session instead.
func (g *Guard) Authenticate(r *http.Request) (weft.Principal, error) {
	if g.anonymous != nil {
		return *g.anonymous, nil
	}
	token := tokenOf(r)
	if token == "" {
		if p, found, err := g.bySession(r); found {
			return p, err
		}
		return weft.Principal{}, weft.Errorf(weft.Unauthenticated, "this server wants to know who is asking").
			WithAdvice("sign in: `weft login`; or send a token: the serving user's is in the file admin.token of the state directory; set WEFT_TOKEN to it, " +
				"or write it into the apiRoot of a knit profile, like https://weft:TOKEN@host/api")
	}
	p, err := g.principals.PrincipalByToken(r.Context(), HashToken(token), addressOf(r))
	var e *weft.Error
	if errors.As(err, &e) && e.Kind == weft.Unauthenticated {
		return weft.Principal{}, weft.Errorf(weft.Unauthenticated, "the token is not valid: %s", e.Message).
			WithAdvice("check that it is a token of this server, and that it was not revoked")
	}
	return p, err
}

// addressOf returns the address of the client, without its port.
func addressOf(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	return host
}

func tokenOf(r *http.Request) string {
	if _, password, ok := r.BasicAuth(); ok {
		return password
	}
	const bearer = "bearer "
	h := r.Header.Get("Authorization")
	if len(h) > len(bearer) && strings.EqualFold(h[:len(bearer)], bearer) {
		return strings.TrimSpace(h[len(bearer):])
	}
	return ""
}

// Authorise decides whether whoever makes a request may do v to things of a kind, and
// returns the project that the request is about. The embedded registry asks it too.
func (g *Guard) Authorise(r *http.Request, v weft.Verb, kind string) (weft.Principal, error) {
	return g.authorise(r, v, func(_ *http.Request, p weft.Principal) (weft.Object, error) {
		if systemKinds[kind] {
			return weft.Object{Kind: kind}, nil
		}
		return weft.Object{Kind: kind, Project: p.Project}, nil
	})
}

// systemKinds are those of objects that are in no project.
var systemKinds = map[string]bool{"system": true, "user": true, "project": true}

// authorise is Authorise for an object that depends on who asks.
func (g *Guard) authorise(r *http.Request, v weft.Verb, object func(*http.Request, weft.Principal) (weft.Object, error)) (weft.Principal, error) {
	p, err := g.Authenticate(r)
	if err != nil {
		return p, err
	}
	i := infoOf(r.Context())
	i.principal = p.Name
	i.audit.Who, i.audit.Name, i.audit.Token = p.ID, p.Name, p.TokenID
	if err := g.choose(r, &p); err != nil {
		return p, err
	}
	o, err := object(r, p)
	if err != nil {
		return p, err
	}
	if !o.Project.IsZero() {
		p.Project = o.Project
	}
	i.audit.Kind, i.audit.Project = o.Kind, o.Project
	return p, weft.May(p, v, o)
}

// choose makes the project that a request names the one that it is about.
func (g *Guard) choose(r *http.Request, p *weft.Principal) error {
	name := r.Header.Get(api.ProjectHeader)
	if name == "" {
		return nil
	}
	project, err := g.project(r.Context(), *p, name)
	if err != nil {
		return err
	}
	p.Project = project.ID
	return nil
}

// project returns the project of that name, if p has a role in it. Whether there is such
// a project is told to nobody else.
func (g *Guard) project(ctx context.Context, p weft.Principal, name string) (weft.Project, error) {
	project, err := g.principals.ProjectNamed(ctx, name)
	if err != nil && (weft.KindOf(err) != weft.NotFound || p.Admin && p.Bound.IsZero()) {
		return project, err
	}
	if err != nil || p.RoleIn(project.ID) == weft.NoRole {
		e := weft.Errorf(weft.Forbidden, "%s is not a member of a project %q", p.Name, name).WithAdvice("`weft project ls` shows yours")
		if !p.Bound.IsZero() {
			e = e.WithAdvice("the token %q is bound to a project, and good for no other", p.Token)
		}
		return weft.Project{}, e
	}
	return project, nil
}

type principalKey struct{}

// guarded lets a request through to h if its principal has the route's right.
func (s *Server) guarded(rt route, h http.HandlerFunc) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		i := infoOf(r.Context())
		i.route = rt.path
		if rt.kind == "" {
			h(w, r)
			return
		}
		if rt.verb != weft.Read && rt.method != http.MethodGet {
			i.audit.Action, i.partly = rt.id, rt.part
		}
		i.audit.Object = cmp.Or(chi.URLParam(r, "id"), chi.URLParam(r, "user"), chi.URLParam(r, "project"))
		var p weft.Principal
		var err error
		if rt.of == nil {
			p, err = s.guard.Authorise(r, rt.verb, rt.kind)
		} else {
			p, err = s.guard.authorise(r, rt.verb, rt.of)
		}
		if err != nil {
			s.answerError(w, r, err)
			return
		}
		h(w, r.WithContext(context.WithValue(r.Context(), principalKey{}, p)))
	})
}

// principal returns who makes the request that ctx belongs to. Every handler of a
// route with a kind has one.
func principal(ctx context.Context) weft.Principal {
	p, _ := ctx.Value(principalKey{}).(weft.Principal)
	return p
}
