package store_test

import (
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/weft-dev/weft"
	"github.com/weft-dev/weft/internal/store"
	"github.com/weft-dev/weft/internal/store/storetest"
)

// TestProjectionFollowsMatch plays random histories and compares the combinations that
// were made with those that weft.Match finds after each step, added up.
func TestProjectionFollowsMatch(t *testing.T) {
	t.Parallel()
	for seed := range uint64(6) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			eachWorld(t, func(w *world) {
				(&story{world: w, rand: rand.New(rand.NewPCG(seed, 1)), made: map[string]bool{}}).play(60)
			})
		})
	}
}

// TestChoosyProjectionFollowsMatch does so with plans that take the latest only, pair their
// inputs and take what comes later, that are revised, restored and deleted.
func TestChoosyProjectionFollowsMatch(t *testing.T) {
	t.Parallel()
	for seed := range uint64(12) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			eachWorld(t, func(w *world) {
				(&story{world: w, rand: rand.New(rand.NewPCG(seed, 2)), made: map[string]bool{}, choosy: true}).play(60)
			})
		})
	}
}

// A story is a random sequence of what people do.
type story struct {
	*world
	choosy bool // plans choose, and have names
	rand   *rand.Rand
	plans  []weft.Plan
	data   []weft.DataID
	made   map[string]bool // plan and key of every combination that fitted at any time
}

var storyTags = []string{"a:1", "a:2", "b:1", "b:2", "c:1"}

var choosyTags = append(slices.Clone(storyTags), "k:1", "k:2", "k:3", "m:1", "m:2")

func (h *story) tag() string {
	if h.choosy {
		return choosyTags[h.rand.IntN(len(choosyTags))]
	}
	return storyTags[h.rand.IntN(len(storyTags))]
}

func (h *story) play(steps int) {
	for range steps {
		h.step()
		if h.rand.IntN(3) > 0 { // sometimes several changes are looked at together
			h.projection()
			h.note()
		}
	}
	h.projection()
	h.note()
	h.compare()
}

func (h *story) step() {
	h.Helper()
	switch n := h.rand.IntN(12); {
	case n == 0 && len(h.plans) < 8:
		h.register()
	case h.choosy && h.rand.IntN(10) == 0:
		h.projection()
		h.note()
		h.revise()
	case h.choosy && h.rand.IntN(5) == 0:
		h.foretell()
	case n <= 4 || len(h.data) == 0:
		tags := h.tag() + "," + h.tag()
		for h.choosy && h.rand.IntN(3) > 0 {
			tags += "," + h.tag()
		}
		h.data = append(h.data, h.push(tags))
	case n <= 7:
		h.note() // a change that comes before projection has looked may hide what fitted
		h.projection()
		id := h.data[h.rand.IntN(len(h.data))]
		h.world.tag(id, h.tag(), h.tag())
	case n == 8 && len(h.plans) > 0:
		p := h.plans[h.rand.IntN(len(h.plans))]
		_, err := h.s.ChangePlan(h.Context(), h.project, p.ID, h.by, func(p *weft.Plan) error { p.Active = !p.Active; return nil })
		if err != nil && (!h.choosy || weft.KindOf(err) != weft.Conflict) { // it may have been replaced
			h.Fatal(err)
		}
	case n <= 10 && len(h.plans) > 0:
		h.live()
	default:
		h.register()
	}
}

func (h *story) register() {
	text := h.tag()
	for range h.rand.IntN(3) {
		text += "," + h.tag()
	}
	for range h.rand.IntN(2) {
		text += " + " + h.tag() + "," + h.tag()
	}
	plan := h.define(text + " -> " + h.tag() + ",made:" + fmt.Sprint(h.world.plans))
	if h.choosy {
		h.choose(&plan)
	}
	p, err := h.s.CreatePlan(h.Context(), plan, h.by)
	if weft.KindOf(err) == weft.Conflict { // a loop
		return
	}
	h.plans = append(h.plans, must(p, err)(h.world).Plan)
}

// live has something happen to a random Run.
func (h *story) live() {
	runs := h.runs(h.plans[h.rand.IntN(len(h.plans))].ID)
	if len(runs) == 0 {
		return
	}
	h.note()
	h.projection()
	r := h.run(runs[h.rand.IntN(len(runs))].ID)
	switch h.rand.IntN(5) {
	case 0:
		if _, err := h.s.RetryRun(h.Context(), h.project, r.ID, h.by); err != nil && weft.KindOf(err) == weft.Internal {
			h.Fatal(err)
		}
	case 1:
		if err := h.s.DeleteRun(h.Context(), h.project, r.ID, h.by); err != nil && weft.KindOf(err) == weft.Internal {
			h.Fatal(err)
		}
	default:
		if r.Status == weft.Waiting {
			h.become(r.ID, weft.Done)
		}
	}
	if h.choosy { // what comes next may hide what fits now
		h.projection()
	}
	h.note()
}

