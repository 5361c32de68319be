package store_test

import (
	"context"
	"flag"
	"fmt"
	"iter"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/weft-dev/weft"
	"github.com/weft-dev/weft/internal/store"
	"github.com/weft-dev/weft/internal/store/storetest"
)

var stored = flag.Int("stored", 1_000_000, "how many runs, and as many data, a benchmark of the store begins with")

// A crowd is a Store that holds many Runs.
type crowd struct {
	s       *store.Store
	project weft.ProjectID
	plans   []weft.Plan   // each with two inputs and an output
	pushed  []weft.DataID // first inputs; each fits one plan's
	popular []weft.DataID // second inputs, of very many runs
	runs    []weft.RunID
	outputs []weft.DataID
	tenth   weft.Tags // a tag that a tenth of the outputs have
}

const (
	crowdPlans   = 100
	crowdPopular = 10
)

// eachCrowd runs bench on every database, with *stored runs in it.
func eachCrowd(b *testing.B, bench func(b *testing.B, c *crowd)) {
	storetest.Bench(b, func(b *testing.B, s *store.Store) {
		c := &crowd{s: s, project: benchProject(b, s), tenth: benchTags(b, "tenth:yes")}
		begun := time.Now()
		c.fill(b, *stored)
		b.Logf("%d runs stored in %v", *stored, time.Since(begun).Round(time.Second))
		runtime.GC()
		bench(b, c)
	})
}

// BenchmarkStore measures the figures that the design promises of the Store.
func BenchmarkStore(b *testing.B) {
	eachCrowd(b, func(b *testing.B, c *crowd) {
		b.Run("list", func(b *testing.B) { benchListRuns(b, c) })
		b.Run("stream", func(b *testing.B) { benchStreamAll(b, c) })
		b.Run("project", func(b *testing.B) { benchProduct(b, c) })
		b.Run("life", func(b *testing.B) { benchLife(b, c) })
		b.Run("register", func(b *testing.B) { benchRegister(b, c) })
	})
}

func (c *crowd) upload(b *testing.B, tags ...string) weft.DataID {
	b.Helper()
	id := weft.NewID[weft.Data]()
	_, err := c.s.PushData(b.Context(), weft.Push{Project: c.project, Plan: weft.PlanUploaded, Run: weft.NewID[weft.Run](), Data: id,
		Tags: benchTags(b, tags...), Tree: weft.Tree{Digest: weft.Digest{1}, Files: 1, Bytes: 1}, At: time.Now().UTC()})
	if err != nil {
		b.Fatal(err)
	}
	return id
}

// fill makes n runs, most of them done, of many plans, in the order of their times.
func (c *crowd) fill(b *testing.B, n int) {
	b.Helper()
	for i := range crowdPlans {
		c.plans = append(c.plans, benchPlan(b, c.s, c.project, fmt.Sprint("crowd", i), 2, false, benchTags(b, "type:model", fmt.Sprint("of:", i))))
	}
	for range crowdPopular {
		c.popular = append(c.popular, c.upload(b, "type:popular"))
	}
	for range max(1, n/crowdPlans/crowdPopular) {
		c.pushed = append(c.pushed, c.upload(b, "type:csv"))
	}
	begin := time.Now().UTC().Add(-time.Duration(n) * 100 * time.Millisecond)
	for at := 0; at < n; at += 2000 {
		var runs []weft.Run
		var data []weft.Data
		for i := at; i < min(n, at+2000); i++ {
			r, d := c.made(i, begin.Add(time.Duration(i)*100*time.Millisecond))
			runs, data = append(runs, r), append(data, d)
			c.runs, c.outputs = append(c.runs, r.ID), append(c.outputs, d.ID)
		}
		if err := c.s.Import(b.Context(), runs, data); err != nil {
			b.Fatal(err)
		}
	}
}

