package server

import (
	"context"
	"io"
	"net/http"
	"reflect"
	"strings"

	"github.com/weft-dev/weft"
	"github.com/weft-dev/weft/api"
)

// Imports brings in data that are somewhere already.
type Imports interface {
	// Ask has something imported in the background.
	Ask(ctx context.Context, i weft.Import) (weft.Import, error)
	// Begin begins a handshake and returns its token; End ends it.
	Begin(ctx context.Context, project weft.ProjectID, by weft.PrincipalID) (string, error)
	End(ctx context.Context, project weft.ProjectID, by weft.PrincipalID, token string) (weft.DataView, error)

	// Imports returns the latest so many of a project.
	Imports(ctx context.Context, project weft.ProjectID, limit int) ([]weft.Import, error)
	ImportByID(ctx context.Context, project weft.ProjectID, id weft.RunID) (weft.Import, error)
	// FailImport ends one that is not over.
	FailImport(ctx context.Context, project weft.ProjectID, id weft.RunID, problem string) error
}

const (
	importBegin  = "/api/backend/data/import/begin"
	importEnd    = "/api/backend/data/import/end"
	jwtType      = "application/jwt"
	maxToken     = 16 << 10 // bytes
	importsShown = 200
)

// importRoutes declares Knitfab's handshake, at its paths, and imports that the server
// does itself.
func (s *Server) importRoutes() {
	handshake := func(path, id, summary string) route {
		return route{method: http.MethodPost, path: path, id: id, summary: summary, verb: weft.Create, kind: "import"}
	}
	begin := handshake(importBegin, "begin-import", "Begin an import: learn where to put the content")
	begin.more = "The claim sub of the answer names a directory, or a .tar or .tar.gz, to be put into the server's inbox within 30 minutes."
	s.stream(streamed{route: begin, gives: jwtType}, s.beginImport)
	end := handshake(importEnd, "end-import", "End an import: the content is in its place")
	s.stream(streamed{route: end, takes: jwtType, gives: "application/json", givesA: reflect.TypeFor[api.DataDetail]()}, s.endImport)

	handle(s, route{method: http.MethodPost, path: "/api/imports", id: "import-data", summary: "Have the server bring in data from a directory, a bucket or a URL", verb: weft.Create, kind: "data",
		status: http.StatusAccepted, more: "It is done in the background; the data is there when it is done."}, s.askImport)
	handle(s, route{method: http.MethodGet, path: "/api/imports", id: "list-imports", summary: "List the latest imports", verb: weft.Read, kind: "data"}, s.listImports)
	handle(s, route{method: http.MethodGet, path: "/api/imports/{id}", id: "get-import", summary: "Show how far an import is", verb: weft.Read, kind: "data"}, s.getImport)
	handle(s, route{method: http.MethodDelete, path: "/api/imports/{id}", id: "cancel-import", summary: "Give up an import that is not done", verb: weft.Change, kind: "data",
		status: http.StatusNoContent}, s.cancelImport)
}

func (s *Server) beginImport(w http.ResponseWriter, r *http.Request) error {
	p := principal(r.Context())
	token, err := s.Imports.Begin(r.Context(), p.Project, p.ID)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", jwtType)
	w.Header().Set("Cache-Control", "no-store")
	_, err = io.WriteString(w, token)
	return err
}

func (s *Server) endImport(w http.ResponseWriter, r *http.Request) error {
	if !strings.EqualFold(r.Header.Get("Content-Type"), jwtType) {
		return weft.Errorf(weft.Invalid, "the body is to be of the type %s", jwtType)
	}
	token, err := io.ReadAll(io.LimitReader(r.Body, maxToken+1))
	if err != nil {
		return err
	}
	if len(token) > maxToken {
		return weft.Errorf(weft.TooLarge, "a token has at most %d bytes", maxToken)
	}
	p := principal(r.Context())
	v, err := s.Imports.End(r.Context(), p.Project, p.ID, strings.TrimSpace(string(token)))
	if err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, wireData(v), s.log)
	return nil
}