// foretell compares what a dry run tells of a push, or of other tags, with what comes of it.
func (h *story) foretell() {
	h.Helper()
	h.projection()
	h.note()
	var id weft.DataID
	tags := weft.NewTags(h.tags(h.tag() + "," + h.tag() + "," + h.tag())...)
	change := weft.TagChange{Add: tags}
	if len(h.data) > 0 && h.rand.IntN(2) == 0 {
		id = h.data[h.rand.IntN(len(h.data))]
		change.Remove = h.tags(h.tag())
		tags = change.Apply(h.world.data(id).Data.Tags)
	}
	total := int64(0)
	for _, would := range must(h.s.WouldRunData(h.Context(), h.project, id, tags, 5))(h.world) {
		total += would.Total
		if n := int64(len(would.First)); n != min(would.Total, 5) {
			h.Errorf("of %d runs %d are listed", would.Total, n)
		}
	}
	if id.IsZero() {
		h.data = append(h.data, h.push(strings.Join(tags.Strings(), ",")))
	} else {
		must(h.s.TagData(h.Context(), h.project, id, change, h.by))(h.world)
	}
	if made := h.projection(); int64(made) != total {
		h.Errorf("%d runs were made, a dry run told of %d (data %v with %v)", made, total, id, tags)
	}
	h.note()
}

// choose has a plan choose among what fits.
func (h *story) choose(p *weft.Plan) {
	keys := []string{"k", "m"}
	if len(p.Inputs) > 1 && h.rand.IntN(2) == 0 {
		p.Pair = keys[h.rand.IntN(2)]
	}
	for i := range p.Inputs {
		switch h.rand.IntN(4) {
		case 0:
			p.Inputs[i].Latest.On = true
		case 1:
			p.Inputs[i].Latest = weft.Latest{On: true, By: keys[h.rand.IntN(2)]}
		}
	}
	p.FromNow = h.rand.IntN(4) == 0
}

// revise applies a plan of a name, another or an earlier one, or deletes it.
func (h *story) revise() {
	name := []string{"one", "two"}[h.rand.IntN(2)]
	former := slices.DeleteFunc(slices.Clone(h.plans), func(p weft.Plan) bool { return p.Name != name })
	switch n := h.rand.IntN(5); {
	case n == 0 && len(former) > 0:
		if ids, err := h.s.PlanNamed(h.Context(), h.project, name); err == nil {
			must(h.s.DeletePlan(h.Context(), h.project, ids[0], h.by))(h.world)
		}
	case n <= 2 && len(former) > 0:
		p := former[h.rand.IntN(len(former))]
		p.ID = weft.NewID[weft.Plan]()
		h.apply(p)
	default:
		p := h.define(h.tag() + " + " + h.tag() + " -> made:" + fmt.Sprint(h.world.plans))
		p.Name = name
		h.choose(&p)
		h.apply(p)
	}
}

func (h *story) apply(p weft.Plan) {
	a, err := h.s.ApplyPlan(h.Context(), weft.Apply{Plan: p}, h.by)
	if err != nil && weft.KindOf(err) != weft.Conflict {
		h.Fatal(err)
	}
	if err == nil && (a.Did == weft.AppliedNew || a.Did == weft.AppliedRevision) {
		h.plans = append(h.plans, a.Plan.Plan)
	}
}

// all returns every Data.
func (h *story) all() []weft.Data {
	var all []weft.Data
	for v, err := range h.s.FindData(h.Context(), weft.DataQuery{Project: h.project}) {
		if err != nil {
			h.Fatal(err)
		}
		all = append(all, v.Data)
	}
	return all
}

// note remembers which combinations fit now.
func (h *story) note() {
	all := h.all()
	for _, p := range h.plans {
		p := must(h.s.Plan(h.Context(), h.project, p.ID))(h.world).Plan
		if !p.Live() {
			continue
		}
		for _, a := range weft.Match(p, all) {
			h.made[p.ID.String()+string(a.Key())] = true
		}
	}
}

