package store_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/weft-dev/weft"
)

// seal has a Run end with its outputs sealed to trees of some bytes, one for each.
func (w *world) seal(id weft.RunID, s weft.Status, trees ...weft.Tree) weft.Run {
	w.Helper()
	r := w.run(id)
	for _, tree := range trees {
		w.content(tree)
	}
	before := weft.Completing
	if s == weft.Failed {
		before = weft.Aborting
	}
	r = w.become(id, before)
	next, err := r.To(s, time.Now().UTC())
	if err != nil {
		w.Fatal(err)
	}
	save := weft.Save{Run: next, Rev: r.Rev, Trees: map[weft.DataID]weft.Tree{}}
	for i, d := range r.OutputIDs() {
		save.Trees[d] = trees[min(i, len(trees)-1)]
	}
	if err := w.s.SaveRuns(w.Context(), []weft.Save{save})[0]; err != nil {
		w.Fatal(err)
	}
	return w.run(id)
}

// content makes content of as many bytes as the tree says, in one file of its own.
func (w *world) content(tree weft.Tree) {
	w.Helper()
	ctx, until := w.Context(), time.Now().Add(time.Hour)
	file := tree.Digest
	file[31]++
	must(w.s.Reserve(ctx, "test", until, []weft.Blob{{Digest: file, Size: tree.Bytes}, {Digest: tree.Digest}}))(w)
	if err := errors.Join(w.s.Confirm(ctx, []weft.Digest{file, tree.Digest}), w.s.AddTree(ctx, "test", until, tree, []weft.Digest{file})); err != nil {
		w.Fatal(err)
	}
}

func sized(n byte, bytes int64) weft.Tree {
	return weft.Tree{Digest: weft.Digest{n}, Files: 1, Bytes: bytes}
}

func TestRemoveCascade(t *testing.T) {
	eachWorld(t, func(w *world) {
		first := w.plan("type:csv -> type:model")
		second := w.plan("type:model -> type:score")
		both := w.plan("type:model + type:score -> type:report")
		w.push("type:csv")
		w.projection()
		root := w.seal(w.runs(first.ID)[0].ID, weft.Done, sized(1, 1000))
		w.projection()
		mid := w.seal(w.runs(second.ID)[0].ID, weft.Done, sized(2, 200))
		w.projection()
		leaf := w.become(w.runs(both.ID)[0].ID, weft.Running)

		_, err := w.s.RemoveCascade(w.Context(), w.project, root.ID, true, w.by)
		w.wantKind(err, weft.Conflict) // the leaf is running
		if !strings.Contains(err.Error(), leaf.ID.String()) {
			w.Errorf("%v does not name what is running", err)
		}
		w.seal(leaf.ID, weft.Failed, sized(3, 30))
		would := must(w.s.RemoveCascade(w.Context(), w.project, root.ID, true, w.by))(w)
		if got := ids(would.Runs); !slices.Equal(got, []weft.RunID{leaf.ID, mid.ID, root.ID}) {
			w.Errorf("would remove %v, want the leaf, the middle, the root", got)
		}
		if would.Data != 3 || would.Bytes != 1230 || would.Freed != 1230 {
			w.Errorf("would remove %d data, %d bytes, of which %d come free", would.Data, would.Bytes, would.Freed)
		}
		w.run(leaf.ID) // a dry run removes nothing
		must(w.s.RemoveCascade(w.Context(), w.project, root.ID, false, w.by))(w)
		if got := w.run(root.ID); got.Status != weft.Invalidated {
			w.Errorf("the root is %s", got.Status)
		}
		for _, id := range []weft.RunID{mid.ID, leaf.ID} {
			_, err := w.s.Run(w.Context(), w.project, id)
			w.wantKind(err, weft.NotFound) // they went with their inputs
		}
		_, err = w.s.RemoveCascade(w.Context(), w.project, root.ID, false, w.by)
		w.wantKind(err, weft.NotFound)
	})
}

func ids(views []weft.RunView) []weft.RunID {
	var out []weft.RunID
	for _, v := range views {
		out = append(out, v.Run.ID)
	}
	return out
}

