// Package docker runs containers with an engine that speaks Docker's API: Docker
// itself, or Podman's service, with root or without.
//
// The first process of each container is a wrapper (package worker, RunInside), the same
// program as the server, mounted into the container. It does what the engine does not do
// the same everywhere: it keeps a log that is complete and live, holds limits, ends the
// program when asked, writes how it ended, and hands what it wrote over to the server's
// user, whatever users the engine and the image have. All that goes on without a server.
//
// # Files of one attempt
//
//	attempts/<attempt>/job.json    the container as the engine is asked for it
//	attempts/<attempt>/log         the log, if the Run keeps none
//	attempts/<attempt>/run/        seen in the container as worker.InsideRun
//
// Containers are named after the attempt, and labelled with the server's id, which is in
// the file id. The program starts once at most, even if its container is started again:
// the wrapper leaves a mark before it does. So an attempt that was interrupted anywhere
// is taken up by doing the same again, and what a killed container has left is handed
// over by starting it once more.
//
// What is in run/ can be written by a program that is root. So it is read with care, and
// believed in what concerns the program alone.
package docker

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/google/uuid"
	"github.com/moby/moby/client"

	"github.com/weft-dev/weft"
	"github.com/weft-dev/weft/internal/executor"
)

// An Image is what it takes to run an image.
type Image struct {
	User       string
	WorkDir    string
	Env        []string
	Entrypoint []string
	Cmd        []string
	StopSignal string   // like SIGINT; "" is SIGTERM
	Layers     []string // digests of the unpacked layers, lowest first, as in the image's config
}

// Images gives an engine the images it lacks.
type Images interface {
	// Image returns the image whose manifest has this digest.
	Image(ctx context.Context, d weft.Digest) (Image, error)
	// WriteArchive writes it in the form of "docker save", under this name.
	WriteArchive(ctx context.Context, d weft.Digest, name string, w io.Writer) error
}

// Options configure an Executor. Those without a default must be set.
type Options struct {
	Dir      string // the Executor's own, mode 0700, on a file system that the engine sees
	Places   executor.Places
	Images   Images
	Log      *slog.Logger
	Host     string   // of the engine, such as unix:///var/run/docker.sock
	Program  string   // the weft program, which must need no libraries; default: this one
	Network  string   // of the containers; default: the engine's own default
	MaxPids  int64    // processes and threads per container; default 32768
	CDIDirs  []string // default /etc/cdi and /var/run/cdi
	Labels   []weft.Label
	Capacity weft.Resources // what may be shared out, where it is to differ from what the engine has
}

// Executor implements executor.Executor.
type Executor struct {
	options Options
	id      string // of this server, in the labels of its containers
	runs    string // a directory per attempt
	program string // a copy of the program, which stays when the program is replaced
	engine  *client.Client
	facts   Facts
	devices *executor.Devices
	hints   executor.Hints
	growth  executor.Growth
	loads   turns[weft.Digest]
	turns   turns[weft.Attempt] // one call at a time changes an attempt
	ctx     context.Context     // ends with Close; of the goroutines that tend attempts
	cancel  context.CancelFunc
	group   sync.WaitGroup

	mu     sync.Mutex
	tended map[weft.Attempt]bool // containers that are watched, as they run
}

var _ executor.Executor = (*Executor)(nil)

// New returns an Executor that knows every container a former one has left in Dir. It
// has the engine run a container of its own, so as to be sure that it works, and to know
// what of it does.
func New(ctx context.Context, o Options) (_ *Executor, err error) {
	if o.MaxPids == 0 {
		o.MaxPids = 32768
	}
	if o.Dir, err = filepath.Abs(o.Dir); err != nil {
		return nil, err
	}
	e := &Executor{options: o, runs: filepath.Join(o.Dir, "attempts"), tended: map[weft.Attempt]bool{}}
	e.ctx, e.cancel = context.WithCancel(context.Background())
	defer func() {
		if err != nil {
			err = errors.Join(err, e.Close())
		}
	}()
	for _, dir := range []string{o.Dir, e.runs, e.stamps()} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return nil, fmt.Errorf("make directory of executor: %w", err)
		}
	}
	if e.id, err = identity(filepath.Join(o.Dir, "id")); err != nil {
		return nil, err
	}
	if e.program, err = copyProgram(o.Program, o.Dir); err != nil {
		return nil, err
	}
	if e.engine, err = client.New(client.WithHost(o.Host), client.WithUserAgent("weft")); err != nil {
		return nil, weft.Errorf(weft.Invalid, "container engine %s: %w", o.Host, err)
	}
	if e.devices, err = executor.OpenDevices(o.CDIDirs); err != nil {
		return nil, err
	}
	if err := e.probe(ctx); err != nil {
		return nil, err
	}
	return e, e.resume(ctx)
}

// Close lets go of all containers, which go on.
func (e *Executor) Close() error {
	e.cancel()
	e.group.Wait()
	err := e.growth.Close()
	if e.engine != nil {
		err = errors.Join(err, e.engine.Close())
	}
	return err
}

// Facts returns what was found out about the engine.
func (e *Executor) Facts() Facts { return e.facts }

// Reach returns an error while the engine does not answer.
func (e *Executor) Reach(ctx context.Context) error {
	_, err := e.engine.Ping(ctx, client.PingOptions{})
	return e.trouble("reach the container engine", err)
}

// identity returns what is in a file, which is made with something new if it is missing.
func identity(name string) (string, error) {
	b, err := os.ReadFile(name)
	if id := strings.TrimSpace(string(b)); err == nil && id != "" {
		return id, nil
	}
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return "", fmt.Errorf("read id of executor: %w", err)
	}
	id := uuid.NewString()
	if err := os.WriteFile(name, []byte(id+"\n"), 0o600); err != nil {
		return "", fmt.Errorf("write id of executor: %w", err)
	}
	return id, nil
}

// turns let one at a time work on a key.
type turns[K comparable] struct {
	mu   sync.Mutex
	keys map[K]*turn
}

type turn struct {
	token chan struct{}
	users int
}

// take waits for the turn, which ends when the returned function is called.
func (ts *turns[K]) take(ctx context.Context, key K) (done func(), err error) {
	ts.mu.Lock()
	if ts.keys == nil {
		ts.keys = map[K]*turn{}
	}
	t := ts.keys[key]
	if t == nil {
		t = &turn{token: make(chan struct{}, 1)}
		ts.keys[key] = t
	}
	t.users++
	ts.mu.Unlock()
	leave := func() {
		ts.mu.Lock()
		defer ts.mu.Unlock()
		if t.users--; t.users == 0 {
			delete(ts.keys, key)
		}
	}
	select {
	case t.token <- struct{}{}:
		return func() { <-t.token; leave() }, nil
	case <-ctx.Done():
		leave()
		return nil, ctx.Err()
	}
}
