package server

import (
	"context"
	"net/http"

	"github.com/weft-dev/weft"
	"github.com/weft-dev/weft/api"
)

func (s *Server) projectRoutes() {
	handle(s, route{method: http.MethodGet, path: "/api/projects", id: "list-projects", summary: "List the projects that one has a role in", verb: weft.Read, kind: "project", of: oneself("project")}, s.listProjects)
	handle(s, route{method: http.MethodPost, path: "/api/projects", id: "create-project", summary: "Make a project", verb: weft.Create, kind: "project", more: "Who makes it manages it."}, s.createProject)
	handle(s, route{method: http.MethodGet, path: "/api/projects/{project}", id: "get-project", summary: "Get one project", verb: weft.Read, kind: "project", of: s.aProject("project")}, s.getProject)
	handle(s, route{method: http.MethodPatch, path: "/api/projects/{project}", id: "rename-project", summary: "Give a project another name", verb: weft.Change, kind: "project", of: s.aProject("project")}, s.renameProject)
	handle(s, route{method: http.MethodDelete, path: "/api/projects/{project}", id: "delete-project", summary: "Delete an empty project", verb: weft.Delete, kind: "project", of: theSystem("project"), status: http.StatusNoContent,
		more: "The tokens that are bound to it end."}, s.deleteProject)
	handle(s, route{method: http.MethodGet, path: "/api/projects/{project}/members", id: "list-members", summary: "List the members of a project", verb: weft.Read, kind: "member", of: s.aProject("member")}, s.listMembers)
	handle(s, route{method: http.MethodPut, path: "/api/projects/{project}/members/{user}", id: "set-member", summary: "Give somebody a role in a project", verb: weft.Change, kind: "member", of: s.aProject("member"), status: http.StatusNoContent}, s.setMember)
	handle(s, route{method: http.MethodDelete, path: "/api/projects/{project}/members/{user}", id: "delete-member", summary: "Take somebody out of a project", verb: weft.Delete, kind: "member", of: s.aProject("member"), status: http.StatusNoContent}, s.deleteMember)
}

func wireProject(p weft.Project, who weft.Principal) api.Project {
	w := api.Project{ID: p.ID.String(), Name: p.Name, Home: p.ID == who.Project}
	if r := who.RoleIn(p.ID); r != weft.NoRole {
		w.Role = r.String()
	}
	return w
}

func (s *Server) listProjects(ctx context.Context, _ *struct{}) (*body[[]api.Project], error) {
	all, err := s.Accounts.Projects(ctx)
	out := []api.Project{}
	for _, p := range all {
		if w := wireProject(p, principal(ctx)); w.Role != "" {
			out = append(out, w)
		}
	}
	return answer(out, err)
}

type projectInput struct {
	Project string `path:"project" doc:"name of the project"`
}

type newProjectInput struct{ Body api.ProjectName }

func (s *Server) createProject(ctx context.Context, in *newProjectInput) (*body[api.Project], error) {
	who := principal(ctx)
	p, err := s.Accounts.CreateProject(ctx, in.Body.Name, who.ID)
	return answer(wireProject(p, who), err)
}

func (s *Server) getProject(ctx context.Context, _ *projectInput) (*body[api.Project], error) {
	who := principal(ctx)
	p, err := s.Accounts.ProjectByID(ctx, who.Project)
	return answer(wireProject(p, who), err)
}

type renameProjectInput struct {
	Project string `path:"project" doc:"name of the project"`
	Body    api.ProjectName
}

func (s *Server) renameProject(ctx context.Context, in *renameProjectInput) (*body[api.Project], error) {
	if err := s.Accounts.RenameProject(ctx, principal(ctx).Project, in.Body.Name); err != nil {
		return nil, err
	}
	return s.getProject(ctx, nil)
}

func (s *Server) deleteProject(ctx context.Context, in *projectInput) (*struct{}, error) {
	p, err := s.Accounts.ProjectNamed(ctx, in.Project)
	if err != nil {
		return nil, err
	}
	return nil, s.Accounts.DeleteProject(ctx, p.ID)
}

func (s *Server) listMembers(ctx context.Context, _ *projectInput) (*body[[]api.Membership], error) {
	all, err := s.Accounts.Members(ctx, principal(ctx).Project, weft.PrincipalID{})
	out := make([]api.Membership, len(all))
	for i, m := range all {
		out[i] = api.Membership{Project: m.Project.Name, User: m.Name, Kind: string(m.Kind), Role: m.Role.String()}
	}
	return answer(out, err)
}

type memberInput struct {
	Project string `path:"project" doc:"name of the project"`
	User    string `path:"user" doc:"name of the account"`
}

type setMemberInput struct {
	Project string `path:"project" doc:"name of the project"`
	User    string `path:"user" doc:"name of the account"`
	Body    api.Role
}

func (s *Server) setMember(ctx context.Context, in *setMemberInput) (*struct{}, error) {
	role, err := weft.ParseRole(in.Body.Role)
	if err != nil {
		return nil, err
	}
	return nil, s.Accounts.SetMember(ctx, principal(ctx).Project, in.User, role)
}

func (s *Server) deleteMember(ctx context.Context, in *memberInput) (*struct{}, error) {
	return nil, s.Accounts.SetMember(ctx, principal(ctx).Project, in.User, weft.NoRole)
}
