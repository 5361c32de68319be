package weft

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
)

// Feeds reports whether Data with these tags, as a Plan declares them for an output
// or log, would satisfy in by declaration alone: they include every user tag of in,
// which has at least one and names no particular Data or time.
func Feeds(output Tags, in Input) bool {
	user := in.Tags.User()
	return len(user) > 0 && len(user) == len(in.Tags) && output.HasAll(user)
}

// A PlanGraph holds the plans of one project and answers which feed which: an edge
// goes from every output or log to every input that it Feeds, whether the plans are
// active or not. It indexes plans by tag, so that cost follows the answer. It is
// safe for concurrent use.
type PlanGraph struct {
	mu    sync.RWMutex
	plans map[PlanID]Plan
	byIn  map[Tag][]inputRef  // inputs that could be fed, under their first tag
	byOut map[Tag][]outputRef // outputs and logs, under each of their tags
}

type inputRef struct {
	plan PlanID
	nth  int
}

type outputRef struct {
	plan PlanID
	nth  int // len(Outputs) is the log
}

// An Edge leads from an output (or the log) of one Plan to an input of another.
type Edge struct {
	From   PlanID
	Output int // index into From's Outputs; len(Outputs) is the log
	To     PlanID
	Input  int // index into To's Inputs
}

// NewPlanGraph returns an empty graph.
func NewPlanGraph() *PlanGraph {
	return &PlanGraph{plans: map[PlanID]Plan{}, byIn: map[Tag][]inputRef{}, byOut: map[Tag][]outputRef{}}
}

// Add puts a plan into the graph, or replaces what may change in it. A plan that is not
// live is known by its id, and otherwise no part of the graph.
func (g *PlanGraph) Add(p Plan) {
	g.mu.Lock()
	defer g.mu.Unlock()
	was, known := g.plans[p.ID]
	g.plans[p.ID] = p
	switch linked := known && was.Live(); {
	case linked == p.Live():
		return
	case linked:
		g.unlink(p)
		return
	}
	for i, in := range p.Inputs {
		if user := in.Tags.User(); len(user) > 0 && len(user) == len(in.Tags) {
			g.byIn[user[0]] = append(g.byIn[user[0]], inputRef{p.ID, i})
		}
	}
	for i, tags := range p.OutputTags() {
		for _, t := range tags {
			g.byOut[t] = append(g.byOut[t], outputRef{p.ID, i})
		}
	}
}

// unlink takes a plan out of what others may feed, or be fed by.
func (g *PlanGraph) unlink(p Plan) {
	for _, in := range p.Inputs {
		if user := in.Tags.User(); len(user) > 0 {
			g.byIn[user[0]] = slices.DeleteFunc(g.byIn[user[0]], func(ref inputRef) bool { return ref.plan == p.ID })
		}
	}
	for _, tags := range p.OutputTags() {
		for _, t := range tags {
			g.byOut[t] = slices.DeleteFunc(g.byOut[t], func(ref outputRef) bool { return ref.plan == p.ID })
		}
	}
}

// Plan returns a plan by its id, live or not.
func (g *PlanGraph) Plan(id PlanID) (Plan, bool) {
	g.mu.RLock()
	defer g.mu.RUnlock()
	p, ok := g.plans[id]
	return p, ok
}

// Plans returns all live plans, by id.
func (g *PlanGraph) Plans() []Plan {
	return slices.DeleteFunc(g.Known(), func(p Plan) bool { return !p.Live() })
}

// Known returns all plans, live or not, by id.
func (g *PlanGraph) Known() []Plan {
	g.mu.RLock()
	defer g.mu.RUnlock()
	return slices.SortedFunc(maps.Values(g.plans), func(a, b Plan) int { return slices.Compare(a.ID[:], b.ID[:]) })
}

// Named returns the live plan of that name.
func (g *PlanGraph) Named(name string) (Plan, bool) {
	g.mu.RLock()
	defer g.mu.RUnlock()
	for _, p := range g.plans {
		if p.Name == name && p.Live() {
			return p, true
		}
	}
	return Plan{}, false
}

// Downstream returns the edges that leave p, by output and then by plan and input. The plan
// itself need not be in the graph.
func (g *PlanGraph) Downstream(p Plan) []Edge {
	g.mu.RLock()
	defer g.mu.RUnlock()
	return g.downstream(p)
}

