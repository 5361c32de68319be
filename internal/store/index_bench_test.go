package store_test

import (
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/weft-dev/weft"
	"github.com/weft-dev/weft/internal/store"
	"github.com/weft-dev/weft/internal/store/storetest"
)

// benchPlan registers a plan; mounts are tags, those of the log last.
func benchPlan(b *testing.B, s *store.Store, project weft.ProjectID, name string, inputs int, log bool, outputs ...weft.Tags) weft.Plan {
	b.Helper()
	p := weft.Plan{ID: weft.NewID[weft.Plan](), Project: project, CreatedAt: time.Now().UTC(), Image: weft.Image{Repository: name, Tag: "v1"}, Active: true}
	for i := range inputs {
		p.Inputs = append(p.Inputs, weft.Input{Path: fmt.Sprint("/in/", i), Tags: benchTags(b, "never:made")})
	}
	for i, ts := range outputs {
		p.Outputs = append(p.Outputs, weft.Output{Path: fmt.Sprint("/out/", i), Tags: ts})
	}
	if log {
		p.Log = &weft.Log{Tags: benchTags(b, "type:log")}
	}
	v, err := s.CreatePlan(b.Context(), p.Normalize(), weft.NewID[weft.Principal]())
	if err != nil {
		b.Fatal(err)
	}
	return v.Plan
}

func benchTags(b *testing.B, texts ...string) weft.Tags {
	b.Helper()
	ts, err := weft.ParseTags(texts...)
	if err != nil {
		b.Fatal(err)
	}
	return ts
}

func benchProject(b *testing.B, s *store.Store) weft.ProjectID {
	b.Helper()
	p, err := s.DefaultProject(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	return p.ID
}

// layers makes runs that read two Data each of the layer before, and make two and a log.
// It returns the first Data, from which all come.
func layers(b *testing.B, s *store.Store, project weft.ProjectID, n int) weft.DataID {
	b.Helper()
	p := benchPlan(b, s, project, "layers", 2, true, benchTags(b, "type:model", "stage:one"), benchTags(b, "type:report"))
	root := weft.NewID[weft.Data]()
	if _, err := s.PushData(b.Context(), weft.Push{Project: project, Plan: weft.PlanUploaded, Run: weft.NewID[weft.Run](), Data: root, At: time.Now().UTC()}); err != nil {
		b.Fatal(err)
	}
	before, layer := []weft.DataID{root}, []weft.DataID(nil)
	runs := make([]weft.Run, n)
	for i := range runs {
		outs := []weft.DataID{weft.NewID[weft.Data](), weft.NewID[weft.Data](), weft.NewID[weft.Data]()}
		in := weft.Assignment{before[i%len(before)], before[(7*i+1)%len(before)]}
		if len(before) == 1 {
			in[1] = weft.NewID[weft.Data]() // so that combinations differ
		}
		runs[i] = weft.NewRun(p, weft.NewID[weft.Run](), in, outs, weft.Cause{Kind: weft.CauseProjection}, time.Now().UTC())
		if layer = append(layer, outs[0], outs[1]); len(layer) >= 2000 {
			before, layer = layer, nil
		}
	}
	if err := s.InsertRuns(b.Context(), p, runs); err != nil {
		b.Fatal(err)
	}
	return root
}

// The whole answer, of 25,000 runs and 75,000 data.
func BenchmarkLineage100k(b *testing.B) {
	storetest.Bench(b, func(b *testing.B, s *store.Store) {
		project := benchProject(b, s)
		q := weft.LineageQuery{Project: project, Start: layers(b, s, project, 25_000), Downstream: true}
		if err := s.LoadIndex(b.Context()); err != nil {
			b.Fatal(err)
		}
		b.ResetTimer()
		for range b.N {
			start := time.Now()
			if data, _, ok, err := s.WalkInMemory(b.Context(), q); err != nil || !ok || len(data) < 75_000 {
				b.Fatalf("%d data, %v, %v", len(data), ok, err)
			}
			b.ReportMetric(float64(time.Since(start).Microseconds())/1000, "walk-ms")
			l, err := s.Lineage(b.Context(), q)
			if err != nil || len(l.Data) < 75_000 {
				b.Fatalf("%d data, %v", len(l.Data), err)
			}
			b.ReportMetric(float64(time.Since(start).Microseconds())/1000, "answer-ms")
		}
	})
}

// The first 50 by two tags, each on 10 % of 100,000 Data.
func BenchmarkTwoTags(b *testing.B) {
	storetest.Bench(b, func(b *testing.B, s *store.Store) {
		project := benchProject(b, s)
		made := 0
		fill := func(n int, texts ...string) {
			p := benchPlan(b, s, project, fmt.Sprint("plan", made), 1, false, benchTags(b, texts...))
			runs := make([]weft.Run, n)
			for i := range runs {
				runs[i] = weft.NewRun(p, weft.NewID[weft.Run](), weft.Assignment{weft.NewID[weft.Data]()},
					[]weft.DataID{weft.NewID[weft.Data]()}, weft.Cause{Kind: weft.CauseProjection}, time.Now().UTC())
			}
			if err := s.InsertRuns(b.Context(), p, runs); err != nil {
				b.Fatal(err)
			}
			made += n
		}
		for _, pair := range []struct {
			name string
			both int
		}{{"few", 5}, {"many", 1000}} {
			one, two := pair.name+":1", pair.name+":2"
			fill(pair.both, one, two)
			fill(10_000-pair.both, one)
			fill(10_000-pair.both, two)
		}
		fill(100_000-made, "other:1")
		for _, name := range []string{"few", "many"} {
			q := weft.DataQuery{Project: project, Tags: benchTags(b, name+":1", name+":2"), Page: weft.Page{Limit: 50}}
			list := func(b *testing.B) {
				for range b.N {
					n := 0
					for _, err := range s.FindData(b.Context(), q) {
						if err != nil {
							b.Fatal(err)
						}
						n++
					}
					if want := map[string]int{"few": 5, "many": 50}[name]; n != want {
						b.Fatalf("%d data; want %d", n, want)
					}
				}
			}
			if err := s.LoadIndex(b.Context()); err != nil {
				b.Fatal(err)
			}
			b.Run(name, list)
		}
	})
}

// What the index costs: the memory it keeps, and how long after the start it answers.
// Each run has two inputs, two outputs with three tags and a log with one.
func BenchmarkIndexLoad(b *testing.B) {
	storetest.Bench(b, func(b *testing.B, s *store.Store) {
		layers(b, s, benchProject(b, s), *stored)
		b.ResetTimer()
		for range b.N {
			start := time.Now()
			if err := s.LoadIndex(b.Context()); err != nil {
				b.Fatal(err)
			}
			b.ReportMetric(time.Since(start).Seconds(), "load-s")
			var m runtime.MemStats
			runtime.GC()
			runtime.ReadMemStats(&m)
			b.ReportMetric(float64(m.HeapAlloc)/1e6, "heap-MB")
			runs, _, _, _ := s.IndexSize()
			b.ReportMetric(float64(runs), "runs")
		}
	})
}