// compare checks that the Runs of every Plan are the combinations of Data that still
// exist and that fitted at any time.
func (h *story) compare() {
	h.Helper()
	exists := map[weft.DataID]bool{}
	for _, d := range h.all() {
		exists[d.ID] = true
	}
	total := 0
	for _, p := range h.plans {
		if v := must(h.s.Plan(h.Context(), h.project, p.ID))(h.world); v.Plan.Live() {
			if n, _, err := h.s.WouldRunPlan(h.Context(), v.Plan, 1); n != 0 || err != nil {
				h.Errorf("a dry run tells of %d more runs of plan %s (%v)", n, p.ID, err)
			}
		}
		var got, want []string
		for _, r := range h.runs(p.ID) {
			key := ""
			for _, in := range r.Inputs {
				key += in.Data.String() + " "
			}
			got = append(got, key)
		}
		for key := range h.made {
			if text, ok := still(p, key, exists); ok {
				want = append(want, text)
			}
		}
		slices.Sort(got)
		slices.Sort(want)
		if diff := cmp.Diff(want, got); diff != "" {
			h.Errorf("runs of plan %s (%v):\n%s", p.ID, p.Inputs, diff)
		}
		total += len(got)
	}
	if total == 0 {
		h.Log("this history made no runs")
	}
}

// still renders the combination of p under a key, if all its Data exist.
func still(p weft.Plan, key string, exists map[weft.DataID]bool) (string, bool) {
	prefix := p.ID.String()
	if key[:len(prefix)] != prefix {
		return "", false
	}
	text := ""
	for id := range slices.Chunk([]byte(key[len(prefix):]), 16) {
		if !exists[weft.DataID(id)] {
			return "", false
		}
		text += weft.DataID(id).String() + " "
	}
	return text, true
}

// TestSimultaneousChanges pushes to both inputs of a Plan from many sides at once, while
// projection runs: no pair may be missed, and none made twice.
func TestSimultaneousChanges(t *testing.T) {
	eachWorld(t, func(w *world) {
		p := w.plan("side:left + side:right -> type:pair")
		const each = 12
		var pushers, projectors sync.WaitGroup
		stop := make(chan struct{})
		for range 3 {
			projectors.Go(func() {
				for {
					select {
					case <-stop:
						return
					default:
					}
					if _, _, err := w.s.Project(w.Context(), 10); err != nil {
						w.Error(err)
						return
					}
				}
			})
		}
		for _, side := range []string{"side:left", "side:right"} {
			for range 4 {
				pushers.Go(func() {
					for range each / 4 {
						w.push(side)
					}
				})
			}
		}
		pushers.Wait()
		close(stop)
		projectors.Wait()
		w.projection()
		if got := len(w.runs(p.ID)); got != each*each {
			w.Errorf("%d runs were made, want %d", got, each*each)
		}
	})
}

func TestBlockedPlan(t *testing.T) {
	eachWorld(t, func(w *world) {
		for range 4 {
			w.push("side:left")
			w.push("side:right")
		}
		p := w.define("side:left + side:right -> type:pair")
		p.AllowRuns = 10
		total, first, err := w.s.WouldRunPlan(w.Context(), p, 3)
		if err != nil || total != 16 || len(first) != 3 {
			w.Errorf("a dry run tells of %d runs, %d of them listed (%v); want 16, 3", total, len(first), err)
		}
		must(w.s.CreatePlan(w.Context(), p, w.by))(w)
		if n := w.projection(); n != 0 {
			w.Errorf("%d runs were made of a plan that may not", n)
		}
		if got := must(w.s.Plan(w.Context(), w.project, p.ID))(w).Plan.PendingRuns; got != 16 {
			w.Errorf("%d runs are pending, want 16", got)
		}
		w.push("side:left")
		w.projection()
		if got := must(w.s.Plan(w.Context(), w.project, p.ID))(w).Plan.PendingRuns; got != 20 {
			w.Errorf("%d runs are pending after another push, want 20", got)
		}
		must(w.s.ChangePlan(w.Context(), w.project, p.ID, w.by, func(p *weft.Plan) error { p.AllowRuns = 100; return nil }))(w)
		if n := w.projection(); n != 20 {
			w.Errorf("%d runs were made once they were allowed, want 20", n)
		}
		v := must(w.s.Plan(w.Context(), w.project, p.ID))(w)
		if v.Plan.PendingRuns != 0 {
			w.Errorf("%d runs are pending still", v.Plan.PendingRuns)
		}
		if total, _, _ := w.s.WouldRunPlan(w.Context(), v.Plan, 3); total != 0 {
			w.Errorf("a dry run tells of %d more runs", total)
		}
	})
}

// TestRunLimitRaised opens a database again with a higher limit.
func TestRunLimitRaised(t *testing.T) {
	t.Parallel()
	storetest.EachURL(t, func(t *testing.T, url string) {
		with := func(limit int64) *store.Store {
			return must(store.Open(t.Context(), url, store.Options{RunLimit: limit, NoSync: true}))(&world{T: t})
		}
		w := newWorld(t, with(3))
		w.push("side:left")
		w.push("side:left")
		w.push("side:right")
		w.push("side:right")
		p := w.plan("side:left + side:right -> type:pair")
		if n := w.projection(); n != 0 {
			t.Errorf("%d runs were made of a plan that would make 4, beyond the limit of 3", n)
		}
		for _, c := range []struct {
			limit int64
			made  int
		}{{3, 0}, {4, 4}} {
			must(0, w.s.Close())(w)
			w = newWorld(t, with(c.limit))
			if n := w.projection(); n != c.made {
				t.Errorf("with the limit %d, %d runs were made; want %d", c.limit, n, c.made)
			}
		}
		if got := len(w.runs(p.ID)); got != 4 {
			t.Errorf("there are %d runs; want 4", got)
		}
		must(0, w.s.Close())(w)
	})
}

