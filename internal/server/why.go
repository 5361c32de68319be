package server

import (
	"context"
	"fmt"
	"net/url"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"github.com/weft-dev/weft"
	"github.com/weft-dev/weft/api"
)

// Bounds of what an explanation looks at.
const (
	whyRuns       = 20  // runs that are named
	whyCandidates = 100 // data that are looked at for another input
)

type whyInput struct {
	PlanPath
	Data string `query:"data" required:"true" doc:"id of the data"`
}

// why explains what keeps a Data from being used by a Plan.
func (s *Server) why(ctx context.Context, in *whyInput) (*body[api.Why], error) {
	v, err := s.plan(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	if in.Data == "" {
		return nil, weft.Errorf(weft.Invalid, "the parameter data is missing").WithAdvice("say which data should be used by the plan: ?data=ID")
	}
	d, err := s.data(ctx, in.Data)
	if err != nil {
		return nil, err
	}
	w := api.Why{PlanID: v.Plan.ID.String(), KnitID: d.Data.ID.String(), Inputs: []api.WhyInput{}, Runs: []string{}}
	for _, input := range v.Plan.Inputs {
		one := api.WhyInput{Mountpoint: wireMountpoint(input.Path, input.Tags), Fits: input.Fits(d.Data), Missing: wireTags(input.Misses(d.Data))}
		if one.Fillable, err = s.fillable(ctx, v.Plan, input, one.Fits); err != nil {
			return nil, err
		}
		w.Fits = w.Fits || one.Fits
		w.Inputs = append(w.Inputs, one)
	}
	query := weft.RunQuery{Project: v.Plan.Project, Plans: []weft.PlanID{v.Plan.ID}, Inputs: []weft.DataID{d.Data.ID}, Page: weft.Page{Limit: whyRuns}}
	kept := false
	for run, err := range s.Store.FindRuns(ctx, query) {
		if err != nil {
			return nil, err
		}
		kept = kept || run.Run.Status != weft.Invalidated
		w.Runs = append(w.Runs, run.Run.ID.String())
	}
	w.Reason = s.reason(v.Plan, d.Data, w, kept)
	return answer(w, nil)
}

// fillable reports whether any Data fits an input.
func (s *Server) fillable(ctx context.Context, p weft.Plan, in weft.Input, known bool) (bool, error) {
	if known {
		return true, nil
	}
	q := weft.DataQuery{Project: p.Project, Tags: in.Tags, Page: weft.Page{Limit: whyCandidates, Newest: true}}
	for v, err := range s.Store.FindData(ctx, q) {
		if err != nil {
			return false, err
		}
		if in.Fits(v.Data) {
			return true, nil
		}
	}
	return false, nil
}

// reason puts an explanation into words. Kept says that some run is not deleted.
func (s *Server) reason(p weft.Plan, d weft.Data, w api.Why, kept bool) string {
	var empty, missing []string
	for _, in := range w.Inputs {
		if !in.Fillable {
			empty = append(empty, in.Path)
		}
		for _, t := range in.Missing {
			missing = append(missing, fmt.Sprintf("%s for %s", t, in.Path))
		}
	}
	switch {
	case len(w.Inputs) == 0:
		return fmt.Sprintf("%s is built in: it has no inputs", p.Name)
	case !d.Usable():
		return fmt.Sprintf("the data cannot be used (yet): the run %s that makes it is %s", d.Source.Run, d.Source.Status)
	case !w.Fits:
		return "the data fits no input; it lacks " + strings.Join(missing, ", ")
	case len(w.Runs) > 0 && !kept:
		return "the runs that used the data were removed; the same combination of inputs is not run again"
	case len(w.Runs) > 0 && !p.Active:
		return "there are runs that use the data; the plan is inactive, so what waits is not started"
	case len(w.Runs) > 0:
		return "there are runs that use the data"
	case len(empty) > 0:
		return "the data fits, but nothing fits " + strings.Join(empty, ", ")
	case p.PendingRuns > 0:
		return "the data fits, but the plan is blocked: it " + blocked(p, p.PendingRuns, s.RunLimit)
	}
	return "the data fits, and its runs are about to be made"
}

// GraphParam says how far to walk.
type GraphParam struct {
	Upstream   string `query:"upstream" doc:"true: the plans that feed it"`
	Downstream string `query:"downstream" doc:"true: the plans that it feeds"`
	Depth      string `query:"depth" doc:"steps from plan to plan; absent or 0: all"`

	up, down bool
	depth    int
}

// Resolve reads the parameters.
func (p *GraphParam) Resolve(ctx huma.Context) []error {
	u := ctx.URL()
	var q url.Values = u.Query()
	var err error
	if p.up, p.down, p.depth, err = walkOf(q); err != nil {
		return []error{err}
	}
	return nil
}

type planGraphInput struct {
	PlanPath
	GraphParam
}

// planGraph walks from a Plan to those around it.
func (s *Server) planGraph(ctx context.Context, in *planGraphInput) (*body[api.PlanGraph], error) {
	v, err := s.plan(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	g, err := s.Store.PlanGraph(ctx, v.Plan.Project)
	if err != nil {
		return nil, err
	}
	walk := newGraphWalk(g)
	if in.up {
		walk.from(v.Plan, in.depth, g.Upstream, func(e weft.Edge) weft.PlanID { return e.From })
	}
	if in.down {
		walk.from(v.Plan, in.depth, g.Downstream, func(e weft.Edge) weft.PlanID { return e.To })
	}
	return answer(walk.wire(v.Plan), nil)
}

// A graphWalk collects plans and edges.
type graphWalk struct {
	g     *weft.PlanGraph
	plans []weft.Plan
	seen  map[weft.PlanID]bool
	edges []weft.Edge
	drawn map[weft.Edge]bool
}

func newGraphWalk(g *weft.PlanGraph) *graphWalk {
	return &graphWalk{g: g, seen: map[weft.PlanID]bool{}, drawn: map[weft.Edge]bool{}}
}

// from walks breadth first along the edges that next gives; depth 0 is to the end.
func (w *graphWalk) from(start weft.Plan, depth int, next func(weft.Plan) []weft.Edge, other func(weft.Edge) weft.PlanID) {
	w.add(start)
	visited := map[weft.PlanID]bool{start.ID: true}
	level := []weft.Plan{start}
	for step := 0; len(level) > 0 && (depth == 0 || step < depth); step++ {
		var further []weft.Plan
		for _, p := range level {
			for _, e := range next(p) {
				if !w.drawn[e] {
					w.drawn[e] = true
					w.edges = append(w.edges, e)
				}
				if q, ok := w.g.Plan(other(e)); ok && !visited[q.ID] {
					visited[q.ID] = true
					w.add(q)
					further = append(further, q)
				}
			}
		}
		level = further
	}
}

func (w *graphWalk) add(p weft.Plan) {
	if !w.seen[p.ID] {
		w.seen[p.ID] = true
		w.plans = append(w.plans, p)
	}
}

func (w *graphWalk) wire(start weft.Plan) api.PlanGraph {
	out := api.PlanGraph{Start: start.ID.String(), Plans: []api.PlanDetail{}, Edges: []api.PlanEdge{}}
	byID := make(map[weft.PlanID]weft.Plan, len(w.plans))
	for _, p := range w.plans {
		byID[p.ID] = p
		out.Plans = append(out.Plans, wirePlan(weft.PlanView{Plan: p}))
	}
	for _, e := range w.edges {
		from, to := byID[e.From], byID[e.To]
		edge := api.PlanEdge{From: e.From.String(), To: e.To.String(), Input: to.Inputs[e.Input].Path}
		if e.Output < len(from.Outputs) {
			edge.Output = from.Outputs[e.Output].Path
		} else {
			edge.Log = true
		}
		out.Edges = append(out.Edges, edge)
	}
	return out
}
