package weft

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestFits(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 1, 2, 3, 4, 5, 678_000_000, time.UTC)
	d := Data{ID: id[Data](1), Tags: words(t, "type:csv mode:train"), Timestamp: at, Source: Source{Status: Done}}
	for _, c := range []struct {
		tags, misses string
		fits         bool
	}{
		{"type:csv", "", true},
		{"type:csv mode:train", "", true},
		{"type:csv mode:test", "mode:test", false},
		{"", "", false},
		{"knit#id:" + d.ID.String(), "", true},
		{"knit#id:" + id[Data](2).String(), "knit#id:" + id[Data](2).String(), false},
		{"knit#timestamp:2026-01-02T03:04:05.678Z", "", true},
		{"knit#timestamp:2026-01-02T04:04:05.678999+01:00", "", true}, // compared in milliseconds
		{"knit#timestamp:2026-01-02T03:04:05.679Z type:csv", "knit#timestamp:2026-01-02T03:04:05.679Z", false},
	} {
		in := Input{Path: "/in", Tags: words(t, c.tags)}
		if got := in.Fits(d); got != c.fits {
			t.Errorf("[%s] fits: %v; want %v", c.tags, got, c.fits)
		}
		if got := strings.Join(in.Misses(d).Strings(), " "); got != c.misses {
			t.Errorf("[%s] misses %q; want %q", c.tags, got, c.misses)
		}
	}
	for _, s := range Statuses {
		d.Source.Status = s
		if got := (Input{Path: "/in", Tags: words(t, "type:csv")}).Fits(d); got != (s == Done) {
			t.Errorf("the output of a run that is %s fits: %v", s, got)
		}
	}
}

func TestMatchFillsEveryInputWithEveryData(t *testing.T) {
	t.Parallel()
	data := []Data{
		{ID: id[Data](1), Tags: words(t, "x:1"), Source: Source{Status: Done}},
		{ID: id[Data](2), Tags: words(t, "x:1 y:1"), Source: Source{Status: Done}},
	}
	for text, want := range map[string]int{
		"/i=x:1":               2,
		"/i=x:1 /j=x:1":        4, // one Data may fill both
		"/i=x:1 /j=y:1":        2,
		"/i=x:1 /j=z:1":        0,
		"/i=x:1 /j=y:1 /k=x:1": 4,
	} {
		if got := Match(plan(t, text), data); len(got) != want {
			t.Errorf("%s: %d runs; want %d", text, len(got), want)
		}
	}
	if got := Match(Plan{Name: PlanUploaded}, data); got != nil {
		t.Errorf("a plan without inputs matches %v", got)
	}
}

func TestNewRun(t *testing.T) {
	t.Parallel()
	p := plan(t, "/a=x:1 /b=x:1 -> /o /p log")
	p.ID, p.Project = id[Plan](9), id[Project](8)
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	outs := []DataID{id[Data](11), id[Data](12), id[Data](13)}
	r := NewRun(p, id[Run](1), Assignment{id[Data](1), id[Data](2)}, outs, Cause{Kind: CauseProjection}, now)
	if r.Status != Waiting || r.Rev != 1 || r.Attempt != 1 || r.Plan != p.ID || r.Project != p.Project || r.Log != outs[2] {
		t.Errorf("got %+v", r)
	}
	if !slices.Equal(r.Inputs, []Bound{{"/a", id[Data](1)}, {"/b", id[Data](2)}}) || !slices.Equal(r.OutputIDs(), outs) {
		t.Errorf("inputs %v, outputs %v", r.Inputs, r.OutputIDs())
	}
	p.Active = false
	if r := NewRun(p, id[Run](1), Assignment{id[Data](1), id[Data](2)}, outs, Cause{}, now); r.Status != Deactivated {
		t.Errorf("under an inactive plan: %s", r.Status)
	}
	if r := NewRun(Plan{Name: PlanUploaded, Outputs: []Output{{Path: "/upload"}}}, id[Run](1), nil, outs[:1], Cause{}, now); r.Status != Running {
		t.Errorf("an upload: %s", r.Status)
	}
}

// What matches does not depend on the order in which Data came, and each assignment
// is found once and fits.
func TestMatchProperty(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		some := rapid.SliceOfNDistinct(rapid.SampledFrom([]string{"a:1", "a:2", "b:1", "c:1"}), 1, 3, rapid.ID)
		var mounts []string
		for i := range rapid.IntRange(1, 3).Draw(t, "inputs") {
			mounts = append(mounts, fmt.Sprintf("/%d=%s", i, strings.Join(some.Draw(t, "input"), ",")))
		}
		p := plan(t, strings.Join(mounts, " "))
		byID := map[DataID]Data{}
		var data []Data
		for i := range rapid.IntRange(0, 5).Draw(t, "data") {
			d := Data{ID: id[Data](i + 1), Tags: tags(t, some.Draw(t, "tags")...),
				Source: Source{Status: rapid.SampledFrom([]Status{Done, Done, Running}).Draw(t, "status")}}
			data, byID[d.ID] = append(data, d), d
		}
		keys := func(as []Assignment) map[string]bool {
			found := map[string]bool{}
			for _, a := range as {
				for i, d := range a {
					if !p.Inputs[i].Fits(byID[d]) {
						t.Fatalf("%v does not fit %v", byID[d], p.Inputs[i])
					}
				}
				found[string(a.Key())] = true
			}
			if len(found) != len(as) {
				t.Fatalf("%d assignments, %d of them distinct", len(as), len(found))
			}
			return found
		}
		found, again := keys(Match(p, data)), keys(Match(p, rapid.Permutation(data).Draw(t, "shuffled")))
		if fmt.Sprint(found) != fmt.Sprint(again) {
			t.Fatal("another order matches otherwise")
		}
	})
}