func (g *PlanGraph) downstream(p Plan) []Edge {
	var edges []Edge
	for nth, tags := range p.OutputTags() {
		for _, t := range tags {
			for _, ref := range g.byIn[t] {
				if Feeds(tags, g.plans[ref.plan].Inputs[ref.nth]) {
					edges = append(edges, Edge{p.ID, nth, ref.plan, ref.nth})
				}
			}
		}
	}
	slices.SortFunc(edges, func(a, b Edge) int {
		return cmp.Or(cmp.Compare(a.Output, b.Output), slices.Compare(a.To[:], b.To[:]), cmp.Compare(a.Input, b.Input))
	})
	return edges
}

// Upstream returns the edges that reach p, by input and then by plan and output.
func (g *PlanGraph) Upstream(p Plan) []Edge {
	g.mu.RLock()
	defer g.mu.RUnlock()
	var edges []Edge
	for nth, in := range p.Inputs {
		if len(in.Tags) == 0 {
			continue
		}
		for _, ref := range g.byOut[in.Tags[0]] {
			if Feeds(g.plans[ref.plan].OutputTags()[ref.nth], in) {
				edges = append(edges, Edge{ref.plan, ref.nth, p.ID, nth})
			}
		}
	}
	slices.SortFunc(edges, func(a, b Edge) int {
		return cmp.Or(cmp.Compare(a.Input, b.Input), slices.Compare(a.From[:], b.From[:]), cmp.Compare(a.Output, b.Output))
	})
	return edges
}

// Admits refuses a plan that equals one in the graph, whose id is then the error's See,
// or that would close a loop. Former, if not zero, is the revision whose place p takes.
func (g *PlanGraph) Admits(p Plan, former PlanID) error {
	identity := p.Identity()
	for _, q := range g.Known() {
		if q.State != PlanDeleted && q.Image == p.Image && q.Identity() == identity {
			return EqualPlan(p, q)
		}
	}
	return g.Closes(p, former)
}

// EqualPlan is the refusal of p, which equals q.
func EqualPlan(p, q Plan) error {
	switch {
	case q.Name != "" && p.Name != q.Name:
		which := "it is the plan " + q.Name
		if !q.Live() {
			which = fmt.Sprintf("it was revision %d of the plan %s", q.Revision, q.Name)
		}
		return Errorf(Conflict, "an equal plan is registered: %s; %s", q.ID, which).WithSee(q.ID.String()).
			WithAdvice("use that plan, or delete it first with: weft plan rm %s", q.Name)
	default:
		return Errorf(Conflict, "an equal plan is registered: %s", q.ID).WithSee(q.ID.String()).
			WithAdvice("use that plan; only active, resources, service account and annotations of it can be changed")
	}
}

// Closes refuses a plan that would close a loop, were it in the graph instead of former.
func (g *PlanGraph) Closes(p Plan, former PlanID) error {
	loop := g.cycle(p, former)
	if loop == nil {
		return nil
	}
	names := make([]string, len(loop))
	for i, id := range loop {
		names[i] = "plan " + id.String()
		if id == p.ID {
			names[i] = "this plan"
		}
	}
	return Errorf(Conflict, "the plan would close a loop and run for ever: %s", strings.Join(names, " → ")).
		WithAdvice("change a tag of an output, or of the input that it feeds")
}

// Cycle returns the plans of a loop that p, which is not yet in the graph, would
// close, beginning and ending with p; nil when there is none. A loop would make
// Runs for ever.
func (g *PlanGraph) Cycle(p Plan) []PlanID { return g.cycle(p, PlanID{}) }

// cycle leaves out a plan, as if it were not in the graph.
func (g *PlanGraph) cycle(p Plan, without PlanID) []PlanID {
	g.mu.RLock()
	defer g.mu.RUnlock()
	closes := func(q Plan) bool { // an edge from q to p
		for _, tags := range q.OutputTags() {
			for _, in := range p.Inputs {
				if Feeds(tags, in) {
					return true
				}
			}
		}
		return false
	}
	from := map[PlanID]PlanID{p.ID: {}}
	for queue := []Plan{p}; len(queue) > 0; queue = queue[1:] {
		q := queue[0]
		if closes(q) {
			loop := []PlanID{p.ID}
			for id := q.ID; id != p.ID; id = from[id] {
				loop = append(loop, id)
			}
			loop = append(loop, p.ID)
			slices.Reverse(loop)
			return loop
		}
		for _, e := range g.downstream(q) {
			if _, seen := from[e.To]; !seen && e.To != without {
				from[e.To] = q.ID
				queue = append(queue, g.plans[e.To])
			}
		}
	}
	return nil
}
