package weft

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// numbered gives plans the ids 1, 2, … and puts them into a graph.
func numbered(t tester, texts ...string) (*PlanGraph, []Plan) {
	g := NewPlanGraph()
	var plans []Plan
	for i, text := range texts {
		p := plan(t, text)
		p.ID = id[Plan](i + 1)
		g.Add(p)
		plans = append(plans, p)
	}
	return g, plans
}

// edgeText writes edges as "1.0>2.1": output 0 of plan 1 feeds input 1 of plan 2.
func edgeText(edges []Edge) string {
	var out []string
	for _, e := range edges {
		out = append(out, fmt.Sprintf("%d.%d>%d.%d", e.From[15], e.Output, e.To[15], e.Input))
	}
	return strings.Join(out, " ")
}

func TestPlanGraph(t *testing.T) {
	t.Parallel()
	g, plans := numbered(t,
		"/in=raw:1 -> /out=clean:1,kind:csv /side log=type:log",
		"/a=clean:1 /b=clean:1,kind:csv -> /model=type:model",
		"/a=type:log /m=type:model -> log",
		"/a=clean:1,knit#id:x", // names one Data: fed by nobody
		"/a=knit#id:x",         // no user tag: fed by nobody
		"/a=clean:1,missing:1", // not all of its tags
	)
	for i, want := range []struct{ up, down string }{
		{"", "1.0>2.0 1.0>2.1 1.2>3.0"},
		{"1.0>2.0 1.0>2.1", "2.0>3.1"},
		{"1.2>3.0 2.0>3.1", ""},
		{"", ""}, {"", ""}, {"", ""},
	} {
		if got := edgeText(g.Upstream(plans[i])); got != want.up {
			t.Errorf("upstream of %d: %q; want %q", i+1, got, want.up)
		}
		if got := edgeText(g.Downstream(plans[i])); got != want.down {
			t.Errorf("downstream of %d: %q; want %q", i+1, got, want.down)
		}
	}
	changed := plans[0]
	changed.Active = false
	g.Add(changed)
	if p, ok := g.Plan(changed.ID); !ok || p.Active || len(g.Plans()) != len(plans) {
		t.Error("a plan that is added again does not take the place of the former")
	}
	if got := edgeText(g.Downstream(changed)); got != "1.0>2.0 1.0>2.1 1.2>3.0" {
		t.Errorf("an inactive plan has the edges %q", got)
	}
}

func TestPlanCycles(t *testing.T) {
	t.Parallel()
	g, _ := numbered(t, "/in=a:1 -> /out=b:1", "/in=b:1 -> /out=c:1,d:1", "/in=d:1,knit#id:x -> /out=q:1")
	for text, want := range map[string]string{
		"/in=c:1 -> /out=a:1":           "9 1 2 9",
		"/in=d:1 -> log=a:1":            "9 1 2 9", // by its log
		"/in=x:1 -> /out=x:1,y:1":       "9 9",     // a loop of its own
		"/in=c:1,d:1 -> /out=b:1":       "9 2 9",
		"/in=c:1,e:1 -> /out=a:1":       "", // not fed
		"/in=q:1 -> /out=d:1":           "", // broken by an input that names one Data
		"/in=c:1,knit#id:x -> /out=a:1": "",
		"/in=c:1 -> /out":               "",
	} {
		p := plan(t, text)
		p.ID = id[Plan](9)
		var loop []string
		for _, id := range g.Cycle(p) {
			loop = append(loop, fmt.Sprint(id[15]))
		}
		if got := strings.Join(loop, " "); got != want {
			t.Errorf("%s closes %q; want %q", text, got, want)
		}
	}
}

// The graph agrees with the definition, applied to every pair.
func TestPlanGraphProperty(t *testing.T) {
	t.Parallel()
	tagsOf := rapid.SliceOfNDistinct(rapid.SampledFrom([]string{"a:1", "b:1", "c:1", "d:1", "knit#id:x"}), 1, 2, rapid.ID)
	outsOf := rapid.SliceOfNDistinct(rapid.SampledFrom([]string{"a:1", "b:1", "c:1", "d:1"}), 0, 3, rapid.ID)
	rapid.Check(t, func(t *rapid.T) {
		var texts []string
		for range rapid.IntRange(1, 7).Draw(t, "plans") {
			text := "/i=" + strings.Join(tagsOf.Draw(t, "in"), ",") + " /j=" + strings.Join(tagsOf.Draw(t, "in"), ",") +
				" -> /o=" + strings.Join(outsOf.Draw(t, "out"), ",")
			if rapid.Bool().Draw(t, "log") {
				text += " log=" + strings.Join(outsOf.Draw(t, "log tags"), ",")
			}
			texts = append(texts, text)
		}
		last := len(texts) - 1
		g, plans := numbered(t, texts[:last]...)
		p := plan(t, texts[last])
		p.ID = id[Plan](last + 1)
		if got, want := g.Cycle(p) != nil, reaches(p, append(plans, p)); got != want {
			t.Fatalf("cycle: %v; want %v", got, want)
		}
		for i, id := range g.Cycle(p) {
			if i > 0 && !feeds(byID(append(plans, p), g.Cycle(p)[i-1]), byID(append(plans, p), id)) {
				t.Fatalf("the loop %v goes where no edge is", g.Cycle(p))
			}
		}
		g.Add(p)
		for _, q := range append(plans, p) {
			var up, down []Edge
			for _, other := range append(plans, p) {
				up, down = append(up, naiveEdges(other, q)...), append(down, naiveEdges(q, other)...)
			}
			if got, want := sortedEdges(g.Upstream(q)), sortedEdges(up); got != want {
				t.Fatalf("upstream: %s; want %s", got, want)
			}
			if got, want := sortedEdges(g.Downstream(q)), sortedEdges(down); got != want {
				t.Fatalf("downstream: %s; want %s", got, want)
			}
		}
	})
}

func naiveEdges(from, to Plan) []Edge {
	var edges []Edge
	for o, out := range from.OutputTags() {
		for i, in := range to.Inputs {
			if Feeds(out, in) {
				edges = append(edges, Edge{from.ID, o, to.ID, i})
			}
		}
	}
	return edges
}

func feeds(from, to Plan) bool { return len(naiveEdges(from, to)) > 0 }

func byID(plans []Plan, id PlanID) Plan {
	return plans[slices.IndexFunc(plans, func(p Plan) bool { return p.ID == id })]
}

func sortedEdges(edges []Edge) string {
	words := strings.Fields(edgeText(edges))
	slices.Sort(words)
	return strings.Join(words, " ")
}

// reaches reports whether a way along the edges leads from p to itself.
func reaches(p Plan, plans []Plan) bool {
	reached := map[PlanID]bool{}
	for range plans {
		for _, to := range plans {
			for _, from := range plans {
				if (from.ID == p.ID || reached[from.ID]) && feeds(from, to) {
					reached[to.ID] = true
				}
			}
		}
	}
	return reached[p.ID]
}
