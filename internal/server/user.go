package server

import (
	"context"
	"net/http"

	"github.com/weft-dev/weft"
	"github.com/weft-dev/weft/api"
)

func (s *Server) userRoutes() {
	handle(s, route{method: http.MethodGet, path: "/api/me", id: "get-me", summary: "Say who asks, and how far that goes", verb: weft.Read, kind: "user", of: oneself("user")}, s.getMe)
	handle(s, route{method: http.MethodGet, path: "/api/users", id: "list-users", summary: "List the users", verb: weft.Read, kind: "user"}, s.listUsers)
	handle(s, route{method: http.MethodPost, path: "/api/users", id: "create-user", summary: "Make an account", verb: weft.Create, kind: "user", of: s.newUser,
		more: "A project's managers can make services, whose home it is then; anything else takes a system administrator."}, s.createUser)
	handle(s, route{method: http.MethodGet, path: "/api/users/{user}", id: "get-user", summary: "Get one user, with roles", verb: weft.Read, kind: "user", of: s.aUser}, s.getUser)
	handle(s, route{method: http.MethodPatch, path: "/api/users/{user}", id: "change-user", summary: "Change an account", verb: weft.Change, kind: "user", of: s.aUser,
		more: "Everyone may change their own name for people, address and home; anything else of a person takes a system administrator."}, s.changeUser)
	handle(s, route{method: http.MethodPut, path: "/api/users/{user}/password", id: "set-password", summary: "Set a password", verb: weft.Change, kind: "user", of: s.aUser, status: http.StatusNoContent,
		more: "It ends the sessions of the account. One's own takes the present one too."}, s.setPassword)
	handle(s, route{method: http.MethodDelete, path: "/api/users/{user}", id: "delete-user", summary: "Delete an account", verb: weft.Delete, kind: "user", of: s.aUser, status: http.StatusNoContent,
		more: "Its tokens and sessions end at once. What it did keeps its id."}, s.deleteUser)
}

// newUser is an account to be made: of the project that the request is about, unless
// whoever asks administers the system.
func (s *Server) newUser(_ *http.Request, p weft.Principal) (weft.Object, error) {
	if p.Admin && p.Bound.IsZero() {
		return weft.Object{Kind: "user"}, nil
	}
	return weft.Object{Kind: "user", Project: p.Project}, nil
}

func (s *Server) getMe(ctx context.Context, _ *struct{}) (*body[api.Me], error) {
	p := principal(ctx)
	me := api.Me{User: p.Name, ID: p.ID.String(), Kind: string(p.Kind), Scope: string(p.Scope), Token: p.Token, ExpiresAt: wireMoment(p.Expires), Roles: map[string]string{},
		Admin: weft.May(p, weft.Manage, weft.Object{Kind: "system"}) == nil}
	if me.Scope == "" {
		me.Scope = string(weft.ScopeAll)
	}
	project, err := s.Accounts.ProjectByID(ctx, p.Project)
	if err != nil {
		return nil, err
	}
	me.Project = project.Name
	members, err := s.Accounts.Members(ctx, weft.ProjectID{}, p.ID)
	for _, m := range members {
		if r := p.RoleIn(m.Project.ID); r != weft.NoRole {
			me.Roles[m.Project.Name] = r.String()
		}
	}
	return answer(me, err)
}

func (s *Server) listUsers(ctx context.Context, _ *struct{}) (*body[[]api.User], error) {
	users, err := s.Accounts.Users(ctx)
	out := make([]api.User, len(users))
	for i, u := range users {
		out[i] = wireUser(u)
	}
	return answer(out, err)
}

type userInput struct {
	User string `path:"user" doc:"name of the account"`
}

func (s *Server) getUser(ctx context.Context, in *userInput) (*body[api.User], error) {
	u, err := s.Accounts.User(ctx, in.User)
	if err != nil {
		return nil, err
	}
	return s.answerUser(ctx, u)
}

func (s *Server) answerUser(ctx context.Context, u weft.User) (*body[api.User], error) {
	members, err := s.Accounts.Members(ctx, weft.ProjectID{}, u.ID)
	w := wireUser(u)
	w.Roles = wireRoles(members)
	return answer(w, err)
}

type newUserInput struct{ Body api.NewUser }

func (s *Server) createUser(ctx context.Context, in *newUserInput) (*body[api.User], error) {
	u, role, err := s.newAccount(ctx, in.Body)
	if err != nil {
		return nil, err
	}
	hash := ""
	if in.Body.Password != "" {
		if u.Kind == weft.Service {
			return nil, weft.Errorf(weft.Invalid, "a service has no password").WithAdvice("`weft token add NAME --user %s` makes it a token", u.Name)
		}
		if hash, err = s.hashPassword(in.Body.Password); err != nil {
			return nil, err
		}
	}
	if u, err = s.Accounts.CreateUser(ctx, u, hash, role); err != nil {
		return nil, err
	}
	return s.answerUser(ctx, u)
}

