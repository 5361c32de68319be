package engine

import (
	"context"
	"fmt"
	"sync"

	"github.com/weft-dev/weft"
)

func (e *Engine) saveRuns(ctx context.Context, saves []weft.Save) ([]error, error) {
	errs := e.Store.SaveRuns(ctx, saves)
	e.metrics.batches.Inc()
	e.metrics.saves.Add(float64(len(saves)))
	if len(errs) != len(saves) {
		return nil, fmt.Errorf("save runs: %d answers for %d runs", len(errs), len(saves))
	}
	return errs, nil
}

// readTrees answers all asks by one query. Each gets all that was found.
func (e *Engine) readTrees(ctx context.Context, asked [][]weft.DataID) ([]map[weft.DataID]weft.Digest, error) {
	seen := map[weft.DataID]bool{}
	var ids []weft.DataID
	for _, ask := range asked {
		for _, id := range ask {
			if !seen[id] {
				seen[id] = true
				ids = append(ids, id)
			}
		}
	}
	trees, err := e.Store.Trees(ctx, ids)
	if err != nil {
		return nil, fmt.Errorf("read trees: %w", err)
	}
	out := make([]map[weft.DataID]weft.Digest, len(asked))
	for i := range out {
		out[i] = trees
	}
	return out, nil
}

func (e *Engine) readPlans(ctx context.Context, ids []weft.PlanID) ([]weft.Plan, error) {
	plans, err := e.Store.Plans(ctx, ids)
	if err != nil {
		return nil, fmt.Errorf("read plans: %w", err)
	}
	out := make([]weft.Plan, len(ids))
	for i, id := range ids {
		out[i] = plans[id]
	}
	return out, nil
}

// Images lets Runs that start at the same time share the resolution of an image.
// Whoever comes while one is under way shares the next, so that nobody gets an
// answer older than his question: a tag pushed just before must count.
type images struct {
	resolve func(context.Context, weft.ProjectID, weft.Image) (weft.Digest, error)

	mu     sync.Mutex
	shared map[imageKey]*resolving
}

type imageKey struct {
	project weft.ProjectID
	image   weft.Image
}

// A resolving is under way (now) or waits for the one under way (next).
type resolving struct{ now, next *resolution }

type resolution struct {
	done   chan struct{}
	digest weft.Digest
	err    error
}

// Do resolves an image.
func (s *images) Do(ctx context.Context, key imageKey) (weft.Digest, error) {
	for {
		mine, before, leads := s.join(key)
		if leads {
			s.lead(ctx, key, mine, before)
		}
		select {
		case <-mine.done:
		case <-ctx.Done():
			return weft.Digest{}, ctx.Err()
		}
		if weft.KindOf(mine.err) == weft.Canceled && ctx.Err() == nil {
			continue // whoever led was stopped
		}
		return mine.digest, mine.err
	}
}

func (s *images) join(key imageKey) (mine, before *resolution, leads bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.shared[key]
	switch {
	case r == nil:
		mine = &resolution{done: make(chan struct{})}
		s.shared[key] = &resolving{now: mine}
		return mine, nil, true
	case r.next == nil:
		r.next = &resolution{done: make(chan struct{})}
		return r.next, r.now, true
	}
	return r.next, nil, false
}

func (s *images) lead(ctx context.Context, key imageKey, mine, before *resolution) {
	if before != nil {
		select {
		case <-before.done:
		case <-ctx.Done():
			mine.err = ctx.Err()
			s.leave(key, mine)
			return
		}
	}
	mine.digest, mine.err = s.resolve(ctx, key.project, key.image)
	s.leave(key, mine)
}

func (s *images) leave(key imageKey, mine *resolution) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.shared[key]
	switch {
	case r.now == mine && r.next == nil:
		delete(s.shared, key)
	case r.now == mine:
		r.now, r.next = r.next, nil
	case r.next == mine: // given up before its turn
		r.next = nil
	}
	close(mine.done)
}
