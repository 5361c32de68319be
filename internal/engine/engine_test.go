package engine_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/weft-dev/weft"
	"github.com/weft-dev/weft/internal/engine"
	"github.com/weft-dev/weft/internal/executor"
)

// inWorld runs a test in a bubble, where an hour takes no time, in a world whose
// machine is as described, like "cpu:4 gpu:2".
func inWorld(t *testing.T, machine string, test func(w *world)) {
	t.Helper()
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var c executor.Capacity
		words := map[string]string{}
		for _, word := range strings.Fields(machine) {
			name, n, _ := strings.Cut(word, ":")
			if name == "gpu" {
				c.Devices = map[string][]string{"gpu": strings.Split("abcdefgh", "")[:int(n[0]-'0')]}
			} else {
				words[name] = n
			}
		}
		if machine != "" {
			c.Resources = must(weft.ParseResources(words))
		}
		test(newWorld(t, c))
	})
}

// engine starts an Engine, after change was made to its configuration. Stop ends it.
func (w *world) engine(change func(*engine.Config)) (stop func()) {
	w.t.Helper()
	c := w.config()
	if change != nil {
		change(&c)
	}
	ctx, cancel := context.WithCancel(w.t.Context())
	ended := make(chan error, 1)
	go func() { ended <- engine.New(c).Run(ctx) }()
	return func() {
		w.t.Helper()
		cancel()
		w.must(<-ended)
	}
}

// states says how many Runs of each Plan are in each status, and why they wait.
func (w *world) states() []string {
	w.t.Helper()
	var out []string
	for _, r := range w.runs() {
		text := fmt.Sprintf("%s %s", w.plans[r.Plan], r.Status)
		if r.Exit != nil && *r.Exit != (weft.Exit{}) {
			text += fmt.Sprintf(" %d %s", r.Exit.Code, r.Exit.Message)
		}
		if r.Reason != "" {
			text += ": " + r.Reason
		}
		out = append(out, text)
	}
	slices.Sort(out)
	return out
}

func (w *world) expect(want ...string) {
	w.t.Helper()
	if d := cmp.Diff(want, w.states()); d != "" {
		w.t.Error(d)
	}
}

func (w *world) only() weft.Run {
	w.t.Helper()
	runs := w.runs()
	if len(runs) != 1 {
		w.t.Fatalf("there are %d runs", len(runs))
	}
	return runs[0]
}

