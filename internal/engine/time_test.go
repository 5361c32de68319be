package engine_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/weft-dev/weft"
)

// stop stops the only Run.
func (w *world) stop(how weft.Stop) error {
	_, err := w.store.StopRun(w.t.Context(), w.project, w.only().ID, how, w.by)
	return err
}

func TestAStoppedProgramHasItsGrace(t *testing.T) {
	inWorld(t, "cpu:4 memory:8Gi", func(w *world) {
		w.plan("heedless", "/in kind:raw → /out kind:x", "stubborn write /out/half=1 after 1h", "grace:1m")
		stop := w.engine(nil)
		w.push("raw", "kind:raw")
		w.wait(time.Second)
		w.must(w.stop(weft.Stop{}))
		until := w.only().StopBy.Format("2006-01-02 15:04:05 UTC")
		w.wait(59 * time.Second)
		w.expect("heedless completing 0 stopped by user: stopping: has until " + until)
		stop() // and the next engine keeps to what the first one promised
		w.wait(500 * time.Millisecond)
		stop = w.engine(nil)
		defer stop()
		w.wait(100 * time.Millisecond)
		w.expect("heedless completing 0 stopped by user: stopping: has until " + until)
		w.wait(time.Second)
		w.expect("heedless done 0 stopped by user")
		if r := w.only(); r.End != weft.EndStopped || r.Node != "lab" || !r.StopBy.IsZero() {
			w.t.Errorf("recorded is %+v", r)
		}
	})
}

func TestAProgramThatHeedsTheRequestIsNotWaitedFor(t *testing.T) {
	inWorld(t, "cpu:4 memory:8Gi", func(w *world) {
		w.plan("good", "/in kind:raw → /out kind:x", "write /out/half=1 after 1h", "grace:1m")
		stop := w.engine(nil)
		defer stop()
		w.push("raw", "kind:raw")
		w.wait(time.Second)
		w.must(w.stop(weft.Stop{Fail: true}))
		w.wait(100 * time.Millisecond)
		w.expect("good failed 253 aborted by user")
	})
}

func TestStoppingAgainMayHurry(t *testing.T) {
	inWorld(t, "cpu:4 memory:8Gi", func(w *world) {
		w.plan("heedless", "/in kind:raw → /out kind:x", "stubborn after 1h", "grace:10m")
		stop := w.engine(nil)
		defer stop()
		w.push("raw", "kind:raw")
		w.wait(time.Second)
		w.must(w.stop(weft.Stop{}))
		w.wait(time.Minute)
		for _, how := range []weft.Stop{{}, {Fail: true, Now: true}} {
			if err := w.stop(how); weft.KindOf(err) != weft.Conflict {
				w.t.Errorf("stopping again with %+v: %v", how, err)
			}
		}
		w.must(w.stop(weft.Stop{Now: true}))
		w.wait(100 * time.Millisecond)
		w.expect("heedless done 0 stopped by user")
		want := fmt.Sprintf("stop run: run %s is done already; there is nothing to stop", w.only().ID)
		if err := w.stop(weft.Stop{}); err == nil || err.Error() != want {
			w.t.Errorf("%v; want %s", err, want)
		}
	})
}

func TestATimeoutEndsARun(t *testing.T) {
	inWorld(t, "cpu:4 memory:8Gi", func(w *world) {
		w.plan("heedless", "/in kind:raw → /out kind:x", "pending 30s stubborn write /out/half=1 after 9h", "timeout:2h grace:5s")
		w.plan("quick", "/in kind:raw → /out kind:x", "after 1h", "timeout:2h")
		stop := w.engine(nil)
		w.push("raw", "kind:raw")
		w.wait(30*time.Second + 2*time.Hour - time.Second)
		w.expect("heedless running", "quick done")
		stop() // while no engine is there, the time runs on
		w.wait(2 * time.Minute)
		stop = w.engine(nil)
		defer stop()
		w.wait(6 * time.Second)
		w.wait(6 * time.Second)
		w.expect("heedless failed 252 timed out: it ran for 2h0m0s, which is the plan's timeout", "quick done")
	})
}

func TestATimeoutIsOnTime(t *testing.T) {
	inWorld(t, "cpu:4 memory:8Gi", func(w *world) {
		id := w.plan("long", "/in kind:raw → /out kind:x", "after 9h", "")
		stop := w.engine(nil)
		defer stop()
		w.push("raw", "kind:raw")
		w.wait(time.Hour)
		w.expect("long running")
		_, err := w.store.ChangePlan(w.t.Context(), w.project, id, w.by, func(p *weft.Plan) error {
			p.Policy.Timeout = 2 * time.Hour // counts for what runs already
			return nil
		})
		w.must(err)
		w.wait(time.Hour - time.Second)
		w.expect("long running")
		w.wait(1100 * time.Millisecond)
		w.expect("long failed 252 timed out: it ran for 2h0m0s, which is the plan's timeout")
		if r := w.only(); r.EndedAt.Sub(r.StartedAt) > 2*time.Hour+100*time.Millisecond {
			w.t.Errorf("it ended %s after its begin", r.EndedAt.Sub(r.StartedAt))
		}
	})
}

