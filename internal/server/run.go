package server

import (
	"context"
	"iter"
	"net/http"
	"net/url"
	"reflect"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"github.com/weft-dev/weft"
	"github.com/weft-dev/weft/api"
)

// runRoutes declares what is done with Runs.
func (s *Server) runRoutes() {
	s.stream(streamed{
		route: route{method: http.MethodGet, path: "/api/runs", id: "find-runs", summary: "Find runs", verb: weft.Read, kind: "run",
			more: "In order of their last change, then id. Conditions combine by and."},
		query: append([]param{
			{name: "plan", doc: "ids or names, joined by commas: any of; a name stands for all its revisions"},
			{name: "knitIdInput", doc: "ids, joined by commas: has any of these data as input"},
			{name: "knitIdOutput", doc: "ids, joined by commas: has any of these data as output or log"},
			{name: "status", doc: "joined by commas: any of"},
			{name: "since", doc: "RFC 3339 with a zone: changed at or after"},
			{name: "duration", doc: "like 24h or 300ms: changed before since plus that; needs since"},
		}, pageParams()...),
		gives: "application/json", givesA: reflect.TypeFor[[]api.RunDetail](),
	}, s.findRuns)
	handle(s, route{method: http.MethodGet, path: "/api/runs/{id}", id: "get-run", summary: "Get one run", verb: weft.Read, kind: "run"}, s.getRun)
	handle(s, route{method: http.MethodPut, path: "/api/runs/{id}/abort", id: "abort-run", summary: "Stop a run as failed", verb: weft.Change, kind: "run", more: stopMore}, s.stopRun(true))
	handle(s, route{method: http.MethodPut, path: "/api/runs/{id}/tearoff", id: "tearoff-run", summary: "Stop a run and keep its outputs", verb: weft.Change, kind: "run", more: stopMore}, s.stopRun(false))
	handle(s, route{method: http.MethodPut, path: "/api/runs/{id}/retry", id: "retry-run", summary: "Try a run again", verb: weft.Change, kind: "run", status: http.StatusOK,
		more: "Its outputs are discarded. The answer is empty."}, s.retryRun)
	handle(s, route{method: http.MethodDelete, path: "/api/runs/{id}", id: "delete-run", summary: "Delete a run with its outputs", verb: weft.Delete, kind: "run", status: http.StatusNoContent}, s.deleteRun)
	s.stream(streamed{
		route: route{method: http.MethodGet, path: "/api/runs/{id}/log", id: "get-run-log", summary: "Read the log of a run", verb: weft.Read, kind: "run"},
		query: []param{{name: "follow", doc: "go on until the run has ended; its value does not matter"},
			{name: "attempt", doc: "number of an earlier attempt"}},
		gives: "application/octet-stream",
	}, s.getLog)
}

func (s *Server) findRuns(w http.ResponseWriter, r *http.Request) error {
	q := r.URL.Query()
	query, some, err := runQuery(q)
	if err != nil {
		return err
	}
	if query.Plans, err = s.planIDs(r.Context(), q.Get("plan")); err != nil {
		return err
	}
	page, err := pageOf(q)
	if err != nil {
		return err
	}
	query.Project = principal(r.Context()).Project
	return answerList(w, r, page, func(p weft.Page) iter.Seq2[weft.RunView, error] {
		if !some {
			return func(func(weft.RunView, error) bool) {}
		}
		query.Page = p
		return s.Store.FindRuns(r.Context(), query)
	}, func(v weft.RunView) string { return v.Next }, newListEncoder().run)
}

// runQuery reads a query; some is false when it can find nothing.
func runQuery(q url.Values) (query weft.RunQuery, some bool, err error) {
	var inputs, outputs bool
	query.Inputs, inputs = idsOf[weft.Data](q, "knitIdInput")
	query.Outputs, outputs = idsOf[weft.Data](q, "knitIdOutput")
	if text := q.Get("status"); text != "" {
		for _, name := range strings.Split(text, ",") {
			status, err := weft.ParseStatus(name)
			if err == nil && status == weft.Invalidated {
				err = weft.Errorf(weft.Invalid, "runs cannot be searched for being %s", status)
			}
			if err != nil {
				return query, false, err
			}
			query.Statuses = append(query.Statuses, status)
		}
	}
	query.Since, query.Until, err = spanOf(q)
	return query, inputs && outputs, err
}

type RunPath struct {
	ID string `path:"id"`
}

func runID(text string) (weft.RunID, error) {
	id, err := weft.ParseID[weft.Run](text)
	if err != nil {
		return id, weft.Errorf(weft.NotFound, "run %s", err)
	}
	return id, nil
}

func (s *Server) run(ctx context.Context, text string) (weft.RunView, error) {
	id, err := runID(text)
	if err != nil {
		return weft.RunView{}, err
	}
	return s.Store.Run(ctx, principal(ctx).Project, id)
}

func (s *Server) getRun(ctx context.Context, in *RunPath) (*body[api.RunDetail], error) {
	v, err := s.run(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	return answer(showRun(v), nil)
}

// stopMore is what there is to say of both ways to stop.
const stopMore = "Its program is asked to end, and killed after the plan's grace; until then the run is aborting or completing, and its reason tells how long it has."

type StopInput struct {
	RunPath
	Now string `query:"now" doc:"without grace, even where some is left of an earlier request"`
	now bool
}

// Resolve reads the parameter, which may also be there without a value.
func (in *StopInput) Resolve(ctx huma.Context) []error {
	u := ctx.URL()
	var err error
	if in.now, err = flagOf(u.Query(), "now"); err != nil {
		return []error{err}
	}
	return nil
}

func (s *Server) stopRun(fail bool) func(context.Context, *StopInput) (*body[api.RunDetail], error) {
	return func(ctx context.Context, in *StopInput) (*body[api.RunDetail], error) {
		id, err := runID(in.ID)
		if err != nil {
			return nil, err
		}
		p := principal(ctx)
		v, err := s.Store.StopRun(ctx, p.Project, id, weft.Stop{Fail: fail, Now: in.now}, p.ID)
		if err != nil {
			return nil, err
		}
		return answer(showRun(v), nil)
	}
}

func (s *Server) retryRun(ctx context.Context, in *RunPath) (*struct{}, error) {
	id, err := runID(in.ID)
	if err != nil {
		return nil, err
	}
	p := principal(ctx)
	_, err = s.Store.RetryRun(ctx, p.Project, id, p.ID)
	return nil, err
}

func (s *Server) deleteRun(ctx context.Context, in *RunPath) (*struct{}, error) {
	id, err := runID(in.ID)
	if err != nil {
		return nil, err
	}
	p := principal(ctx)
	return nil, s.Store.DeleteRun(ctx, p.Project, id, p.ID)
}
