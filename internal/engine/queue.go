package engine

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/weft-dev/weft"
	"github.com/weft-dev/weft/internal/executor"
)

// Bounds of what is taken from waiting before there is room for it: so many, the
// oldest first, and when these do not fit, a few of each other plan, so that the
// thousand Runs of a plan that waits for a GPU do not hide those that need none.
const (
	queueMost  = 512
	eachMost   = 16
	otherMost  = 4096
	otherEvery = time.Second // how often other plans are looked through in vain

	tellEvery  = 5 * time.Second // how often a reason that changed is recorded
	capacityOf = time.Second     // how long what the executor said is taken for true
)

// A queue holds the ready Runs that wait for room. All but arrivals belongs to the
// admission loop.
type queue struct {
	waiting map[weft.RunID]*entry
	renewed time.Time // when leases were

	asked time.Time // when the executor was asked for its capacity
	vain  time.Time // when other plans had nothing to add

	mu       sync.Mutex
	arrivals []weft.Run // claimed elsewhere
}

type entry struct {
	run  weft.Run
	plan weft.Plan
	told time.Time // when its reason was recorded
}

func (q *queue) arrive(r weft.Run) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.arrivals = append(q.arrivals, r)
}

func (q *queue) takeArrivals() []weft.Run {
	q.mu.Lock()
	defer q.mu.Unlock()
	as := q.arrivals
	q.arrivals = nil
	return as
}

// crowded lists the plans that have as many Runs in the queue as get a chance beside
// the oldest.
func (q *queue) crowded() []weft.PlanID {
	count := map[weft.PlanID]int{}
	var ids []weft.PlanID
	for _, w := range q.waiting {
		if count[w.plan.ID]++; count[w.plan.ID] == eachMost {
			ids = append(ids, w.plan.ID)
		}
	}
	return ids
}

// admission is one step of waiting → ready → let in.
func (e *Engine) admission(ctx context.Context) (bool, error) {
	if err := e.askCapacity(ctx); err != nil {
		return false, err
	}
	if err := e.renewQueue(ctx); err != nil {
		return false, err
	}
	more, err := e.refill(ctx)
	if err != nil {
		return false, err
	}
	e.metrics.queued.Set(float64(len(e.queue.waiting)))
	if len(e.queue.waiting) == 0 {
		return more, nil
	}
	if err := e.renewPlans(ctx); err != nil {
		return false, err
	}
	return more, e.letIn(ctx)
}

func (e *Engine) askCapacity(ctx context.Context) error {
	q := &e.queue
	if time.Since(q.asked) < capacityOf && !q.asked.IsZero() {
		return nil
	}
	c, err := e.Executor.Capacity(ctx)
	if err != nil {
		return fmt.Errorf("ask for the machine's capacity: %w", err)
	}
	e.ledger.resize(c)
	q.asked = time.Now()
	return nil
}

// refill claims waiting Runs while the queue is short, and makes them ready.
func (e *Engine) refill(ctx context.Context) (more bool, err error) {
	claimed := e.queue.takeArrivals()
	rs, more, err := e.claimWaiting(ctx)
	if err != nil {
		return false, fmt.Errorf("claim waiting runs: %w", err) // arrivals come again when their leases lapse
	}
	claimed = append(claimed, rs...)
	if len(claimed) == 0 {
		return false, nil
	}
	return more, e.enqueue(ctx, claimed)
}

func (e *Engine) claimWaiting(ctx context.Context) (claimed []weft.Run, more bool, err error) {
	q := &e.queue
	n := queueMost - len(q.waiting)
	if !e.ledger.limited() {
		n = e.InFlight - e.fleet.size() - len(q.waiting)
	}
	if n <= 0 && e.fleet.size() < e.InFlight {
		claimed, err = e.claimOthers(ctx)
		return claimed, len(claimed) > 0, err
	}
	if n = min(n, claimBatch); n <= 0 {
		return nil, false, nil
	}
	claimed, err = e.Store.ClaimRuns(ctx, e.Holder, e.Lease, n, weft.Waiting, weft.Ready)
	return claimed, len(claimed) == n, err
}

// claimOthers claims a Run of each plan that the queue has few of.
func (e *Engine) claimOthers(ctx context.Context) ([]weft.Run, error) {
	q := &e.queue
	if len(q.waiting) >= otherMost || time.Since(q.vain) < otherEvery {
		return nil, nil
	}
	ids, err := e.Store.OldestWaiting(ctx, claimBatch, q.crowded())
	if err != nil {
		return nil, err
	}
	if len(ids) == 0 {
		q.vain = time.Now()
		return nil, nil
	}
	return e.Store.ClaimRunsByID(ctx, e.Holder, e.Lease, ids)
}

func (e *Engine) enqueue(ctx context.Context, claimed []weft.Run) error {
	ready, err := e.makeReady(ctx, claimed)
	if err != nil {
		return err
	}
	plans, err := e.Store.Plans(ctx, plansOf(ready))
	if err != nil {
		return fmt.Errorf("read plans: %w", err)
	}
	for _, r := range ready {
		if _, err := e.cleared(r, weft.Starting); err != nil {
			continue // it comes again when its hooks have answered
		}
		if p, ok := plans[r.Plan]; ok && !e.fleet.busy(r) {
			e.ledger.release(r.ID) // what waits holds nothing, whatever became of an earlier start
			e.queue.waiting[r.ID] = &entry{run: r, plan: p}
		}
	}
	return nil
}

