package notify_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/weft-dev/weft"
	"github.com/weft-dev/weft/internal/notify"
)

var lab = notify.Hook{URL: "http://lab.test/after", Secret: []byte("key")}

// Every change that the engine makes is told once, in order, signed, and with the new
// status in the body; a hook that is new hears nothing of the past.
func TestAfterHooksHearOfEveryChange(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		old := w.runs(1)
		w.moves(old, weft.Ready)
		_, stop := w.after([]notify.Hook{lab})
		defer stop()
		time.Sleep(10 * time.Second)
		runs := w.runs(20)
		w.moves(runs, wholeLife...)
		time.Sleep(10 * time.Second)
		w.inOrder("lab.test", runs, wholeLife...)
		w.inOrder("lab.test", old)
		for _, c := range w.calls("lab.test") {
			if err := notify.Verify([]byte("key"), c.signature, c.id, c.body, time.Now(), time.Minute); err != nil || c.when != "after" {
				t.Errorf("call %s, %s: %v", c.id, c.when, err)
			}
			if notify.Verify([]byte("other"), c.signature, c.id, c.body, time.Now(), time.Minute) == nil ||
				notify.Verify([]byte("key"), c.signature, c.id, append(c.body, ' '), time.Now(), time.Minute) == nil ||
				notify.Verify([]byte("key"), c.signature, c.id, c.body, time.Now().Add(time.Hour), time.Minute) == nil {
				t.Error("a signature by another key, over another body, or of long ago is taken")
			}
		}
	})
}

// A restart neither loses nor repeats what was told.
func TestAfterHooksGoOnAfterARestart(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		_, stop := w.after([]notify.Hook{lab})
		time.Sleep(5 * time.Second)
		runs := w.runs(3)
		w.moves(runs, weft.Ready)
		time.Sleep(5 * time.Second)
		stop()
		w.moves(runs, weft.Starting, weft.Running) // nobody listens
		_, stop = w.after([]notify.Hook{lab})
		defer stop()
		time.Sleep(5 * time.Second)
		w.inOrder("lab.test", runs, weft.Ready, weft.Starting, weft.Running)
	})
}

// What was under way when the process died is sent again, with the same id and body.
func TestWhatWasUnderWayIsRepeatedWithItsID(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.answers(func(call) (int, bool) { return 0, true })
		_, stop := w.after([]notify.Hook{lab})
		time.Sleep(5 * time.Second)
		w.moves(w.runs(1), weft.Ready)
		time.Sleep(5 * time.Second) // it hangs in the call
		stop()
		w.answers(nil)
		_, stop = w.after([]notify.Hook{lab})
		defer stop()
		time.Sleep(5 * time.Second)
		if got := w.all(); len(got) != 2 || got[0].id != got[1].id || !bytes.Equal(got[0].body, got[1].body) {
			t.Errorf("%d calls: %+v", len(got), got)
		}
	})
}

// A URL that fails for one Run holds neither other Runs nor another URL; that Run's
// changes come later, in order.
func TestAFailingURLHoldsNobodyElse(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		_, stop := w.after([]notify.Hook{lab, {URL: "http://other.test/"}})
		defer stop()
		time.Sleep(5 * time.Second)
		runs := w.runs(30)
		bad := runs[7].ID.String()
		w.answers(func(c call) (int, bool) {
			if c.host == "lab.test" && c.run == bad {
				return 500, false
			}
			return 200, false
		})
		w.moves(runs, wholeLife...)
		time.Sleep(30 * time.Second)
		w.inOrder("other.test", runs, wholeLife...)
		w.inOrder("lab.test", append(append([]weft.Run(nil), runs[:7]...), runs[8:]...), wholeLife...)
		w.answers(nil)
		time.Sleep(10 * time.Minute)
		w.inOrder("lab.test", runs, wholeLife...)
	})
}

// While a URL is down, it is tried now and then, not for every event; when it is back, all
// comes, in order.
func TestAURLThatIsDownIsNotFlooded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		hang := false
		w.answers(func(c call) (int, bool) { hang = !hang; return 503, hang && c.host == "lab.test" })
		_, stop := w.after([]notify.Hook{{URL: "http://lab.test/", Timeout: time.Second, Concurrency: 2, Slowest: time.Minute}})
		defer stop()
		time.Sleep(5 * time.Second)
		runs := w.runs(300)
		w.moves(runs, wholeLife...)
		time.Sleep(time.Hour)
		if n := len(w.all()); n > 250 {
			t.Errorf("in an hour it was called %d times", n)
		}
		w.answers(nil)
		time.Sleep(30 * time.Minute)
		w.inOrder("lab.test", runs, wholeLife...)
	})
}

// What fails for too long is given up and counted; on demand it is tried again.
func TestDeadLetters(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.answers(func(c call) (int, bool) { return map[bool]int{true: 500, false: 200}[c.to == "starting"], false })
		a, stop := w.after([]notify.Hook{{Name: "lab", URL: "http://lab.test/", GiveUp: time.Hour}})
		defer stop()
		time.Sleep(5 * time.Second)
		runs := w.runs(2)
		w.moves(runs, wholeLife...)
		time.Sleep(3 * time.Hour)
		w.inOrder("lab.test", runs, weft.Ready, weft.Running, weft.Completing, weft.Done)
		if s, err := a.States(t.Context()); err != nil || len(s) != 1 || s[0].Dead != 2 || s[0].Waiting != 0 || s[0].Host != "lab.test" {
			t.Errorf("states %+v, %v", s, err)
		}
		w.answers(nil)
		if n, err := a.Revive(t.Context(), "lab"); n != 2 || err != nil {
			t.Errorf("revived %d, %v", n, err)
		}
		time.Sleep(time.Minute)
		w.inOrder("lab.test", runs, weft.Ready, weft.Running, weft.Completing, weft.Done, weft.Starting)
	})
}

