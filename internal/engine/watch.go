package engine

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/weft-dev/weft"
	"github.com/weft-dev/weft/internal/executor"
)

// Hints gathers the attempts that want a look.
type hints struct {
	mu      sync.Mutex
	pending map[weft.Attempt]struct{}
	wake    signal
}

func (h *hints) add(as ...weft.Attempt) {
	h.mu.Lock()
	for _, a := range as {
		h.pending[a] = struct{}{}
	}
	h.mu.Unlock()
	h.wake.set()
}

func (h *hints) take(most int) (as []weft.Attempt, more bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for a := range h.pending {
		if len(as) == most {
			return as, true
		}
		as = append(as, a)
		delete(h.pending, a)
	}
	return as, false
}

// watch gathers the executor's hints.
func (e *Engine) watch(ctx context.Context) error {
	changed := make(chan weft.Attempt, claimBatch)
	gathered := make(chan struct{})
	go func() {
		defer close(gathered)
		for a := range changed {
			e.hints.add(a)
		}
	}()
	for ctx.Err() == nil {
		if err := e.Executor.Watch(ctx, changed); err != nil && ctx.Err() == nil {
			e.Log.Warn("the executor's hints broke off and are asked for again", "error", err, "after", watchAgain)
		}
		select {
		case <-ctx.Done():
		case <-time.After(watchAgain):
		}
	}
	close(changed)
	<-gathered
	return nil
}

// observation takes up the Runs that were hinted at.
func (e *Engine) observation(ctx context.Context) (bool, error) {
	as, more := e.hints.take(claimBatch)
	var ids []weft.RunID
	hinted := map[weft.RunID]weft.Attempt{}
	for _, a := range as {
		if !e.fleet.hint(a.Run) {
			ids = append(ids, a.Run)
			hinted[a.Run] = a
		}
	}
	if len(ids) == 0 {
		return more, nil
	}
	runs, err := e.Store.ClaimRunsByID(ctx, e.Holder, e.Lease, ids)
	if err != nil {
		e.hints.add(as...)
		return false, fmt.Errorf("claim runs hinted at: %w", err)
	}
	for _, r := range runs {
		if r.Current() == hinted[r.ID] {
			delete(hinted, r.ID)
		}
		e.dispatch(ctx, r)
	}
	if len(hinted) > 0 { // something of a Run that has ended, or of an earlier attempt
		e.reconcileSoon()
	}
	return more, nil
}

// resumption takes up what nobody works on: Runs that a user stopped, that are due
// again after a failure, or whose engine is gone.
func (e *Engine) resumption(ctx context.Context) (bool, error) {
	runs, err := e.Store.ClaimRuns(ctx, e.Holder, e.Lease, claimBatch, weft.Starting, weft.Running, weft.Completing, weft.Aborting)
	if err != nil {
		return false, fmt.Errorf("claim runs to go on with: %w", err)
	}
	for _, r := range runs {
		e.dispatch(ctx, r)
	}
	return len(runs) == claimBatch, nil
}

// renewal keeps the leases of what takes long. It also sees what users have changed.
func (e *Engine) renewal(ctx context.Context) (bool, error) {
	old := append(e.fleet.olderThan(time.Now().Add(-e.Lease/4)), e.asks.waiting()...)
	for ids := range slices.Chunk(old, claimBatch) {
		runs, err := e.Store.ClaimRunsByID(ctx, e.Holder, e.Lease, ids)
		if err != nil {
			return false, fmt.Errorf("renew leases: %w", err)
		}
		for _, r := range runs {
			e.dispatch(ctx, r)
		}
	}
	return false, nil
}

// adopt takes over, at the start, what an engine of the same name has left: it learns
// what the machine is used for, and goes on at once with what was in flight. It
// returns false if ctx ended first.
func (e *Engine) adopt(ctx context.Context) bool {
	for n := 1; ; n++ {
		err := e.tryAdopt(ctx)
		if ctx.Err() != nil {
			return false
		}
		if err == nil {
			return true
		}
		e.Log.Warn("what runs already could not be read and is asked for again", "error", err, "after", backoff(n))
		select {
		case <-ctx.Done():
			return false
		case <-time.After(backoff(n)):
		}
	}
}

func (e *Engine) tryAdopt(ctx context.Context) error {
	if err := e.askCapacity(ctx); err != nil {
		return err
	}
	runs, err := e.Store.RunsIn(ctx, weft.Ready, weft.Starting, weft.Running, weft.Completing, weft.Aborting)
	if err != nil {
		return fmt.Errorf("read runs in progress: %w", err)
	}
	plans, err := e.Store.Plans(ctx, plansOf(runs))
	if err != nil {
		return fmt.Errorf("read plans: %w", err)
	}
	var ids []weft.RunID
	for _, r := range runs {
		if err := e.account(ctx, r, plans[r.Plan]); err != nil {
			return err
		}
		if r.Status != weft.Running {
			ids = append(ids, r.ID)
		}
	}
	for batch := range slices.Chunk(ids, claimBatch) {
		mine, err := e.Store.ClaimRunsByID(ctx, e.Holder, e.Lease, batch)
		if err != nil {
			return fmt.Errorf("take over runs: %w", err)
		}
		for _, r := range mine {
			e.dispatch(ctx, r)
		}
	}
	return nil
}

// account enters what a Run has of the machine since before this engine was there.
// Which devices it has only the executor knows; one that it does not know has none.
func (e *Engine) account(ctx context.Context, r weft.Run, p weft.Plan) error {
	if r.Status == weft.Ready {
		return nil
	}
	h := holding{plan: p.ID, need: toAmounts(p.Resources), since: time.Now()}
	if e.ledger.divides(h.need) {
		seen, err := e.Executor.Observe(ctx, r.Current())
		if err != nil {
			return fmt.Errorf("observe container: %w", err)
		}
		if seen.State == executor.Gone && r.Status == weft.Starting {
			h.need = nil // it will get devices, and all else, when it starts
		}
		h.devices = seen.Devices
	}
	e.ledger.hold(r.ID, h)
	return nil
}
