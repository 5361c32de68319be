package store

import (
	"context"
	"sync"
	"sync/atomic"

	"github.com/weft-dev/weft"
)

// The writer gathers functions into transactions. A lane takes all functions that wait,
// up to maxBatch, and runs them in one transaction with one commit: whoever comes while
// that goes on waits for the next. So one function alone is not delayed, and many share
// the wait for the disk. SQLite has one lane, since it has one writer at a time;
// PostgreSQL has several.
//
// A function that fails before it wrote anything spoils nothing: it gets its error and
// the others go on. Otherwise the transaction is rolled back and each function of it is
// run again in a transaction of its own.
type writer struct {
	s     *Store
	queue chan *job
	quit  chan struct{}
	lanes sync.WaitGroup
	once  sync.Once
}

// maxBatch bounds how long a function has to wait for the others of its transaction.
const maxBatch = 256

type job struct {
	fn    func(ctx context.Context, t *tx) error
	alone bool // in a transaction of its own
	state atomic.Int32
	after []func() // what fn left to be done after the commit
	err   error
	done  chan struct{}
}

const (
	jobWaits = iota
	jobTaken
	jobAbandoned
)

func (w *writer) start(s *Store) {
	w.s, w.queue, w.quit = s, make(chan *job, maxBatch), make(chan struct{})
	for lane := range s.db.lanes() {
		w.lanes.Go(func() { w.serve(lane) })
	}
}

func (w *writer) stop() {
	w.once.Do(func() { close(w.quit) })
	w.lanes.Wait()
}

func closed() error { return weft.Errorf(weft.Unavailable, "the store is being closed") }

// do queues a function and waits until it has taken effect or failed. When ctx ends
// while the function waits it is not run at all; once it runs, its result is awaited.
func (w *writer) do(ctx context.Context, alone bool, fn func(ctx context.Context, t *tx) error) error {
	j := &job{fn: fn, alone: alone, done: make(chan struct{})}
	select {
	case w.queue <- j:
	case <-w.quit:
		return closed()
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case <-j.done:
		return explain(j.err)
	case <-ctx.Done():
		if j.state.CompareAndSwap(jobWaits, jobAbandoned) {
			return ctx.Err()
		}
	case <-w.quit:
		if j.state.CompareAndSwap(jobWaits, jobAbandoned) {
			return closed()
		}
	}
	<-j.done
	return explain(j.err)
}

func (w *writer) serve(lane int) {
	for {
		select {
		case <-w.quit:
			return
		case first := <-w.queue:
			for batch := w.gather(first); len(batch) > 0; {
				n := together(batch)
				w.run(lane, batch[:n])
				batch = batch[n:]
			}
		}
	}
}

// gather takes what else waits, leaving out what was abandoned meanwhile.
func (w *writer) gather(first *job) []*job {
	var batch []*job
	take := func(j *job) {
		if j.state.CompareAndSwap(jobWaits, jobTaken) {
			batch = append(batch, j)
		}
	}
	take(first)
	for len(batch) < maxBatch {
		select {
		case j := <-w.queue:
			take(j)
			continue
		default:
		}
		break
	}
	return batch
}

// together returns how many jobs at the beginning of the batch may share a transaction.
func together(batch []*job) int {
	if batch[0].alone {
		return 1
	}
	for i, j := range batch {
		if j.alone {
			return i
		}
	}
	return len(batch)
}

// run runs the jobs in one transaction or, when that fails, each in its own.
func (w *writer) run(lane int, batch []*job) {
	ctx := context.Background() // a caller that goes away must not break the transaction of others
	if err := w.transact(ctx, lane, batch); err != nil {
		if len(batch) == 1 {
			batch[0].err, batch[0].after = err, nil
		} else {
			for _, j := range batch {
				if err := w.transact(ctx, lane, []*job{j}); err != nil {
					j.err, j.after = err, nil
				}
			}
		}
	}
	for _, j := range batch {
		for _, f := range j.after {
			f()
		}
		close(j.done)
	}
	w.s.committed()
}

// maxTries bounds how often a lone transaction is repeated that lost against another.
const maxTries = 5

// transact runs the jobs in one transaction. An error means that nothing was committed;
// jobs that merely refused have their own err instead.
func (w *writer) transact(ctx context.Context, lane int, batch []*job) error {
	var err error
	for range maxTries {
		if err = w.try(ctx, lane, batch); err == nil || len(batch) > 1 || !passing(err) {
			return err
		}
	}
	return err
}

func (w *writer) try(ctx context.Context, lane int, batch []*job) error {
	t, err := w.s.db.begin(ctx, lane)
	if err != nil {
		return err
	}
	wrote := false
	at := now()
	for _, j := range batch {
		x := &tx{s: w.s, q: t, now: at, committed: j.alone}
		j.err = j.fn(ctx, x)
		j.after = x.after
		if j.err != nil && (x.wrote || x.broken) {
			err := j.err
			t.rollback(ctx)
			return err
		}
		wrote = wrote || x.wrote
	}
	if !wrote {
		t.rollback(ctx)
		return nil
	}
	return t.commit(ctx)
}

// committed wakes whoever waits for changes.
func (s *Store) committed() {
	s.wake.all()
	if s.announce != nil {
		s.announce()
	}
}
