package engine

import (
	"context"
	"sync"
	"time"

	"github.com/weft-dev/weft"
)

// A fleet holds the Runs that this process works on at the moment, so that never two
// goroutines of it work on one. A lease cannot tell them apart: they share a holder.
type fleet struct {
	mu      sync.Mutex
	flights map[weft.RunID]*flight
}

// A flight is the work on one Run, from its claim until it needs none for a while.
type flight struct {
	run    weft.Run // as last recorded
	since  time.Time
	end    context.CancelFunc
	next   *weft.Run // the Run as someone else has changed it meanwhile
	hinted bool      // the executor has news
}

// enter begins a flight with r, unless one is under way.
func (f *fleet) enter(ctx context.Context, r weft.Run) (context.Context, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.meet(r) {
		return nil, false
	}
	ctx, end := context.WithCancel(ctx)
	f.flights[r.ID] = &flight{run: r, since: time.Now(), end: end}
	return ctx, true
}

// busy reports whether a flight with r is under way.
func (f *fleet) busy(r weft.Run) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.meet(r)
}

// meet finds the flight of r. If r is newer, as a user has stopped the Run, the flight
// is told to end, and r follows.
func (f *fleet) meet(r weft.Run) bool {
	old := f.flights[r.ID]
	if old == nil {
		return false
	}
	if r.Rev > old.run.Rev && (old.next == nil || r.Rev > old.next.Rev) {
		old.next = &r
		old.end()
	}
	return true
}

// note keeps what was recorded of a Run in flight.
func (f *fleet) note(r weft.Run) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if fl := f.flights[r.ID]; fl != nil && r.Rev > fl.run.Rev {
		fl.run = r
	}
}

// leave ends a flight. It returns what is to follow, if anything.
func (f *fleet) leave(id weft.RunID) (last weft.Run, next *weft.Run, hinted bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	fl := f.flights[id]
	delete(f.flights, id)
	fl.end()
	if next = fl.next; next != nil && next.Rev < fl.run.Rev {
		next = &fl.run // what was newer was the flight's own, met before it was noted
	}
	return fl.run, next, fl.hinted
}

// hint notes that the executor has news of a Run in flight; false if it is in none.
func (f *fleet) hint(id weft.RunID) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	fl := f.flights[id]
	if fl == nil {
		return false
	}
	fl.hinted = true
	return true
}

func (f *fleet) has(id weft.RunID) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.flights[id] != nil
}

func (f *fleet) size() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.flights)
}

// olderThan returns the Runs whose flights began before t: their leases want renewal.
func (f *fleet) olderThan(t time.Time) []weft.RunID {
	f.mu.Lock()
	defer f.mu.Unlock()
	var ids []weft.RunID
	for id, fl := range f.flights {
		if fl.since.Before(t) {
			ids = append(ids, id)
		}
	}
	return ids
}

// Tries counts the failures in a row at each Run.
type tries struct {
	mu     sync.Mutex
	failed map[weft.RunID]int
}

func (t *tries) fail(id weft.RunID) int {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.failed[id]++
	return t.failed[id]
}

func (t *tries) of(id weft.RunID) int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.failed[id]
}

func (t *tries) forget(id weft.RunID) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.failed, id)
}
