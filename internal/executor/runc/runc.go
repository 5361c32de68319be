// Package runc runs containers on this machine with nothing but runc.
//
// Each attempt has a directory, and in it a supervisor of its own (package worker,
// which describes the files they share). The server only prepares the directory,
// starts the supervisor, and reads: it may be absent for days. All that an Executor
// knows it finds again in the directories.
package runc

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"time"

	"github.com/weft-dev/weft"
	"github.com/weft-dev/weft/internal/executor"
	"github.com/weft-dev/weft/internal/worker"
)

// An Image is what it takes to run an image: its unpacked layers and its config.
type Image struct {
	Layers     []string // directories in the form of overlayfs, lowest first
	User       string
	WorkDir    string
	Env        []string
	Entrypoint []string
	Cmd        []string
	StopSignal string // like SIGINT; "" is SIGTERM
}

// An Unpacker keeps images unpacked.
type Unpacker interface {
	// Unpack returns the image whose manifest has this digest. Its layers stay until
	// the Run that it was asked for has ended.
	Unpack(ctx context.Context, d weft.Digest) (Image, error)
}

// Options configure an Executor. Those without a default must be set.
type Options struct {
	Dir      string // the Executor's own, mode 0700
	Places   executor.Places
	Images   Unpacker
	Log      *slog.Logger
	Worker   []string // the command that calls worker.Supervise, when a directory is appended
	Runc     string   // default: runc, in PATH or where distributions put it
	Network  string   // NetworkHost (default) or NetworkNone
	Cgroup   string   // parent of the containers' cgroups; default /weft
	MaxPids  int64    // processes and threads per container; default 32768
	CDIDirs  []string // default /etc/cdi and /var/run/cdi
	Labels   []weft.Label
	Floor    int64          // free bytes of disk below which a program that goes on writing is ended; 0 is never
	Capacity weft.Resources // what may be shared out, where it is to differ from what the machine has
}

// What the network of a container can be.
const (
	NetworkHost = "host" // the machine's own
	NetworkNone = "none" // a loopback device of its own
)

// Executor implements executor.Executor.
type Executor struct {
	options Options
	runs    string // a directory per attempt
	state   string // runc's
	host    host
	hints   executor.Hints
	growth  executor.Growth
	ctx     context.Context // ends with Close; of the goroutines that tend attempts
	cancel  context.CancelFunc
	group   sync.WaitGroup

	mu      sync.Mutex
	turns   map[weft.Attempt]*turn // one call at a time changes an attempt
	tenders map[weft.Attempt]*tender
}

var _ executor.Executor = (*Executor)(nil)

// New returns an Executor that knows every container a former one has left in Dir.
func New(o Options) (*Executor, error) {
	if o.Network == "" {
		o.Network = NetworkHost
	}
	if o.Cgroup == "" {
		o.Cgroup = "/weft"
	}
	if o.MaxPids == 0 {
		o.MaxPids = 32768
	}
	if o.Network != NetworkHost && o.Network != NetworkNone {
		return nil, weft.Errorf(weft.Invalid, "network %q of containers is neither %s nor %s", o.Network, NetworkHost, NetworkNone)
	}
	var err error
	if o.Runc, err = findRunc(o.Runc); err != nil {
		return nil, err
	}
	if o.Dir, err = filepath.Abs(o.Dir); err != nil {
		return nil, err
	}
	e := &Executor{
		options: o,
		runs:    filepath.Join(o.Dir, "attempts"),
		state:   filepath.Join(o.Dir, "runc"),
		turns:   map[weft.Attempt]*turn{},
		tenders: map[weft.Attempt]*tender{},
	}
	for _, dir := range []string{o.Dir, e.runs, e.state} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return nil, fmt.Errorf("make directory of executor: %w", err)
		}
	}
	if e.host, err = readHost(o); err != nil {
		return nil, err
	}
	if err := worker.BecomeReaper(); err != nil {
		return nil, err
	}
	e.ctx, e.cancel = context.WithCancel(context.Background())
	if err := e.resume(); err != nil {
		return nil, errors.Join(err, e.Close())
	}
	return e, nil
}

// findRunc looks where a daemon's PATH often does not lead.
func findRunc(name string) (string, error) {
	candidates := []string{name}
	if name == "" {
		candidates = []string{"runc", "/usr/sbin/runc", "/usr/local/sbin/runc", "/usr/bin/runc"}
	}
	for _, c := range candidates {
		if p, err := exec.LookPath(c); err == nil {
			return filepath.Abs(p)
		}
	}
	return "", weft.Errorf(weft.Unavailable, "runc is not installed").WithAdvice("install the package runc")
}

