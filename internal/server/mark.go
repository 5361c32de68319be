package server

import (
	"context"
	"net/http"
	"net/url"

	"github.com/weft-dev/weft"
	"github.com/weft-dev/weft/api"
)

// Marks is what people keep beside Data, Plans and Runs.
type Marks interface {
	SetNote(ctx context.Context, project weft.ProjectID, n weft.Note) (weft.Note, error)
	Note(ctx context.Context, project weft.ProjectID, about weft.Subject) (weft.Note, error)
	SetFavourite(ctx context.Context, who weft.PrincipalID, project weft.ProjectID, about weft.Subject, marked bool) error
	Favourites(ctx context.Context, who weft.PrincipalID, project weft.ProjectID, kind string) ([]weft.Favourite, error)
	SaveSearch(ctx context.Context, project weft.ProjectID, q weft.Search) error
	Searches(ctx context.Context, who weft.PrincipalID, project weft.ProjectID) ([]weft.Search, error)
	DeleteSearch(ctx context.Context, who weft.PrincipalID, project weft.ProjectID, name string, any bool) error
}

// markRoutes declares notes, favourites and kept searches.
func (s *Server) markRoutes() {
	handle(s, route{method: http.MethodGet, path: "/api/notes/{kind}/{id}", id: "get-note", summary: "Read the note about data, a plan or a run", verb: weft.Read, kind: "note",
		more: "The kind is data, plan or run. Without a note its text is empty."}, s.getNote)
	handle(s, route{method: http.MethodPut, path: "/api/notes/{kind}/{id}", id: "set-note", summary: "Write the note about data, a plan or a run", verb: weft.Change, kind: "note",
		more: "An empty text removes it."}, s.setNote)
	handle(s, route{method: http.MethodGet, path: "/api/favourites", id: "find-favourites", summary: "List one's own favourites", verb: weft.Read, kind: "favourite",
		more: "The latest first."}, s.findFavourites)
	handle(s, route{method: http.MethodPut, path: "/api/favourites/{kind}/{id}", id: "add-favourite", summary: "Mark data, a plan or a run as one's favourite", verb: weft.Change, kind: "favourite",
		status: http.StatusNoContent}, s.setFavourite(true))
	handle(s, route{method: http.MethodDelete, path: "/api/favourites/{kind}/{id}", id: "remove-favourite", summary: "Take the mark of a favourite away", verb: weft.Change, kind: "favourite",
		status: http.StatusNoContent}, s.setFavourite(false))
	handle(s, route{method: http.MethodGet, path: "/api/searches", id: "find-searches", summary: "List kept searches, one's own and shared ones", verb: weft.Read, kind: "search"}, s.findSearches)
	handle(s, route{method: http.MethodPut, path: "/api/searches/{name}", id: "save-search", summary: "Keep a search under a name", verb: weft.Create, kind: "search",
		status: http.StatusNoContent, more: "It takes the place of what its owner kept under the name. To share one takes the role member."}, s.saveSearch)
	handle(s, route{method: http.MethodDelete, path: "/api/searches/{name}", id: "delete-search", summary: "Forget a kept search", verb: weft.Change, kind: "search",
		status: http.StatusNoContent, more: "A shared one is removed by its owner or a manager."}, s.deleteSearch)
}

// A SubjectPath names what a note or a mark is about; exported for huma.
type SubjectPath struct {
	Kind string `path:"kind"`
	ID   string `path:"id"`
}

type noteInput struct {
	SubjectPath
	Body api.NoteText
}

func (s *Server) getNote(ctx context.Context, in *SubjectPath) (*body[api.Note], error) {
	about, err := weft.ParseSubject(in.Kind, in.ID)
	if err != nil {
		return nil, err
	}
	n, err := s.Store.Note(ctx, principal(ctx).Project, about)
	return answer(wireNote(n), err)
}

func (s *Server) setNote(ctx context.Context, in *noteInput) (*body[api.Note], error) {
	about, err := weft.ParseSubject(in.Kind, in.ID)
	if err != nil {
		return nil, err
	}
	p := principal(ctx)
	n, err := s.Store.SetNote(ctx, p.Project, weft.Note{Subject: about, Text: in.Body.Text, By: p.Name})
	return answer(wireNote(n), err)
}

func wireNote(n weft.Note) api.Note {
	out := api.Note{Text: n.Text}
	if n.Text != "" {
		out.By, out.At = n.By, wireMoment(n.At)
	}
	return out
}

type favouriteQuery struct {
	Kind string `query:"kind" doc:"data, plan or run; all if left out"`
}

func (s *Server) findFavourites(ctx context.Context, in *favouriteQuery) (*body[[]api.Favourite], error) {
	p := principal(ctx)
	found, err := s.Store.Favourites(ctx, p.ID, p.Project, in.Kind)
	out := make([]api.Favourite, len(found))
	for i, f := range found {
		out[i] = api.Favourite{Kind: f.Subject.Kind, ID: f.Subject.ID, At: wireTime(f.At)}
	}
	return answer(out, err)
}

func (s *Server) setFavourite(marked bool) func(context.Context, *SubjectPath) (*struct{}, error) {
	return func(ctx context.Context, in *SubjectPath) (*struct{}, error) {
		about, err := weft.ParseSubject(in.Kind, in.ID)
		if err != nil {
			return nil, err
		}
		p := principal(ctx)
		return nil, s.Store.SetFavourite(ctx, p.ID, p.Project, about, marked)
	}
}

func (s *Server) findSearches(ctx context.Context, _ *struct{}) (*body[[]api.Search], error) {
	p := principal(ctx)
	found, err := s.Store.Searches(ctx, p.ID, p.Project)
	out := make([]api.Search, len(found))
	for i, q := range found {
		out[i] = api.Search{Name: q.Name, Kind: q.Kind, Query: q.Query.Encode(), Shared: q.Shared, By: q.By, Own: q.Owner == p.ID, At: wireTime(q.At)}
	}
	return answer(out, err)
}

type searchInput struct {
	Name string `path:"name"`
	Body api.SearchQuery
}

func (s *Server) saveSearch(ctx context.Context, in *searchInput) (*struct{}, error) {
	p := principal(ctx)
	if in.Body.Shared {
		if err := weft.May(p, weft.Create, weft.Object{Kind: "shared search", Project: p.Project}); err != nil {
			return nil, err
		}
	}
	query, err := url.ParseQuery(in.Body.Query)
	if err != nil {
		return nil, weft.Errorf(weft.Invalid, "the query cannot be read: %w", err).WithAdvice("send it as it stands behind the ? of a list's URL")
	}
	return nil, s.Store.SaveSearch(ctx, p.Project, weft.Search{Name: in.Name, Kind: in.Body.Kind, Query: query, Shared: in.Body.Shared, Owner: p.ID})
}

type searchPath struct {
	Name string `path:"name"`
}

func (s *Server) deleteSearch(ctx context.Context, in *searchPath) (*struct{}, error) {
	p := principal(ctx)
	manages := weft.May(p, weft.Delete, weft.Object{Kind: "search", Project: p.Project}) == nil
	return nil, s.Store.DeleteSearch(ctx, p.ID, p.Project, in.Name, manages)
}
