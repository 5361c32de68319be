package engine

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"

	"github.com/weft-dev/weft"
	"github.com/weft-dev/weft/internal/executor"
)

// A Store keeps Runs and leases them out. Claims return Runs that are leased to the
// holder from then on and, but for ClaimRunsByID, that were due and leased to nobody;
// ClaimRunsByID also returns what the holder has leased already, and so renews.
type Store interface {
	Changed() (ch <-chan struct{}, stop func())
	Project(ctx context.Context, limit int) (made int, more bool, err error)
	ClaimRuns(ctx context.Context, holder string, lease time.Duration, n int, statuses ...weft.Status) ([]weft.Run, error)
	ClaimRunsByID(ctx context.Context, holder string, lease time.Duration, ids []weft.RunID) ([]weft.Run, error)
	OldestWaiting(ctx context.Context, limit int, skip []weft.PlanID) ([]weft.RunID, error) // one of each Plan
	SaveRuns(ctx context.Context, saves []weft.Save) []error
	RunsIn(ctx context.Context, statuses ...weft.Status) ([]weft.Run, error)
	Plans(ctx context.Context, ids []weft.PlanID) (map[weft.PlanID]weft.Plan, error)
	Trees(ctx context.Context, ids []weft.DataID) (map[weft.DataID]weft.Digest, error)
	Events(ctx context.Context, project weft.ProjectID, after weft.Cursor, limit int) ([]weft.Event, error)
	PruneEvents(ctx context.Context, upTo weft.Cursor) error
	RunEnv(ctx context.Context, a weft.Attempt) ([]byte, error) // sealed; nil when hooks gave the attempt no variables
}

// A Content keeps what Runs write. Like an executor's, its methods may be called
// again with the same argument after a crash, at any point, and then lead to the
// same end; and a call may take effect late.
type Content interface {
	// Close ends the writing of an attempt: what a container writes that is started
	// from now on, by a call that was late, goes elsewhere and is never sealed.
	Close(ctx context.Context, a weft.Attempt) error

	// Seal turns what the Run's present attempt has left, which is closed, into trees,
	// one for each of its outputs and for its log. What was never written is an empty
	// tree. Sealing again gives the same trees, until Discard. Problems are what could
	// not be kept, such as a device, in words for the user.
	Seal(ctx context.Context, r weft.Run) (trees map[weft.DataID]weft.Tree, problems []string, err error)

	// Discard removes the attempt's directories, closed or not. Trees that were sealed
	// stay.
	Discard(ctx context.Context, a weft.Attempt) error

	// Works lists the attempts whose directories exist.
	Works(ctx context.Context) ([]weft.Attempt, error)

	// Room returns nil while there is disk space to start Runs, and else an error of
	// kind NoSpace that says in words what is missing.
	Room() error
}

// Images finds the image that a Plan names, and sees to it that the executor can
// have it. NotFound and other errors for which trying again cannot help fail the
// Run with their message.
type Images interface {
	Resolve(ctx context.Context, project weft.ProjectID, image weft.Image) (weft.Digest, error)
}

// A Collector removes content that nothing refers to: usually what has been so for a
// while, lest it be brought in again; at once where room is wanted.
type Collector interface {
	Collect(ctx context.Context, atOnce bool) error
}

// A Config is what an Engine is made of. Store, Executor, Content, Images and Holder
// are required; all else has a default.
type Config struct {
	Store     Store
	Executor  executor.Executor
	Content   Content
	Images    Images
	Collector Collector // nil: nothing is collected
	Secrets   Secrets   // nil: there are none, and plans that name any wait
	Node      string    // name of the machine, for the records of Runs
	Hooks     Hooks     // nil: nobody is asked
	Vault     Vault     // nil: hooks cannot give variables

	Log     *slog.Logger
	Metrics prometheus.Registerer // nil: figures are kept but not shown

	// Holder names this engine in leases. Of engines that live at the same time, no
	// two have the same name; one that takes the place of another keeps its name,
	// and need not wait for the leases of the one before to end.
	Holder string
	Lease  time.Duration // default 15 s

	InFlight int // Runs being worked on at once (running ones are not); default 1,024
	Starts   int // images resolved and containers started at once; default 16
	Seals    int // Runs being sealed at once; default 8

	LogLimit    int64 // bytes a Run's log may have; 0 is no limit
	OutputLimit int64 // bytes a Run's outputs may have in all; 0 is no limit

	CollectEvery time.Duration // default 10 min
	KeepEvents   time.Duration // default 7 days
}