func TestWouldRunData(t *testing.T) {
	eachWorld(t, func(w *world) {
		p := w.plan("side:left + side:right -> type:pair")
		left := w.push("side:left")
		w.push("side:right")
		w.projection()
		tell := func(id weft.DataID, tags string) int64 {
			plans := must(w.s.WouldRunData(w.Context(), w.project, id, w.tags(tags), 10))(w)
			if len(plans) == 0 {
				return 0
			}
			if len(plans) != 1 || plans[0].Plan.ID != p.ID || int64(len(plans[0].First)) != plans[0].Total {
				w.Errorf("dry run: %+v", plans)
			}
			return plans[0].Total
		}
		for _, c := range []struct {
			id   weft.DataID
			tags string
			want int64
		}{
			{weft.DataID{}, "side:left", 1},
			{weft.DataID{}, "side:left, side:right", 3}, // with the other left, the other right and itself
			{left, "side:left", 0},                      // its run exists
			{left, "side:left, side:right", 1},          // with itself
			{left, "side:right", 0},                     // then nothing is left
			{left, "side:nowhere", 0},
		} {
			if got := tell(c.id, c.tags); got != c.want {
				w.Errorf("%s with %q would make %d runs, want %d", c.id, c.tags, got, c.want)
			}
		}
	})
}

// Nothing runs on the outputs of a Run that failed, so nothing is told of them; whoever
// waits for all that would run would wait without end.
func TestWouldRunFailedData(t *testing.T) {
	eachWorld(t, func(w *world) {
		first := w.plan("type:csv -> type:model")
		w.plan("type:model -> type:report")
		w.push("type:csv")
		w.projection()
		r := w.runs(first.ID)[0]
		would := func() int {
			return len(must(w.s.WouldRunData(w.Context(), w.project, r.Outputs[0].Data, w.tags("type:model"), 10))(w))
		}
		if got := would(); got != 1 {
			w.Errorf("data that is being made would set off %d plans, want 1", got)
		}
		w.become(r.ID, weft.Failed)
		if got := would(); got != 0 {
			w.Errorf("data of a failed run would set off %d plans", got)
		}
	})
}

// TestInputsOfEveryKind checks that inputs match by id and by timestamp, as shown.
func TestInputsOfEveryKind(t *testing.T) {
	eachWorld(t, func(w *world) {
		in := w.push("type:csv")
		w.push("type:csv")
		at := w.data(in).Data.AllTags().Key(weft.KeyTimestamp)[0]
		byID := w.plan("knit#id:" + in.String() + " -> type:a")
		byTime := w.plan(at.String() + ", type:csv -> type:b")
		same := w.plan("type:csv + type:csv -> type:c")
		w.projection()
		for _, c := range []struct {
			p    weft.Plan
			want int
		}{{byID, 1}, {byTime, 1}, {same, 4}} {
			if got := len(w.runs(c.p.ID)); got < c.want || c.p.ID != byTime.ID && got != c.want { // two pushes may share a millisecond
				w.Errorf("%d runs of the plan with inputs %v, want %d", got, c.p.Inputs, c.want)
			}
		}
	})
}

// TestProjectionAfterCrash has a process take changes and vanish: the next one that opens
// the database makes the runs.
func TestProjectionAfterCrash(t *testing.T) {
	t.Parallel()
	url := "sqlite:" + filepath.Join(t.TempDir(), "weft.db")
	first := newWorld(t, storetest.Open(t, url, store.Options{}))
	p := first.plan("side:left + side:right -> type:pair")
	for range 3 {
		first.push("side:left")
		first.push("side:right")
	}
	if err := first.s.TakeChanges(t.Context(), 100); err != nil {
		t.Fatal(err)
	}
	if made, _, err := first.s.Project(t.Context(), 100); err != nil || made != 0 {
		t.Fatalf("made %d runs of changes that another has taken (%v)", made, err)
	}
	second := newWorld(t, storetest.Open(t, url, store.Options{}))
	if made := second.projection(); made != 9 {
		t.Errorf("made %d runs after the crash, want 9", made)
	}
	if got := len(second.runs(p.ID)); got != 9 {
		t.Errorf("there are %d runs", got)
	}
}