// wait lets time pass.
func (w *world) wait(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

func TestOneRunSetsOffTheNextWithoutDelay(t *testing.T) {
	inWorld(t, "cpu:4 memory:8Gi", func(w *world) {
		w.plan("clean", "/in kind:raw → /out kind:clean → log of:clean", "pending 1s after 3s copy /in/x=/out/x print done", "")
		w.plan("count", "/in kind:clean → /out kind:count", "after 2s write /out/n=1", "")
		stop := w.engine(nil)
		defer stop()
		w.wait(time.Minute)
		began := time.Now()
		w.push("digits", "kind:raw")
		w.wait(100 * time.Millisecond)
		w.expect("clean starting: pending for 1s")
		w.wait(time.Second)
		w.expect("clean running")
		w.wait(5 * time.Second)
		w.expect("clean done", "count done")
		for _, r := range w.runs() {
			if late := r.EndedAt.Sub(began) - 6*time.Second; late > 50*time.Millisecond {
				w.t.Errorf("%s ended %s after the scripts", w.plans[r.Plan], late)
			}
			if r.Image.IsZero() || r.StartedAt.IsZero() {
				w.t.Errorf("run %+v has no image or no start", r)
			}
		}
		w.history("clean", "→waiting waiting→ready ready→starting starting→running running→completing completing→done")
	})
}

// history compares the events of the only Run of a Plan.
func (w *world) history(plan, want string) {
	w.t.Helper()
	events, err := w.store.Events(w.t.Context(), w.project, weft.Cursor{}, 1000)
	w.must(err)
	var got []string
	for _, e := range events {
		if e.Kind == weft.RunChanged && w.plans[e.Plan] == plan && e.From != e.To {
			got = append(got, string(e.From)+"→"+string(e.To))
		}
	}
	if d := cmp.Diff(want, strings.Join(got, " ")); d != "" {
		w.t.Errorf("events of %s: %s", plan, d)
	}
}

func TestWhatDoesNotFitWaitsAndSaysWhy(t *testing.T) {
	inWorld(t, "cpu:4 memory:8Gi", func(w *world) {
		large := w.plan("large", "/in kind:raw → /out kind:x", "after 1h", "cpu:64")
		w.plan("long", "/in kind:raw → /out kind:x", "after 1h", "cpu:3")
		stop := w.engine(nil)
		defer stop()
		w.push("raw", "kind:raw")
		w.wait(time.Second)
		w.plan("next", "/in kind:raw → /out kind:x", "after 1s", "cpu:2 memory:100Mi")
		w.plan("small", "/in kind:raw → /out kind:x", "after 1s", "cpu:500m")
		w.wait(10 * time.Second)
		w.expect("large ready: can never run here: it asks for 64 cpu, and this machine has 4 in all",
			"long running", "next ready: waits for 2 cpu: 1 of 4 are free", "small done")
		_, err := w.store.ChangePlan(w.t.Context(), w.project, large, w.by, func(p *weft.Plan) error {
			p.Resources = must(weft.ParseResources(map[string]string{"cpu": "1"})).WithDefaults()
			return nil
		})
		w.must(err)
		w.wait(100 * time.Millisecond)
		w.expect("large running", "long running", "next ready: waits for 2 cpu: 0 of 4 are free", "small done")
		w.wait(10 * time.Second)
		w.expect("large running", "long running", "next ready: waits for 2 cpu: 0 of 4 are free", "small done")
		w.wait(time.Hour)
		w.expect("large done", "long done", "next done", "small done")
	})
}

func TestAPlanThatWaitsHidesNoOther(t *testing.T) {
	inWorld(t, "cpu:4 memory:8Gi gpu:1", func(w *world) {
		w.plan("gpu", "/a kind:raw | /b kind:raw → /out kind:x", "after 1h", "gpu:1 cpu:100m memory:1Mi")
		stop := w.engine(nil)
		defer stop()
		for i := range 30 {
			w.push(fmt.Sprint(i), "kind:raw")
		}
		w.wait(time.Minute)
		w.plan("small", "/in of:mine → /out kind:y", "after 1s", "cpu:100m memory:1Mi")
		w.push("mine", "of:mine")
		w.wait(10 * time.Second)
		counts, err := w.store.RunCounts(w.t.Context(), w.project)
		w.must(err)
		if n := len(w.runs()); n != 901 {
			w.t.Errorf("there are %d runs", n)
		}
		if counts[weft.Ready] > 600 || counts[weft.Running] != 1 || counts[weft.Waiting] < 300 {
			w.t.Errorf("runs by status: %v", counts)
		}
		if !slices.Contains(w.states(), "small done") {
			w.t.Error("the small run did not get its turn")
		}
	})
}

func TestNothingStartsWhileTheDiskIsFull(t *testing.T) {
	inWorld(t, "cpu:4 memory:8Gi", func(w *world) {
		w.plan("clean", "/in kind:raw → /out kind:clean", "after 1s", "")
		w.content.fill(weft.Errorf(weft.NoSpace, "the disk is full: 1 GB is free").WithAdvice("remove some data"))
		stop := w.engine(nil)
		defer stop()
		w.push("raw", "kind:raw")
		w.wait(time.Minute)
		w.expect("clean ready: the disk is full: 1 GB is free; remove some data")
		w.content.fill(nil)
		w.wait(10 * time.Second)
		w.expect("clean done")
	})
}

// A dustman notes when it was called, and makes room when that is urgent.
type dustman struct {
	w     *world
	calls []string
}

func (d *dustman) Collect(_ context.Context, atOnce bool) error {
	d.calls = append(d.calls, fmt.Sprint(atOnce))
	if atOnce {
		d.w.content.fill(nil)
	}
	return nil
}

func TestWhileTheDiskIsFullIsCollectedAtOnce(t *testing.T) {
	inWorld(t, "cpu:4 memory:8Gi", func(w *world) {
		w.plan("clean", "/in kind:raw → /out kind:clean", "after 1s", "")
		d := &dustman{w: w}
		stop := w.engine(func(c *engine.Config) { c.Collector = d })
		w.wait(time.Minute) // collected once, at the start
		w.content.fill(weft.Errorf(weft.NoSpace, "the disk is full"))
		w.push("raw", "kind:raw")
		w.wait(7 * time.Second)
		w.expect("clean done")
		stop()
		if diff := cmp.Diff([]string{"false", "true"}, d.calls); diff != "" {
			w.t.Errorf("collected at once: %s", diff)
		}
	})
}

func TestStoppedRunsEndAtOnce(t *testing.T) {
	inWorld(t, "cpu:4 memory:8Gi", func(w *world) {
		w.plan("kept", "/in kind:raw → /out kind:x", "write /out/half=1 after 1h", "")
		w.plan("dropped", "/in kind:raw → /out kind:x", "write /out/half=1 after 1h", "")
		stop := w.engine(nil)
		defer stop()
		w.push("raw", "kind:raw")
		w.wait(time.Second)
		w.plan("queued", "/in kind:raw → /out kind:x", "", "cpu:4")
		w.wait(time.Minute)
		for _, r := range w.runs() {
			_, err := w.store.StopRun(w.t.Context(), w.project, r.ID, weft.Stop{Fail: w.plans[r.Plan] != "kept"}, w.by)
			w.must(err)
		}
		w.wait(100 * time.Millisecond)
		w.expect("dropped failed 253 aborted by user", "kept done 0 stopped by user", "queued failed 253 aborted by user")
		for name, text := range w.outcome() {
			if !strings.HasPrefix(name, "queued") && strings.Contains(text, weft.Manifest{}.Digest().String()) {
				w.t.Errorf("%s has lost its output", name)
			}
		}
	})
}

// hanging is a registry that does not answer.
type hanging struct{}

func (hanging) Resolve(ctx context.Context, _ weft.ProjectID, _ weft.Image) (weft.Digest, error) {
	<-ctx.Done()
	return weft.Digest{}, ctx.Err()
}

func TestARunThatHangsInItsStartCanBeStopped(t *testing.T) {
	inWorld(t, "cpu:4 memory:8Gi", func(w *world) {
		w.plan("far", "/in kind:raw → /out kind:x", "", "cpu:4")
		stop := w.engine(func(c *engine.Config) { c.Images = hanging{} })
		defer stop()
		w.push("raw", "kind:raw")
		w.wait(10 * time.Minute)
		w.expect("far ready: gets image lab/far:1")
		_, err := w.store.StopRun(w.t.Context(), w.project, w.only().ID, weft.Stop{Fail: true}, w.by)
		w.must(err)
		w.wait(100 * time.Millisecond)
		w.expect("far failed 253 aborted by user")
	})
}

func TestAMissingImageFailsTheRunAndRetryWorks(t *testing.T) {
	inWorld(t, "", func(w *world) {
		w.plan("missing", "/in kind:raw → /out kind:x", "write /out/x=y", "")
		stop := w.engine(nil)
		w.push("raw", "kind:raw")
		w.wait(time.Second)
		w.expect("missing failed 255 image lab/missing:1 is not in the registry; push it and retry the run")
		stop()
		stop = w.engine(func(c *engine.Config) { c.Images = everything{} })
		defer stop()
		_, err := w.store.RetryRun(w.t.Context(), w.project, w.only().ID, w.by)
		w.must(err)
		w.wait(time.Second)
		w.expect("missing done")
		if r := w.only(); r.Attempt != 2 {
			w.t.Errorf("this is attempt %d", r.Attempt)
		}
	})
}

type everything struct{}

func (everything) Resolve(context.Context, weft.ProjectID, weft.Image) (weft.Digest, error) {
	return weft.Digest{1}, nil
}

// slow is content that takes its time to be sealed, and does not heed its context.
type slow struct {
	engine.Content
	takes time.Duration
}

func (s slow) Seal(ctx context.Context, r weft.Run) (map[weft.DataID]weft.Tree, []string, error) {
	time.Sleep(s.takes)
	return s.Content.Seal(context.WithoutCancel(ctx), r)
}

func TestAnEngineStopsInTimeAndTheNextFindsEverythingAtOnce(t *testing.T) {
	inWorld(t, "cpu:4 memory:8Gi gpu:2", func(w *world) {
		w.plan("long", "/in kind:raw → /out kind:x", "after 10m write /out/x=y", "gpu:1")
		w.plan("sealed", "/in kind:raw → /out kind:x", "write /out/x=y", "")
		w.plan("ends", "/in kind:raw → /out kind:x", "after 30s exit 3", "gpu:1")
		stop := w.engine(func(c *engine.Config) { c.Content = slow{c.Content, time.Hour} })
		w.push("raw", "kind:raw")
		w.wait(time.Second)
		w.plan("waits", "/in kind:raw → /out kind:x", "", "gpu:1")
		w.wait(9 * time.Second)
		began := time.Now()
		stop()
		if took := time.Since(began); took > 5*time.Second {
			w.t.Errorf("it took %s to stop", took)
		}
		w.expect("ends running", "long running", "sealed completing", "waits ready: waits for 1 gpu: 0 of 2 are free")
		w.wait(time.Minute)
		stop = w.engine(nil)
		w.wait(100 * time.Millisecond)
		w.expect("ends failed 3 ", "long running", "sealed done", "waits done")
		w.wait(10 * time.Minute)
		w.expect("ends failed 3 ", "long done", "sealed done", "waits done")
		stop()
		w.wait(time.Hour) // the slow sealing, too, must come to its end
	})
}

func TestDevicesGivenOutAreKnownAfterARestart(t *testing.T) {
	inWorld(t, "cpu:4 memory:8Gi gpu:2", func(w *world) {
		w.plan("train", "/in kind:raw → /out kind:x", "after 1h", "gpu:1")
		stop := w.engine(nil)
		w.push("raw0", "kind:raw")
		w.wait(time.Second)
		stop()
		stop = w.engine(nil)
		defer stop()
		w.push("raw1", "kind:raw")
		w.push("raw2", "kind:raw")
		w.wait(time.Second)
		w.expect("train ready: waits for 1 gpu: 0 of 2 are free", "train running", "train running")
		taken := map[string]bool{}
		for _, r := range w.runs() {
			seen, err := w.fake.Observe(w.t.Context(), r.Current())
			w.must(err)
			for _, d := range seen.Devices {
				taken[d] = true
			}
		}
		if len(taken) != 2 {
			w.t.Errorf("devices given out: %v", taken)
		}
	})
}

// broken is an executor that cannot start anything, and does not know why.
type broken struct{ executor.Executor }

func (broken) Start(context.Context, executor.Job) error { return errNetwork }

func TestARunThatNobodyKnowsHowToStartIsGivenUp(t *testing.T) {
	inWorld(t, "cpu:4 memory:8Gi", func(w *world) {
		w.plan("odd", "/in kind:raw → /out kind:x", "", "")
		stop := w.engine(func(c *engine.Config) { c.Executor = broken{c.Executor} })
		defer stop()
		w.push("raw", "kind:raw")
		w.wait(30 * time.Second)
		w.expect("odd starting: is tried again: the server could not do it, and its log says why")
		w.wait(10 * time.Minute)
		w.expect("odd failed 255 the server could not do it, and its log says why")
	})
}

func TestWhatBelongsToNoRunIsRemoved(t *testing.T) {
	inWorld(t, "", func(w *world) {
		stray := weft.Attempt{Run: weft.NewID[weft.Run](), Number: 1}
		w.must(w.fake.Start(w.t.Context(), executor.Job{Attempt: stray, Log: weft.NewID[weft.Data](), Args: []string{"after", "1h"}}))
		stop := w.engine(nil)
		defer stop()
		w.wait(time.Minute)
		containers, err := w.fake.List(w.t.Context())
		w.must(err)
		left, err := w.content.Works(w.t.Context())
		w.must(err)
		if len(containers)+len(left) > 0 {
			w.t.Errorf("left over: %v, %v", containers, left)
		}
	})
}