// made is the ith run and its output.
func (c *crowd) made(i int, at time.Time) (weft.Run, weft.Data) {
	p := c.plans[i%crowdPlans]
	k := i / crowdPlans
	out := weft.NewID[weft.Data]()
	r := weft.NewRun(p, weft.NewID[weft.Run](), weft.Assignment{c.pushed[k/crowdPopular%len(c.pushed)], c.popular[k%crowdPopular]},
		[]weft.DataID{out}, weft.Cause{Kind: weft.CauseProjection}, at)
	r.Status, r.StartedAt, r.EndedAt, r.Exit = weft.Done, at, at, &weft.Exit{}
	switch {
	case i%20 == 7:
		r.Status = weft.Failed
	case i%100 == 3:
		r.Status, r.StartedAt, r.EndedAt, r.Exit = weft.Deactivated, time.Time{}, time.Time{}, nil
	}
	d := weft.Data{ID: out, Project: c.project, Source: weft.Source{Run: r.ID, Plan: p.ID, Status: r.Status}, Tags: p.Outputs[0].Tags,
		Timestamp: r.EndedAt, CreatedAt: at, Tree: weft.Digest{2}, Files: 1, Bytes: 1}
	if i%10 == 1 {
		d.Tags = weft.NewTags(slices.Concat(c.tenth, d.Tags)...)
	}
	return r, d
}

