package engine_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/weft-dev/weft"
	"github.com/weft-dev/weft/internal/engine"
	"github.com/weft-dev/weft/internal/executor"
)

// Faults stands between one Engine and everything it calls, and lets calls go wrong:
// they fail before they take effect, or after, or take effect later; they take
// longer than a lease; or the process is killed at that very point. A call of a
// killed process, too, may still take effect later, but never returns a result.
type faults struct {
	kill func() // the process is to end

	mu    sync.Mutex
	rng   *rand.Rand
	rate  float64 // of calls that go wrong
	dead  bool
	later *sync.WaitGroup // calls that will take effect
}

var (
	errKilled  = errors.New("this process was killed")
	errNetwork = errors.New("connection reset by peer")
)

type fault int

const (
	none fault = iota
	failsBefore
	failsAfter
	failsLater
	isSlow
	diesBefore
	diesAfter
	diesLater
)

// roll says what goes wrong with a call, and how long that takes.
func (f *faults) roll() (fault, time.Duration, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.dead {
		return diesBefore, 0, errKilled
	}
	if f.rng.Float64() >= f.rate {
		return none, 0, nil
	}
	var err error = weft.Errorf(weft.Unavailable, "try again later")
	if f.rng.IntN(2) == 0 {
		err = errNetwork
	}
	delay := time.Duration(f.rng.Int64N(int64(40 * time.Second)))
	if f.rng.IntN(8) > 0 {
		return failsBefore + fault(f.rng.IntN(int(isSlow))), delay, err
	}
	return diesBefore + fault(f.rng.IntN(3)), delay, errKilled
}

func (f *faults) die() {
	f.mu.Lock()
	f.dead = true
	f.mu.Unlock()
	f.kill()
}

func (f *faults) killed() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.dead
}

// call makes a call that may go wrong.
func call[T any](ctx context.Context, f *faults, act func(context.Context) (T, error)) (T, error) {
	var nothing T
	what, delay, err := f.roll()
	switch what {
	case failsBefore:
		return nothing, err
	case diesBefore:
		f.die()
		return nothing, err
	case failsLater, diesLater:
		f.later.Go(func() {
			time.Sleep(delay)
			_, _ = act(context.WithoutCancel(ctx)) // nobody is there to hear of it
		})
		if what == diesLater {
			f.die()
		}
		return nothing, err
	case isSlow:
		select {
		case <-time.After(delay):
		case <-ctx.Done():
			return nothing, ctx.Err()
		}
	}
	v, aerr := act(ctx)
	switch {
	case what == diesAfter:
		f.die()
		return nothing, err
	case what == failsAfter:
		return nothing, err
	case f.killed():
		return nothing, errKilled
	}
	return v, aerr
}

// do is call for what returns an error only.
func do(ctx context.Context, f *faults, act func(context.Context) error) error {
	_, err := call(ctx, f, func(ctx context.Context) (struct{}, error) { return struct{}{}, act(ctx) })
	return err
}

type faultyStore struct {
	*faults
	engine.Store
}

func (s faultyStore) Project(ctx context.Context, limit int) (made int, more bool, err error) {
	more, err = call(ctx, s.faults, func(ctx context.Context) (more bool, err error) {
		made, more, err = s.Store.Project(ctx, limit)
		return more, err
	})
	return made, more, err
}

func (s faultyStore) ClaimRuns(ctx context.Context, holder string, lease time.Duration, n int, statuses ...weft.Status) ([]weft.Run, error) {
	return call(ctx, s.faults, func(ctx context.Context) ([]weft.Run, error) {
		return s.Store.ClaimRuns(ctx, holder, lease, n, statuses...)
	})
}

func (s faultyStore) ClaimRunsByID(ctx context.Context, holder string, lease time.Duration, ids []weft.RunID) ([]weft.Run, error) {
	return call(ctx, s.faults, func(ctx context.Context) ([]weft.Run, error) {
		return s.Store.ClaimRunsByID(ctx, holder, lease, ids)
	})
}

func (s faultyStore) OldestWaiting(ctx context.Context, limit int, skip []weft.PlanID) ([]weft.RunID, error) {
	return call(ctx, s.faults, func(ctx context.Context) ([]weft.RunID, error) { return s.Store.OldestWaiting(ctx, limit, skip) })
}

