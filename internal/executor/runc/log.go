package runc

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"sync"

	"github.com/fsnotify/fsnotify"

	"github.com/weft-dev/weft"
	"github.com/weft-dev/weft/internal/executor"
	"github.com/weft-dev/weft/internal/worker"
)

// Logs reads the log file, and with follow waits for more of it.
func (e *Executor) Logs(ctx context.Context, a weft.Attempt, follow bool) (io.ReadCloser, error) {
	task, err := worker.Read[worker.Task](e.dir(a), worker.FileTask)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, weft.Errorf(weft.NotFound, "run %s has no log", a.Run)
	}
	if err != nil {
		return nil, err
	}
	file, err := os.Open(task.Log)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, weft.Errorf(weft.NotFound, "run %s has no log yet", a.Run)
	}
	if err != nil {
		return nil, fmt.Errorf("open log: %w", err)
	}
	if !follow {
		return file, nil
	}
	ctx, cancel := context.WithCancel(ctx)
	grown, stop, err := e.growth.watch(e, task.Log, a)
	if err != nil {
		cancel()
		return nil, errors.Join(err, file.Close())
	}
	return &followed{ctx: ctx, cancel: cancel, file: file, grown: grown, closed: e.ctx.Done(), stop: stop,
		over: func() bool {
			s := e.look(a).State
			return s != executor.Pending && s != executor.Running
		}}, nil
}

// A followed log goes on until the container has ended.
type followed struct {
	ctx    context.Context
	cancel context.CancelFunc
	file   *os.File
	grown  <-chan struct{}
	closed <-chan struct{} // when the Executor is closed
	stop   func()
	over   func() bool
}

func (f *followed) Read(p []byte) (int, error) {
	for {
		over := f.over() // before reading: what is there afterwards was there when it ended
		n, err := f.file.Read(p)
		if n > 0 || err != nil && !errors.Is(err, io.EOF) {
			return n, err
		}
		if over {
			return 0, io.EOF
		}
		select {
		case <-f.grown:
		case <-f.ctx.Done():
			return 0, fmt.Errorf("follow log: %w", f.ctx.Err())
		case <-f.closed:
			return 0, weft.Errorf(weft.Unavailable, "the server is going down")
		}
	}
}

func (f *followed) Close() error {
	f.cancel()
	f.stop()
	return f.file.Close()
}

// Growth tells those who follow logs when there is more. All share one watch on the
// file system, made when it is first needed.
type growth struct {
	mu      sync.Mutex
	watcher *fsnotify.Watcher
	readers map[string]map[chan struct{}]struct{} // by file
	done    chan struct{}
}

// watch sends on grown when the file has grown or the attempt has changed.
func (g *growth) watch(e *Executor, file string, a weft.Attempt) (grown <-chan struct{}, stop func(), err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.watcher == nil {
		if g.watcher, err = fsnotify.NewWatcher(); err != nil {
			return nil, nil, fmt.Errorf("follow log: %w", err)
		}
		g.readers, g.done = map[string]map[chan struct{}]struct{}{}, make(chan struct{})
		go g.run(g.watcher)
	}
	if err := g.watcher.Add(file); err != nil {
		return nil, nil, fmt.Errorf("follow log: %w", err)
	}
	c := make(chan struct{}, 1)
	if g.readers[file] == nil {
		g.readers[file] = map[chan struct{}]struct{}{}
	}
	g.readers[file][c] = struct{}{}

	ctx, cancel := context.WithCancel(e.ctx)
	changed := make(chan weft.Attempt)
	e.group.Go(func() { // ends with ctx, which is the only error there is
		_ = e.hints.Watch(ctx, func() []weft.Attempt { return nil }, changed)
	})
	e.group.Go(func() {
		for {
			select {
			case got := <-changed:
				if got == a {
					poke(c)
				}
			case <-ctx.Done():
				return
			}
		}
	})
	return c, func() {
		cancel()
		g.forget(file, c)
	}, nil
}

func poke(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

func (g *growth) forget(file string, c chan struct{}) {
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.readers[file], c)
	if len(g.readers[file]) == 0 {
		delete(g.readers, file)
		// A file that was removed is not watched any more, which is as well.
		_ = g.watcher.Remove(file)
	}
}

func (g *growth) run(w *fsnotify.Watcher) {
	defer close(g.done)
	for {
		select {
		case event, ok := <-w.Events:
			if !ok {
				return
			}
			g.mu.Lock()
			for c := range g.readers[event.Name] {
				poke(c)
			}
			g.mu.Unlock()
		case _, ok := <-w.Errors: // events were lost: have everybody look
			if !ok {
				return
			}
			g.mu.Lock()
			for _, cs := range g.readers {
				for c := range cs {
					poke(c)
				}
			}
			g.mu.Unlock()
		}
	}
}

func (g *growth) close() error {
	g.mu.Lock()
	w := g.watcher
	g.mu.Unlock()
	if w == nil {
		return nil
	}
	err := w.Close()
	<-g.done
	return err
}