func (c Config) withDefaults() Config {
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Metrics == nil {
		c.Metrics = prometheus.NewRegistry()
	}
	for _, d := range []struct {
		field *time.Duration
		value time.Duration
	}{{&c.Lease, 15 * time.Second}, {&c.CollectEvery, 10 * time.Minute}, {&c.KeepEvents, 7 * 24 * time.Hour}} {
		if *d.field <= 0 {
			*d.field = d.value
		}
	}
	for _, d := range []struct {
		field *int
		value int
	}{{&c.InFlight, 1024}, {&c.Starts, 16}, {&c.Seals, 8}} {
		if *d.field <= 0 {
			*d.field = d.value
		}
	}
	return c
}

// An Engine takes Runs through their lives. See the package comment.
type Engine struct {
	Config
	metrics *metrics

	fleet  fleet
	flying sync.WaitGroup
	ledger ledger
	queue  queue
	hints  hints
	tries  tries
	asks   asks

	saver  *group[weft.Save, error]
	trees  *group[[]weft.DataID, map[weft.DataID]weft.Digest]
	plans  *group[weft.PlanID, weft.Plan]
	images images
	starts chan struct{} // one token for each under way
	seals  chan struct{}

	project, admit, resume, reconcile signal
}

// New makes an Engine. Run sets it going.
func New(c Config) *Engine {
	c = c.withDefaults()
	e := &Engine{
		Config:    c,
		metrics:   newMetrics(c.Metrics),
		fleet:     fleet{flights: map[weft.RunID]*flight{}},
		ledger:    ledger{held: map[weft.RunID]holding{}},
		queue:     queue{waiting: map[weft.RunID]*entry{}},
		hints:     hints{pending: map[weft.Attempt]struct{}{}, wake: newSignal()},
		tries:     tries{failed: map[weft.RunID]int{}},
		asks:      asks{open: map[weft.RunID][]*asking{}, wake: newSignal()},
		starts:    make(chan struct{}, c.Starts),
		seals:     make(chan struct{}, c.Seals),
		project:   newSignal(),
		admit:     newSignal(),
		resume:    newSignal(),
		reconcile: newSignal(),
	}
	e.images = images{resolve: c.Images.Resolve, shared: map[imageKey]*resolving{}}
	e.saver = newGroup(saveBatch, e.saveRuns)
	e.trees = newGroup(claimBatch, e.readTrees)
	e.plans = newGroup(claimBatch, e.readPlans)
	return e
}

const (
	claimBatch   = 256
	saveBatch    = 512
	projectBatch = 1000
	pruneBatch   = 10_000

	poll           = 5 * time.Second      // how often a loop looks though nothing woke it
	reconcileEvery = time.Minute          // how often all that exists is compared
	reconcileSoon  = 5 * time.Second      // how long a reason to compare may wait for others
	watchAgain     = time.Second          // pause before the executor is watched again
	runningAgain   = time.Minute          // when a running Run is looked at without a hint
	farewell       = 4 * time.Second      // what work in flight gets to end at shutdown
	spacing        = 5 * time.Millisecond // between wake-ups by the store
)

// Run works until ctx ends, and then returns nil within 5 s. Containers go on; an
// Engine started later finds them. What was in flight is left as it is: each act may
// be repeated.
func (e *Engine) Run(ctx context.Context) error {
	work, cancel := context.WithCancel(ctx)
	defer cancel()
	g, ctx := errgroup.WithContext(work)
	g.Go(func() error { return e.saver.run(ctx) })
	g.Go(func() error { return e.saver.run(ctx) }) // so that the database is not idle while answers are handed out
	g.Go(func() error { return e.trees.run(ctx) })
	g.Go(func() error { return e.plans.run(ctx) })
	g.Go(func() error { return e.listen(ctx) })
	g.Go(func() error { return e.watch(ctx) })
	g.Go(func() error {
		if !e.adopt(ctx) {
			return nil
		}
		return e.loops(ctx)
	})
	err := g.Wait()
	cancel()
	e.land()
	if err != nil {
		return fmt.Errorf("engine: %w", err)
	}
	return nil
}

