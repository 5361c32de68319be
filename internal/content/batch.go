package content

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"

	"github.com/weft-dev/weft"
)

const (
	maxWaiting      = 4096     // items of a batch, before they are reserved and placed
	maxWaitingBytes = 16 << 20 // of them in memory
	confirmAtOnce   = 4096     // digests a transaction
	reserveTries    = 50
	reservePause    = 20 * time.Millisecond
)

// A batch brings content in: its items are reserved and placed together, made
// durable together, and confirmed together. It is used by one goroutine.
type batch struct {
	d     *Dir
	pin   string
	until time.Time

	waiting []item
	held    int64                    // bytes in memory of what is waiting
	seen    map[weft.Digest]struct{} // reserved by this batch, or waiting
	claimed []weft.Digest
	placed  []weft.Digest // placed, and not confirmed yet
	files   []string      // where those are
}

// An item is content that is known and verified, but may not be in its place yet.
type item struct {
	blob weft.Blob
	exec bool                    // the form to keep it in, if it is not there yet
	held int64                   // bytes in memory
	put  func(name string) error // makes the content appear at name, or fails, with fs.ErrExist if there is something; nil if it must be there
	drop func()                  // removes what put did not use; may be nil
}

func (d *Dir) newBatch(pin string, until time.Time) *batch {
	return &batch{d: d, pin: pin, until: until, seen: make(map[weft.Digest]struct{})}
}

// add takes over an item. Its error leaves the batch to be closed.
func (b *batch) add(ctx context.Context, it item) error {
	if _, twice := b.seen[it.blob.Digest]; twice {
		it.discard()
		return nil
	}
	b.seen[it.blob.Digest] = struct{}{}
	b.waiting = append(b.waiting, it)
	b.held += it.held
	if len(b.waiting) < maxWaiting && b.held < maxWaitingBytes {
		return nil
	}
	return b.flush(ctx)
}

// flush reserves what is waiting, and places what is not there.
func (b *batch) flush(ctx context.Context) error {
	if len(b.waiting) == 0 {
		return nil
	}
	blobs := make([]weft.Blob, len(b.waiting))
	for i, it := range b.waiting {
		blobs[i] = it.blob
		b.claim(it.blob.Digest)
	}
	states, err := b.d.reserveBlobs(ctx, b.pin, b.until, blobs)
	if err != nil {
		return err
	}
	placed := make([]string, len(states))
	var g errgroup.Group
	g.SetLimit(b.d.hashers)
	const share = 64
	for from := 0; from < len(states); from += share {
		g.Go(func() error {
			for i := from; i < min(from+share, len(states)); i++ {
				var err error
				if placed[i], err = b.d.place(b.waiting[i], states[i]); err != nil {
					return err
				}
			}
			return ctx.Err()
		})
	}
	err = g.Wait()
	for i, it := range b.waiting {
		it.discard()
		if placed[i] != "" {
			b.placed = append(b.placed, it.blob.Digest)
			b.files = append(b.files, placed[i])
		}
	}
	b.waiting, b.held = b.waiting[:0], 0
	return err
}

// finish brings everything in that was added, durably.
func (b *batch) finish(ctx context.Context) error {
	if err := b.flush(ctx); err != nil {
		return err
	}
	if err := b.d.persist(b.files); err != nil {
		return fmt.Errorf("make content durable: %w", explainFull(err))
	}
	for from := 0; from < len(b.placed); from += confirmAtOnce {
		if err := b.d.ledger.Confirm(ctx, b.placed[from:min(from+confirmAtOnce, len(b.placed))]); err != nil {
			return fmt.Errorf("confirm content: %w", err)
		}
	}
	b.release()
	return nil
}

// close gives up what is not finished; after finish it does nothing.
func (b *batch) close() {
	for _, it := range b.waiting {
		it.discard()
	}
	b.waiting = nil
	b.release()
}

func (b *batch) claim(g weft.Digest) {
	s := b.d.stripe(g)
	s.Lock()
	defer s.Unlock()
	if s.claims[g] == nil {
		s.claims[g] = new(claim)
	}
	s.claims[g].batches++
	b.claimed = append(b.claimed, g)
}

