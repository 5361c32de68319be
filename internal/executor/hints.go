package executor

import (
	"context"
	"sync"

	"github.com/weft-dev/weft"
)

// Hints fans out hints to everyone who watches. A slow watcher holds up nobody: for
// it, hints at one attempt merge into one. The zero Hints is ready for use.
type Hints struct {
	mu       sync.Mutex
	watchers map[*watcher]struct{}
}

type watcher struct {
	pending map[weft.Attempt]struct{}
	wake    chan struct{} // holds one token while pending may not be empty
}

// Send hints at a, and does not wait.
func (h *Hints) Send(a weft.Attempt) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for w := range h.watchers {
		w.add(a)
	}
}

func (w *watcher) add(a weft.Attempt) {
	w.pending[a] = struct{}{}
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// Watch passes hints on until ctx ends, those of first to begin with. First is
// called once new hints are being gathered, so that nothing falls in between.
func (h *Hints) Watch(ctx context.Context, first func() []weft.Attempt, changed chan<- weft.Attempt) error {
	w := &watcher{pending: map[weft.Attempt]struct{}{}, wake: make(chan struct{}, 1)}
	h.mu.Lock()
	if h.watchers == nil {
		h.watchers = map[*watcher]struct{}{}
	}
	h.watchers[w] = struct{}{}
	h.mu.Unlock()
	defer func() {
		h.mu.Lock()
		delete(h.watchers, w)
		h.mu.Unlock()
	}()

	batch := first()
	for {
		for _, a := range batch {
			select {
			case changed <- a:
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		select {
		case <-w.wake:
		case <-ctx.Done():
			return ctx.Err()
		}
		batch = h.take(w)
	}
}

func (h *Hints) take(w *watcher) []weft.Attempt {
	h.mu.Lock()
	defer h.mu.Unlock()
	batch := make([]weft.Attempt, 0, len(w.pending))
	for a := range w.pending {
		batch = append(batch, a)
	}
	clear(w.pending)
	return batch
}
