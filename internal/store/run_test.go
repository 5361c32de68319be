package store_test

import (
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/weft-dev/weft"
)

func TestLifeOfRun(t *testing.T) {
	eachWorld(t, func(w *world) {
		p := w.plan("type:csv -> type:model + type:report ! type:log")
		next := w.plan("type:model -> type:score")
		in := w.push("type:csv")
		if made := w.projection(); made != 1 {
			w.Fatalf("made %d runs, want 1", made)
		}
		r := w.runs(p.ID)[0]
		if r.Status != weft.Waiting || r.Rev != 1 || r.Attempt != 1 || r.Cause.Kind != weft.CauseProjection {
			w.Errorf("a new run is %+v", r)
		}
		if want := []weft.Bound{{Path: "/in/a", Data: in}}; !slices.Equal(r.Inputs, want) {
			w.Errorf("inputs are %v, want %v", r.Inputs, want)
		}
		if len(r.Outputs) != 2 || r.Log.IsZero() || r.Outputs[1].Path != "/out/b" {
			w.Errorf("outputs are %v, log %s", r.Outputs, r.Log)
		}
		born := w.data(r.Outputs[0].Data)
		if got := born.Data.AllTags().Strings(); !slices.Contains(got, "knit#transient:processing") || !slices.Contains(got, "type:model") {
			w.Errorf("the output is born with tags %v", got)
		}
		done := w.become(r.ID, weft.Done)
		if diff := cmp.Diff(done, w.run(r.ID), cmp.Comparer(weft.Tags.Equal)); diff != "" {
			w.Errorf("what was saved and what is read differ:\n%s", diff)
		}
		out := w.data(r.Outputs[0].Data)
		if !out.Data.Usable() || out.Data.Files != 2 || !out.Data.Timestamp.Equal(done.EndedAt.Truncate(time.Millisecond)) {
			w.Errorf("the output became %+v", out.Data)
		}
		if log := w.data(r.Log); !log.Data.Source.Log || log.Data.Source.Path != "/log" || !log.Data.Usable() {
			w.Errorf("the log became %+v", log.Data)
		}
		if made := w.projection(); made != 1 || len(w.runs(next.ID)) != 1 {
			w.Errorf("%d runs followed, want 1 of the next plan", made)
		}
		v := w.data(r.Outputs[0].Data)
		if len(v.Downstreams) != 1 || v.Downstreams[0].Run.Plan.ID != next.ID || len(v.Nominations) != 1 || v.Upstream.Run.ID != r.ID {
			w.Errorf("neighbours of the output: %d uses, %d nominations, made by %s", len(v.Downstreams), len(v.Nominations), v.Upstream.Run.ID)
		}
	})
}

func TestActiveTogglesRunsThatWait(t *testing.T) {
	eachWorld(t, func(w *world) {
		p := w.plan("type:csv -> type:model")
		for range 3 {
			w.push("type:csv")
		}
		w.projection()
		ready := w.become(w.runs(p.ID)[0].ID, weft.Ready)
		waiting := w.runs(p.ID, weft.Waiting)[0]
		set := func(active bool) {
			must(w.s.ChangePlan(w.Context(), w.project, p.ID, w.by, func(p *weft.Plan) error { p.Active = active; return nil }))(w)
		}
		set(false)
		if got := len(w.runs(p.ID, weft.Deactivated)); got != 2 {
			w.Errorf("%d runs are deactivated, want the 2 that waited", got)
		}
		if r := w.run(ready.ID); r.Status != weft.Ready {
			w.Errorf("a ready run became %s", r.Status)
		}
		if r := w.run(waiting.ID); !r.UpdatedAt.Equal(waiting.UpdatedAt) || r.Rev != waiting.Rev+1 {
			w.Errorf("deactivation changed the time %v to %v, rev %d to %d", waiting.UpdatedAt, r.UpdatedAt, waiting.Rev, r.Rev)
		}
		w.push("type:csv")
		w.projection()
		if got := len(w.runs(p.ID, weft.Deactivated)); got != 3 {
			w.Errorf("%d runs are deactivated, want 3: runs of an inactive plan are made, and rest", got)
		}
		if claimed := must(w.s.ClaimRuns(w.Context(), "a", time.Minute, 10, weft.Waiting))(w); len(claimed) != 0 {
			w.Errorf("%d runs that rest were claimed", len(claimed))
		}
		set(true)
		if claimed := must(w.s.ClaimRuns(w.Context(), "a", time.Minute, 10, weft.Waiting))(w); len(claimed) != 3 {
			w.Errorf("%d runs were claimed after activation, want 3", len(claimed))
		}
	})
}

