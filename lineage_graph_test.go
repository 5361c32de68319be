package weft

import (
	"encoding/binary"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// A step is a Run in a few words: "1 2 > 3 4" reads Data 1 and 2 and makes 3 and 4.
type step struct {
	run             RunID
	inputs, outputs []DataID
}

func steps(texts ...string) []step {
	var out []step
	for i, text := range texts {
		in, made, _ := strings.Cut(text, ">")
		out = append(out, step{id[Run](i + 1), dataIDs(in), dataIDs(made)})
	}
	return out
}

func dataIDs(text string) []DataID {
	var ids []DataID
	for _, word := range strings.Fields(text) {
		var n int
		if _, err := fmt.Sscan(word, &n); err != nil {
			panic(err)
		}
		ids = append(ids, id[Data](n))
	}
	return ids
}

func idText[T any](ids []ID[T]) string {
	numbers := make([]int, len(ids))
	for i, id := range ids {
		numbers[i] = int(binary.BigEndian.Uint64(id[8:]))
	}
	slices.Sort(numbers)
	return strings.Trim(fmt.Sprint(numbers), "[]")
}

func TestLineageDepths(t *testing.T) {
	t.Parallel()
	g := NewLineageGraph()
	for _, s := range steps(
		"> 1", "> 2", // uploads
		"1 2 > 3 4", // run 3; 4 is its log
		"3 > 5 6",
		"3 > 7",
		"5 7 > 8 9",
		"4 > 10", // reads the log
	) {
		g.Add(s.run, s.inputs, s.outputs)
	}
	for _, c := range []struct {
		start, depth int
		dir          string
		data, runs   string
	}{
		{3, 1, "u", "1 2 3 4", "3"},
		{3, 2, "u", "1 2 3 4", "1 2 3"},
		{3, 0, "u", "1 2 3 4", "1 2 3"},
		{3, 1, "d", "3 5 6 7", "4 5"},
		{3, 2, "d", "3 5 6 7 8 9", "4 5 6"},
		{3, 0, "d", "3 5 6 7 8 9", "4 5 6"}, // not 10: the log is beside the way
		{1, 1, "d", "1 2 3 4", "3"},
		{1, 2, "d", "1 2 3 4 5 6 7 10", "3 4 5 7"},
		{8, 1, "u", "5 7 8 9", "6"},
		{8, 2, "u", "3 5 6 7 8 9", "4 5 6"},
		{8, 0, "u", "1 2 3 4 5 6 7 8 9", "1 2 3 4 5 6"},
		{5, 1, "ud", "3 5 6 7 8 9", "4 6"},
		{3, 0, "", "3", ""},
		{10, 0, "d", "10", ""},
	} {
		data, runs := g.Walk(LineageQuery{Start: id[Data](c.start), Depth: c.depth,
			Upstream: strings.Contains(c.dir, "u"), Downstream: strings.Contains(c.dir, "d")})
		if idText(data) != c.data || idText(runs) != c.runs || data[0] != id[Data](c.start) {
			t.Errorf("%d %s %d: data %s, runs %s; want %s, %s", c.start, c.dir, c.depth, idText(data), idText(runs), c.data, c.runs)
		}
	}
	if data, runs := g.Walk(LineageQuery{Start: id[Data](99), Upstream: true}); data != nil || runs != nil {
		t.Errorf("an unknown start leads to %v, %v", data, runs)
	}
}

// After any history the graph agrees with a map of Runs and the definition, and
// forgets what no Run makes or reads.
func TestLineageGraphProperty(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		g, runs := NewLineageGraph(), map[RunID]step{}
		made := 0
		t.Repeat(map[string]func(*rapid.T){
			"add": func(t *rapid.T) {
				s := step{run: id[Run](rapid.IntRange(1, 12).Draw(t, "run"))}
				for range rapid.IntRange(0, 4).Draw(t, "inputs") {
					s.inputs = append(s.inputs, id[Data](rapid.IntRange(0, made).Draw(t, "input")))
				}
				for range rapid.IntRange(0, 20).Draw(t, "outputs") {
					made++
					s.outputs = append(s.outputs, id[Data](made))
				}
				runs[s.run] = s
				g.Add(s.run, s.inputs, s.outputs)
			},
			"remove": func(t *rapid.T) {
				run := id[Run](rapid.IntRange(1, 12).Draw(t, "run"))
				delete(runs, run)
				g.Remove(run)
			},
			"": func(t *rapid.T) {
				q := LineageQuery{Start: id[Data](rapid.IntRange(1, made+1).Draw(t, "start")), Depth: rapid.IntRange(0, 4).Draw(t, "depth"),
					Upstream: rapid.Bool().Draw(t, "up"), Downstream: rapid.Bool().Draw(t, "down")}
				data, found := g.Walk(q)
				wantData, wantRuns := naiveWalk(runs, q)
				if got, want := idText(data)+"/"+idText(found), wantData+"/"+wantRuns; got != want {
					t.Fatalf("%+v: %s; want %s", q, got, want)
				}
				known := map[DataID]bool{}
				for _, s := range runs {
					for _, d := range append(s.inputs, s.outputs...) {
						known[d] = !d.IsZero()
					}
				}
				delete(known, DataID{})
				if r, d := g.Len(); r != len(runs) || d != len(known) {
					t.Fatalf("%d runs and %d data are known; want %d and %d", r, d, len(runs), len(known))
				}
				for d := range known {
					n, ok := g.Number(d)
					var back DataID
					g.Numbered([]uint32{n, 0, 1 << 20}, func(_ uint32, id DataID) bool { back = id; return true })
					if !ok || back != d {
						t.Fatalf("number %d of %s, %v, stands for %s", n, d, ok, back)
					}
				}
			},
		})
	})
}