// report measures how long do takes, many times, and reports the percentiles.
func report(b *testing.B, name string, times int, do func(i int)) {
	b.Helper()
	took := make([]time.Duration, times)
	for i := range times {
		begun := time.Now()
		do(i)
		took[i] = time.Since(begun)
	}
	slices.Sort(took)
	ms := func(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
	b.ReportMetric(ms(took[times/2]), name+"-p50-ms")
	b.ReportMetric(ms(took[times*99/100]), name+"-p99-ms")
}

func drain[V any](b *testing.B, list iter.Seq2[V, error]) int {
	b.Helper()
	n := 0
	for _, err := range list {
		if err != nil {
			b.Fatal(err)
		}
		n++
	}
	return n
}

// benchListRuns lists 50 of all runs by every filter, with hits and without.
func benchListRuns(b *testing.B, c *crowd) {
	one := func(i int) []weft.PlanID { return []weft.PlanID{c.plans[i%len(c.plans)].ID} }
	since := func(i int) time.Time {
		return time.Now().Add(-time.Duration(i%90) * time.Duration(*stored) * time.Millisecond)
	}
	queries := map[string]func(i int) weft.RunQuery{
		"none": func(i int) weft.RunQuery { return weft.RunQuery{} },
		"plan": func(i int) weft.RunQuery { return weft.RunQuery{Plans: one(i)} },
		"ten-plans": func(i int) weft.RunQuery {
			var ten []weft.PlanID
			for k := range 10 {
				ten = append(ten, one(i+k)...)
			}
			return weft.RunQuery{Plans: ten}
		},
		"status":        func(i int) weft.RunQuery { return weft.RunQuery{Statuses: weft.Statuses[i%10 : i%10+1]} },
		"failed":        func(i int) weft.RunQuery { return weft.RunQuery{Statuses: []weft.Status{weft.Failed}} },
		"since":         func(i int) weft.RunQuery { return weft.RunQuery{Since: since(i)} },
		"input":         func(i int) weft.RunQuery { return weft.RunQuery{Inputs: []weft.DataID{c.pushed[i%len(c.pushed)]}} },
		"popular-input": func(i int) weft.RunQuery { return weft.RunQuery{Inputs: []weft.DataID{c.popular[i%crowdPopular]}} },
		"unknown-input": func(i int) weft.RunQuery { return weft.RunQuery{Inputs: []weft.DataID{weft.NewID[weft.Data]()}} },
		"output": func(i int) weft.RunQuery {
			return weft.RunQuery{Outputs: []weft.DataID{c.outputs[i*7919%len(c.outputs)]}}
		},
		"plan-status-time": func(i int) weft.RunQuery {
			return weft.RunQuery{Plans: one(i), Statuses: []weft.Status{weft.Failed}, Since: since(i)}
		},
		"plan-no-hits": func(i int) weft.RunQuery {
			return weft.RunQuery{Plans: one(i), Statuses: []weft.Status{weft.Running}, Since: since(i)}
		},
	}
	for b.Loop() {
		for name, q := range queries {
			for _, newest := range []bool{false, true} {
				if newest {
					name += "-newest"
				}
				report(b, name, 200, func(i int) {
					query := q(i)
					query.Project, query.Page = c.project, weft.Page{Limit: 50, Newest: newest}
					drain(b, c.s.FindRuns(b.Context(), query))
				})
			}
		}
		report(b, "counts", 5, func(int) {
			if _, err := c.s.RunCounts(b.Context(), c.project); err != nil {
				b.Fatal(err)
			}
		})
	}
}

// benchLife has 1,024 runs in flight go through all statuses, each change durable.
func benchLife(b *testing.B, c *crowd) {
	const n = 20_000
	for b.Loop() {
		b.StopTimer()
		p := benchPlan(b, c.s, c.project, fmt.Sprint("life", rand.Uint64()), 1, true, benchTags(b, "type:life"))
		var runs []weft.Run
		var data []weft.Data
		for range n {
			outs := []weft.DataID{weft.NewID[weft.Data](), weft.NewID[weft.Data]()}
			r := weft.NewRun(p, weft.NewID[weft.Run](), weft.Assignment{weft.NewID[weft.Data]()}, outs, weft.Cause{Kind: weft.CauseProjection}, time.Now().UTC())
			runs = append(runs, r)
			for _, id := range outs {
				data = append(data, weft.Data{ID: id, Project: c.project, Source: weft.Source{Run: r.ID, Status: r.Status}, CreatedAt: r.CreatedAt, Tags: p.Outputs[0].Tags})
			}
		}
		for len(runs) > 0 {
			k := min(2000, len(runs))
			if err := c.s.Import(b.Context(), runs[:k], data[:2*k]); err != nil {
				b.Fatal(err)
			}
			runs, data = runs[k:], data[2*k:]
		}
		b.StartTimer()
		begun := time.Now()
		ended := lives(b, c.s, n)
		b.ReportMetric(float64(ended)/time.Since(begun).Seconds(), "lives/s")
	}
}

// lives takes n runs, and any others that wait, through their lives, as an engine does: 1,024 at a time, in
// batches, from several goroutines.
func lives(b *testing.B, s *store.Store, n int) int {
	const lanes, inFlight = 4, 1024
	done := make(chan int)
	ctx := b.Context()
	for lane := range lanes {
		go func() {
			ended := 0
			for {
				runs, err := s.ClaimRuns(ctx, fmt.Sprint("lane", lane), time.Minute, inFlight/lanes, weft.Waiting)
				if err != nil {
					b.Error(err)
				}
				if len(runs) == 0 {
					break
				}
				ended += through(ctx, b, s, runs)
			}
			done <- ended
		}()
	}
	total := 0
	for range lanes {
		total += <-done
	}
	if total < n {
		b.Errorf("%d lives ended, want %d", total, n)
	}
	return total
}

func through(ctx context.Context, b *testing.B, s *store.Store, runs []weft.Run) int {
	way := []weft.Status{weft.Ready, weft.Starting, weft.Running, weft.Completing, weft.Done}
	for _, status := range way {
		saves := make([]weft.Save, len(runs))
		for i, r := range runs {
			next, err := r.To(status, time.Now().UTC())
			if err != nil {
				b.Error(err)
			}
			saves[i] = weft.Save{Run: next, Rev: r.Rev, Keep: true}
			runs[i] = next
		}
		for _, err := range s.SaveRuns(ctx, saves) {
			if err != nil {
				b.Error(err)
			}
		}
	}
	return len(runs)
}

// benchProduct makes a product of 10,000.
func benchProduct(b *testing.B, c *crowd) {
	for b.Loop() {
		b.StopTimer()
		name := strings.ToLower(fmt.Sprint("product", rand.Uint64()))
		for range 100 {
			c.upload(b, "left:"+name)
			c.upload(b, "right:"+name)
		}
		settle(b, c.s)
		p := weft.Plan{ID: weft.NewID[weft.Plan](), Project: c.project, CreatedAt: time.Now(), Active: true,
			Image:   weft.Image{Repository: name, Tag: "v1"},
			Inputs:  []weft.Input{{Path: "/a", Tags: benchTags(b, "left:"+name)}, {Path: "/b", Tags: benchTags(b, "right:"+name)}},
			Outputs: []weft.Output{{Path: "/out", Tags: benchTags(b, "type:pair")}}, Log: &weft.Log{Tags: benchTags(b, "type:log")}}
		if _, err := c.s.CreatePlan(b.Context(), p.Normalize(), weft.PrincipalID{}); err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
		begun := time.Now()
		if made := settle(b, c.s); made != 10_000 {
			b.Fatalf("made %d runs", made)
		}
		b.ReportMetric(10_000/time.Since(begun).Seconds(), "runs/s")
	}
}

func settle(b *testing.B, s *store.Store) int {
	b.Helper()
	made := 0
	for more := true; more; {
		var n int
		var err error
		if n, more, err = s.Project(b.Context(), 1000); err != nil {
			b.Fatal(err)
		}
		made += n
	}
	return made
}

// benchStreamAll lists every run, and every data, without paging.
func benchStreamAll(b *testing.B, c *crowd) {
	for b.Loop() {
		first(b, "runs", c.s.FindRuns(b.Context(), weft.RunQuery{Project: c.project}))
		first(b, "data", c.s.FindData(b.Context(), weft.DataQuery{Project: c.project}))
	}
}

func first[V any](b *testing.B, name string, list iter.Seq2[V, error]) {
	b.Helper()
	begun, n := time.Now(), 0
	var peak, before runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	for _, err := range list {
		if err != nil {
			b.Fatal(err)
		}
		if n++; n == 1 {
			b.ReportMetric(float64(time.Since(begun).Microseconds())/1000, name+"-first-ms")
		}
		if n%100_000 == 0 {
			runtime.ReadMemStats(&peak)
		}
	}
	b.ReportMetric(float64(n)/time.Since(begun).Seconds(), name+"/s")
	b.ReportMetric(float64(int64(peak.HeapInuse)-int64(before.HeapInuse))/1e6, name+"-MB")
}

// benchRegister registers plans that match much, and tags a Data until its Run is
// there, among 10,000 plans.
func benchRegister(b *testing.B, c *crowd) {
	for b.Loop() {
		for i := range 10_000 {
			benchPlan(b, c.s, c.project, fmt.Sprint("many", i, rand.Uint64()), 1, false, benchTags(b, fmt.Sprint("made:", i)))
		}
		report(b, "register", 100, func(i int) {
			p := weft.Plan{ID: weft.NewID[weft.Plan](), Project: c.project, CreatedAt: time.Now(), Active: true,
				Image:  weft.Image{Repository: fmt.Sprint("all", i, rand.Uint64()), Tag: "v1"},
				Inputs: []weft.Input{{Path: "/a", Tags: benchTags(b, "type:model")}, {Path: "/b", Tags: benchTags(b, "tenth:yes", "type:model")}}}
			if _, err := c.s.CreatePlan(b.Context(), p.Normalize(), weft.PrincipalID{}); err != nil {
				b.Fatal(err)
			}
		})
		settle(b, c.s)
		var ids []weft.DataID
		for range 200 {
			ids = append(ids, c.upload(b, "type:raw"))
		}
		settle(b, c.s)
		p := weft.Plan{ID: weft.NewID[weft.Plan](), Project: c.project, CreatedAt: time.Now(), Active: true, Image: weft.Image{Repository: "go" + fmt.Sprint(rand.Uint64()), Tag: "v1"},
			Inputs: []weft.Input{{Path: "/a", Tags: benchTags(b, "type:raw", "ready:yes")}}}
		if _, err := c.s.CreatePlan(b.Context(), p.Normalize(), weft.PrincipalID{}); err != nil {
			b.Fatal(err)
		}
		settle(b, c.s)
		report(b, "tag-to-run", len(ids), func(i int) {
			if _, err := c.s.TagData(b.Context(), c.project, ids[i], weft.TagChange{Add: benchTags(b, "ready:yes")}, weft.PrincipalID{}); err != nil {
				b.Fatal(err)
			}
			if made := settle(b, c.s); made != 1 {
				b.Fatalf("made %d runs", made)
			}
		})
	}
}