func TestBuiltInPlansStayActive(t *testing.T) {
	eachWorld(t, func(w *world) {
		id := w.data(w.push("")).Upstream.Plan.ID
		_, err := w.s.ChangePlan(w.Context(), w.project, id, w.by, func(p *weft.Plan) error { p.Active = false; return nil })
		w.wantKind(err, weft.NotFound)
	})
}

func TestStop(t *testing.T) {
	eachWorld(t, func(w *world) {
		p := w.plan("type:csv -> type:model")
		w.push("type:csv")
		w.projection()
		id := w.runs(p.ID)[0].ID
		_, err := w.s.StopRun(w.Context(), w.project, id, weft.Stop{}, w.by)
		w.wantKind(err, weft.Conflict)
		w.become(id, weft.Running)
		v := must(w.s.StopRun(w.Context(), w.project, id, weft.Stop{}, w.by))(w)
		if v.Run.Status != weft.Completing || v.Run.Exit == nil || *v.Run.Exit != (weft.Exit{Code: 0, Message: "stopped by user"}) {
			w.Errorf("a stopped run is %s, %v", v.Run.Status, v.Run.Exit)
		}
		w.push("type:csv")
		w.projection()
		id = w.runs(p.ID, weft.Waiting)[0].ID
		v = must(w.s.StopRun(w.Context(), w.project, id, weft.Stop{Fail: true}, w.by))(w)
		if v.Run.Status != weft.Aborting || *v.Run.Exit != (weft.Exit{Code: 253, Message: "aborted by user"}) {
			w.Errorf("an aborted run is %s, %v", v.Run.Status, v.Run.Exit)
		}
		if claimed := must(w.s.ClaimRuns(w.Context(), "a", time.Minute, 10, weft.Completing, weft.Aborting))(w); len(claimed) != 2 {
			w.Errorf("%d stopped runs are due at once, want 2", len(claimed))
		}
	})
}

func TestRetry(t *testing.T) {
	eachWorld(t, func(w *world) {
		p := w.plan("type:csv -> type:model ! type:log")
		users := w.plan("type:model -> type:score")
		w.push("type:csv")
		w.projection()
		r := w.become(w.runs(p.ID)[0].ID, weft.Done)
		w.projection()
		user := w.runs(users.ID)[0]
		_, err := w.s.RetryRun(w.Context(), w.project, r.ID, w.by)
		w.wantKind(err, weft.Conflict) // while a run waits for its output
		if err := w.s.DeleteRun(w.Context(), w.project, user.ID, w.by); err != nil {
			w.Fatal("a waiting run cannot be deleted:", err)
		}
		if got := w.run(user.ID); got.Status != weft.Invalidated || !got.Outputs[0].Data.IsZero() {
			w.Errorf("a deleted run is %s with output %s", got.Status, got.Outputs[0].Data)
		}
		again := must(w.s.RetryRun(w.Context(), w.project, r.ID, w.by))(w).Run
		if again.Status != weft.Waiting || again.Attempt != 2 || again.Exit != nil || again.Cause.Kind != weft.CauseRetry || !again.Image.IsZero() {
			w.Errorf("a retried run is %+v", again)
		}
		if again.Outputs[0].Data == r.Outputs[0].Data || again.Log == r.Log {
			w.Error("a retried run kept the ids of its outputs")
		}
		_, err = w.s.Data(w.Context(), w.project, r.Outputs[0].Data)
		w.wantKind(err, weft.NotFound)
		_, err = w.s.Run(w.Context(), w.project, user.ID)
		w.wantKind(err, weft.NotFound) // the invalidated run went with its input
		if got := w.find(weft.DataQuery{Tags: w.tags("type:model")}); !slices.Equal(got, []weft.DataID{again.Outputs[0].Data}) {
			w.Errorf("by the output's tag %v is found, want the new output alone", got)
		}
		w.become(r.ID, weft.Done)
		if w.projection() != 1 {
			w.Error("the new output set off no run")
		}
	})
}

