package engine_test

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/weft-dev/weft"
	"github.com/weft-dev/weft/internal/engine"
	"github.com/weft-dev/weft/internal/executor"
)

var (
	seeds     = flag.Int("seeds", defaultSeeds, "how many disturbed histories to simulate")
	firstSeed = flag.Uint64("seed", 1, "the first of them")
)

// The same Data are pushed to the same Plans, once in peace, and many times while
// engines crash, calls fail before and after they took effect, take effect later, and
// last longer than leases. Each history must end as the undisturbed one: no Run lost
// or doubled, each with the same exit and the same sealed outputs, nothing left over.
func TestDisturbedHistoriesEndAsTheUndisturbedOne(t *testing.T) {
	t.Parallel()
	var want map[string]string
	synctest.Test(t, func(t *testing.T) { want = history(t, 0, 0) })
	if len(want) < 40 {
		t.Fatalf("the undisturbed history has %d runs only", len(want))
	}
	for i := range *seeds {
		seed := *firstSeed + uint64(i)
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				if d := cmp.Diff(want, history(t, seed, 0.04)); d != "" {
					t.Errorf("ends otherwise than undisturbed: %s", d)
				}
			})
		})
	}
}

// The same, while a user stops and retries Runs at random. What comes of that depends
// on the moment, but still each Run ends once, sealed, and nothing is left over.
func TestUsersMayInterfereWithDisturbedHistories(t *testing.T) {
	t.Parallel()
	for i := range (*seeds + 3) / 4 {
		seed := *firstSeed + uint64(i)
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				if n := len(history(t, seed, 0.04, meddle)); n < 20 {
					t.Errorf("only %d runs were made", n)
				}
			})
		})
	}
}

// meddle stops and retries Runs at random.
func meddle(w *world, rng *rand.Rand) {
	for range 40 {
		time.Sleep(time.Duration(rng.Int64N(int64(8 * time.Second))))
		runs := w.runs()
		if len(runs) == 0 {
			continue
		}
		id := runs[rng.IntN(len(runs))].ID
		var err error
		switch rng.IntN(4) {
		case 0:
			_, err = w.store.StopRun(w.t.Context(), w.project, id, weft.Stop{Now: rng.IntN(3) == 0}, w.by)
		case 1:
			_, err = w.store.StopRun(w.t.Context(), w.project, id, weft.Stop{Fail: true, Now: rng.IntN(3) == 0}, w.by)
		default:
			_, err = w.store.RetryRun(w.t.Context(), w.project, id, w.by)
		}
		if k := weft.KindOf(err); k != "" && k != weft.Conflict {
			w.t.Error(err)
		}
	}
}