// At most once means that nothing is repeated, whatever was answered.
func TestAtMostOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.answers(func(c call) (int, bool) { return 500, c.to == "running" })
		_, stop := w.after([]notify.Hook{{URL: "http://lab.test/", AtMostOnce: true}})
		defer stop()
		time.Sleep(5 * time.Second)
		w.moves(w.runs(1), wholeLife...)
		time.Sleep(time.Hour)
		seen := map[string]int{}
		for _, c := range w.all() {
			seen[c.to]++
		}
		if fmt.Sprint(seen) != "map[completing:1 done:1 ready:1 running:1 starting:1]" {
			t.Errorf("told %v", seen)
		}
	})
}

// Changes that people make are told to those who want all of them.
func TestHooksThatWantAllChanges(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		_, stop := w.after([]notify.Hook{lab, {URL: "http://all.test/", All: true}, {URL: "http://failed.test/", Statuses: []weft.Status{weft.Failed}},
			{URL: "http://elsewhere.test/", Projects: []string{"other"}}, {URL: "http://plan.test/", Plans: []string{"lab/nothing"}}})
		defer stop()
		time.Sleep(5 * time.Second)
		runs := w.runs(1)
		w.moves(runs, weft.Ready, weft.Starting)
		_, err := w.s.StopRun(t.Context(), w.project, runs[0].ID, weft.Stop{Fail: true, Now: true}, w.by)
		w.must(err)
		v, err := w.s.Run(t.Context(), w.project, runs[0].ID)
		w.must(err)
		runs[0] = v.Run
		w.moves(runs, weft.Failed)
		_, err = w.s.RetryRun(t.Context(), w.project, runs[0].ID, w.by)
		w.must(err)
		time.Sleep(10 * time.Second)
		w.inOrder("lab.test", runs, weft.Ready, weft.Starting, weft.Failed)
		w.inOrder("all.test", runs, weft.Waiting, weft.Ready, weft.Starting, weft.Aborting, weft.Failed, weft.Waiting)
		w.inOrder("failed.test", runs, weft.Failed)
		w.inOrder("elsewhere.test", runs)
		w.inOrder("plan.test", runs)
	})
}

// Events are kept for the slowest who follows them, and not for one who is gone.
func TestEventsAreKeptForFollowers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		a, stop := w.after([]notify.Hook{lab})
		defer stop()
		time.Sleep(5 * time.Second)
		w.answers(func(call) (int, bool) { return 503, false })
		w.moves(w.runs(50), wholeLife...)
		time.Sleep(time.Minute)
		last, err := w.s.LastCursor(t.Context())
		w.must(err)
		w.must(w.s.PruneEvents(t.Context(), last))
		if events, err := w.s.Events(t.Context(), weft.ProjectID{}, weft.Cursor{}, 1000); err != nil || len(events) < 100 {
			t.Errorf("%d events are left, %v", len(events), err)
		}
		a.Set(nil, nil)
		time.Sleep(time.Second)
		w.must(w.s.PruneEvents(t.Context(), last))
		if events, err := w.s.Events(t.Context(), weft.ProjectID{}, weft.Cursor{}, 1000); err != nil || len(events) != 1 {
			t.Errorf("%d events are left, %v", len(events), err)
		}
	})
}

// The life of a Run as OpenLineage tells it: a retry has an id of its own, and its parent
// is the Run.
func TestOpenLineage(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		_, stop := w.after(nil, notify.Lineage{Hook: notify.Hook{URL: "http://marquez.test/api/v1/lineage", Headers: map[string]string{"Authorization": "Bearer t"}}, Namespace: "weft"})
		defer stop()
		time.Sleep(5 * time.Second)
		runs := w.runs(1)
		w.moves(runs, weft.Ready, weft.Starting, weft.Running, weft.Aborting, weft.Failed)
		time.Sleep(5 * time.Second)
		v, err := w.s.RetryRun(t.Context(), w.project, runs[0].ID, w.by)
		w.must(err)
		runs[0] = v.Run
		w.moves(runs, wholeLife...)
		time.Sleep(5 * time.Second)
		var types, ids []string
		for _, c := range w.calls("marquez.test") {
			var e map[string]any
			w.must(json.Unmarshal(c.body, &e))
			checkRunEvent(t, e)
			if c.auth != "Bearer t" {
				t.Errorf("authorization is %q", c.auth)
			}
			if e["job"].(map[string]any)["name"] == weft.PlanUploaded {
				continue
			}
			types = append(types, e["eventType"].(string))
			run := e["run"].(map[string]any)
			ids = append(ids, run["runId"].(string))
			facets := run["facets"].(map[string]any)
			if _, failed := facets["errorMessage"]; failed != (e["eventType"] == "FAIL") {
				t.Errorf("%s has the facets %v", e["eventType"], facets)
			}
			if _, child := facets["parent"]; child != (run["runId"] != runs[0].ID.String()) {
				t.Errorf("%s of %s has the facets %v", e["eventType"], run["runId"], facets)
			}
			if len(e["inputs"].([]any)) != 1 || len(e["outputs"].([]any)) < 1 {
				t.Errorf("%s has inputs %v and outputs %v", e["eventType"], e["inputs"], e["outputs"])
			}
		}
		if want := "[START RUNNING FAIL START RUNNING COMPLETE]"; fmt.Sprint(types) != want {
			t.Errorf("told %v; want %s", types, want)
		}
		if len(ids) != 6 || ids[0] != runs[0].ID.String() || ids[0] != ids[2] || ids[3] == ids[0] || ids[3] != ids[5] {
			t.Errorf("ids %v of run %s", ids, runs[0].ID)
		}
	})
}
