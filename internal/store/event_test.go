package store_test

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/weft-dev/weft"
)

// events returns what happened behind a cursor once the event that done accepts is
// among it: on PostgreSQL an event shows only when every older transaction has ended,
// and the tests beside this one have some, too.
func (w *world) events(after weft.Cursor, done func(weft.Event) bool) []weft.Event {
	w.Helper()
	changed, stop := w.s.Changed()
	defer stop()
	for {
		list := must(w.s.Events(w.Context(), weft.ProjectID{}, after, 1000))(w)
		if slices.ContainsFunc(list, done) {
			return list
		}
		// A commit of one's own wakes everybody, so it is soon clear whether it shows.
		w.push("")
		select {
		case <-changed:
		case <-w.Context().Done():
			w.Fatal("the event never shows")
		}
	}
}

func TestEvents(t *testing.T) {
	eachWorld(t, func(w *world) {
		begin := must(w.s.LastCursor(w.Context()))(w)
		p := w.plan("type:csv -> type:model")
		in := w.push("type:csv")
		w.projection()
		r := w.become(w.runs(p.ID)[0].ID, weft.Done)
		w.tag(in, "a:b", "")
		must(w.s.RetryRun(w.Context(), w.project, r.ID, w.by))(w)
		if err := w.s.DeleteRun(w.Context(), w.project, r.ID, w.by); err != nil {
			w.Fatal(err)
		}
		var got []string
		events := w.events(begin, func(e weft.Event) bool { return e.To == weft.Invalidated })
		for i, e := range events {
			if e.Plan != p.ID && e.Data != in {
				continue
			}
			if e.Project != w.project || i > 0 && !e.Cursor.After(events[i-1].Cursor) {
				w.Errorf("event %+v is in another project, or not behind the one before", e)
			}
			got = append(got, strings.TrimSpace(fmt.Sprintf("%s %s %s", e.Kind, e.From, e.To)))
		}
		want := []string{"plan", "run  waiting", "run waiting ready", "run ready starting", "run starting running", "run running completing",
			"run completing done", "tags", "data-removed", "run done waiting", "data-removed", "run waiting invalidated"}
		if diff := cmp.Diff(want, got); diff != "" {
			w.Errorf("events:\n%s", diff)
		}
	})
}

// TestEventsOfReasons records another reason, and then the same once more.
func TestEventsOfReasons(t *testing.T) {
	eachWorld(t, func(w *world) {
		p := w.plan("type:csv -> type:model")
		w.push("type:csv")
		w.projection()
		r := w.become(w.runs(p.ID)[0].ID, weft.Ready)
		begin := must(w.s.LastCursor(w.Context()))(w)
		for _, reason := range []string{"waits for room", "waits for room", "waits for a device", ""} {
			next := r
			next.Reason = reason
			next.Rev++
			if err := w.s.SaveRuns(w.Context(), []weft.Save{{Run: next, Rev: r.Rev, Keep: true}})[0]; err != nil {
				w.Fatal(err)
			}
			r = next
		}
		w.become(r.ID, weft.Starting)
		var got []string
		for _, e := range w.events(begin, func(e weft.Event) bool { return e.Run == r.ID && e.To == weft.Starting }) {
			if e.Run == r.ID && e.From == weft.Ready { // what went before may settle late
				got = append(got, fmt.Sprintf("%s %s", e.From, e.To))
			}
		}
		if diff := cmp.Diff([]string{"ready ready", "ready ready", "ready ready", "ready starting"}, got); diff != "" {
			w.Errorf("events:\n%s", diff)
		}
	})
}

// TestEventsAreInOneOrder follows the events while many write: none is missed.
func TestEventsAreInOneOrder(t *testing.T) {
	eachWorld(t, func(w *world) {
		const writers, each = 6, 10
		var all sync.WaitGroup
		pushed := make(chan weft.DataID, writers*each)
		for range writers {
			all.Go(func() {
				for range each {
					id := weft.NewID[weft.Data]()
					_, err := w.s.PushData(w.Context(), weft.Push{Project: w.project, Plan: weft.PlanUploaded, Run: weft.ID[weft.Run](id), Data: id})
					if err != nil {
						w.Error(err)
						return
					}
					pushed <- id
				}
			})
		}
		seen := map[weft.RunID]int{}
		var at weft.Cursor
		changed, stop := w.s.Changed()
		defer stop()
		for wrote := 0; len(seen) < writers*each; {
			for _, e := range must(w.s.Events(w.Context(), w.project, at, 7))(w) {
				if at = e.Cursor; e.Kind == weft.RunChanged {
					seen[e.Run]++
				}
			}
			select {
			case <-pushed:
				wrote++
			case <-changed:
			default:
			}
			if wrote == writers*each && len(seen) < wrote {
				w.tag(w.push(""), "x:y", "") // so that there is something to wake for
				for _, e := range must(w.s.Events(w.Context(), w.project, at, 1000))(w) {
					if at = e.Cursor; e.Kind == weft.RunChanged {
						seen[e.Run]++
					}
				}
			}
		}
		all.Wait()
		for id, n := range seen {
			if n != 1 {
				w.Errorf("the event of run %s was read %d times", id, n)
			}
		}
	})
}

func TestPruneEvents(t *testing.T) {
	eachWorld(t, func(w *world) {
		w.push("")
		id := w.push("")
		made := w.data(id).Upstream.Run.ID
		events := w.events(weft.Cursor{}, func(e weft.Event) bool { return e.Run == made })
		n := slices.IndexFunc(events, func(e weft.Event) bool { return e.Run == made })
		if err := w.s.PruneEvents(w.Context(), events[n-1].Cursor); err != nil {
			w.Fatal(err)
		}
		left := must(w.s.Events(w.Context(), w.project, weft.Cursor{}, 1000))(w)
		if len(left) == 0 || left[0].Run != made {
			w.Errorf("left are %d events, and the first is not the one behind the last that was pruned", len(left))
		}
		last := must(w.s.LastCursor(w.Context()))(w)
		if err := w.s.PruneEvents(w.Context(), last); err != nil {
			w.Fatal(err)
		}
		if now := must(w.s.LastCursor(w.Context()))(w); last.After(now) {
			w.Errorf("pruning moved the end back from %v to %v", last, now)
		}
	})
}
