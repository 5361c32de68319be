package store_test

import (
	"slices"
	"testing"

	"github.com/weft-dev/weft"
)

// neighbour is another project of the same world, seen by the same people.
func (w *world) neighbour(name string) *world {
	w.Helper()
	p := must(w.s.CreateProject(w.Context(), name, w.by))(w)
	n := *w
	n.project = p.ID
	return &n
}

func (w *world) share(id weft.DataID, with *world) {
	w.Helper()
	if err := w.s.ShareData(w.Context(), w.project, id, with.self(), w.by); err != nil {
		w.Fatal(err)
	}
}

func (w *world) unshare(id weft.DataID, from *world) {
	w.Helper()
	if err := w.s.UnshareData(w.Context(), w.project, id, from.self(), w.by); err != nil {
		w.Fatal(err)
	}
}

func (w *world) self() weft.Project {
	w.Helper()
	return must(w.s.ProjectByID(w.Context(), w.project))(w)
}

// What is shared matches in the other project, by its tags as they are, together with what
// that has of its own; and nothing else of the owner does.
func TestSharedDataMatch(t *testing.T) {
	eachWorld(t, func(w *world) {
		vision := w.neighbour("vision")
		train := vision.plan("type:csv + type:model -> type:report")
		shared, hidden := w.push("type:csv"), w.push("type:csv")
		vision.push("type:model")
		if n := w.projection(); n != 0 {
			w.Errorf("%d runs were made of data of another project", n)
		}
		w.share(shared, vision)
		w.share(shared, vision) // again is no error
		if n := w.projection(); n != 1 {
			w.Errorf("%d runs were made of what is shared; want 1", n)
		}
		r := vision.runs(train.ID)[0]
		if r.Inputs[0].Data != shared || r.Project != vision.project {
			w.Errorf("the run reads %v", r.Inputs)
		}
		w.tag(hidden, "type:model", "") // of the owner only
		w.tag(shared, "type:model", "")
		if n := w.projection(); n != 1 { // with itself
			w.Errorf("%d runs were made of another tag of what is shared; want 1", n)
		}
		w.tag(shared, "", "type:csv,type:model")
		vision.push("type:model")
		if n := w.projection(); n != 0 {
			w.Errorf("%d runs were made of tags that are gone", n)
		}
	})
}

// A share counts from when it was given, for plans that take what comes later.
func TestSharedDataComeLater(t *testing.T) {
	eachWorld(t, func(w *world) {
		vision := w.neighbour("vision")
		early, late := w.push("type:csv"), w.push("type:csv")
		w.share(early, vision)
		p := vision.define("type:csv -> type:report")
		p.FromNow = true
		must(w.s.CreatePlan(w.Context(), p, w.by))(w)
		w.share(late, vision)
		w.projection()
		if runs := vision.runs(p.ID); len(runs) != 1 || runs[0].Inputs[0].Data != late {
			w.Errorf("runs: %v; want one of what was shared after the plan was registered", runs)
		}
	})
}

// The latest may be shared, and steps back when the share is taken back.
func TestLatestIsShared(t *testing.T) {
	eachWorld(t, func(w *world) {
		vision := w.neighbour("vision")
		p := vision.define("type:csv -> type:report")
		p.Inputs[0].Latest.On = true
		must(w.s.CreatePlan(w.Context(), p, w.by))(w)
		own := vision.push("type:csv")
		shared := w.push("type:csv")
		w.share(shared, vision)
		w.projection()
		if runs := vision.runs(p.ID); len(runs) != 1 || runs[0].Inputs[0].Data != shared {
			w.Fatalf("runs: %v; want one of the shared data, which is newer", runs)
		}
		w.unshare(shared, vision)
		w.projection()
		runs := vision.runs(p.ID)
		if len(runs) != 2 || !slices.ContainsFunc(runs, func(r weft.Run) bool { return r.Inputs[0].Data == own }) {
			w.Errorf("runs: %v; want another one of the project's own data", runs)
		}
	})
}

func TestSharedDataAreSeen(t *testing.T) {
	eachWorld(t, func(w *world) {
		vision := w.neighbour("vision")
		w.tree(7) // whose digest is that of what push brings in
		id, hidden := w.push("type:csv"), w.push("type:csv")
		sees := func(want bool) {
			w.Helper()
			_, err := w.s.Data(w.Context(), vision.project, id)
			if (err == nil) != want {
				w.Errorf("read: %v", err)
			}
			for _, tags := range []string{"", "type:csv", "knit#id:" + id.String()} {
				if found := vision.find(weft.DataQuery{Tags: w.tags(tags)}); slices.Contains(found, id) != want || slices.Contains(found, hidden) {
					w.Errorf("a list of [%s] has %v", tags, found)
				}
			}
			if got, err := w.s.HasTree(w.Context(), vision.project, weft.Digest{7}); err != nil || got != want {
				w.Errorf("the tree can be referred to: %v (%v)", got, err)
			}
			if _, err := w.s.TagData(w.Context(), vision.project, id, weft.TagChange{Add: w.tags("a:b")}, w.by); (weft.KindOf(err) == weft.Forbidden) != want || err == nil {
				w.Errorf("tagging gives %v", err)
			}
		}
		sees(false)
		w.share(id, vision)
		sees(true)
		if err := w.s.LoadIndex(w.Context()); err != nil {
			w.Fatal(err)
		}
		sees(true)
		v := vision.data(id)
		if v.From == nil || v.From.Name != weft.DefaultProject || !v.Upstream.Run.ID.IsZero() || !v.Upstream.Run.Project.IsZero() || v.Upstream.Plan.Name != weft.PlanShared {
			w.Errorf("what made the data is seen abroad: %+v", v.Upstream)
		}
		if v := w.data(id); len(v.To) != 1 || v.To[0].ID != vision.project || v.From != nil {
			w.Errorf("at home it is shared with %v", v.To)
		}
		if grants := must(w.s.Grants(w.Context(), vision.project, id))(w); len(grants) != 1 || grants[0].From.ID != w.project {
			w.Errorf("grants: %+v", grants)
		}
		w.unshare(id, vision)
		sees(false)
		w.wantKind(w.s.UnshareData(w.Context(), w.project, id, vision.self(), w.by), weft.NotFound)
	})
}