// Program returns where runc is.
func (e *Executor) Program() string { return e.options.Runc }

// Close lets go of all containers, which go on.
func (e *Executor) Close() error {
	e.cancel()
	e.group.Wait()
	return e.growth.Close()
}

// resume tends every attempt that a former Executor has left.
func (e *Executor) resume() error {
	as, err := e.attempts()
	if err != nil {
		return err
	}
	for _, a := range as {
		dir := e.dir(a)
		task, err := worker.Read[worker.Task](dir, worker.FileTask)
		if errors.Is(err, fs.ErrNotExist) {
			continue // its Start did not come so far
		}
		var hold *worker.Hold
		if err == nil {
			hold, err = worker.NewLateHold(dir, task)
		}
		if err != nil { // the machine broke down meanwhile: no reason not to start
			e.options.Log.Error("take up attempt", "attempt", a, "error", err)
			continue
		}
		e.tend(a, hold, nil)
	}
	return nil
}

func (e *Executor) dir(a weft.Attempt) string { return filepath.Join(e.runs, a.String()) }

// A turn is the right to change one attempt.
type turn struct {
	mu    sync.Mutex
	users int
}

// lock keeps other calls from changing the attempt until the returned function is
// called.
func (e *Executor) lock(a weft.Attempt) (unlock func()) {
	e.mu.Lock()
	t := e.turns[a]
	if t == nil {
		t = &turn{}
		e.turns[a] = t
	}
	t.users++
	e.mu.Unlock()
	t.mu.Lock()
	return func() {
		t.mu.Unlock()
		e.mu.Lock()
		defer e.mu.Unlock()
		if t.users--; t.users == 0 {
			delete(e.turns, a)
		}
	}
}

// Observe reads what the supervisor has recorded.
func (e *Executor) Observe(ctx context.Context, a weft.Attempt) (executor.Seen, error) {
	return e.look(a), ctx.Err()
}

func (e *Executor) look(a weft.Attempt) executor.Seen {
	dir := e.dir(a)
	if x, err := worker.Read[worker.Exit](dir, worker.FileExit); err == nil {
		seen := executor.Seen{State: executor.Exited, Code: x.Code, Signal: x.Signal, OOM: x.OOM, Message: x.Message, Devices: x.Devices, Started: x.Started, Ended: x.Ended}
		if x.Unknown {
			seen.State = executor.Lost
			if seen.Message == "" {
				seen.Message = "the container ended while its supervisor was gone; its exit code is unknown"
			}
		}
		return seen
	}
	if r, err := worker.Read[worker.Running](dir, worker.FileRunning); err == nil {
		return executor.Seen{State: executor.Running, Devices: r.Devices, Started: r.Started}
	}
	if t, err := worker.Read[worker.Task](dir, worker.FileTask); err == nil {
		return executor.Seen{State: executor.Pending, Devices: t.Devices, Reason: "the container is being made"}
	}
	return executor.Seen{}
}

// Watch hints at what the supervisors announce.
func (e *Executor) Watch(ctx context.Context, changed chan<- weft.Attempt) error {
	return e.hints.Watch(ctx, e.ended, changed)
}

func (e *Executor) ended() []weft.Attempt {
	as, err := e.attempts()
	if err != nil {
		e.options.Log.Error("list attempts", "error", err)
		return nil
	}
	var ended []weft.Attempt
	for _, a := range as {
		if s := e.look(a).State; s == executor.Exited || s == executor.Lost {
			ended = append(ended, a)
		}
	}
	return ended
}

// List returns every attempt that has a directory.
func (e *Executor) List(ctx context.Context) ([]weft.Attempt, error) {
	as, err := e.attempts()
	return as, errors.Join(err, ctx.Err())
}

func (e *Executor) attempts() ([]weft.Attempt, error) { return executor.AttemptsIn(e.runs) }

// Stop leaves the request where the supervisor finds it, who carries it out even if
// this process ends.
func (e *Executor) Stop(ctx context.Context, a weft.Attempt, grace time.Duration) error {
	defer e.lock(a)()
	if s := e.look(a).State; s != executor.Pending && s != executor.Running {
		return ctx.Err()
	}
	err := worker.RequestStop(e.dir(a), worker.Stop{Asked: time.Now(), Grace: grace})
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return weft.Errorf(kindOf(err), "cannot stop run %s: %w", a.Run, err)
	}
	return ctx.Err()
}
