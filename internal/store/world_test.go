package store_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/weft-dev/weft"
	"github.com/weft-dev/weft/internal/store"
	"github.com/weft-dev/weft/internal/store/storetest"
)

// A world is a Store with a project, spoken to in the words of the domain.
type world struct {
	*testing.T
	s       *store.Store
	project weft.ProjectID
	by      weft.PrincipalID
	plans   int
}

// eachWorld runs test on every database, with a world of its own.
func eachWorld(t *testing.T, test func(w *world)) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, s *store.Store) { test(newWorld(t, s)) })
}

func newWorld(t *testing.T, s *store.Store) *world {
	t.Helper()
	p, err := s.DefaultProject(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	by, err := s.EnsureAdmin(t.Context(), [32]byte{1})
	if err != nil {
		t.Fatal(err)
	}
	return &world{T: t, s: s, project: p.ID, by: by.ID}
}

// must gives up the test on an error.
func must[V any](v V, err error) func(w *world) V {
	return func(w *world) V {
		w.Helper()
		if err != nil {
			w.Fatal(err)
		}
		return v
	}
}

func (w *world) tags(texts string) weft.Tags {
	w.Helper()
	var list []string
	for text := range strings.SplitSeq(texts, ",") {
		if text = strings.TrimSpace(text); text != "" {
			list = append(list, text)
		}
	}
	return must(weft.ParseTags(list...))(w)
}

// define makes a valid Plan of a text like "type:csv, lang:en + type:model -> type:report ! type:log":
// inputs, outputs and the tags of the log. It is not registered.
func (w *world) define(text string) weft.Plan {
	w.Helper()
	w.plans++
	text, log, hasLog := strings.Cut(text, "!")
	ins, outs, _ := strings.Cut(text, "->")
	image := must(weft.ParseImage("registry.test/image:v" + string(rune('a'+w.plans%26)) + time.Duration(w.plans).String()))(w)
	p := weft.Plan{ID: weft.NewID[weft.Plan](), Project: w.project, Image: image, Active: true, CreatedAt: time.Now()}
	for i, tags := range strings.Split(ins, " + ") {
		p.Inputs = append(p.Inputs, weft.Input{Path: "/in/" + string(rune('a'+i)), Tags: w.tags(tags)})
	}
	if strings.TrimSpace(outs) != "" {
		for i, tags := range strings.Split(outs, " + ") {
			p.Outputs = append(p.Outputs, weft.Output{Path: "/out/" + string(rune('a'+i)), Tags: w.tags(tags)})
		}
	}
	if hasLog {
		p.Log = &weft.Log{Tags: w.tags(log)}
	}
	p = p.Normalize()
	if err := p.Validate(); err != nil {
		w.Fatal(err)
	}
	return p
}

// plan registers what define makes.
func (w *world) plan(text string) weft.Plan {
	w.Helper()
	return must(w.s.CreatePlan(w.Context(), w.define(text), w.by))(w).Plan
}

// push brings in a Data with tags.
func (w *world) push(tags string) weft.DataID {
	w.Helper()
	v := must(w.s.PushData(w.Context(), weft.Push{
		Project: w.project, By: w.by, Plan: weft.PlanUploaded, Run: weft.NewID[weft.Run](), Data: weft.NewID[weft.Data](),
		Tags: w.tags(tags), Tree: weft.Tree{Digest: weft.Digest{7}, Files: 1, Bytes: 10}, At: time.Now(),
	}))(w)
	return v.Data.ID
}

// tag adds tags to a Data, and those after a minus are taken away.
func (w *world) tag(id weft.DataID, add, remove string) weft.DataView {
	w.Helper()
	return must(w.s.TagData(w.Context(), w.project, id, weft.TagChange{Add: w.tags(add), Remove: w.tags(remove)}, w.by))(w)
}

// projection makes all Runs that can be made.
func (w *world) projection() int {
	w.Helper()
	made := 0
	for more := true; more; {
		var n int
		var err error
		if n, more, err = w.s.Project(w.Context(), 1000); err != nil {
			w.Fatal(err)
		}
		made += n
	}
	return made
}

// runs returns the Runs of a Plan, the oldest first.
func (w *world) runs(p weft.PlanID, statuses ...weft.Status) []weft.Run {
	w.Helper()
	var runs []weft.Run
	for v, err := range w.s.FindRuns(w.Context(), weft.RunQuery{Project: w.project, Plans: []weft.PlanID{p}, Statuses: statuses}) {
		if err != nil {
			w.Fatal(err)
		}
		runs = append(runs, v.Run)
	}
	return runs
}

func (w *world) run(id weft.RunID) weft.Run {
	w.Helper()
	return must(w.s.Run(w.Context(), w.project, id))(w).Run
}

func (w *world) data(id weft.DataID) weft.DataView {
	w.Helper()
	return must(w.s.Data(w.Context(), w.project, id))(w)
}

// find returns the ids of the Data that q selects.
func (w *world) find(q weft.DataQuery) []weft.DataID {
	w.Helper()
	q.Project = w.project
	var ids []weft.DataID
	for v, err := range w.s.FindData(w.Context(), q) {
		if err != nil {
			w.Fatal(err)
		}
		ids = append(ids, v.Data.ID)
	}
	return ids
}

// become takes a Run to a status by the shortest way and saves each step.
func (w *world) become(id weft.RunID, to weft.Status) weft.Run {
	w.Helper()
	ways := map[weft.Status][]weft.Status{
		weft.Ready:      {weft.Ready},
		weft.Starting:   {weft.Ready, weft.Starting},
		weft.Running:    {weft.Ready, weft.Starting, weft.Running},
		weft.Completing: {weft.Ready, weft.Starting, weft.Running, weft.Completing},
		weft.Done:       {weft.Ready, weft.Starting, weft.Running, weft.Completing, weft.Done},
		weft.Aborting:   {weft.Aborting},
		weft.Failed:     {weft.Aborting, weft.Failed},
	}
	r := w.run(id)
	way := ways[to]
	for len(way) > 0 && !r.Status.CanBecome(way[0]) {
		way = way[1:]
	}
	for _, status := range way {
		r = w.save(r, status)
	}
	return r
}

// save takes a Run one step on.
func (w *world) save(r weft.Run, to weft.Status) weft.Run {
	w.Helper()
	next := must(r.To(to, time.Now().UTC().Truncate(time.Microsecond)))(w)
	trees := map[weft.DataID]weft.Tree{}
	if to == weft.Done || to == weft.Failed {
		for _, id := range r.OutputIDs() {
			trees[id] = w.tree(len(trees) + 1)
		}
	}
	if err := w.s.SaveRuns(w.Context(), []weft.Save{{Run: next, Rev: r.Rev, Trees: trees}})[0]; err != nil {
		w.Fatal(err)
	}
	return next
}

// tree seals the nth of some directories.
func (w *world) tree(nth int) weft.Tree {
	w.Helper()
	tree := weft.Tree{Digest: weft.Digest{byte(nth)}, Files: 2, Bytes: 20}
	ctx, until := w.Context(), time.Now().Add(time.Hour)
	must(w.s.Reserve(ctx, "test", until, []weft.Blob{{Digest: tree.Digest}}))(w)
	if err := errors.Join(w.s.Confirm(ctx, []weft.Digest{tree.Digest}), w.s.AddTree(ctx, "test", until, tree, nil)); err != nil {
		w.Fatal(err)
	}
	return tree
}

// wantKind fails the test unless err is of a kind.
func (w *world) wantKind(err error, kind weft.Kind) {
	w.Helper()
	if weft.KindOf(err) != kind {
		w.Errorf("got error %q of kind %q, want one of kind %q", err, weft.KindOf(err), kind)
	}
}