// naiveWalk follows LineageQuery to the letter.
func naiveWalk(runs map[RunID]step, q LineageQuery) (data, found string) {
	dataSet, runSet := map[DataID]bool{}, map[RunID]bool{}
	expand := func(leads func(step, DataID) bool, on func(step) []DataID) {
		level := map[DataID]bool{q.Start: true}
		for n := 0; len(level) > 0 && (q.Depth == 0 || n < q.Depth) && n < 1000; n++ {
			nextLevel := map[DataID]bool{}
			for _, s := range runs {
				for d := range level {
					if leads(s, d) {
						runSet[s.run] = true
						for _, x := range append(slices.Clone(s.inputs), s.outputs...) {
							dataSet[x] = true
						}
						for _, x := range on(s) {
							nextLevel[x] = true
						}
					}
				}
			}
			level = nextLevel
		}
	}
	for _, s := range runs {
		if slices.Contains(s.inputs, q.Start) || slices.Contains(s.outputs, q.Start) {
			dataSet[q.Start] = true
		}
	}
	if q.Upstream {
		expand(func(s step, d DataID) bool { return slices.Contains(s.outputs, d) }, func(s step) []DataID { return s.inputs })
	}
	if q.Downstream {
		expand(func(s step, d DataID) bool { return !d.IsZero() && slices.Contains(s.inputs, d) }, func(s step) []DataID { return s.outputs })
	}
	delete(dataSet, DataID{})
	ids, rs := []DataID{}, []RunID{}
	for d := range dataSet {
		ids = append(ids, d)
	}
	for r := range runSet {
		rs = append(rs, r)
	}
	return idText(ids), idText(rs)
}

// addLayers makes runs that each read two Data of the layer before and make two and
// a log.
func addLayers(g *LineageGraph, runs int) (first DataID) {
	var before, layer []DataID
	for i := range runs {
		outs := []DataID{NewID[Data](), NewID[Data](), NewID[Data]()}
		var ins []DataID
		if n := len(before); n > 0 {
			ins = []DataID{before[i%n], before[(7*i+1)%n]}
		} else if i == 0 {
			first = outs[0]
		} else {
			ins = []DataID{first}
		}
		g.Add(NewID[Run](), ins, outs)
		if layer = append(layer, outs[0], outs[1]); len(layer) >= 2000 {
			before, layer = layer, nil
		}
	}
	return first
}

func BenchmarkLineageWalk100k(b *testing.B) {
	g := NewLineageGraph()
	first := addLayers(g, 25_000)
	b.ResetTimer()
	for range b.N {
		if data, runs := g.Walk(LineageQuery{Start: first, Upstream: true, Downstream: true}); len(data)+len(runs) < 80_000 {
			b.Fatalf("%d data, %d runs", len(data), len(runs))
		}
	}
}

// BenchmarkLineageMillion reports what a million Runs with three million Data cost.
func BenchmarkLineageMillion(b *testing.B) {
	for range b.N {
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		g, start := NewLineageGraph(), time.Now()
		addLayers(g, 1_000_000)
		took := time.Since(start)
		runtime.GC()
		runtime.ReadMemStats(&after)
		b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/1e6, "MB")
		b.ReportMetric(1e6/took.Seconds(), "runs/s")
		runtime.KeepAlive(g)
	}
}
