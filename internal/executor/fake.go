package executor

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"

	"github.com/weft-dev/weft"
)

// A Fake is an Executor without containers. It carries out the Script that a job's
// entrypoint and args spell, writes outputs and log where a real one would, and
// keeps everything else in memory. It starts no goroutines and waits by package
// time only, so that in a synctest bubble a day of Runs takes no time.
//
// A Fake stands for the world outside the server: a test that restarts its server
// goes on with the same Fake.
type Fake struct {
	options FakeOptions
	hints   Hints

	mu         sync.Mutex
	containers map[weft.Attempt]*fakeContainer
}

// FakeOptions are what a Fake can be given.
type FakeOptions struct {
	Places   Places   // nil: outputs are not written, the log is in memory only, inputs cannot be read
	Capacity Capacity // what Capacity returns
	NoOp     bool     // scripts are not read: every job ends well at once, and leaves nothing
}

// NewFake makes a Fake.
func NewFake(o FakeOptions) *Fake {
	return &Fake{options: o, containers: map[weft.Attempt]*fakeContainer{}}
}

var _ Executor = (*Fake)(nil)

// Start begins to carry out the job's script.
func (f *Fake) Start(ctx context.Context, job Job) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	var s Script
	if !f.options.NoOp {
		var err error
		if s, err = ParseScript(slices.Concat(job.Entrypoint, job.Args)); err != nil {
			return err
		}
		if s.Refuse != "" {
			return weft.Errorf(weft.Invalid, "%s", s.Refuse)
		}
	}
	c := &fakeContainer{fake: f, job: job, script: s, seen: Seen{State: Pending, Devices: job.Devices}, changed: make(chan struct{})}
	if f.options.NoOp {
		now := time.Now()
		c.seen = Seen{State: Exited, Devices: job.Devices, Started: now, Ended: now}
	}
	f.mu.Lock()
	if f.containers[job.Attempt] != nil {
		f.mu.Unlock()
		return nil
	}
	f.containers[job.Attempt] = c
	f.mu.Unlock()
	if f.options.NoOp {
		f.hints.Send(job.Attempt)
		return nil
	}
	if err := c.begin(ctx); err != nil {
		f.mu.Lock()
		delete(f.containers, job.Attempt)
		f.mu.Unlock()
		return err
	}
	return nil
}

func (f *Fake) container(a weft.Attempt) *fakeContainer {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.containers[a]
}

// Observe tells how far the script is.
func (f *Fake) Observe(ctx context.Context, a weft.Attempt) (Seen, error) {
	c := f.container(a)
	if c == nil {
		return Seen{}, ctx.Err()
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	seen := c.seen
	seen.Devices = c.job.Devices
	return seen, ctx.Err()
}

// Watch hints at every start and end.
func (f *Fake) Watch(ctx context.Context, changed chan<- weft.Attempt) error {
	return f.hints.Watch(ctx, f.ended, changed)
}

func (f *Fake) ended() []weft.Attempt {
	f.mu.Lock()
	defer f.mu.Unlock()
	var as []weft.Attempt
	for a, c := range f.containers {
		c.mu.Lock()
		if c.ended() {
			as = append(as, a)
		}
		c.mu.Unlock()
	}
	return as
}

// Stop ends the script with CodeTerminated; a stubborn one is killed after grace.
func (f *Fake) Stop(ctx context.Context, a weft.Attempt, grace time.Duration) error {
	if c := f.container(a); c != nil {
		c.stop(grace)
	}
	return ctx.Err()
}

// Remove forgets the attempt. Nothing of it is carried out any more.
func (f *Fake) Remove(ctx context.Context, a weft.Attempt) error {
	f.mu.Lock()
	c := f.containers[a]
	delete(f.containers, a)
	f.mu.Unlock()
	if c != nil {
		c.remove()
	}
	return ctx.Err()
}

// List returns every attempt that was started and not removed.
func (f *Fake) List(ctx context.Context) ([]weft.Attempt, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	as := make([]weft.Attempt, 0, len(f.containers))
	for a := range f.containers {
		as = append(as, a)
	}
	return as, ctx.Err()
}

// Capacity returns what the Fake was given.
func (f *Fake) Capacity(ctx context.Context) (Capacity, error) {
	return f.options.Capacity, ctx.Err()
}

// Logs returns what the script has printed.
func (f *Fake) Logs(ctx context.Context, a weft.Attempt, follow bool) (io.ReadCloser, error) {
	c := f.container(a)
	if c == nil {
		return nil, weft.Errorf(weft.NotFound, "run %s has no log", a.Run)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if !follow {
		return io.NopCloser(bytes.NewReader(slices.Clone(c.log))), nil
	}
	ctx, cancel := context.WithCancel(ctx)
	return &fakeLog{ctx: ctx, cancel: cancel, container: c}, nil
}

// A fakeLog reads the log of a container while it grows.
type fakeLog struct {
	ctx       context.Context
	cancel    context.CancelFunc
	container *fakeContainer
	at        int
}

func (l *fakeLog) Read(p []byte) (int, error) {
	for {
		l.container.mu.Lock()
		n := copy(p, l.container.log[l.at:])
		over, changed := l.container.ended() || l.container.removed, l.container.changed
		l.container.mu.Unlock()
		l.at += n
		switch {
		case n > 0 || len(p) == 0:
			return n, nil
		case over:
			return 0, io.EOF
		}
		select {
		case <-changed:
		case <-l.ctx.Done():
			return 0, fmt.Errorf("follow log: %w", l.ctx.Err())
		}
	}
}

func (l *fakeLog) Close() error {
	l.cancel()
	return nil
}