// history lets a world run, with faults at the given rate, until all has ended.
func history(t *testing.T, seed uint64, rate float64, others ...func(*world, *rand.Rand)) map[string]string {
	t.Helper()
	rng := rand.New(rand.NewPCG(seed, 2))
	w := newWorld(t, executor.Capacity{Resources: must(weft.ParseResources(map[string]string{"cpu": "4", "memory": "64Gi"})),
		Devices: map[string][]string{"gpu": {"a", "b"}}})
	var later, users, watch sync.WaitGroup
	ctx, end := context.WithCancel(t.Context())
	watch.Go(func() { w.atMost(ctx) })
	defer watch.Wait()
	defer end()
	users.Go(w.people)
	for _, other := range others {
		users.Go(func() { other(w, rand.New(rand.NewPCG(seed, 3))) })
	}
	if rate > 0 {
		for range 3 + rng.IntN(6) {
			w.live(&faults{rng: rand.New(rand.NewPCG(seed, rng.Uint64())), rate: rate, later: &later}, time.Duration(rng.Int64N(int64(90*time.Second))))
			time.Sleep(time.Duration(rng.Int64N(int64(20 * time.Second))))
		}
	}
	users.Wait()
	later.Wait()
	w.settle()
	return w.outcome()
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// people do the same things at the same times in every history.
func (w *world) people() {
	w.plan("clean", "/in kind:raw → /out kind:clean → log of:clean", "after 2s copy /in/x=/out/x print cleaned", "cpu:1")
	w.plan("train", "/data kind:clean | /conf kind:conf → /model kind:model → log of:train",
		"pending 1s write /model/started=yes after 30s copy /data/x=/model/x copy /conf/x=/model/conf print trained", "cpu:1 gpu:1")
	w.plan("test", "/model kind:model | /raw kind:raw → /report kind:report", "copy /model/x=/report/x copy /raw/x=/report/raw", "cpu:500m")
	for i := range 3 {
		w.push(fmt.Sprintf("raw%d", i), "kind:raw")
		time.Sleep(5 * time.Second)
	}
	w.push("conf0", "kind:conf")
	w.plan("large", "/in kind:clean → /out kind:large", "after 20s write /out/y=y", "cpu:4")
	w.plan("fails", "/in kind:clean → /out kind:junk → log of:fails", "write /out/half=done after 1s exit 3", "")
	w.plan("oom", "/in kind:conf → /out kind:junk", "after 3s oom", "")
	w.plan("killed", "/in kind:conf → /out kind:junk", "signal 15", "")
	w.plan("vanishes", "/in kind:conf → /out kind:junk", "after 1s vanish", "")
	time.Sleep(20 * time.Second)
	w.plan("missing", "/in kind:raw → /out kind:clean", "", "")
	w.plan("refused", "/in kind:raw → /out kind:clean", "refuse 'no such program'", "")
	w.plan("quick", "/in kind:report → log kind:end", "print quick", "cpu:100m")
	w.plan("endless", "/in kind:conf → /out kind:junk → log of:endless", "write /out/half=done print begun after 5h", "timeout:20s grace:3s")
	w.plan("heedless", "/in kind:conf → /out kind:junk", "stubborn write /out/half=done after 5h", "timeout:10s grace:15s retry:1 backoff:5s")
	w.plan("flaky", "/in kind:raw → /out kind:junk → log of:flaky", "print tried after 1s exit 75", "cpu:100m retry:3 backoff:2s on:75")
	w.plan("alone", "/in kind:raw → /out kind:alone", "after 3s copy /in/x=/out/x", "cpu:100m concurrency:1")
	w.push("conf1", "kind:conf")
	w.push("raw3", "kind:raw")
}

// atMost checks, again and again, that no more Runs of each plan have a program than it
// allows, until ctx ends. What is only being sealed does not count.
func (w *world) atMost(ctx context.Context) {
	for ctx.Err() == nil {
		runs, err := w.store.RunsIn(w.t.Context(), weft.Starting, weft.Running, weft.Completing, weft.Aborting)
		w.must(err)
		under := map[weft.PlanID]int64{}
		for _, r := range runs {
			if r.Status == weft.Starting || r.Status == weft.Running || r.StopBy.After(time.Now()) {
				under[r.Plan]++
			}
		}
		for id, n := range under {
			plans, err := w.store.Plans(w.t.Context(), []weft.PlanID{id})
			w.must(err)
			if most := plans[id].Policy.Concurrency; most > 0 && n > most {
				w.t.Errorf("%d runs of %s are under way; it allows %d", n, w.plans[id], most)
			}
		}
		select {
		case <-ctx.Done():
		case <-time.After(700 * time.Millisecond):
		}
	}
}

// live lets an Engine work until it is killed or its time is over.
func (w *world) live(f *faults, span time.Duration) {
	ctx, cancel := context.WithCancel(w.t.Context())
	defer cancel()
	f.kill = cancel
	c := w.config()
	c.Store, c.Executor = faultyStore{f, c.Store}, faultyExecutor{f, c.Executor}
	c.Content, c.Images = faultyContent{f, c.Content}, faultyImages{f, c.Images}
	fuse := time.AfterFunc(span, f.die)
	defer fuse.Stop()
	if err := engine.New(c).Run(ctx); err != nil {
		w.t.Error(err)
	}
}

// settle lets an Engine work undisturbed until nothing is left to be done, and a
// reconciliation has passed, and checks that nothing is left over.
func (w *world) settle() {
	w.t.Helper()
	ctx, cancel := context.WithCancel(w.t.Context())
	ended := make(chan error, 1)
	go func() { ended <- engine.New(w.config()).Run(ctx) }()
	w.quiet()
	time.Sleep(2 * time.Minute)
	cancel()
	w.must(<-ended)
	containers, err := w.fake.List(w.t.Context())
	w.must(err)
	left, err := w.content.Works(w.t.Context())
	w.must(err)
	if len(containers)+len(left) > 0 {
		w.t.Errorf("left over: containers %v, work directories %v", containers, left)
	}
}

// quiet waits until for a while nothing is left to be done.
func (w *world) quiet() {
	w.t.Helper()
	began := time.Now()
	for calm := 0; calm < 4; {
		time.Sleep(5 * time.Second)
		busy := w.busy()
		if calm++; busy > 0 {
			calm = 0
		}
		if time.Since(began) > 3*time.Hour {
			w.t.Fatalf("after three hours %d runs have not ended: %q", busy, w.states())
		}
	}
}