func TestFailuresAreTriedAgainAfterAPauseThatGrows(t *testing.T) {
	inWorld(t, "cpu:4 memory:8Gi", func(w *world) {
		w.plan("flaky", "/in kind:raw → /out kind:x → log of:flaky", "print tried after 1s exit 75", "retry:2 backoff:1m on:75")
		stop := w.engine(nil)
		w.push("raw", "kind:raw")
		w.wait(2 * time.Second)
		due := w.only().UpdatedAt.Add(time.Minute).Format("2006-01-02 15:04:05 UTC")
		w.expect("flaky waiting: is tried again at " + due + " (1 of 2): attempt 1 ended with exit 75")
		stop()
		stop = w.engine(nil) // a pause outlives engines
		defer stop()
		w.wait(55 * time.Second)
		w.expect("flaky waiting: is tried again at " + due + " (1 of 2): attempt 1 ended with exit 75")
		w.wait(10 * time.Second)
		if r := w.only(); r.Attempt != 3 || r.Status != weft.Waiting {
			w.t.Errorf("after the first retry it is %s at attempt %d", r.Status, r.Attempt)
		}
		w.wait(2*time.Minute + 5*time.Second)
		w.expect("flaky failed 75 ")
		v, err := w.store.Run(w.t.Context(), w.project, w.only().ID)
		w.must(err)
		var got []string
		for _, p := range v.Past {
			got = append(got, fmt.Sprintf("%d %s %d %s %s log %v, by %s", p.Number, p.Status, p.Exit.Code, p.End, p.Node, !p.LogTree.IsZero(), p.Cause.Kind))
		}
		want := []string{"1 failed 75 exit lab log true, by projection", "2 failed 75 exit lab log true, by again"}
		if d := cmp.Diff(want, got); d != "" {
			w.t.Error(d)
		}
		w.history("flaky", "→waiting waiting→ready ready→starting starting→running running→aborting aborting→failed failed→waiting "+
			"waiting→ready ready→starting starting→running running→aborting aborting→failed failed→waiting "+
			"waiting→ready ready→starting starting→running running→aborting aborting→failed")
		_, err = w.store.RetryRun(w.t.Context(), w.project, v.Run.ID, w.by)
		w.must(err)
		w.wait(2 * time.Second)
		if r := w.only(); r.Attempt != 5 || r.Retries != 1 { // it has failed again, and waits
			w.t.Errorf("a user's retry does not begin to count anew: attempt %d, %d retries", r.Attempt, r.Retries)
		}
	})
}

func TestWhatARetryDoesNotHelpIsNotTriedAgain(t *testing.T) {
	inWorld(t, "cpu:4 memory:8Gi", func(w *world) {
		w.plan("other", "/in kind:raw → /out kind:x", "exit 3", "retry:2 on:75,lost")
		w.plan("missing", "/in kind:raw → /out kind:x", "", "retry:2")
		w.plan("aborted", "/in kind:raw → /out kind:x", "after 1h", "retry:2")
		w.plan("lost", "/in kind:raw → /out kind:x", "vanish", "retry:1 backoff:1s on:lost")
		w.plan("killed", "/in kind:raw → /out kind:x", "oom", "retry:1 backoff:1s on:oom")
		stop := w.engine(nil)
		defer stop()
		w.push("raw", "kind:raw")
		w.wait(time.Minute)
		for _, r := range w.runs() {
			if w.plans[r.Plan] == "aborted" {
				_, err := w.store.StopRun(w.t.Context(), w.project, r.ID, weft.Stop{Fail: true}, w.by)
				w.must(err)
			}
		}
		w.wait(time.Minute)
		tries := map[string]int64{}
		for _, r := range w.runs() {
			if r.Status != weft.Failed {
				w.t.Errorf("%s is %s", w.plans[r.Plan], r.Status)
			}
			tries[w.plans[r.Plan]] = r.Attempt
		}
		want := map[string]int64{"other": 1, "missing": 1, "aborted": 1, "lost": 2, "killed": 2}
		if d := cmp.Diff(want, tries); d != "" {
			w.t.Errorf("attempts: %s", d)
		}
	})
}

func TestNoMoreRunsAtOnceThanThePlanAllows(t *testing.T) {
	for _, machine := range []string{"cpu:8 memory:64Gi", ""} { // where room is shared out, and where it is not
		t.Run("on "+machine, func(t *testing.T) {
			inWorld(t, machine, func(w *world) {
				id := w.plan("two", "/in kind:raw → /out kind:x", "after 20s", "concurrency:2")
				stop := w.engine(nil)
				for i := range 5 {
					w.push(fmt.Sprint("raw", i), "kind:raw")
				}
				w.wait(6 * time.Second)
				waits := "two ready: waits for another run of its plan to end: the plan allows 2 at a time"
				w.expect(waits, waits, waits, "two running", "two running")
				stop()
				stop = w.engine(nil)
				defer stop()
				w.wait(2 * time.Second)
				w.expect(waits, waits, waits, "two running", "two running")
				w.plan("other", "/in kind:raw → /out kind:y", "after 1s", "")
				w.wait(1500 * time.Millisecond)
				w.expect("other done", "other done", "other done", "other done", "other done", waits, waits, waits, "two running", "two running")
				_, err := w.store.ChangePlan(w.t.Context(), w.project, id, w.by, func(p *weft.Plan) error {
					p.Policy.Concurrency = 0
					return nil
				})
				w.must(err)
				w.wait(500 * time.Millisecond)
				w.expect("other done", "other done", "other done", "other done", "other done",
					"two running", "two running", "two running", "two running", "two running")
			})
		})
	}
}
