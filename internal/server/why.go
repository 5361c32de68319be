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
	for nth, input := range v.Plan.Inputs {
		one, err := s.whyInput(ctx, v.Plan, nth, d.Data)
		if err != nil {
			return nil, err
		}
		if one.Fillable, err = s.fillable(ctx, v.Plan, input, one.Fits); err != nil {
			return nil, err
		}
		w.Fits = w.Fits || one.Fits
		w.Inputs = append(w.Inputs, one)
	}
	w.Missing = missesPair(v.Plan, d.Data)
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

// whyInput explains what keeps a Data from one input.
func (s *Server) whyInput(ctx context.Context, p weft.Plan, nth int, d weft.Data) (api.WhyInput, error) {
	in := p.Inputs[nth]
	w := api.WhyInput{Mountpoint: wireMountpoint(in.Path, in.Tags), Missing: wireTags(in.Misses(d))}
	if !in.Fits(d) {
		return w, nil
	}
	if !p.Takes(nth, d) {
		w.Earlier = true
		return w, nil
	}
	if key := in.Latest.By; key != "" && len(d.Values(key)) == 0 {
		w.MissingKey = key
		return w, nil
	}
	newer, err := s.Store.NewestOf(ctx, p, nth, d)
	w.Newer = wireDataID(newer)
	w.Fits = newer.IsZero()
	return w, err
}

// missesPair returns the key that a Data lacks to be paired; "" when it lacks none.
func missesPair(p weft.Plan, d weft.Data) string {
	if p.Pair == "" || len(d.Values(p.Pair)) > 0 {
		return ""
	}
	return p.Pair
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
	var empty, missing, earlier, newer []string
	for _, in := range w.Inputs {
		if !in.Fillable {
			empty = append(empty, in.Path)
		}
		for _, t := range in.Missing {
			missing = append(missing, fmt.Sprintf("%s for %s", t, in.Path))
		}
		if in.MissingKey != "" {
			missing = append(missing, fmt.Sprintf("a tag %s:… for %s, which takes the latest by it", in.MissingKey, in.Path))
		}
		if in.Earlier {
			earlier = append(earlier, in.Path)
		}
		if in.Newer != "" {
			newer = append(newer, fmt.Sprintf("%s takes %s", in.Path, in.Newer))
		}
	}
	switch {
	case len(w.Inputs) == 0:
		return fmt.Sprintf("%s is built in: it has no inputs", p.Name)
	case !d.Purged.IsZero():
		return "the data cannot be used any more: its content was purged"
	case !d.Usable():
		return fmt.Sprintf("the data cannot be used (yet): the run %s that makes it is %s", d.Source.Run, d.Source.Status)
	case !p.Live():
		return fmt.Sprintf("the plan is %s: it makes no more runs", p.State)
	case !w.Fits && len(newer) > 0 && len(w.Runs) > 0:
		return "there are runs that use the data; by now there is a newer one, and only the latest is taken: " + strings.Join(newer, ", ")
	case !w.Fits && len(newer) > 0:
		return "only the latest data is taken, and there is a newer one: " + strings.Join(newer, ", ")
	case !w.Fits && len(earlier) > 0:
		return "the data was there before the plan was registered, which takes only what comes later (from: now)"
	case !w.Fits:
		return "the data fits no input; it lacks " + strings.Join(missing, ", ")
	case len(w.Runs) > 0 && !kept:
		return "the runs that used the data were removed; the same combination of inputs is not run again"
	case len(w.Runs) > 0 && !p.Active:
		return "there are runs that use the data; the plan is inactive, so what waits is not started"
	case len(w.Runs) > 0:
		return "there are runs that use the data"
	case w.Missing != "":
		return fmt.Sprintf("the data fits, but has no tag %s:… to be paired by", w.Missing)
	case len(empty) > 0:
		return "the data fits, but nothing fits " + strings.Join(empty, ", ")
	case p.PendingRuns > 0:
		return "the data fits, but the plan is blocked: it " + blocked(p, p.PendingRuns, s.RunLimit)
	}
	if p.Pair != "" {
		return fmt.Sprintf("the data fits; it runs with data for every other input that share its value of %s, as soon as there are any", p.Pair)
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
