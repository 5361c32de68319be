package store_test

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/weft-dev/weft"
)

// waiting makes n Runs that wait, and returns their ids, the oldest first.
func (w *world) waiting(n int) []weft.RunID {
	w.Helper()
	p := w.plan("type:csv -> type:model")
	for range n {
		w.push("type:csv")
	}
	w.projection()
	var ids []weft.RunID
	for _, r := range w.runs(p.ID) {
		ids = append(ids, r.ID)
	}
	return ids
}

func idsOfRuns(runs []weft.Run) []weft.RunID {
	var ids []weft.RunID
	for _, r := range runs {
		ids = append(ids, r.ID)
	}
	return ids
}

func TestClaimLeases(t *testing.T) {
	eachWorld(t, func(w *world) {
		w.waiting(3)
		claim := func(n int, lease time.Duration) []weft.Run {
			return must(w.s.ClaimRuns(w.Context(), "me", lease, n, weft.Waiting, weft.Ready))(w)
		}
		first := claim(2, time.Hour)
		if len(first) != 2 || len(first[0].Inputs) != 1 || first[0].Inputs[0].Path != "/in/a" {
			w.Fatalf("claimed %+v", first)
		}
		rest := claim(5, time.Hour)
		if len(rest) != 1 || slices.Contains(idsOfRuns(first), rest[0].ID) {
			w.Errorf("then claimed %v, want the third run alone", rest)
		}
		if again := claim(5, time.Hour); len(again) != 0 {
			w.Errorf("claimed %d runs twice", len(again))
		}
		if byID := must(w.s.ClaimRunsByID(w.Context(), "you", time.Hour, idsOfRuns(first)))(w); len(byID) != 0 {
			w.Errorf("claimed %d runs by id that are leased", len(byID))
		}
		if byID := must(w.s.ClaimRunsByID(w.Context(), "me", time.Hour, idsOfRuns(first)))(w); len(byID) != 2 {
			w.Errorf("claimed %d runs by id that the holder leases already, want both", len(byID))
		}
		next := must(first[0].To(weft.Ready, time.Now()))(w)
		if err := w.s.SaveRuns(w.Context(), []weft.Save{{Run: next, Rev: first[0].Rev, Due: time.Now().Add(time.Hour)}})[0]; err != nil {
			w.Fatal(err)
		}
		if early := claim(5, time.Hour); len(early) != 0 {
			w.Errorf("claimed %d runs that are not due", len(early))
		}
		byID := must(w.s.ClaimRunsByID(w.Context(), "me", -time.Second, []weft.RunID{next.ID, weft.NewID[weft.Run]()}))(w)
		if len(byID) != 1 || byID[0].Status != weft.Ready {
			w.Errorf("claimed %v by id, want the run that is free", byID)
		}
		if expired := claim(5, time.Hour); len(expired) != 1 || expired[0].ID != next.ID {
			w.Errorf("claimed %v, want the run whose lease ended", expired)
		}
	})
}

func TestSaveComparesAndSets(t *testing.T) {
	eachWorld(t, func(w *world) {
		ids := w.waiting(3)
		runs := must(w.s.ClaimRuns(w.Context(), "me", time.Hour, 3, weft.Waiting))(w)
		must(w.s.StopRun(w.Context(), w.project, runs[1].ID, weft.Stop{Fail: true}, w.by))(w)
		var saves []weft.Save
		for _, r := range runs {
			next := must(r.To(weft.Ready, time.Now().UTC().Truncate(time.Microsecond)))(w)
			next.Reason = "waits for room"
			saves = append(saves, weft.Save{Run: next, Rev: r.Rev, Keep: true})
		}
		gone := saves[0]
		gone.Run.ID = weft.NewID[weft.Run]()
		errs := w.s.SaveRuns(w.Context(), append(saves, gone))
		for i, kind := range []weft.Kind{"", weft.Conflict, "", weft.Conflict} {
			w.wantKind(errs[i], kind)
		}
		if r := w.run(runs[1].ID); r.Status != weft.Aborting {
			w.Errorf("a save that came late made a stopped run %s", r.Status)
		}
		if r := w.run(runs[0].ID); r.Reason != "waits for room" || r.Rev != 2 {
			w.Errorf("saved was %+v", r)
		}
		if again := must(w.s.ClaimRuns(w.Context(), "you", time.Hour, 9, weft.Ready))(w); len(again) != 0 {
			w.Errorf("claimed %d runs whose lease was kept", len(again))
		}
		for _, err := range w.s.SaveRuns(w.Context(), saves) {
			w.wantKind(err, weft.Conflict)
		}
		if counts := must(w.s.RunCounts(w.Context(), w.project))(w); counts[weft.Ready] != 2 || counts[weft.Aborting] != 1 || counts[weft.Done] != 3 {
			w.Errorf("counts are %v", counts)
		}
		_ = ids
	})
}

// TestClaimsFromManySides has several claim at once: every Run has one holder.
func TestClaimsFromManySides(t *testing.T) {
	eachWorld(t, func(w *world) {
		ids := w.waiting(40)
		var mu sync.Mutex
		var sides sync.WaitGroup
		holders := map[weft.RunID]int{}
		for side := range 4 {
			sides.Go(func() {
				for got := 1; got > 0; {
					runs, err := w.s.ClaimRuns(w.Context(), fmt.Sprint(side), time.Hour, 3, weft.Waiting)
					if err != nil {
						w.Error(err)
					}
					mu.Lock()
					for _, r := range runs {
						holders[r.ID]++
					}
					mu.Unlock()
					got = len(runs)
				}
			})
		}
		sides.Wait()
		for _, r := range must(w.s.ClaimRuns(w.Context(), "last", time.Hour, 99, weft.Waiting))(w) {
			holders[r.ID]++ // what was skipped while another looked at it
		}
		for _, id := range ids {
			if holders[id] != 1 {
				w.Errorf("run %s was claimed %d times", id, holders[id])
			}
		}
	})
}
