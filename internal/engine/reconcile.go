package engine

import (
	"context"
	"fmt"
	"time"

	"github.com/weft-dev/weft"
)

// live lists the statuses in which a Run may have a container or a work directory.
var live = [...]weft.Status{weft.Starting, weft.Running, weft.Completing, weft.Aborting}

// reconcileSoon asks for a reconciliation, after a moment in which more reasons may
// come up.
func (e *Engine) reconcileSoon() { time.AfterFunc(reconcileSoon, e.reconcile.set) }

// reconciliation compares all that exists outside the database with the Runs: what
// belongs to no present attempt is removed, and a Run whose container is gone is
// looked at. What exists is listed before the Runs are read, so that whatever was
// made in between is not mistaken for a leftover.
func (e *Engine) reconciliation(ctx context.Context) (bool, error) {
	containers, err := e.Executor.List(ctx)
	if err != nil {
		return false, fmt.Errorf("list containers: %w", err)
	}
	works, err := e.Content.Works(ctx)
	if err != nil {
		return false, fmt.Errorf("list work directories: %w", err)
	}
	var idle []weft.RunID
	for _, id := range e.ledger.before(time.Now().Add(-reconcileSoon)) {
		if !e.fleet.has(id) {
			idle = append(idle, id)
		}
	}
	runs, err := e.Store.RunsIn(ctx, live[:]...)
	if err != nil {
		return false, fmt.Errorf("read runs in progress: %w", err)
	}
	present := make(map[weft.Attempt]weft.Status, len(runs))
	known := make(map[weft.RunID]bool, len(runs))
	for _, r := range runs {
		present[r.Current()] = r.Status
		known[r.ID] = true
	}
	for _, id := range idle {
		if !known[id] && !e.fleet.has(id) {
			e.ledger.release(id)
		}
	}
	err = e.sweep(ctx, present, containers, works)
	e.search(present, containers)
	return false, err
}

// sweep removes what belongs to no present attempt. A container goes before its
// directories, so that nothing writes to them any more.
func (e *Engine) sweep(ctx context.Context, present map[weft.Attempt]weft.Status, containers, works []weft.Attempt) error {
	var failed error
	stays := map[weft.Attempt]bool{}
	for _, a := range containers {
		if _, ok := present[a]; ok {
			continue
		}
		if err := e.Executor.Remove(ctx, a); err != nil {
			failed, stays[a] = fmt.Errorf("remove container %s: %w", a, err), true
			continue
		}
		e.metrics.swept.Inc()
		e.Log.Info("a container that belongs to no run in progress was removed", "run", a.Run, "attempt", a.Number)
	}
	for _, a := range works {
		if _, ok := present[a]; ok || stays[a] {
			continue
		}
		if err := e.Content.Discard(ctx, a); err != nil {
			failed = fmt.Errorf("discard %s: %w", a, err)
		}
	}
	return failed
}

// search looks at the running Runs of which the executor has nothing.
func (e *Engine) search(present map[weft.Attempt]weft.Status, containers []weft.Attempt) {
	there := make(map[weft.Attempt]bool, len(containers))
	for _, a := range containers {
		there[a] = true
	}
	for a, status := range present {
		if status == weft.Running && !there[a] {
			e.hints.add(a)
		}
	}
}
