package store_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/weft-dev/weft"
)

func TestPlanIsKept(t *testing.T) {
	eachWorld(t, func(w *world) {
		p := w.define("type:csv, a: b:c + knit#timestamp:2026-01-02T03:04:05.678+00:00 -> type:model + ! type:log")
		p.Entrypoint, p.Args = []string{"python", "-c"}, []string{"print(\"ä\")"}
		p.OnNode.Must = []weft.Label{{Key: "gpu", Value: "yes"}}
		p.Annotations = weft.NewAnnotations(weft.Annotation{Key: "for", Value: "tests"})
		p.ServiceAccount = "worker"
		p = p.Normalize()
		got := must(w.s.CreatePlan(w.Context(), p, w.by))(w).Plan
		if got.Identity() != p.Identity() {
			w.Error("the plan is not the same after it was kept")
		}
		got.Rev = 0
		p.CreatedAt = got.CreatedAt
		if diff := cmp.Diff(p, got, cmp.Comparer(weft.Tags.Equal)); diff != "" {
			w.Errorf("the plan changed:\n%s", diff)
		}
	})
}

func TestEqualPlan(t *testing.T) {
	eachWorld(t, func(w *world) {
		p := w.define("type:csv -> type:model")
		must(w.s.CreatePlan(w.Context(), p, w.by))(w)
		again := p
		again.ID = weft.NewID[weft.Plan]()
		again.Active = false
		_, err := w.s.CreatePlan(w.Context(), again, w.by)
		w.wantKind(err, weft.Conflict)
		var e *weft.Error
		if !errors.As(err, &e) || e.See != p.ID.String() {
			w.Errorf("the refusal does not name the equal plan: %+v", e)
		}
	})
}

func TestLoop(t *testing.T) {
	eachWorld(t, func(w *world) {
		a := w.plan("type:a -> type:b")
		b := w.plan("type:b -> type:c")
		_, err := w.s.CreatePlan(w.Context(), w.define("type:c -> type:a"), w.by)
		w.wantKind(err, weft.Conflict)
		if text := err.Error(); !strings.Contains(text, a.ID.String()) || !strings.Contains(text, b.ID.String()) {
			w.Errorf("the refusal does not name the loop: %s", text)
		}
		v := must(w.s.Plan(w.Context(), w.project, b.ID))(w)
		if len(v.Upstreams) != 1 || v.Upstreams[0].From != a.ID || v.Neighbours[a.ID].ID != a.ID {
			w.Errorf("neighbours of the plan are %+v", v.Upstreams)
		}
	})
}

func TestChangePlan(t *testing.T) {
	eachWorld(t, func(w *world) {
		p := w.plan("type:csv -> type:model")
		change := func(f func(*weft.Plan) error) (weft.Plan, error) {
			v, err := w.s.ChangePlan(w.Context(), w.project, p.ID, w.by, f)
			return v.Plan, err
		}
		got := must(change(func(p *weft.Plan) error { p.ServiceAccount = "other"; return nil }))(w)
		if got.ServiceAccount != "other" || got.Rev != p.Rev+1 {
			w.Errorf("changed to %+v", got)
		}
		_, err := change(func(p *weft.Plan) error { p.Args = []string{"x"}; return nil })
		w.wantKind(err, weft.Invalid)
		_, err = change(func(p *weft.Plan) error { return weft.Errorf(weft.TooLarge, "no") })
		w.wantKind(err, weft.TooLarge)
		if g := must(w.s.PlanGraph(w.Context(), w.project))(w); true {
			if cached, _ := g.Plan(p.ID); cached.ServiceAccount != "other" {
				w.Error("the graph of plans is not current")
			}
		}
		if plans := must(w.s.Plans(w.Context(), []weft.PlanID{p.ID, weft.NewID[weft.Plan]()}))(w); len(plans) != 1 {
			w.Errorf("%d plans are found by id, want 1", len(plans))
		}
	})
}

func TestFindPlans(t *testing.T) {
	eachWorld(t, func(w *world) {
		a := w.plan("type:csv, lang:en -> type:model ! type:log")
		b := w.plan("type:model -> type:score")
		find := func(q weft.PlanQuery) []weft.PlanID {
			q.Project = w.project
			var ids []weft.PlanID
			for v, err := range w.s.FindPlans(w.Context(), q) {
				if p := must(v, err)(w).Plan; p.Name == "" || len(q.InTags)+len(q.OutTags) > 0 || q.Repository != "" {
					ids = append(ids, p.ID)
				}
			}
			return ids
		}
		inactive := false
		for name, c := range map[string]struct {
			q    weft.PlanQuery
			want []weft.PlanID
		}{
			"all":      {weft.PlanQuery{}, []weft.PlanID{a.ID, b.ID}},
			"newest":   {weft.PlanQuery{Page: weft.Page{Newest: true}}, []weft.PlanID{b.ID, a.ID}},
			"after":    {weft.PlanQuery{Page: weft.Page{After: a.ID.String()}}, []weft.PlanID{b.ID}},
			"limit":    {weft.PlanQuery{Repository: a.Image.Repository, Page: weft.Page{Limit: 1}}, []weft.PlanID{a.ID}},
			"inactive": {weft.PlanQuery{Active: &inactive}, nil},
			"image":    {weft.PlanQuery{Repository: b.Image.Repository, Tag: b.Image.Tag}, []weft.PlanID{b.ID}},
			"input":    {weft.PlanQuery{InTags: w.tags("lang:en")}, []weft.PlanID{a.ID}},
			"output":   {weft.PlanQuery{OutTags: w.tags("type:model")}, []weft.PlanID{a.ID}},
			"log":      {weft.PlanQuery{OutTags: w.tags("type:log")}, []weft.PlanID{a.ID}},
		} {
			if got := find(c.q); !slices.Equal(got, c.want) {
				w.Errorf("%s: %v is found, want %v", name, got, c.want)
			}
		}
	})
}

func TestPrincipals(t *testing.T) {
	eachWorld(t, func(w *world) {
		p := must(w.s.PrincipalByToken(w.Context(), [32]byte{1}, ""))(w)
		if p.ID != w.by || !p.Admin || p.Project != w.project {
			w.Errorf("the administrator is %+v", p)
		}
		_, err := w.s.PrincipalByToken(w.Context(), [32]byte{2}, "")
		w.wantKind(err, weft.Unauthenticated)
		if again := must(w.s.EnsureAdmin(w.Context(), [32]byte{3}))(w); again.ID != w.by {
			w.Error("there are two administrators")
		}
	})
}