// Each project sees of a lineage that crosses the border its own side, and the Data in between.
func TestLineageAcrossTheBorder(t *testing.T) {
	eachWorld(t, func(w *world) {
		vision := w.neighbour("vision")
		clean := w.plan("type:raw -> type:csv")
		train := vision.plan("type:csv -> type:model")
		raw := w.push("type:raw")
		w.projection()
		made := w.become(w.runs(clean.ID)[0].ID, weft.Done).Outputs[0].Data
		w.share(made, vision)
		w.projection()
		model := vision.become(vision.runs(train.ID)[0].ID, weft.Done).Outputs[0].Data
		look := func(w *world, start weft.DataID) (data, runs int) {
			l := must(w.s.Lineage(w.Context(), weft.LineageQuery{Project: w.project, Start: start, Upstream: true, Downstream: true}))(w)
			for _, d := range l.Data {
				if d.Project != w.project && (!d.Source.Run.IsZero() || !d.Source.Plan.IsZero()) {
					w.Errorf("data of another project tell what made them: %+v", d.Source)
				}
			}
			return len(l.Data), len(l.Runs)
		}
		check := func() {
			w.Helper()
			if data, runs := look(vision, model); data != 2 || runs != 1 {
				w.Errorf("abroad, %d data and %d runs are seen; want 2 and 1", data, runs)
			}
			if data, runs := look(w, raw); data != 2 || runs != 2 {
				w.Errorf("at home, %d data and %d runs are seen; want 2 and 2", data, runs)
			}
		}
		check()
		if err := w.s.LoadIndex(w.Context()); err != nil {
			w.Fatal(err)
		}
		check()
		if uses := w.data(made).Downstreams; len(uses) != 0 {
			w.Errorf("uses in another project are seen: %v", uses)
		}
		w.wantKind(w.s.DeleteRun(w.Context(), w.project, w.runs(clean.ID)[0].ID, w.by), weft.Conflict)
		w.unshare(made, vision)
		check() // the lineage stays
		l := must(w.s.Lineage(w.Context(), weft.LineageQuery{Project: vision.project, Start: model, Upstream: true}))(w)
		for _, d := range l.Data {
			if d.ID == made && len(d.Tags) > 0 {
				w.Errorf("the tags of what is not shared any more are seen: %v", d.Tags)
			}
		}
		if _, err := w.s.Lineage(w.Context(), weft.LineageQuery{Project: vision.project, Start: made, Upstream: true}); weft.KindOf(err) != weft.NotFound {
			w.Errorf("the lineage of what is not shared any more: %v", err)
		}
	})
}

// Taking a share back fails what has not started and leaves the rest.
func TestUnshare(t *testing.T) {
	eachWorld(t, func(w *world) {
		vision := w.neighbour("vision")
		id := w.push("type:csv")
		w.share(id, vision)
		var runs []weft.RunID
		for _, text := range []string{"type:csv -> type:a", "type:csv -> type:b", "type:csv -> type:c", "type:csv -> type:d"} {
			p := vision.plan(text)
			w.projection()
			runs = append(runs, vision.runs(p.ID)[0].ID)
		}
		vision.become(runs[1], weft.Ready)
		vision.become(runs[2], weft.Running)
		vision.become(runs[3], weft.Done)
		w.unshare(id, vision)
		for i, want := range []weft.Status{weft.Aborting, weft.Aborting, weft.Running, weft.Done} {
			r := vision.run(runs[i])
			if r.Status != want {
				w.Errorf("a run is %s, want %s", r.Status, want)
			}
			if want == weft.Aborting && (r.Exit == nil || r.Exit.Message != "data "+id.String()+" is not shared with this project any more") {
				w.Errorf("it does not tell why: %+v", r.Exit)
			}
		}
		_, err := w.s.RetryRun(w.Context(), vision.project, runs[3], w.by)
		w.wantKind(err, weft.Conflict)
		if n := w.projection(); n != 0 {
			w.Errorf("%d runs were made of what is not shared any more", n)
		}
	})
}

func TestSharingRefusals(t *testing.T) {
	eachWorld(t, func(w *world) {
		vision := w.neighbour("vision")
		p := w.plan("type:csv -> type:model")
		id := w.push("type:csv")
		w.projection()
		making := w.runs(p.ID)[0].Outputs[0].Data
		w.wantKind(w.s.ShareData(w.Context(), w.project, making, vision.self(), w.by), weft.Conflict)
		w.wantKind(w.s.ShareData(w.Context(), w.project, id, w.self(), w.by), weft.Invalid)
		w.wantKind(w.s.ShareData(w.Context(), vision.project, id, w.self(), w.by), weft.NotFound)
		w.share(id, vision)
		third := w.neighbour("third")
		w.wantKind(w.s.ShareData(w.Context(), vision.project, id, third.self(), w.by), weft.Forbidden) // it is not theirs to pass on
	})
}