func (s faultyStore) SaveRuns(ctx context.Context, saves []weft.Save) []error {
	errs, err := call(ctx, s.faults, func(ctx context.Context) ([]error, error) { return s.Store.SaveRuns(ctx, saves), nil })
	if err != nil {
		errs = make([]error, len(saves))
		for i := range errs {
			errs[i] = err
		}
	}
	return errs
}

func (s faultyStore) RunsIn(ctx context.Context, statuses ...weft.Status) ([]weft.Run, error) {
	return call(ctx, s.faults, func(ctx context.Context) ([]weft.Run, error) { return s.Store.RunsIn(ctx, statuses...) })
}

func (s faultyStore) Plans(ctx context.Context, ids []weft.PlanID) (map[weft.PlanID]weft.Plan, error) {
	return call(ctx, s.faults, func(ctx context.Context) (map[weft.PlanID]weft.Plan, error) { return s.Store.Plans(ctx, ids) })
}

func (s faultyStore) Trees(ctx context.Context, ids []weft.DataID) (map[weft.DataID]weft.Digest, error) {
	return call(ctx, s.faults, func(ctx context.Context) (map[weft.DataID]weft.Digest, error) { return s.Store.Trees(ctx, ids) })
}

type faultyExecutor struct {
	*faults
	executor.Executor
}

func (x faultyExecutor) Start(ctx context.Context, job executor.Job) error {
	return do(ctx, x.faults, func(ctx context.Context) error { return x.Executor.Start(ctx, job) })
}

func (x faultyExecutor) Observe(ctx context.Context, a weft.Attempt) (executor.Seen, error) {
	return call(ctx, x.faults, func(ctx context.Context) (executor.Seen, error) { return x.Executor.Observe(ctx, a) })
}

func (x faultyExecutor) Stop(ctx context.Context, a weft.Attempt, grace time.Duration) error {
	return do(ctx, x.faults, func(ctx context.Context) error { return x.Executor.Stop(ctx, a, grace) })
}

func (x faultyExecutor) Remove(ctx context.Context, a weft.Attempt) error {
	return do(ctx, x.faults, func(ctx context.Context) error { return x.Executor.Remove(ctx, a) })
}

func (x faultyExecutor) List(ctx context.Context) ([]weft.Attempt, error) {
	return call(ctx, x.faults, x.Executor.List)
}

func (x faultyExecutor) Capacity(ctx context.Context) (executor.Capacity, error) {
	return call(ctx, x.faults, x.Executor.Capacity)
}

// Watch loses some of the hints.
func (x faultyExecutor) Watch(ctx context.Context, changed chan<- weft.Attempt) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	all := make(chan weft.Attempt)
	ended := make(chan error, 1)
	go func() { ended <- x.Executor.Watch(ctx, all) }()
	for {
		select {
		case a := <-all:
			what, _, err := x.roll()
			switch what {
			case none:
			case diesBefore, diesAfter, diesLater:
				x.die()
				cancel()
				<-ended
				return err
			default:
				continue
			}
			select {
			case changed <- a:
			case <-ctx.Done():
			}
		case err := <-ended:
			return err
		}
	}
}

type faultyContent struct {
	*faults
	engine.Content
}

type sealed struct {
	trees    map[weft.DataID]weft.Tree
	problems []string
}

func (c faultyContent) Seal(ctx context.Context, r weft.Run) (map[weft.DataID]weft.Tree, []string, error) {
	s, err := call(ctx, c.faults, func(ctx context.Context) (s sealed, err error) {
		s.trees, s.problems, err = c.Content.Seal(ctx, r)
		return s, err
	})
	return s.trees, s.problems, err
}

func (c faultyContent) Close(ctx context.Context, a weft.Attempt) error {
	return do(ctx, c.faults, func(ctx context.Context) error { return c.Content.Close(ctx, a) })
}

func (c faultyContent) Discard(ctx context.Context, a weft.Attempt) error {
	return do(ctx, c.faults, func(ctx context.Context) error { return c.Content.Discard(ctx, a) })
}

func (c faultyContent) Works(ctx context.Context) ([]weft.Attempt, error) {
	return call(ctx, c.faults, c.Content.Works)
}

type faultyImages struct {
	*faults
	engine.Images
}

func (i faultyImages) Resolve(ctx context.Context, project weft.ProjectID, image weft.Image) (weft.Digest, error) {
	return call(ctx, i.faults, func(ctx context.Context) (weft.Digest, error) { return i.Images.Resolve(ctx, project, image) })
}