// release gives up the claims.
func (b *batch) release() {
	for _, g := range b.claimed {
		s := b.d.stripe(g)
		s.Lock()
		if s.claims[g].batches--; s.claims[g].batches == 0 {
			delete(s.claims, g)
		}
		s.Unlock()
	}
	b.claimed, b.placed, b.files = nil, nil, nil
}

func (it item) discard() {
	if it.drop != nil {
		it.drop()
	}
}

// reserveBlobs pins blobs. Where one is just being deleted it sees to it that the
// deletion ends, and tries again.
func (d *Dir) reserveBlobs(ctx context.Context, pin string, until time.Time, blobs []weft.Blob) ([]weft.BlobState, error) {
	states, err := d.ledger.Reserve(ctx, pin, until, blobs)
	if err != nil {
		return nil, fmt.Errorf("reserve content: %w", err)
	}
	for try := range reserveTries {
		var again []weft.Blob
		var at []int
		for i, s := range states {
			if s == weft.BlobDeleting {
				again, at = append(again, blobs[i]), append(at, i)
			}
		}
		if len(again) == 0 {
			return states, nil
		}
		if err := d.endDeletion(ctx, try); err != nil {
			return nil, err
		}
		more, err := d.ledger.Reserve(ctx, pin, until, again)
		if err != nil {
			return nil, fmt.Errorf("reserve content: %w", err)
		}
		for i, s := range more {
			states[at[i]] = s
		}
	}
	return nil, weft.Errorf(weft.Unavailable, "content that is being deleted was sent again").
		WithAdvice("try again in a minute")
}

func (d *Dir) stripe(g weft.Digest) *stripe { return &d.stripes[int(g[0])%len(d.stripes)] }

// place makes the object of an item that was claimed good. If that has to be confirmed,
// it returns where it is.
func (d *Dir) place(it item, state weft.BlobState) (string, error) {
	g := it.blob.Digest
	s := d.stripe(g)
	s.Lock()
	defer s.Unlock()
	claim := s.claims[g]
	if state == weft.BlobAbsent && it.put != nil && !claim.placed {
		if name, err := d.placeFirst(it); !errors.Is(err, fs.ErrExist) {
			claim.placed = err == nil
			return name, err
		}
	}
	name, _, size, err := d.find(g, it.exec)
	if err != nil && weft.KindOf(err) != weft.NotFound {
		return "", err
	}
	good := err == nil && size == it.blob.Size
	switch {
	case good && state == weft.BlobPresent:
		return "", nil
	case good && claim.placed:
		return name, nil
	case it.put == nil:
		return "", notSent(g)
	case state == weft.BlobPresent:
		d.log.Warn("content was missing, and is put again", "digest", g)
	}
	if err == nil {
		if err := d.unlink(g); err != nil {
			return "", fmt.Errorf("replace unfinished content: %w", err)
		}
	}
	claim.placed, name = false, d.object(g, it.exec)
	if err := it.put(name); err != nil {
		return "", fmt.Errorf("put content: %w", explainFull(err))
	}
	claim.placed = true
	return name, nil
}

// placeFirst puts an object that hardly can be there, which spares looking for it. It is
// an fs.ErrExist if there is one all the same.
func (d *Dir) placeFirst(it item) (string, error) {
	var s unix.Stat_t
	switch err := unix.Lstat(d.object(it.blob.Digest, !it.exec), &s); {
	case err == nil:
		return "", fs.ErrExist
	case !errors.Is(err, fs.ErrNotExist):
		return "", fmt.Errorf("find content: %w", err)
	}
	name := d.object(it.blob.Digest, it.exec)
	if err := it.put(name); err != nil {
		return "", fmt.Errorf("put content: %w", explainFull(err))
	}
	return name, nil
}

// unlink removes both forms of an object.
func (d *Dir) unlink(g weft.Digest) error {
	for _, exec := range []bool{false, true} {
		if err := os.Remove(d.object(g, exec)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}
