package executor

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"

	"github.com/fsnotify/fsnotify"

	"github.com/weft-dev/weft"
)

// Growth tells those who wait for it when files change. All share one watch on the
// file system, made when it is first needed. The zero Growth is ready for use.
type Growth struct {
	mu      sync.Mutex
	closed  bool
	watcher *fsnotify.Watcher
	readers map[string]map[*func()]struct{} // by file or directory
	done    chan struct{}
}

// Watch calls changed whenever the file, or something in the directory, has changed,
// until stop is called. Changed must not wait.
func (g *Growth) Watch(name string, changed func()) (stop func(), err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed {
		return nil, errGoingDown
	}
	if g.watcher == nil {
		w, err := fsnotify.NewWatcher()
		if err != nil {
			return nil, fmt.Errorf("watch files: %w", err)
		}
		g.watcher, g.readers, g.done = w, map[string]map[*func()]struct{}{}, make(chan struct{})
		go g.run(w)
	}
	if err := g.watcher.Add(name); err != nil {
		return nil, fmt.Errorf("watch files: %w", err)
	}
	if g.readers[name] == nil {
		g.readers[name] = map[*func()]struct{}{}
	}
	g.readers[name][&changed] = struct{}{}
	return func() { g.forget(name, &changed) }, nil
}

func (g *Growth) forget(name string, f *func()) {
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.readers[name], f)
	if len(g.readers[name]) == 0 {
		delete(g.readers, name)
		// A file that was removed is not watched any more, which is as well.
		_ = g.watcher.Remove(name)
	}
}

func (g *Growth) run(w *fsnotify.Watcher) {
	defer close(g.done)
	for {
		select {
		case event, ok := <-w.Events:
			if !ok {
				return
			}
			g.tell(event.Name)
			g.tell(filepath.Dir(event.Name))
		case _, ok := <-w.Errors: // events were lost: have everybody look
			if !ok {
				return
			}
			g.tellAll()
		}
	}
}

func (g *Growth) tell(name string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for f := range g.readers[name] {
		(*f)()
	}
}

func (g *Growth) tellAll() {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, fs := range g.readers {
		for f := range fs {
			(*f)()
		}
	}
}

// Close ends the watch. What is followed ends, too.
func (g *Growth) Close() error {
	g.mu.Lock()
	w := g.watcher
	g.closed = true
	g.mu.Unlock()
	if w == nil {
		return nil
	}
	err := w.Close()
	<-g.done
	g.tellAll()
	return err
}

func (g *Growth) isClosed() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.closed
}

var errGoingDown = weft.Errorf(weft.Unavailable, "the server is going down")

// Follow reads a log file, which it takes over, and waits for more of it until over says
// that its container has ended, or ctx ends. Hints of the attempt are when over may have
// changed.
func (g *Growth) Follow(ctx context.Context, file *os.File, hints *Hints, a weft.Attempt, over func() bool) (io.ReadCloser, error) {
	f := &followed{growth: g, file: file, grown: make(chan struct{}, 1), over: over}
	f.ctx, f.cancel = context.WithCancel(ctx)
	var err error
	if f.stop, err = g.Watch(file.Name(), f.poke); err != nil {
		f.cancel()
		return nil, errors.Join(err, file.Close())
	}
	changed := make(chan weft.Attempt)
	f.group.Go(func() { // ends with ctx, which is the only error there is
		_ = hints.Watch(f.ctx, func() []weft.Attempt { return nil }, changed)
	})
	f.group.Go(func() {
		for {
			select {
			case got := <-changed:
				if got == a {
					f.poke()
				}
			case <-f.ctx.Done():
				return
			}
		}
	})
	return f, nil
}

// A followed log goes on until the container has ended.
type followed struct {
	growth *Growth
	ctx    context.Context
	cancel context.CancelFunc
	group  sync.WaitGroup
	file   *os.File
	grown  chan struct{}
	stop   func()
	over   func() bool
}

func (f *followed) poke() {
	select {
	case f.grown <- struct{}{}:
	default:
	}
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
		if f.growth.isClosed() {
			return 0, errGoingDown
		}
		select {
		case <-f.grown:
		case <-f.ctx.Done():
			return 0, fmt.Errorf("follow log: %w", f.ctx.Err())
		}
	}
}

func (f *followed) Close() error {
	f.cancel()
	f.stop()
	f.group.Wait()
	return f.file.Close()
}
