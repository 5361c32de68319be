package engine_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math"
	"sync/atomic"
	"testing"
	"time"

	"github.com/weft-dev/weft"
	"github.com/weft-dev/weft/internal/engine"
	"github.com/weft-dev/weft/internal/executor"
	"github.com/weft-dev/weft/internal/store"
	"github.com/weft-dev/weft/internal/store/storetest"
)

var stored = flag.Int("stored", 0, "how many runs the store holds before the benchmark begins")

// One operation is the life of one Run, from waiting to done: each transition and its
// event durable, an output and a log that are empty, an executor that does nothing.
// Run with -benchtime=20000x or more; the rate is in runs/s.
func BenchmarkLives(b *testing.B) {
	storetest.Bench(b, func(b *testing.B, s *store.Store) {
		project, by := benchProject(b, s)
		if *stored > 0 {
			storeRuns(b, s, project, by, *stored)
		}
		n := makeRuns(b, s, project, by, "lives", b.N)
		w := &void{most: int64(n), all: make(chan struct{})}
		e := engine.New(engine.Config{Store: s, Executor: executor.NewFake(executor.FakeOptions{NoOp: true}),
			Content: w, Images: shelf{}, Holder: "bench", InFlight: 1024, Starts: 64, Seals: 64})
		ctx, cancel := context.WithCancel(b.Context())
		ended := make(chan error, 1)
		b.ResetTimer()
		go func() { ended <- e.Run(ctx) }()
		<-w.all
		b.StopTimer()
		b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "runs/s")
		cancel()
		if err := <-ended; err != nil {
			b.Error(err)
		}
		counts, err := s.RunCounts(b.Context(), project)
		if err != nil || counts[weft.Done] < int64(n) {
			b.Errorf("of %d runs the store has %v; %v", n, counts, err)
		}
	})
}

func benchProject(b *testing.B, s *store.Store) (weft.ProjectID, weft.PrincipalID) {
	b.Helper()
	project, err := s.DefaultProject(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	admin, err := s.EnsureAdmin(b.Context(), [32]byte{1})
	if err != nil {
		b.Fatal(err)
	}
	return project.ID, admin.ID
}

// storeRuns fills the store with n Runs that are done, each with an output and a log.
func storeRuns(b *testing.B, s *store.Store, project weft.ProjectID, by weft.PrincipalID, n int) {
	b.Helper()
	p := weft.Plan{ID: weft.NewID[weft.Plan](), Project: project, CreatedAt: time.Now().UTC(), Active: true,
		Image: weft.Image{Repository: "lab/stored", Tag: "1"}, Inputs: []weft.Input{{Path: "/in", Tags: must(weft.ParseTags("stored:in"))}},
		Outputs: []weft.Output{{Path: "/out", Tags: must(weft.ParseTags("stored:out"))}}, Log: &weft.Log{}}.Normalize()
	if _, err := s.CreatePlan(b.Context(), p, by); err != nil {
		b.Fatal(err)
	}
	const atOnce = 2000
	for done := 0; done < n; done += atOnce {
		var runs []weft.Run
		var data []weft.Data
		for range min(atOnce, n-done) {
			at, outs := time.Now().UTC(), []weft.DataID{weft.NewID[weft.Data](), weft.NewID[weft.Data]()}
			r := weft.NewRun(p, weft.NewID[weft.Run](), weft.Assignment{weft.NewID[weft.Data]()}, outs, weft.Cause{Kind: weft.CauseProjection}, at)
			r.Status, r.StartedAt, r.EndedAt, r.Exit = weft.Done, at, at, &weft.Exit{}
			runs = append(runs, r)
			for nth, id := range outs {
				data = append(data, weft.Data{ID: id, Project: project, Timestamp: at, CreatedAt: at, Tree: weft.Digest{1},
					Source: weft.Source{Run: r.ID, Plan: p.ID, Status: r.Status, Path: "/out", Log: nth == 1}})
			}
		}
		if err := s.Import(b.Context(), runs, data); err != nil {
			b.Fatal(err)
		}
	}
}

// makeRuns has projection make at least n Runs of a Plan, which are as many as pairs
// of the Data it pushes.
func makeRuns(b *testing.B, s *store.Store, project weft.ProjectID, by weft.PrincipalID, name string, n int) int {
	b.Helper()
	sealEmpty(b, s)
	side := int(math.Ceil(math.Sqrt(float64(n))))
	tags := func(kind string) weft.Tags { return must(weft.ParseTags(name + ":" + kind)) }
	for i := range side {
		for _, kind := range []string{"left", "right"} {
			_, err := s.PushData(b.Context(), weft.Push{Project: project, By: by, Plan: weft.PlanUploaded, Run: weft.NewID[weft.Run](),
				Data: weft.NewID[weft.Data](), Tags: tags(kind), Tree: weft.Tree{Digest: weft.Digest{1, byte(i)}}, At: time.Now().UTC()})
			if err != nil {
				b.Fatal(err)
			}
		}
	}
	p := weft.Plan{ID: weft.NewID[weft.Plan](), Project: project, CreatedAt: time.Now().UTC(), Active: true, AllowRuns: math.MaxInt32,
		Image: weft.Image{Repository: "lab/" + name, Tag: "1"}, Inputs: []weft.Input{{Path: "/left", Tags: tags("left")}, {Path: "/right", Tags: tags("right")}},
		Outputs: []weft.Output{{Path: "/out", Tags: must(weft.ParseTags("made:by-" + name))}}, Log: &weft.Log{}}.Normalize()
	if _, err := s.CreatePlan(b.Context(), p, by); err != nil {
		b.Fatal(err)
	}
	made := 0
	for more := true; more; {
		var m int
		var err error
		if m, more, err = s.Project(b.Context(), 1000); err != nil {
			b.Fatal(err)
		}
		made += m
	}
	if made < n {
		b.Fatal(fmt.Errorf("%d runs were made of %d", made, n))
	}
	return made
}

// sealEmpty records the empty tree, which void gives to all outputs.
func sealEmpty(b *testing.B, s *store.Store) {
	b.Helper()
	tree, until := weft.Tree{Digest: weft.Manifest{}.Digest()}, time.Now().Add(24*time.Hour)
	_, err := s.Reserve(b.Context(), "bench", until, []weft.Blob{{Digest: tree.Digest}})
	if err == nil {
		err = errors.Join(s.Confirm(b.Context(), []weft.Digest{tree.Digest}), s.AddTree(b.Context(), "bench", until, tree, nil))
	}
	if err != nil {
		b.Fatal(err)
	}
}

// A void is a content store of empty trees that counts the Runs that have ended.
type void struct {
	most  int64
	ended atomic.Int64
	all   chan struct{}
}

func (*void) Close(context.Context, weft.Attempt) error { return nil }

func (*void) Seal(_ context.Context, r weft.Run) (map[weft.DataID]weft.Tree, []string, error) {
	trees := map[weft.DataID]weft.Tree{}
	for _, id := range r.OutputIDs() {
		trees[id] = weft.Tree{Digest: weft.Manifest{}.Digest()}
	}
	return trees, nil, nil
}

func (v *void) Discard(context.Context, weft.Attempt) error {
	if v.ended.Add(1) == v.most {
		close(v.all)
	}
	return nil
}

func (*void) Works(context.Context) ([]weft.Attempt, error) { return nil, nil }

func (*void) Room() error { return nil }
