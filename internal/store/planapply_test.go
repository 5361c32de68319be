package store_test

import (
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/weft-dev/weft"
)

// named is define, with a name.
func (w *world) named(name, text string) weft.Plan {
	p := w.define(text)
	p.Name = name
	return p
}

// again is the same plan as another file would say it.
func again(p weft.Plan) weft.Plan {
	p.ID = weft.NewID[weft.Plan]()
	return p
}

func (w *world) apply(p weft.Plan) weft.Application {
	w.Helper()
	a := weft.Apply{Plan: p, KeepActive: true, KeepResources: true, KeepPolicy: true}
	would, _, _, err := w.s.WouldApplyPlan(w.Context(), a, 5)
	if err != nil {
		w.Fatal(err)
	}
	done := must(w.s.ApplyPlan(w.Context(), a, w.by))(w)
	if would.Did != done.Did || would.Resting != done.Resting || would.InFlight != done.InFlight || would.Replaced != done.Replaced {
		w.Errorf("a dry run tells of %+v, done was %+v", would, done)
	}
	return done
}

// A revision takes the place of the former one: that matches nothing any more, its runs that
// wait rest, and those in flight go on. The new one runs on everything.
func TestRevision(t *testing.T) {
	eachWorld(t, func(w *world) {
		first := w.named("train", "type:csv -> type:model")
		if a := w.apply(first); a.Did != weft.AppliedNew || a.Plan.Plan.Revision != 1 {
			w.Fatalf("applied: %+v", a)
		}
		for range 3 {
			w.push("type:csv")
		}
		w.projection()
		runs := w.runs(first.ID)
		w.become(runs[0].ID, weft.Done)
		w.become(runs[1].ID, weft.Running)
		second := w.named("train", "type:csv -> type:model")
		if _, total, _, err := w.s.WouldApplyPlan(w.Context(), weft.Apply{Plan: second}, 5); total != 3 || err != nil {
			w.Errorf("a dry run tells of %d runs (%v); want 3", total, err)
		}
		a := w.apply(second)
		if a.Did != weft.AppliedRevision || a.Plan.Plan.Revision != 2 || a.Replaced != first.ID || a.Resting != 1 || a.InFlight != 1 {
			w.Fatalf("applied: %+v", a)
		}
		w.push("type:csv")
		if n := w.projection(); n != 4 || len(w.runs(second.ID)) != 4 {
			w.Errorf("%d runs were made; want 4, all of the new revision", n)
		}
		for i, want := range []weft.Status{weft.Done, weft.Running, weft.Deactivated} {
			if got := w.run(runs[i].ID).Status; got != want {
				w.Errorf("a run of the former revision is %s, want %s", got, want)
			}
		}
		w.become(runs[1].ID, weft.Done) // what it made is used as ever
		_, err := w.s.RetryRun(w.Context(), w.project, runs[0].ID, w.by)
		w.wantKind(err, weft.Conflict)
		_, err = w.s.ChangePlan(w.Context(), w.project, first.ID, w.by, func(p *weft.Plan) error { p.Active = true; return nil })
		w.wantKind(err, weft.Conflict)
	})
}

// A file that says what is there makes no revision; one that changes what makes no runs
// changes it in place; an earlier one puts the earlier plan in place again.
func TestApplyAgain(t *testing.T) {
	eachWorld(t, func(w *world) {
		first := w.named("train", "type:csv -> type:model")
		w.apply(first)
		w.push("type:csv")
		w.push("type:csv")
		w.projection()
		w.become(w.runs(first.ID)[0].ID, weft.Done)
		if a := w.apply(again(first)); a.Did != weft.AppliedUnchanged || a.Plan.Plan.ID != first.ID || a.Plan.Plan.Rev != 1 {
			w.Errorf("the same file: %+v", a)
		}
		other := again(first)
		other.Annotations = weft.NewAnnotations(weft.Annotation{Key: "a", Value: "b"})
		if a := w.apply(other); a.Did != weft.AppliedUpdated || a.Plan.Plan.ID != first.ID || len(a.Plan.Plan.Annotations) != 1 || a.Plan.Plan.Revision != 1 {
			w.Errorf("with another annotation: %+v", a)
		}
		second := w.named("train", "type:csv -> type:model")
		w.apply(second)
		w.push("type:csv")
		w.projection()
		a := w.apply(again(first))
		if a.Did != weft.AppliedRestored || a.Plan.Plan.ID != first.ID || a.Plan.Plan.Revision != 3 || a.Replaced != second.ID {
			w.Fatalf("the first file again: %+v", a)
		}
		if n := w.projection(); n != 1 {
			w.Errorf("%d runs were made; want the one that the plan had not made before", n)
		}
		if waiting := w.runs(first.ID, weft.Waiting); len(waiting) != 2 {
			w.Errorf("%d runs wait; want the one that rested and the new one", len(waiting))
		}
		history := must(w.s.PlanHistory(w.Context(), w.project, "train"))(w)
		var ids []weft.PlanID
		for i, h := range history {
			ids = append(ids, h.Plan.ID)
			if h.Number != int64(i+1) || h.By != w.by || h.At.IsZero() {
				w.Errorf("revision %+v", h)
			}
		}
		if !slices.Equal(ids, []weft.PlanID{first.ID, second.ID, first.ID}) {
			w.Errorf("the history is %v", ids)
		}
		for text, want := range map[string][]weft.PlanID{"train": {first.ID, second.ID}, "train@2": {second.ID}, first.ID.String(): {first.ID}} {
			if got := must(w.s.PlanNamed(w.Context(), w.project, text))(w); !slices.Equal(got, want) {
				w.Errorf("%s stands for %v, want %v", text, got, want)
			}
		}
		for _, text := range []string{"nobody", "train@9", "train@x", ""} {
			_, err := w.s.PlanNamed(w.Context(), w.project, text)
			w.wantKind(err, weft.NotFound)
		}
	})
}