func TestRetryUnderInactivePlanRests(t *testing.T) {
	eachWorld(t, func(w *world) {
		p := w.plan("type:csv -> type:model")
		w.push("type:csv")
		w.projection()
		r := w.become(w.runs(p.ID)[0].ID, weft.Failed)
		must(w.s.ChangePlan(w.Context(), w.project, p.ID, w.by, func(p *weft.Plan) error { p.Active = false; return nil }))(w)
		if v := must(w.s.RetryRun(w.Context(), w.project, r.ID, w.by))(w); v.Run.Status != weft.Deactivated {
			w.Errorf("a run retried under an inactive plan is %s", v.Run.Status)
		}
	})
}

func TestDelete(t *testing.T) {
	eachWorld(t, func(w *world) {
		p := w.plan("type:csv -> type:model")
		in := w.push("type:csv")
		w.projection()
		made := w.data(in).Upstream.Run.ID
		r := w.runs(p.ID)[0]
		w.wantKind(w.s.DeleteRun(w.Context(), w.project, made, w.by), weft.Conflict) // a run waits for it
		w.become(r.ID, weft.Running)
		w.wantKind(w.s.DeleteRun(w.Context(), w.project, r.ID, w.by), weft.Conflict)
		w.become(r.ID, weft.Done)
		if err := w.s.DeleteRun(w.Context(), w.project, r.ID, w.by); err != nil {
			w.Fatal(err)
		}
		w.wantKind(w.s.DeleteRun(w.Context(), w.project, r.ID, w.by), weft.NotFound)
		_, err := w.s.RetryRun(w.Context(), w.project, r.ID, w.by)
		w.wantKind(err, weft.NotFound)
		_, err = w.s.StopRun(w.Context(), w.project, r.ID, weft.Stop{Fail: true}, w.by)
		w.wantKind(err, weft.Conflict)
		if uses := w.data(in).Downstreams; len(uses) != 0 {
			w.Errorf("a deleted run is shown as %d uses of its input", len(uses))
		}
		w.tag(in, "", "type:csv")
		w.tag(in, "type:csv", "")
		if n := w.projection(); n != 0 {
			w.Errorf("%d runs were made of a combination that was deleted", n)
		}
		if err := w.s.DeleteRun(w.Context(), w.project, made, w.by); err != nil {
			w.Fatal(err)
		}
		for _, id := range []weft.RunID{made, r.ID} {
			_, err := w.s.Run(w.Context(), w.project, id)
			w.wantKind(err, weft.NotFound)
		}
	})
}

func TestOtherProjectsSeeNothing(t *testing.T) {
	eachWorld(t, func(w *world) {
		p := w.plan("type:csv -> type:model")
		in := w.push("type:csv")
		w.projection()
		other, r := weft.NewID[weft.Project](), w.runs(p.ID)[0]
		_, err := w.s.Data(w.Context(), other, in)
		w.wantKind(err, weft.NotFound)
		_, err = w.s.Run(w.Context(), other, r.ID)
		w.wantKind(err, weft.NotFound)
		_, err = w.s.Plan(w.Context(), other, p.ID)
		w.wantKind(err, weft.NotFound)
		_, err = w.s.StopRun(w.Context(), other, r.ID, weft.Stop{Fail: true}, w.by)
		w.wantKind(err, weft.NotFound)
		w.wantKind(w.s.DeleteRun(w.Context(), other, r.ID, w.by), weft.NotFound)
		_, err = w.s.TagData(w.Context(), other, in, weft.TagChange{Add: w.tags("a:b")}, w.by)
		w.wantKind(err, weft.NotFound)
	})
}