func TestWhatOthersHoldDoesNotComeFree(t *testing.T) {
	eachWorld(t, func(w *world) {
		p := w.plan("type:csv -> type:model")
		w.push("type:csv")
		w.push("type:csv")
		w.projection()
		runs := w.runs(p.ID)
		same := sized(1, 1000)
		a := w.seal(runs[0].ID, weft.Done, same)
		b := w.seal(runs[1].ID, weft.Done, same) // of equal content
		would := must(w.s.Purge(w.Context(), w.project, []weft.DataID{a.Outputs[0].Data}, true, w.by))(w)
		if would.Bytes != 1000 || would.Freed != 0 {
			w.Errorf("of one of two equal data %d of %d bytes would come free", would.Freed, would.Bytes)
		}
		would = must(w.s.Purge(w.Context(), w.project, []weft.DataID{a.Outputs[0].Data, b.Outputs[0].Data}, true, w.by))(w)
		if would.Bytes != 2000 || would.Freed != 1000 {
			w.Errorf("of both %d of %d bytes would come free", would.Freed, would.Bytes)
		}
	})
}

func TestPurge(t *testing.T) {
	eachWorld(t, func(w *world) {
		first := w.plan("type:csv -> type:model")
		second := w.plan("type:model -> type:score")
		w.push("type:csv")
		w.projection()
		root := w.seal(w.runs(first.ID)[0].ID, weft.Done, sized(1, 1000))
		model := root.Outputs[0].Data
		w.projection()
		user := w.runs(second.ID)[0]
		w.become(user.ID, weft.Running)
		kept := must(w.s.Purge(w.Context(), w.project, []weft.DataID{model, user.Outputs[0].Data}, false, w.by))(w)
		if len(kept.Data) != 0 || len(kept.Kept) != 2 {
			w.Errorf("what is being read and made: %+v", kept)
		}
		w.seal(user.ID, weft.Done, sized(2, 200))
		third := w.plan("type:model -> type:other")
		w.projection()
		gone := must(w.s.Purge(w.Context(), w.project, []weft.DataID{model, model}, false, w.by))(w)
		if len(gone.Data) != 1 || gone.Freed != 1000 || !slices.Equal(gone.Waiting, []weft.RunID{w.runs(third.ID)[0].ID}) {
			w.Errorf("purged is %+v", gone)
		}
		v := w.data(model)
		if v.Data.Purged.IsZero() || !v.Data.Tree.IsZero() || v.Data.Usable() || !v.Data.Tags.Has(w.tags("type:model")[0]) || len(v.Downstreams) != 2 || len(v.Nominations) != 0 {
			w.Errorf("a purged data is %+v", v)
		}
		for _, tag := range v.Data.AllTags() {
			if tag.Key() == weft.KeyTransient { // knit refuses values of it that it does not know
				w.Errorf("it has the tag %s", tag)
			}
		}
		if got := w.find(weft.DataQuery{Tags: w.tags("type:model")}); !slices.Equal(got, []weft.DataID{model}) {
			w.Errorf("by its tag %v is found", got)
		}
		w.plan("type:model -> type:late")
		w.tag(model, "type:csv", "")
		if n := w.projection(); n != 0 {
			w.Errorf("%d new runs would read what is purged", n)
		}
		w.become(w.runs(third.ID)[0].ID, weft.Failed)
		_, err := w.s.RetryRun(w.Context(), w.project, w.runs(third.ID)[0].ID, w.by)
		w.wantKind(err, weft.Conflict) // its input is gone
		if again := must(w.s.Purge(w.Context(), w.project, []weft.DataID{model}, false, w.by))(w); len(again.Data) != 0 {
			w.Errorf("purged again is %+v", again)
		}
		_, err = w.s.Purge(w.Context(), weft.NewID[weft.Project](), []weft.DataID{model}, true, w.by)
		w.wantKind(err, weft.NotFound)
	})
}

