package registry

import (
	"context"
	"sync"
)

// Turns let one at a time work on a thing, while others wait for its turn or give up.
type turns struct {
	mu   sync.Mutex
	busy map[string]chan struct{} // by thing: closed when whoever works on it is done
}

// take waits until nobody else works on a thing.
func (t *turns) take(ctx context.Context, what string) (done func(), err error) {
	for {
		other, done := t.try(what)
		if other == nil {
			return done, nil
		}
		select {
		case <-other:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

func (t *turns) try(what string) (other chan struct{}, done func()) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if other := t.busy[what]; other != nil {
		return other, nil
	}
	if t.busy == nil {
		t.busy = make(map[string]chan struct{})
	}
	mine := make(chan struct{})
	t.busy[what] = mine
	return nil, func() {
		t.mu.Lock()
		delete(t.busy, what)
		t.mu.Unlock()
		close(mine)
	}
}
