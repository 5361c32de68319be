package content

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/weft-dev/weft"
)

// memory is a Ledger that keeps its word, in memory.
type memory struct {
	mu    sync.Mutex
	blobs map[weft.Digest]*memoryBlob
	trees map[weft.Digest]*memoryTree
	kept  map[weft.Digest]bool // trees that a Data has
}

type memoryBlob struct {
	size    int64
	present bool
	doomed  bool      // deleting
	since   time.Time // when it was found that nothing refers to it
	pins    map[string]time.Time
	trees   int
}

type memoryTree struct {
	doomed bool
	since  time.Time
	pins   map[string]time.Time
	blobs  []weft.Digest
}

func newMemory() *memory {
	return &memory{blobs: map[weft.Digest]*memoryBlob{}, trees: map[weft.Digest]*memoryTree{}, kept: map[weft.Digest]bool{}}
}

func (l *memory) Reserve(ctx context.Context, pin string, until time.Time, blobs []weft.Blob) ([]weft.BlobState, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	states := make([]weft.BlobState, len(blobs))
	for i, b := range blobs {
		row := l.blobs[b.Digest]
		if row == nil {
			row = &memoryBlob{size: b.Size, pins: map[string]time.Time{}}
			l.blobs[b.Digest] = row
		}
		switch {
		case row.doomed:
			states[i] = weft.BlobDeleting
			continue
		case row.present:
			states[i] = weft.BlobPresent
		}
		row.pins[pin], row.since = until, time.Time{}
	}
	return states, nil
}

func (l *memory) Confirm(ctx context.Context, digests []weft.Digest) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, g := range digests {
		row := l.blobs[g]
		if row == nil || row.doomed || len(row.pins) == 0 && row.trees == 0 {
			return fmt.Errorf("confirm: %s is not reserved", g)
		}
		row.present = true
	}
	return ctx.Err()
}

func (l *memory) AddTree(ctx context.Context, pin string, until time.Time, t weft.Tree, files []weft.Digest) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	tree := l.trees[t.Digest]
	if tree != nil && tree.doomed {
		return weft.Errorf(weft.Unavailable, "tree is being deleted")
	}
	if tree != nil {
		tree.pins[pin], tree.since = until, time.Time{}
		return ctx.Err()
	}
	all := append([]weft.Digest{t.Digest}, files...)
	for _, g := range all {
		row := l.blobs[g]
		if row == nil || !row.present || row.doomed {
			return weft.Errorf(weft.Conflict, "%s is not there", g)
		}
	}
	l.trees[t.Digest] = &memoryTree{pins: map[string]time.Time{pin: until}, blobs: all}
	for _, g := range all {
		l.blobs[g].trees++
	}
	return ctx.Err()
}

// keep makes a Data of a tree, or drops it.
func (l *memory) keep(g weft.Digest, yes bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.kept[g] = yes
}

func (l *memory) release(pin string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, b := range l.blobs {
		delete(b.pins, pin)
	}
	for _, t := range l.trees {
		delete(t.pins, pin)
	}
}

func held(pins map[string]time.Time, now time.Time) bool {
	for _, until := range pins {
		if until.After(now) {
			return true
		}
	}
	return false
}

func (l *memory) Doom(ctx context.Context, grace time.Duration, limit int) (blobs []weft.Blob, trees []weft.Digest, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	for g, t := range l.trees {
		if t.doomed || !l.kept[g] && !held(t.pins, now) && due(&t.since, now, grace) {
			t.doomed = true
			trees = append(trees, g)
		}
		if len(trees) == limit {
			return nil, trees, nil
		}
	}
	for g, b := range l.blobs {
		if b.doomed || b.trees == 0 && !held(b.pins, now) && due(&b.since, now, grace) {
			b.doomed = true
			blobs = append(blobs, weft.Blob{Digest: g, Size: b.size})
		}
		if len(blobs) == limit {
			break
		}
	}
	return blobs, trees, nil
}

func due(since *time.Time, now time.Time, grace time.Duration) bool {
	if since.IsZero() {
		*since = now
	}
	return now.Sub(*since) >= grace
}

func (l *memory) Forget(ctx context.Context, blobs []weft.Digest, trees []weft.Digest) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, g := range trees {
		for _, b := range l.trees[g].blobs {
			l.blobs[b].trees--
		}
		delete(l.trees, g)
	}
	for _, g := range blobs {
		delete(l.blobs, g)
	}
	return nil
}
