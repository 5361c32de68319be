package server

import (
	"context"
	"net/http"

	"github.com/weft-dev/weft"
	"github.com/weft-dev/weft/api"
)

// Shares is what the server needs of the store to share Data between projects.
type Shares interface {
	ShareData(ctx context.Context, project weft.ProjectID, id weft.DataID, to weft.Project, by weft.PrincipalID) error
	UnshareData(ctx context.Context, project weft.ProjectID, id weft.DataID, from weft.Project, by weft.PrincipalID) error
	// Grants returns what a project shares and what is shared with it; of one Data, unless
	// id is zero.
	Grants(ctx context.Context, project weft.ProjectID, id weft.DataID) ([]weft.Grant, error)
	ProjectNamed(ctx context.Context, name string) (weft.Project, error)
}

func (s *Server) grantRoutes() {
	handle(s, route{method: http.MethodPut, path: "/api/data/{id}/grants/{project}", id: "share-data", summary: "Let another project read data", verb: weft.Create, kind: "grant",
		more: "Takes the role manager here, and member in the other project, which is named. The data matches there by its tags as they are here, can be read, and not be changed."}, s.shareData)
	handle(s, route{method: http.MethodDelete, path: "/api/data/{id}/grants/{project}", id: "unshare-data", summary: "Let another project read data no longer", verb: weft.Delete, kind: "grant",
		more: "Runs there that were not started fail, and say why; those that were go on. What was made of the data stays, with its lineage."}, s.unshareData)
	handle(s, route{method: http.MethodGet, path: "/api/grants", id: "find-grants", summary: "List what is shared with other projects, and by them", verb: weft.Read, kind: "grant",
		more: "The oldest first."}, s.findGrants)
}

// GrantPath names a Data and the project it is shared with; exported for huma.
type GrantPath struct {
	DataPath
	Project string `path:"project"`
}

// granted finds what a request about a grant names.
func (s *Server) granted(ctx context.Context, in *GrantPath) (weft.DataID, weft.Project, error) {
	id, err := weft.ParseID[weft.Data](in.ID)
	if err != nil {
		return id, weft.Project{}, weft.Errorf(weft.NotFound, "data %s", err)
	}
	p, err := s.Store.ProjectNamed(ctx, in.Project)
	return id, p, err
}

func (s *Server) shareData(ctx context.Context, in *GrantPath) (*body[api.DataDetail], error) {
	who := principal(ctx)
	id, to, err := s.granted(ctx, in)
	if weft.KindOf(err) == weft.NotFound && !who.Admin { // whoever may not see a project is not told whether it exists
		err = weft.May(who, weft.Create, weft.Object{Kind: "data", Project: weft.NewID[weft.Project]()})
	}
	if err != nil {
		return nil, err
	}
	if err := weft.May(who, weft.Create, weft.Object{Kind: "data", Project: to.ID}); err != nil {
		return nil, err
	}
	if err := s.Store.ShareData(ctx, who.Project, id, to, who.ID); err != nil {
		return nil, err
	}
	return s.getData(ctx, &in.DataPath)
}

func (s *Server) unshareData(ctx context.Context, in *GrantPath) (*body[api.DataDetail], error) {
	who := principal(ctx)
	id, from, err := s.granted(ctx, in)
	if err != nil {
		return nil, err
	}
	if err := s.Store.UnshareData(ctx, who.Project, id, from, who.ID); err != nil {
		return nil, err
	}
	return s.getData(ctx, &in.DataPath)
}

type findGrantsInput struct {
	Data string `query:"data" doc:"id: only what is about that data"`
}

func (s *Server) findGrants(ctx context.Context, in *findGrantsInput) (*body[[]api.Grant], error) {
	var id weft.DataID
	if in.Data != "" {
		var err error
		if id, err = weft.ParseID[weft.Data](in.Data); err != nil {
			return nil, weft.Errorf(weft.NotFound, "data %s", err)
		}
	}
	grants, err := s.Store.Grants(ctx, principal(ctx).Project, id)
	out := make([]api.Grant, len(grants))
	for i, g := range grants {
		out[i] = api.Grant{KnitID: g.Data.String(), From: g.From.Name, To: g.To.Name, At: wireTime(g.At)}
		if !g.By.IsZero() {
			out[i].By = g.By.String()
		}
	}
	return answer(out, err)
}