// newAccount reads what account to make, and decides about the parts that the route
// cannot know of.
func (s *Server) newAccount(ctx context.Context, n api.NewUser) (weft.User, weft.Role, error) {
	p := principal(ctx)
	u := weft.User{Name: n.Name, Kind: weft.Person, FullName: n.FullName, Email: n.Email, Admin: n.Admin, Home: weft.Project{ID: p.Project}}
	switch n.Kind {
	case "", string(weft.Person):
	case string(weft.Service):
		u.Kind = weft.Service
	default:
		return u, 0, weft.Errorf(weft.Invalid, "%q is not a kind of user: it is person or service", n.Kind)
	}
	if u.Kind == weft.Service && u.Admin {
		return u, 0, weft.Errorf(weft.Invalid, "a service cannot administer the system")
	}
	if err := checkTexts(&n.FullName, &n.Email); err != nil {
		return u, 0, err
	}
	if n.Project != "" {
		project, err := s.guard.project(ctx, p, n.Project)
		if err != nil {
			return u, 0, err
		}
		u.Home = project
	}
	role := weft.NoRole
	if n.Role != "" {
		var err error
		if role, err = weft.ParseRole(n.Role); err != nil {
			return u, 0, err
		}
	}
	o := weft.Object{Kind: "user"}
	if u.Kind == weft.Service {
		o.Project = u.Home.ID
	}
	return u, role, weft.May(p, weft.Create, o)
}

func checkTexts(fullName, email *string) error {
	for what, text := range map[string]*string{"full name": fullName, "address": email} {
		if text != nil {
			if err := weft.CheckTitle(what, *text); err != nil {
				return err
			}
		}
	}
	return nil
}

func (s *Server) hashPassword(password string) (string, error) {
	if s.Passwords == nil {
		return "", weft.Errorf(weft.Unavailable, "this server has no passwords")
	}
	return s.Passwords.HashPassword(password)
}

type changeUserInput struct {
	User string `path:"user" doc:"name of the account"`
	Body api.UserChange
}

func (s *Server) changeUser(ctx context.Context, in *changeUserInput) (*body[api.User], error) {
	c := weft.UserChange{FullName: in.Body.FullName, Email: in.Body.Email, Admin: in.Body.Admin, Disabled: in.Body.Disabled}
	if err := checkTexts(c.FullName, c.Email); err != nil {
		return nil, err
	}
	u, err := s.Accounts.User(ctx, in.User)
	if err != nil {
		return nil, err
	}
	if c.Admin != nil || c.Disabled != nil || in.Body.Unlock {
		if err := weft.May(principal(ctx), weft.Manage, managed(u, c.Admin != nil)); err != nil {
			return nil, err
		}
	}
	if in.Body.Home != nil {
		home, err := s.homeOf(ctx, u, *in.Body.Home)
		if err != nil {
			return nil, err
		}
		c.Home = &home
	}
	if in.Body.Unlock {
		if err := s.Accounts.ClearSignInFailures(ctx, u.Name); err != nil {
			return nil, err
		}
	}
	if u, err = s.Accounts.ChangeUser(ctx, u.Name, c); err != nil {
		return nil, err
	}
	return s.answerUser(ctx, u)
}

// managed is an account as somebody else decides about it: nobody manages their own.
func managed(u weft.User, admin bool) weft.Object {
	o := weft.Object{Kind: "user"}
	if u.Kind == weft.Service && !admin {
		o.Project = u.Home.ID
	}
	return o
}

// homeOf finds the project that is to be the home of u, who must be a member of it. A
// service's home stays, as it says who manages it.
func (s *Server) homeOf(ctx context.Context, u weft.User, name string) (weft.ProjectID, error) {
	if u.Kind == weft.Service {
		if err := weft.May(principal(ctx), weft.Manage, weft.Object{Kind: "user"}); err != nil {
			return weft.ProjectID{}, err
		}
	}
	members, err := s.Accounts.Members(ctx, weft.ProjectID{}, u.ID)
	if err != nil {
		return weft.ProjectID{}, err
	}
	for _, m := range members {
		if m.Project.Name == name {
			return m.Project.ID, nil
		}
	}
	if u.Admin {
		p, err := s.Accounts.ProjectNamed(ctx, name)
		return p.ID, err
	}
	return weft.ProjectID{}, weft.Errorf(weft.Invalid, "%s is not a member of a project %q", u.Name, name)
}

type passwordInput struct {
	User string `path:"user" doc:"name of the account"`
	Body api.Password
}

func (s *Server) setPassword(ctx context.Context, in *passwordInput) (*struct{}, error) {
	u, err := s.Accounts.User(ctx, in.User)
	if err != nil {
		return nil, err
	}
	denied := weft.May(principal(ctx), weft.Manage, weft.Object{Kind: "user"})
	switch {
	case u.Kind == weft.Service:
		return nil, weft.Errorf(weft.Invalid, "%s is a service, which has tokens only", u.Name)
	case in.Body.Password == "" && denied != nil:
		return nil, denied
	case in.Body.Password == "":
		return nil, s.Accounts.SetPassword(ctx, u.ID, "", weft.SessionID{})
	}
	hash, err := s.hashPassword(in.Body.Password)
	if err != nil {
		return nil, err
	}
	if denied != nil {
		if in.Body.Current == "" {
			return nil, weft.Errorf(weft.Forbidden, "to set your password takes the present one, or a system administrator")
		}
		if err := s.Passwords.CheckPassword(ctx, u.Name, in.Body.Current, weft.AuditOf(ctx).From); err != nil {
			if weft.KindOf(err) == weft.Unauthenticated {
				err = weft.Errorf(weft.Forbidden, "the present password is another one")
			}
			return nil, err
		}
	}
	return nil, s.Accounts.SetPassword(ctx, u.ID, hash, weft.SessionID{})
}

func (s *Server) deleteUser(ctx context.Context, in *userInput) (*struct{}, error) {
	u, err := s.Accounts.User(ctx, in.User)
	if err != nil {
		return nil, err
	}
	if err := weft.May(principal(ctx), weft.Delete, managed(u, false)); err != nil {
		return nil, err
	}
	return nil, s.Accounts.DeleteUser(ctx, u.Name)
}