// loops runs everything that must wait until what runs already is known.
func (e *Engine) loops(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	loop := func(name string, pause time.Duration, wake <-chan struct{}, step func(context.Context) (bool, error)) {
		log := e.Log.With("loop", name)
		g.Go(func() error { return Loop(ctx, log, pause, wake, e.metrics.counted(name, step)) })
	}
	loop("projection", poll, e.project, e.projection)
	loop("admission", poll, e.admit, e.admission)
	loop("resume", poll, e.resume, e.resumption)
	loop("hints", poll, e.hints.wake, e.observation)
	loop("renew", e.Lease/3, nil, e.renewal)
	if e.Hooks != nil {
		loop("hooks", poll, e.asks.wake, e.asking)
	}
	loop("reconcile", reconcileEvery, e.reconcile, e.reconciliation)
	loop("prune", time.Hour, nil, e.pruning)
	if e.Collector != nil {
		loop("collect", e.CollectEvery, nil, e.collection)
		loop("make room", poll, nil, e.makingRoom)
	}
	return g.Wait()
}

// listen passes the store's wake-ups on to the loops, at once, and then not again
// for a moment: under load they come by the hundred.
func (e *Engine) listen(ctx context.Context) error {
	changed, stop := e.Store.Changed()
	defer stop()
	pause := time.NewTimer(0)
	defer pause.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-changed:
		}
		e.project.set()
		e.admit.set()
		e.resume.set()
		pause.Reset(spacing)
		select {
		case <-ctx.Done():
			return nil
		case <-pause.C:
		}
	}
}

// land waits for what is in flight, whose context has ended, and gives up on what
// does not heed that.
func (e *Engine) land() {
	landed := make(chan struct{})
	go func() {
		e.flying.Wait()
		close(landed)
	}()
	select {
	case <-landed:
	case <-time.After(farewell):
		e.Log.Warn("some work in flight did not end; it is left to itself", "runs", e.fleet.size())
	}
}

func (e *Engine) projection(ctx context.Context) (bool, error) {
	made, more, err := e.Store.Project(ctx, projectBatch)
	if err != nil {
		return false, fmt.Errorf("project: %w", err)
	}
	e.metrics.made.Add(float64(made))
	if made > 0 {
		e.admit.set()
	}
	return more, nil
}

// pruning forgets a batch of events that are older than is kept. Whoever follows
// events is not that far behind, or has to read what he follows anew.
func (e *Engine) pruning(ctx context.Context) (bool, error) {
	if e.Secrets != nil {
		if err := e.Secrets.Sweep(ctx); err != nil {
			return false, fmt.Errorf("sweep secrets: %w", err)
		}
	}
	oldest, err := e.Store.Events(ctx, weft.ProjectID{}, weft.Cursor{}, pruneBatch)
	if err != nil {
		return false, fmt.Errorf("read oldest events: %w", err)
	}
	before := time.Now().Add(-e.KeepEvents)
	n := 0
	for n < len(oldest) && oldest[n].At.Before(before) {
		n++
	}
	if n == 0 {
		return false, nil
	}
	if err := e.Store.PruneEvents(ctx, oldest[n-1].Cursor); err != nil {
		return false, fmt.Errorf("prune events: %w", err)
	}
	return n == pruneBatch, nil
}

func (e *Engine) collection(ctx context.Context) (bool, error) {
	if err := e.Collector.Collect(ctx, false); err != nil {
		return false, fmt.Errorf("collect: %w", err)
	}
	return false, nil
}

// makingRoom collects while the disk is full: users who make room by removing Runs are
// not to wait for that longer than need be.
func (e *Engine) makingRoom(ctx context.Context) (bool, error) {
	if e.Content.Room() == nil {
		return false, nil
	}
	if err := e.Collector.Collect(ctx, true); err != nil {
		return false, fmt.Errorf("collect for want of room: %w", err)
	}
	if e.Content.Room() == nil {
		e.admit.set()
	}
	return false, nil
}