// makeReady records waiting Runs as ready. Those that someone else has changed
// meanwhile are left out.
func (e *Engine) makeReady(ctx context.Context, claimed []weft.Run) ([]weft.Run, error) {
	var ready []weft.Run
	var saves []weft.Save
	now := time.Now().UTC()
	for _, r := range claimed {
		switch r.Status {
		case weft.Ready:
			ready = append(ready, r)
		case weft.Waiting:
			if _, err := e.cleared(r, weft.Ready); err != nil {
				continue
			}
			next, err := r.To(weft.Ready, now)
			if err != nil {
				return nil, fmt.Errorf("prepare: %w", err)
			}
			saves = append(saves, weft.Save{Run: next, Rev: r.Rev, Keep: true})
		default: // it was stopped just now
			e.dispatch(ctx, r)
		}
	}
	if len(saves) == 0 {
		return ready, nil
	}
	errs, err := e.saveRuns(ctx, saves)
	if err != nil {
		return nil, err
	}
	for i, err := range errs {
		switch {
		case err == nil:
			e.asks.forget(saves[i].Run.ID)
			ready = append(ready, saves[i].Run)
		case weft.KindOf(err) != weft.Conflict:
			return nil, fmt.Errorf("make ready: %w", err)
		}
	}
	return ready, nil
}

func plansOf(runs []weft.Run) []weft.PlanID {
	seen := map[weft.PlanID]bool{}
	var ids []weft.PlanID
	for _, r := range runs {
		if !seen[r.Plan] {
			seen[r.Plan] = true
			ids = append(ids, r.Plan)
		}
	}
	return ids
}

// renewPlans sees which plans ask for other resources now. The store has plans in
// memory, so this may be done at each step.
func (e *Engine) renewPlans(ctx context.Context) error {
	seen := map[weft.PlanID]bool{}
	var ids []weft.PlanID
	for _, w := range e.queue.waiting {
		if !seen[w.plan.ID] {
			seen[w.plan.ID] = true
			ids = append(ids, w.plan.ID)
		}
	}
	plans, err := e.Store.Plans(ctx, ids)
	if err != nil {
		return fmt.Errorf("read plans: %w", err)
	}
	for _, w := range e.queue.waiting {
		p, ok := plans[w.plan.ID]
		if !ok {
			continue
		}
		if !maps.Equal(toAmounts(p.Resources), toAmounts(w.plan.Resources)) || p.Policy.Concurrency != w.plan.Policy.Concurrency {
			w.told = time.Time{} // whoever has changed it wants to know what that led to
		}
		w.plan = p
	}
	return nil
}

// renewQueue keeps the leases of what waits, and sees which Runs were stopped
// meanwhile.
func (e *Engine) renewQueue(ctx context.Context) error {
	q := &e.queue
	if len(q.waiting) == 0 || time.Since(q.renewed) < min(e.Lease/4, poll) {
		return nil
	}
	ids := make([]weft.RunID, 0, len(q.waiting))
	for id := range q.waiting {
		ids = append(ids, id)
	}
	old := q.waiting
	kept := map[weft.RunID]*entry{}
	for batch := range slices.Chunk(ids, claimBatch) {
		runs, err := e.Store.ClaimRunsByID(ctx, e.Holder, e.Lease, batch)
		if err != nil {
			return fmt.Errorf("renew leases of ready runs: %w", err)
		}
		for _, r := range runs {
			if r.Status != weft.Ready {
				e.dispatch(ctx, r)
				continue
			}
			kept[r.ID] = &entry{run: r, plan: old[r.ID].plan, told: old[r.ID].told}
		}
	}
	q.waiting, q.renewed = kept, time.Now()
	return nil
}

// letIn starts whoever fits, and tells the others why not.
func (e *Engine) letIn(ctx context.Context) error {
	q := &e.queue
	now := time.Now().UTC()
	lacks, err := e.lackingSecrets(ctx)
	if err != nil {
		return err
	}
	requests := make([]request, 0, len(q.waiting))
	for _, w := range q.waiting {
		requests = append(requests, request{run: w.run.ID, made: w.run.CreatedAt, since: w.run.UpdatedAt,
			need: toAmounts(w.plan.Resources), node: w.plan.OnNode,
			plan: w.plan.ID, most: w.plan.Policy.Concurrency, blocked: lacks[w.plan.ID]})
	}
	inOrder(requests)
	full := e.Content.Room()
	free := e.InFlight - e.fleet.size()
	var saves []weft.Save
	var let []*entry
	e.ledger.share(now, func(capacity executor.Capacity, held []holding) map[weft.RunID]holding {
		granted := map[weft.RunID]holding{}
		for i, a := range admit(capacity, held, requests, now) {
			w := q.waiting[requests[i].run]
			switch {
			case !a.start:
			case full != nil:
				a.start, a.reason = false, inWords(full)
			case free > 0:
				free--
				delete(q.waiting, w.run.ID)
				let = append(let, w)
				granted[w.run.ID] = holding{plan: w.plan.ID, need: requests[i].need, devices: a.devices}
				continue
			}
			if next := because(w.run, a.reason); next.Rev != w.run.Rev && now.Sub(w.told) >= tellEvery {
				saves = append(saves, weft.Save{Run: next, Rev: w.run.Rev, Keep: true})
				w.told = now
			}
		}
		return granted
	})
	for _, w := range let {
		e.launch(ctx, w.run, &w.plan)
	}
	return e.tell(ctx, saves)
}

// tell records why Runs wait.
func (e *Engine) tell(ctx context.Context, saves []weft.Save) error {
	if len(saves) == 0 {
		return nil
	}
	errs, err := e.saveRuns(ctx, saves)
	if err != nil {
		return err
	}
	for i, err := range errs {
		id := saves[i].Run.ID
		switch {
		case err == nil:
			e.queue.waiting[id].run = saves[i].Run
		case weft.KindOf(err) == weft.Conflict: // it was stopped, or the like
			delete(e.queue.waiting, id)
		default:
			return fmt.Errorf("save reason: %w", err)
		}
	}
	return nil
}