func TestNamesOfPlans(t *testing.T) {
	eachWorld(t, func(w *world) {
		plain := w.plan("type:csv -> type:model")
		taken := again(plain)
		taken.Name = "train"
		if a := w.apply(taken); a.Did != weft.AppliedNamed || a.Plan.Plan.ID != plain.ID || a.Plan.Plan.Name != "train" || a.Plan.Plan.Revision != 1 {
			w.Fatalf("a plan that had no name: %+v", a)
		}
		other := again(plain)
		other.Name = "learn"
		_, err := w.s.ApplyPlan(w.Context(), weft.Apply{Plan: other}, w.by)
		w.wantKind(err, weft.Conflict)
		_, err = w.s.CreatePlan(w.Context(), again(plain), w.by)
		w.wantKind(err, weft.Conflict)
		_, err = w.s.ApplyPlan(w.Context(), weft.Apply{Plan: w.named("train", "type:model -> type:csv, type:model")}, w.by)
		w.wantKind(err, weft.Conflict)                                                               // it would feed itself
		if a := w.apply(w.named("train", "type:model -> type:csv")); a.Did != weft.AppliedRevision { // and not the one whose place it takes
			w.Errorf("a revision that would close a loop with the former: %+v", a)
		}
		there := w.neighbour("vision")
		if a := there.apply(there.named("train", "type:csv -> type:model")); a.Did != weft.AppliedNew {
			w.Errorf("the name in another project: %+v", a)
		}
	})
}

// What a file says nothing of stays as it was in the revision before.
func TestRevisionKeeps(t *testing.T) {
	eachWorld(t, func(w *world) {
		first := w.named("train", "type:csv -> type:model")
		w.apply(first)
		memory := must(weft.ParseResources(map[string]string{"memory": "8Gi"}))(w)
		must(w.s.ChangePlan(w.Context(), w.project, first.ID, w.by, func(p *weft.Plan) error {
			p.Active, p.Resources, p.Policy.Timeout = false, memory.WithDefaults(), time.Hour
			return nil
		}))(w)
		w.push("type:csv")
		a := w.apply(w.named("train", "type:csv -> type:model")).Plan.Plan
		if a.Active || a.Resources.Strings()["memory"] != "8Gi" || a.Policy.Timeout != time.Hour {
			w.Errorf("the revision is %+v", a)
		}
		w.projection()
		if r := w.runs(a.ID); len(r) != 1 || r[0].Status != weft.Deactivated {
			w.Errorf("its runs: %+v", r)
		}
	})
}

// A deleted plan matches nothing, is in nobody's way, and leaves what it made.
func TestDeletePlan(t *testing.T) {
	eachWorld(t, func(w *world) {
		p := w.plan("type:csv -> type:model")
		for range 3 {
			w.push("type:csv")
		}
		w.projection()
		runs := w.runs(p.ID)
		model := w.become(runs[0].ID, weft.Done).Outputs[0].Data
		w.become(runs[1].ID, weft.Running)
		would := must(w.s.WouldDeletePlan(w.Context(), w.project, p.ID))(w)
		gone := must(w.s.DeletePlan(w.Context(), w.project, p.ID, w.by))(w)
		if gone.Unstarted != 1 || gone.InFlight != 1 || would.Unstarted != 1 || would.InFlight != 1 {
			w.Errorf("gone: %+v; a dry run told of %+v", gone, would)
		}
		w.push("type:csv")
		if n := w.projection(); n != 0 {
			w.Errorf("a deleted plan made %d runs", n)
		}
		for i, want := range []weft.Status{weft.Done, weft.Running, weft.Invalidated} {
			if got := w.run(runs[i].ID).Status; got != want {
				w.Errorf("a run of a deleted plan is %s, want %s", got, want)
			}
		}
		w.become(runs[1].ID, weft.Done)
		if l := must(w.s.Lineage(w.Context(), weft.LineageQuery{Project: w.project, Start: model, Upstream: true}))(w); len(l.Runs) != 2 {
			w.Errorf("the lineage of what it made has %d runs", len(l.Runs))
		}
		if found := w.find(weft.DataQuery{Tags: w.tags("type:model")}); len(found) != 2 {
			w.Errorf("%d data are left of what it made", len(found))
		}
		w.plan("type:model -> type:csv") // no loop
		_, err := w.s.DeletePlan(w.Context(), w.project, p.ID, w.by)
		w.wantKind(err, weft.NotFound)
		_, err = w.s.RetryRun(w.Context(), w.project, runs[0].ID, w.by)
		w.wantKind(err, weft.Conflict)
	})
}

