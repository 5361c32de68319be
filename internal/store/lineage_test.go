package store_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/weft-dev/weft"
	"github.com/weft-dev/weft/internal/store"
	"github.com/weft-dev/weft/internal/store/storetest"
)

// history is a Store in which a test makes a random history.
type history struct {
	*testing.T
	*store.Store
	project weft.ProjectID
	by      weft.PrincipalID
	rand    *rand.Rand
}

func newHistory(t *testing.T, s *store.Store, seed uint64) history {
	t.Helper()
	p, err := s.DefaultProject(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	h := history{t, s, p.ID, weft.NewID[weft.Principal](), rand.New(rand.NewPCG(seed, 0))}
	h.plan("/in=kind:raw -> /out=kind:clean log=kind:log")
	h.plan("/a=kind:clean,use:train /b=kind:clean,use:test -> /model=kind:model /report=kind:report")
	h.plan("/in=kind:model -> log=kind:evaluation")
	return h
}

func (h history) must(err error) {
	h.Helper()
	if err != nil {
		h.Fatal(err)
	}
}

func (h history) tags(texts ...string) weft.Tags {
	h.Helper()
	ts, err := weft.ParseTags(texts...)
	h.must(err)
	return ts
}

// plan registers a plan in a few words: "/in=a:1,b:2 -> /out=c:3 log=d:4".
func (h history) plan(text string) weft.Plan {
	h.Helper()
	p := weft.Plan{ID: weft.NewID[weft.Plan](), Project: h.project, CreatedAt: time.Now().UTC(), Image: weft.Image{Repository: "image", Tag: "v1"}, Active: true}
	in, out, _ := strings.Cut(text, " -> ")
	for _, mount := range strings.Fields(in) {
		path, list, _ := strings.Cut(mount, "=")
		p.Inputs = append(p.Inputs, weft.Input{Path: path, Tags: h.tags(strings.Split(list, ",")...)})
	}
	for _, mount := range strings.Fields(out) {
		path, list, _ := strings.Cut(mount, "=")
		ts := h.tags(strings.Split(list, ",")...)
		if path == "log" {
			p.Log = &weft.Log{Tags: ts}
		} else {
			p.Outputs = append(p.Outputs, weft.Output{Path: path, Tags: ts})
		}
	}
	v, err := h.CreatePlan(h.Context(), p.Normalize(), h.by)
	h.must(err)
	return v.Plan
}

func (h history) push(texts ...string) weft.DataID {
	h.Helper()
	id, err := h.tryPush(h.Context(), h.tags(texts...))
	h.must(err)
	return id
}

func (h history) tryPush(ctx context.Context, tags weft.Tags) (weft.DataID, error) {
	v, err := h.PushData(ctx, weft.Push{Project: h.project, By: h.by, Plan: weft.PlanUploaded, Run: weft.NewID[weft.Run](),
		Data: weft.NewID[weft.Data](), Tags: tags, At: time.Now().UTC()})
	return v.Data.ID, err
}

// end takes a run through all statuses at once.
func (h history) end(r weft.Run, last weft.Status) {
	h.Helper()
	way := []weft.Status{weft.Ready, weft.Starting, weft.Running, weft.Completing, weft.Done}
	if last == weft.Failed {
		way = []weft.Status{weft.Aborting, weft.Failed}
	}
	rev := r.Rev
	for _, s := range way {
		var err error
		r, err = r.To(s, time.Now().UTC())
		h.must(err)
	}
	h.must(errors.Join(h.SaveRuns(h.Context(), []weft.Save{{Run: r, Rev: rev}})...))
}

func (h history) runs(statuses ...weft.Status) []weft.Run {
	h.Helper()
	found, err := h.RunsIn(h.Context(), statuses...)
	h.must(err)
	return found
}

func (h history) projectAll() {
	h.Helper()
	for more := true; more; {
		made, again, err := h.Project(h.Context(), 100)
		h.must(err)
		more = made > 0 || again
	}
}

func (h history) allData() []weft.DataID {
	h.Helper()
	var ids []weft.DataID
	for v, err := range h.FindData(h.Context(), weft.DataQuery{Project: h.project}) {
		h.must(err)
		ids = append(ids, v.Data.ID)
	}
	return ids
}

// step does one random thing; what is refused is no failure.
func (h history) step() {
	h.Helper()
	ctx := h.Context()
	anyRun := func(statuses ...weft.Status) (weft.Run, bool) {
		rs := h.runs(statuses...)
		if len(rs) == 0 {
			return weft.Run{}, false
		}
		return rs[h.rand.IntN(len(rs))], true
	}
	refused := func(err error) {
		if k := weft.KindOf(err); err != nil && k != weft.Conflict && k != weft.NotFound {
			h.Fatal(err)
		}
	}
	switch h.rand.IntN(9) {
	case 0, 1:
		h.push("kind:raw", fmt.Sprint("n:", h.rand.IntN(3)))
		h.projectAll()
	case 2, 3:
		if r, ok := anyRun(weft.Waiting); ok {
			h.end(r, weft.Done)
			h.projectAll()
		}
	case 4:
		if r, ok := anyRun(weft.Waiting); ok {
			h.end(r, weft.Failed)
		}
	case 5, 6:
		ids := h.allData()
		use := []string{"use:train", "use:test", "kind:model"}[h.rand.IntN(3)]
		change := weft.TagChange{Add: h.tags(use)}
		if h.rand.IntN(3) == 0 {
			change = weft.TagChange{RemoveKey: []string{"use"}}
		}
		if len(ids) > 0 {
			_, err := h.TagData(ctx, h.project, ids[h.rand.IntN(len(ids))], change, h.by)
			refused(err)
			h.projectAll()
		}
	case 7:
		if r, ok := anyRun(weft.Done, weft.Failed); ok {
			_, err := h.RetryRun(ctx, h.project, r.ID, h.by)
			refused(err)
		}
	case 8:
		if r, ok := anyRun(weft.Done, weft.Failed); ok {
			refused(h.DeleteRun(ctx, h.project, r.ID, h.by))
		}
	}
}

// After random histories the walk in memory finds what the walk by SQL finds, and lists
// of tagged Data are what the definition says, with each change being in the very next
// answer.
func TestIndexAgreesWithSQL(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		for seed := range uint64(3) {
			h := newHistoryIn(t, s, seed)
			for n := range 40 {
				h.step()
				if n == 10 {
					h.must(h.LoadIndex(h.Context()))
				}
				h.compareWalks()
				h.compareLists()
			}
		}
	})
}

