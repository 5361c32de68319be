package server

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"net/http"
	"time"

	"github.com/weft-dev/weft"
	"github.com/weft-dev/weft/api"
)

func (s *Server) tokenRoutes() {
	handle(s, route{method: http.MethodGet, path: "/api/tokens", id: "list-tokens", summary: "List tokens", verb: weft.Read, kind: "token", of: s.tokensOf,
		more: "One's own, or those of a user. The tokens themselves are not kept, and not told."}, s.listTokens)
	handle(s, route{method: http.MethodPost, path: "/api/tokens", id: "create-token", summary: "Make a token", verb: weft.Create, kind: "token", of: oneself("token"),
		more: "The answer is the only place where it stands. A project's managers can make tokens for the services whose home it is, bound to that project."}, s.createToken)
	handle(s, route{method: http.MethodDelete, path: "/api/tokens/{id}", id: "delete-token", summary: "Revoke a token", verb: weft.Delete, kind: "token", of: oneself("token"), status: http.StatusNoContent,
		more: "It is good no more at once."}, s.deleteToken)
}

// tokensOf is whose tokens a request is about.
func (s *Server) tokensOf(r *http.Request, p weft.Principal) (weft.Object, error) {
	q := r.URL.Query()
	switch name := q.Get("user"); {
	case q.Has("all"):
		return weft.Object{Kind: "token"}, nil
	case name == "":
		return weft.Object{Kind: "token", Owner: p.ID}, nil
	default:
		o, err := s.userObject(r.Context(), p, name)
		o.Kind = "token"
		return o, err
	}
}

type tokensInput struct {
	User string `query:"user" doc:"name of another user, for those who may see its tokens"`
	All  bool   `query:"all" doc:"everyone's, for administrators"`
}

func (s *Server) listTokens(ctx context.Context, in *tokensInput) (*body[[]api.Token], error) {
	owner := principal(ctx).ID
	switch {
	case in.All:
		owner = weft.PrincipalID{}
	case in.User != "":
		u, err := s.Accounts.User(ctx, in.User)
		if err != nil {
			return nil, err
		}
		owner = u.ID
	}
	all, err := s.Accounts.Tokens(ctx, owner)
	out := make([]api.Token, len(all))
	for i, k := range all {
		out[i] = wireToken(k)
	}
	return answer(out, err)
}

func wireToken(k weft.Token) api.Token {
	return api.Token{
		ID: k.ID.String(), Name: k.Name, User: k.OwnerName, Scope: string(k.Scope), Project: k.Project.Name, System: k.System,
		CreatedAt: wireTime(k.CreatedAt), ExpiresAt: wireMoment(k.ExpiresAt), UsedAt: wireMoment(k.UsedAt), UsedFrom: k.UsedFrom,
	}
}

// NewToken returns a token that nobody can guess.
func NewToken() string {
	secret := make([]byte, 32)
	rand.Read(secret) // never fails
	return "weft_" + base64.RawURLEncoding.EncodeToString(secret)
}

type newTokenInput struct{ Body api.NewToken }

func (s *Server) createToken(ctx context.Context, in *newTokenInput) (*body[api.Token], error) {
	k, err := s.newToken(ctx, in.Body)
	if err != nil {
		return nil, err
	}
	secret := NewToken()
	if k, err = s.Accounts.CreateToken(ctx, k, HashToken(secret)); err != nil {
		return nil, err
	}
	w := wireToken(k)
	w.Token = secret
	return answer(w, nil)
}

// newToken reads what token to make, and decides about the parts that the route cannot
// know of: whose it is to be, and for which project.
func (s *Server) newToken(ctx context.Context, n api.NewToken) (weft.Token, error) {
	p := principal(ctx)
	scope, err := weft.ParseScope(n.Scope)
	if err != nil {
		return weft.Token{}, err
	}
	k := weft.Token{Name: n.Name, Owner: p.ID, Scope: scope}
	if n.ExpiresAt != nil {
		k.ExpiresAt = n.ExpiresAt.Time
	}
	if n.Project != "" {
		if k.Project, err = s.guard.project(ctx, p, n.Project); err != nil {
			return k, err
		}
	}
	if n.User != "" && n.User != p.Name {
		o, err := s.userObject(ctx, p, n.User)
		if err != nil {
			return k, err
		}
		o.Kind = "token"
		if o.Project != k.Project.ID {
			o.Project = weft.ProjectID{} // only bound to its home a service's token is that project's business
		}
		if err := weft.May(p, weft.Manage, o); err != nil {
			return k, err
		}
		u, err := s.Accounts.User(ctx, n.User)
		if err != nil {
			return k, err
		}
		k.Owner = u.ID
	}
	return k, weft.CheckToken(p, k, time.Now())
}

type tokenInput struct {
	ID string `path:"id" doc:"of the token"`
}

func (s *Server) deleteToken(ctx context.Context, in *tokenInput) (*struct{}, error) {
	id, err := weft.ParseID[weft.Token](in.ID)
	if err != nil {
		return nil, err
	}
	p := principal(ctx)
	owner := p.ID
	if weft.May(p, weft.Delete, weft.Object{Kind: "token"}) == nil {
		owner = weft.PrincipalID{}
	}
	return nil, s.Accounts.DeleteToken(ctx, id, owner)
}