func TestDeletedPlanMayComeBack(t *testing.T) {
	eachWorld(t, func(w *world) {
		first, second := w.named("train", "type:csv -> type:model"), w.named("train", "type:csv -> type:model")
		w.apply(first)
		w.apply(second)
		w.push("type:csv")
		w.projection()
		_, err := w.s.DeletePlan(w.Context(), w.project, first.ID, w.by)
		w.wantKind(err, weft.Conflict) // only all revisions together
		if gone := must(w.s.DeletePlan(w.Context(), w.project, second.ID, w.by))(w); len(gone.Plans) != 2 {
			w.Errorf("gone are %d plans, want both revisions", len(gone.Plans))
		}
		_, err = w.s.PlanHistory(w.Context(), w.project, "train")
		w.wantKind(err, weft.NotFound)
		a := w.apply(again(first))
		if a.Did != weft.AppliedNew || a.Plan.Plan.Revision != 1 {
			w.Errorf("the plan again: %+v", a)
		}
		if n := w.projection(); n != 1 {
			w.Errorf("%d runs were made of the plan that came back, want 1", n)
		}
	})
}

// Very many runs that wait go in several transactions.
func TestDeletePlanWithManyRuns(t *testing.T) {
	eachWorld(t, func(w *world) {
		p := w.plan("side:left + side:right -> type:pair")
		for range 15 {
			w.push("side:left")
			w.push("side:right")
		}
		w.projection()
		must(w.s.DeletePlan(w.Context(), w.project, p.ID, w.by))(w)
		w.projection()
		if n := len(w.runs(p.ID, weft.Invalidated)); n != 225 {
			w.Errorf("%d runs are deleted, want 225", n)
		}
	})
}

// Every Data is run by the plan that takes what comes later, or was there when it was
// registered, whatever is tagged or looked at when.
func TestFromNow(t *testing.T) {
	eachWorld(t, func(w *world) {
		before := w.push("type:csv")
		tagged := w.push("type:raw")
		maker := w.plan("type:seed -> type:csv")
		w.push("type:seed")
		w.projection()
		p := w.define("type:csv -> type:model")
		p.FromNow = true
		if total, _, err := w.s.WouldRunPlan(w.Context(), p, 5); err != nil || total != 1 {
			w.Errorf("what is there fits %d times (%v)", total, err)
		}
		if _, total, _, err := w.s.WouldApplyPlan(w.Context(), weft.Apply{Plan: p}, 5); total != 0 || err != nil {
			w.Errorf("a dry run tells of %d runs (%v)", total, err)
		}
		must(w.s.CreatePlan(w.Context(), p, w.by))(w)
		w.tag(tagged, "type:csv", "") // it was there
		after := w.push("type:csv")
		made := w.become(w.runs(maker.ID)[0].ID, weft.Done).Outputs[0].Data // it was not
		w.projection()
		var got []weft.DataID
		for _, r := range w.runs(p.ID) {
			got = append(got, r.Inputs[0].Data)
		}
		if len(got) != 2 || !slices.Contains(got, after) || !slices.Contains(got, made) {
			w.Errorf("runs on %v; want %v and %v, not %v", got, after, made, before)
		}
	})
}

// Plans are registered while data come in from many sides: what the answer to a push came
// before, it precedes; what was begun after the answer to the registration, comes later.
func TestFromNowUnderWay(t *testing.T) {
	eachWorld(t, func(w *world) {
		const pushers, each = 4, 12
		var before, during []weft.DataID
		for range each {
			before = append(before, w.push("type:csv"))
		}
		var mu sync.Mutex
		var all sync.WaitGroup
		for range pushers {
			all.Go(func() {
				for range each {
					id := w.push("type:csv")
					mu.Lock()
					during = append(during, id)
					mu.Unlock()
				}
			})
		}
		p := w.define("type:csv -> type:model")
		p.FromNow = true
		must(w.s.CreatePlan(w.Context(), p, w.by))(w)
		all.Go(func() { _, _, _ = w.s.Project(w.Context(), 10) })
		all.Wait()
		after := w.push("type:csv")
		w.projection()
		v := must(w.s.Plan(w.Context(), w.project, p.ID))(w).Plan
		got := map[weft.DataID]bool{}
		for _, r := range w.runs(p.ID) {
			got[r.Inputs[0].Data] = true
		}
		for _, id := range before {
			if got[id] {
				w.Errorf("there is a run on %s, which was there", id)
			}
		}
		if !got[after] {
			w.Error("there is no run on what came later")
		}
		for _, id := range during {
			if d := w.data(id).Data; got[id] != (d.Epoch >= v.Since) {
				w.Errorf("data of epoch %d has a run: %v; the plan counts from %d", d.Epoch, got[id], v.Since)
			}
		}
	})
}