// Where what is purged was shared, it matches no more either, and nobody is told of the
// runs there.
func TestPurgeOfWhatIsShared(t *testing.T) {
	eachWorld(t, func(w *world) {
		vision := w.neighbour("vision")
		older, newer := w.push("type:csv"), w.push("type:csv")
		w.share(older, vision)
		w.share(newer, vision)
		latest := vision.define("type:csv -> type:report")
		latest.Inputs[0].Latest.On = true
		must(w.s.CreatePlan(w.Context(), latest, w.by))(w)
		w.projection()
		if runs := vision.runs(latest.ID); len(runs) != 1 || runs[0].Inputs[0].Data != newer {
			w.Fatalf("runs there are %+v", runs)
		}
		gone := must(w.s.Purge(w.Context(), w.project, []weft.DataID{newer}, false, w.by))(w)
		if len(gone.Data) != 1 || len(gone.Waiting) != 0 {
			w.Errorf("purged is %+v", gone)
		}
		if n := w.projection(); n != 1 {
			w.Errorf("%d runs were made of the one before it; want 1", n)
		}
	})
}

func TestRunsRememberTheirAttempts(t *testing.T) {
	eachWorld(t, func(w *world) {
		p := w.plan("type:csv -> type:model ! type:log")
		w.projection()
		in := w.push("type:csv")
		w.projection()
		r := w.runs(p.ID)[0]
		if r.Cause != (weft.Cause{Kind: weft.CauseProjection, By: w.by, Data: in}) {
			w.Errorf("the cause of a run is %+v, want the data %s, by %s", r.Cause, in, w.by)
		}
		first := w.seal(r.ID, weft.Failed, sized(1, 10), sized(2, 20))
		must(w.s.RetryRun(w.Context(), w.project, r.ID, w.by))(w)
		w.seal(r.ID, weft.Done, sized(3, 30), sized(4, 40))
		v := must(w.s.Run(w.Context(), w.project, r.ID))(w)
		if len(v.Past) != 1 || v.By == "" {
			w.Fatalf("remembered is %+v, by %q", v.Past, v.By)
		}
		past := v.Past[0]
		if past.Number != 1 || past.Status != weft.Failed || past.Outputs[0] != first.Outputs[0] || past.Log != first.Log || past.LogTree != sized(2, 20).Digest || past.Cause != r.Cause {
			w.Errorf("the first attempt is remembered as %+v", past)
		}
		blobs, trees, err := w.s.Doom(w.Context(), 0, 100)
		_ = blobs
		if err != nil || slices.Contains(trees, past.LogTree) {
			w.Errorf("the log of an attempt is collected: %v, %v", trees, err)
		}
	})
}

func TestAPlanThatIsRegisteredCausesItsRuns(t *testing.T) {
	eachWorld(t, func(w *world) {
		w.push("type:csv")
		w.projection()
		p := w.plan("type:csv -> type:model")
		w.projection()
		if got := w.runs(p.ID)[0].Cause; got != (weft.Cause{Kind: weft.CauseProjection, By: w.by, Plan: p.ID}) {
			w.Errorf("the cause is %+v", got)
		}
	})
}

func TestPushesWithOneKeyAreOne(t *testing.T) {
	eachWorld(t, func(w *world) {
		push := func(key string, tree weft.Digest) (weft.DataView, error) {
			return w.s.PushData(w.Context(), weft.Push{Project: w.project, By: w.by, Plan: weft.PlanUploaded, Run: weft.NewID[weft.Run](), Data: weft.NewID[weft.Data](),
				Tags: w.tags("type:csv"), Tree: weft.Tree{Digest: tree, Files: 1, Bytes: 10}, At: time.Now(), Key: key})
		}
		first := must(push("a", weft.Digest{7}))(w)
		if again := must(push("a", weft.Digest{7}))(w); again.Data.ID != first.Data.ID {
			w.Error("the push was recorded twice")
		}
		if other := must(push("b", weft.Digest{7}))(w); other.Data.ID == first.Data.ID {
			w.Error("another key is the same push")
		}
		_, err := push("a", weft.Digest{8})
		w.wantKind(err, weft.Conflict)
		if err := w.s.DeleteRun(w.Context(), w.project, first.Data.Source.Run, w.by); err != nil {
			w.Fatal(err)
		}
		if later := must(push("a", weft.Digest{7}))(w); later.Data.ID == first.Data.ID {
			w.Error("what was removed is given again")
		}
	})
}
