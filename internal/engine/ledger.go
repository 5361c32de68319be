package engine

import (
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/weft-dev/weft"
	"github.com/weft-dev/weft/internal/executor"
)

// A ledger holds what the Runs that were let in have of the machine and, of their plans,
// how many there are.
type ledger struct {
	mu       sync.Mutex
	capacity executor.Capacity
	held     map[weft.RunID]holding
}

func (l *ledger) resize(c executor.Capacity) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.capacity = c
}

func (l *ledger) limited() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.capacity.Resources != nil
}

// share lets decide give room away; what it returns is held from then on.
func (l *ledger) share(now time.Time, decide func(executor.Capacity, []holding) map[weft.RunID]holding) {
	l.mu.Lock()
	defer l.mu.Unlock()
	granted := decide(l.capacity, slices.Collect(maps.Values(l.held)))
	for id, h := range granted {
		h.since = now
		l.held[id] = h
	}
}

// hold enters a Run that has its room already.
func (l *ledger) hold(id weft.RunID, h holding) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.held[id] = h
}

// assume returns the devices of a Run that was let in. One that was let in by an
// engine before this one, and not yet started, is entered with devices that are free.
func (l *ledger) assume(id weft.RunID, p *weft.Plan, now time.Time) ([]string, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if h, ok := l.held[id]; ok || l.capacity.Resources == nil {
		return h.devices, nil
	}
	r := request{run: id, need: toAmounts(p.Resources)}
	m := newRoom(l.capacity, slices.Collect(maps.Values(l.held)))
	for name := range l.capacity.Devices {
		if r.need[name] > m.free[name] {
			return nil, weft.Errorf(weft.Unavailable, "%s", m.waits(r, []string{name}))
		}
	}
	h := holding{plan: p.ID, need: r.need, devices: m.take(r), since: now}
	l.held[id] = h
	return h.devices, nil
}

func (l *ledger) release(id weft.RunID) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.held, id)
}

// before returns the Runs that have held something since before t.
func (l *ledger) before(t time.Time) []weft.RunID {
	l.mu.Lock()
	defer l.mu.Unlock()
	var ids []weft.RunID
	for id, h := range l.held {
		if h.since.Before(t) {
			ids = append(ids, id)
		}
	}
	return ids
}

// divides reports whether any of need is a device, of which units are given out.
func (l *ledger) divides(need amounts) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	for name := range need {
		if l.capacity.Devices[name] != nil {
			return true
		}
	}
	return false
}