// ImportOnly answers the handshake and nothing else, and takes everybody for one
// principal: it is for a listener of its own, for importers that send no token.
func (s *Server) ImportOnly(as weft.Principal) http.Handler {
	routes := map[string]func(http.ResponseWriter, *http.Request) error{importBegin: s.beginImport, importEnd: s.endImport}
	names := map[string]string{importBegin: "begin-import", importEnd: "end-import"}
	return s.observed(oneSlash(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		act := routes[r.URL.Path]
		switch {
		case act == nil:
			s.plain(w, r, http.StatusNotFound, api.KindNotFound, "Not Found")
			return
		case r.Method != http.MethodPost:
			s.plain(w, r, http.StatusMethodNotAllowed, api.KindInvalid, "Method Not Allowed")
			return
		}
		i := infoOf(r.Context())
		i.route, i.principal = r.URL.Path, as.Name
		i.audit.Who, i.audit.Name, i.audit.Project, i.audit.Kind, i.audit.Action = as.ID, as.Name, as.Project, "import", names[r.URL.Path]
		err := weft.May(as, weft.Create, weft.Object{Kind: "import", Project: as.Project})
		if err == nil {
			err = act(w, r.WithContext(context.WithValue(r.Context(), principalKey{}, as)))
		}
		if err != nil {
			s.breakOff(w, r, err)
		}
	})))
}

type importInput struct{ Body api.ImportRequest }

func (s *Server) askImport(ctx context.Context, in *importInput) (*body[api.Import], error) {
	change, err := domainTagChange(api.TagChange{Add: in.Body.Tags}) // refuses system tags
	if err != nil {
		return nil, err
	}
	p := principal(ctx)
	i, err := s.Imports.Ask(ctx, weft.Import{Project: p.Project, By: p.ID, From: in.Body.Source, Credentials: in.Body.Credentials, Tags: change.Add})
	if err != nil {
		return nil, err
	}
	return answer(wireImport(i), nil)
}

func (s *Server) listImports(ctx context.Context, _ *struct{}) (*body[[]api.Import], error) {
	found, err := s.Imports.Imports(ctx, principal(ctx).Project, importsShown)
	if err != nil {
		return nil, err
	}
	list := make([]api.Import, len(found))
	for n, i := range found {
		list[n] = wireImport(i)
	}
	return answer(list, nil)
}

// An ImportPath names one import; exported for huma.
type ImportPath struct {
	ID string `path:"id"`
}

func (in *ImportPath) id() (weft.RunID, error) {
	id, err := weft.ParseID[weft.Run](in.ID)
	if err != nil {
		return id, weft.Errorf(weft.NotFound, "import %s", err)
	}
	return id, nil
}

func (s *Server) getImport(ctx context.Context, in *ImportPath) (*body[api.Import], error) {
	id, err := in.id()
	if err != nil {
		return nil, err
	}
	i, err := s.Imports.ImportByID(ctx, principal(ctx).Project, id)
	if err != nil {
		return nil, err
	}
	return answer(wireImport(i), nil)
}

func (s *Server) cancelImport(ctx context.Context, in *ImportPath) (*struct{}, error) {
	id, err := in.id()
	if err != nil {
		return nil, err
	}
	p := principal(ctx)
	if _, err := s.Imports.ImportByID(ctx, p.Project, id); err != nil {
		return nil, err
	}
	return nil, s.Imports.FailImport(ctx, p.Project, id, "it was cancelled by "+p.Name)
}

func wireImport(i weft.Import) api.Import {
	return api.Import{
		ImportID: i.ID.String(), KnitID: i.Data.String(), State: string(i.State), Source: i.From, Problem: i.Problem,
		Files: i.Files, Bytes: i.Bytes, Total: i.Total, Tags: wireTags(i.Tags), CreatedAt: wireTime(i.CreatedAt), UpdatedAt: wireTime(i.UpdatedAt),
	}
}

func wireOrigin(o weft.Origin) *api.Origin {
	return &api.Origin{URL: o.URL, Version: o.Version, At: wireTime(o.At), By: o.Who}
}