// newHistoryIn goes on with a history, or begins the first.
func newHistoryIn(t *testing.T, s *store.Store, seed uint64) history {
	t.Helper()
	if seed == 0 {
		return newHistory(t, s, seed)
	}
	p, err := s.DefaultProject(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return history{t, s, p.ID, weft.NewID[weft.Principal](), rand.New(rand.NewPCG(seed, 0))}
}

func (h history) compareWalks() {
	h.Helper()
	ids := h.allData()
	if len(ids) == 0 {
		return
	}
	for range 4 {
		q := weft.LineageQuery{Project: h.project, Start: ids[h.rand.IntN(len(ids))], Depth: h.rand.IntN(4),
			Upstream: h.rand.IntN(2) == 0, Downstream: h.rand.IntN(2) == 0}
		data, runs, err := h.WalkBySQL(h.Context(), q)
		h.must(err)
		memData, memRuns, ok, err := h.WalkInMemory(h.Context(), q)
		h.must(err)
		if !ok {
			continue // not loaded yet
		}
		if sorted(data) != sorted(memData) || sorted(runs) != sorted(memRuns) {
			h.Fatalf("%+v: by SQL %d data and %d runs, in memory %d and %d", q, len(data), len(runs), len(memData), len(memRuns))
		}
		l, err := h.Lineage(h.Context(), q)
		h.must(err)
		if len(l.Data) != len(data) || len(l.Runs) != len(runs) {
			h.Fatalf("the answer has %d data and %d runs; want %d and %d", len(l.Data), len(l.Runs), len(data), len(runs))
		}
		for _, r := range l.Runs {
			if _, ok := l.Plans[r.Plan]; !ok {
				h.Fatalf("the plan of run %s is missing", r.ID)
			}
		}
	}
}

func sorted[T any](ids []weft.ID[T]) string {
	texts := make([]string, len(ids))
	for i, id := range ids {
		texts[i] = id.String()
	}
	slices.Sort(texts)
	return strings.Join(texts, " ")
}

func (h history) compareLists() {
	h.Helper()
	var all []weft.Data
	for v, err := range h.FindData(h.Context(), weft.DataQuery{Project: h.project}) {
		h.must(err)
		all = append(all, v.Data)
	}
	for _, texts := range [][]string{{"kind:clean"}, {"kind:clean", "use:test"}, {"kind:raw", "n:1"}, {"use:train", "use:test"}, {"kind:none"}} {
		q := weft.DataQuery{Project: h.project, Tags: h.tags(texts...), Page: weft.Page{Newest: h.rand.IntN(2) == 0, Limit: h.rand.IntN(4)}}
		var want []weft.DataID
		for _, d := range all {
			if d.Tags.HasAll(q.Tags) {
				want = append(want, d.ID)
			}
		}
		if q.Page.Newest {
			slices.Reverse(want)
		}
		if q.Page.Limit > 0 {
			want = want[:min(len(want), q.Page.Limit)]
		}
		var got []weft.DataID
		for v, err := range h.FindData(h.Context(), q) {
			h.must(err)
			got = append(got, v.Data.ID)
		}
		if !slices.Equal(got, want) {
			h.Fatalf("%v: %v; want %v", texts, got, want)
		}
	}
}

func TestLineage(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		h := newHistory(t, s, 1)
		raw := h.push("kind:raw")
		h.projectAll()
		h.end(h.runs(weft.Waiting)[0], weft.Done)
		q := weft.LineageQuery{Project: h.project, Start: raw, Upstream: true, Downstream: true}
		l, err := s.Lineage(t.Context(), q)
		h.must(err)
		got := ""
		for _, d := range l.Data {
			got += fmt.Sprintf("%s %s %v %s; ", d.Source.Path, d.Source.Status, d.Source.Log, strings.Join(d.Tags.Strings(), ","))
		}
		want := "/upload done false kind:raw; /out done false kind:clean; /log done true kind:log; "
		if got != want || len(l.Runs) != 2 || len(l.Plans) != 2 {
			t.Errorf("got %s%d runs, %d plans; want %s2 and 2", got, len(l.Runs), len(l.Plans), want)
		}
		for what, wrong := range map[string]weft.LineageQuery{
			"unknown data":    {Project: h.project, Start: weft.NewID[weft.Data]()},
			"another project": {Project: weft.NewID[weft.Project](), Start: raw, Upstream: true},
		} {
			if _, err := s.Lineage(t.Context(), wrong); weft.KindOf(err) != weft.NotFound {
				t.Errorf("%s: %v; want NotFound", what, err)
			}
		}
	})
}

