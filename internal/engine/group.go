package engine

import (
	"context"
	"runtime"
)

// A group gathers what many goroutines ask for into few calls: while one call is
// under way, the next gathers. So a batch is as large as the load makes it, and
// nobody waits for a batch to fill.
type group[K, V any] struct {
	most int // in one call
	asks chan ask[K, V]
	do   func(ctx context.Context, keys []K) ([]V, error) // one value per key
}

type ask[K, V any] struct {
	key    K
	answer chan<- reply[V]
}

type reply[V any] struct {
	value V
	err   error
}

func newGroup[K, V any](most int, do func(context.Context, []K) ([]V, error)) *group[K, V] {
	return &group[K, V]{most: most, asks: make(chan ask[K, V], most), do: do}
}

// Do asks for one key and waits for the answer.
func (g *group[K, V]) Do(ctx context.Context, key K) (V, error) {
	answer := make(chan reply[V], 1)
	var none V
	select {
	case g.asks <- ask[K, V]{key, answer}:
	case <-ctx.Done():
		return none, ctx.Err()
	}
	select {
	case r := <-answer:
		return r.value, r.err
	case <-ctx.Done():
		return none, ctx.Err()
	}
}

// run makes the calls, one after the other, until ctx ends.
func (g *group[K, V]) run(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case first := <-g.asks:
			g.call(ctx, g.gather(first))
		}
	}
}

func (g *group[K, V]) gather(first ask[K, V]) []ask[K, V] {
	runtime.Gosched() // let those ask who are about to
	batch := []ask[K, V]{first}
	for len(batch) < g.most {
		select {
		case a := <-g.asks:
			batch = append(batch, a)
		default:
			return batch
		}
	}
	return batch
}

func (g *group[K, V]) call(ctx context.Context, batch []ask[K, V]) {
	keys := make([]K, len(batch))
	for i, a := range batch {
		keys[i] = a.key
	}
	values, err := g.do(ctx, keys)
	for i, a := range batch {
		r := reply[V]{err: err}
		if err == nil {
			r.value = values[i]
		}
		a.answer <- r
	}
}
