package server

import (
	"context"
	"net/http"

	"github.com/go-chi/chi/v5"

	"github.com/weft-dev/weft"
	"github.com/weft-dev/weft/api"
)

// An Accounts is what the server needs of the relational store for users, projects,
// tokens and the audit log.
type Accounts interface {
	CreateUser(ctx context.Context, u weft.User, passwordHash string, role weft.Role) (weft.User, error)
	Users(ctx context.Context) ([]weft.User, error)
	User(ctx context.Context, name string) (weft.User, error)
	UserByID(ctx context.Context, id weft.PrincipalID) (weft.User, error)
	ChangeUser(ctx context.Context, name string, c weft.UserChange) (weft.User, error)
	SetPassword(ctx context.Context, id weft.PrincipalID, passwordHash string, keep weft.SessionID) error
	DeleteUser(ctx context.Context, name string) error
	ClearSignInFailures(ctx context.Context, name string) error

	CreateProject(ctx context.Context, name string, by weft.PrincipalID) (weft.Project, error)
	Projects(ctx context.Context) ([]weft.Project, error)
	ProjectNamed(ctx context.Context, name string) (weft.Project, error)
	ProjectByID(ctx context.Context, id weft.ProjectID) (weft.Project, error)
	RenameProject(ctx context.Context, id weft.ProjectID, name string) error
	DeleteProject(ctx context.Context, id weft.ProjectID) error
	Members(ctx context.Context, project weft.ProjectID, id weft.PrincipalID) ([]weft.Membership, error)
	SetMember(ctx context.Context, project weft.ProjectID, name string, role weft.Role) error

	CreateToken(ctx context.Context, k weft.Token, hash [32]byte) (weft.Token, error)
	Tokens(ctx context.Context, owner weft.PrincipalID) ([]weft.Token, error)
	DeleteToken(ctx context.Context, id weft.TokenID, owner weft.PrincipalID) error

	AddAudit(ctx context.Context, e weft.Audit) error
	Audit(ctx context.Context, q weft.AuditQuery) ([]weft.Audit, error)
}

// A Passwords makes and checks passwords.
type Passwords interface {
	// HashPassword is Invalid if password is none to be used.
	HashPassword(password string) (string, error)
	// CheckPassword is nil if the account has that password. Guessing is limited.
	CheckPassword(ctx context.Context, name, password, from string) error
}

// accountRoutes declares what is done with users, projects, tokens and the audit log.
func (s *Server) accountRoutes() {
	s.userRoutes()
	s.projectRoutes()
	s.tokenRoutes()
	s.auditRoutes()
}

// aUser is the account that a request names. A service belongs to its home project,
// and so to whoever manages that; a person belongs to nobody but itself.
func (s *Server) aUser(r *http.Request, p weft.Principal) (weft.Object, error) {
	name := chi.URLParam(r, "user")
	return s.userObject(r.Context(), p, name)
}

func (s *Server) userObject(ctx context.Context, p weft.Principal, name string) (weft.Object, error) {
	o := weft.Object{Kind: "user"}
	if name == p.Name {
		o.Owner = p.ID
		return o, nil
	}
	u, err := s.Accounts.User(ctx, name)
	switch {
	case weft.KindOf(err) == weft.NotFound:
		return o, nil // whether it is there is told to administrators only
	case err != nil:
		return o, err
	}
	o.Owner = u.ID
	if u.Kind == weft.Service {
		o.Project = u.Home.ID
	}
	return o, nil
}

// aProject returns the function that finds the project a request's path names.
func (s *Server) aProject(kind string) func(*http.Request, weft.Principal) (weft.Object, error) {
	return func(r *http.Request, p weft.Principal) (weft.Object, error) {
		project, err := s.guard.project(r.Context(), p, chi.URLParam(r, "project"))
		return weft.Object{Kind: kind, Project: project.ID}, err
	}
}

// theSystem is for what only administrators may do, though its path names a project.
func theSystem(kind string) func(*http.Request, weft.Principal) (weft.Object, error) {
	return func(*http.Request, weft.Principal) (weft.Object, error) { return weft.Object{Kind: kind}, nil }
}

// oneself is for what everyone who is signed in has of their own.
func oneself(kind string) func(*http.Request, weft.Principal) (weft.Object, error) {
	return func(_ *http.Request, p weft.Principal) (weft.Object, error) {
		return weft.Object{Kind: kind, Owner: p.ID}, nil
	}
}

func wireRoles(ms []weft.Membership) map[string]string {
	roles := make(map[string]string, len(ms))
	for _, m := range ms {
		roles[m.Project.Name] = m.Role.String()
	}
	return roles
}

func wireUser(u weft.User) api.User {
	w := api.User{
		ID: u.ID.String(), Name: u.Name, Kind: string(u.Kind), FullName: u.FullName, Email: u.Email, Admin: u.Admin, Disabled: u.Disabled,
		HasPassword: u.HasPassword, Home: u.Home.Name, CreatedAt: wireTime(u.CreatedAt), SignedInAt: wireMoment(u.SignedInAt),
	}
	for _, i := range u.Identities {
		w.Identities = append(w.Identities, api.Identity{Issuer: i.Issuer, Subject: i.Subject})
	}
	return w
}