// finds reports an error unless the tags select exactly the Data.
func (h history) finds(ctx context.Context, id weft.DataID, tags weft.Tags) error {
	var got []weft.DataID
	for v, err := range h.FindData(ctx, weft.DataQuery{Project: h.project, Tags: tags}) {
		if err != nil {
			return err
		}
		got = append(got, v.Data.ID)
	}
	if len(got) != 1 || got[0] != id {
		return fmt.Errorf("%v select %v; want %s", tags.Strings(), got, id)
	}
	return nil
}

// The index answers with what others have committed, while they do.
func TestIndexReadsYourWrites(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		h := newHistory(t, s, 1)
		h.must(s.LoadIndex(t.Context()))
		const writers, each = 4, 25
		write, ctx := errgroup.WithContext(t.Context())
		for w := range writers {
			write.Go(func() error {
				for n := range each {
					tags, err := weft.ParseTags("shared:1", fmt.Sprintf("own:%d-%d", w, n))
					if err != nil {
						return err
					}
					id, err := h.tryPush(ctx, tags)
					if err != nil {
						return err
					}
					if err := h.finds(ctx, id, tags); err != nil {
						return err
					}
				}
				return nil
			})
		}
		h.must(write.Wait())
		if n, err := s.SeemTagged(t.Context(), h.project, h.tags("shared:1")); err != nil || n != writers*each {
			t.Errorf("%d data seem to have the tag, %v; want %d", n, err, writers*each)
		}
	})
}

// Rows are found by id whether they lie side by side or far apart.
func TestManyRows(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		h := newHistory(t, s, 1)
		p := h.plan("/in=never:made -> /out=a:1")
		var ids []weft.DataID
		var runs []weft.Run
		for range 9000 {
			ids = append(ids, weft.NewID[weft.Data]())
			runs = append(runs, weft.NewRun(p, weft.NewID[weft.Run](), weft.Assignment{weft.NewID[weft.Data]()}, ids[len(ids)-1:], weft.Cause{Kind: weft.CauseProjection}, time.Now().UTC()))
		}
		h.must(s.InsertRuns(t.Context(), p, runs))
		for _, step := range []int{1, 2, 3, 7, 100, 9000} {
			want := []weft.DataID{}
			for i := 0; i < len(ids); i += step {
				want = append(want, ids[i])
			}
			asked := append(slices.Clone(want), weft.NewID[weft.Data](), weft.DataID{1}) // which are not there
			h.rand.Shuffle(len(asked), func(i, j int) { asked[i], asked[j] = asked[j], asked[i] })
			got, err := s.ManyData(t.Context(), asked)
			h.must(err)
			if sorted(got) != sorted(want) {
				t.Errorf("of every %dth %d rows are found; want %d", step, len(got), len(want))
			}
		}
	})
}
