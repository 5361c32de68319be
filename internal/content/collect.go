package content

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"github.com/weft-dev/weft"
)

const doomAtOnce = 1000

// Collected tells what Collect removed.
type Collected struct {
	Blobs int64
	Bytes int64
	Trees int64
}

// Collect removes what nothing has referred to for longer than grace.
func (d *Dir) Collect(ctx context.Context, grace time.Duration) (Collected, error) {
	d.collect.Lock()
	defer d.collect.Unlock()
	var sum Collected
	for {
		c, err := d.collectSome(ctx, grace)
		sum.Blobs, sum.Bytes, sum.Trees = sum.Blobs+c.Blobs, sum.Bytes+c.Bytes, sum.Trees+c.Trees
		if err != nil || c == (Collected{}) {
			return sum, err
		}
	}
}

// collectSome removes one lot. Unlinking comes before forgetting, and both may be
// repeated, so a crash anywhere in between costs nothing but doing it again.
func (d *Dir) collectSome(ctx context.Context, grace time.Duration) (Collected, error) {
	blobs, trees, err := d.ledger.Doom(ctx, grace, doomAtOnce)
	if err != nil {
		return Collected{}, fmt.Errorf("doom content: %w", err)
	}
	if len(blobs) == 0 && len(trees) == 0 {
		return Collected{}, nil
	}
	for _, g := range trees {
		if err := d.removeMounted(g); err != nil {
			return Collected{}, fmt.Errorf("remove tree: %w", err)
		}
	}
	c := Collected{Blobs: int64(len(blobs)), Trees: int64(len(trees))}
	digests := make([]weft.Digest, len(blobs))
	for i, b := range blobs {
		if err := d.unlink(b.Digest); err != nil {
			return Collected{}, fmt.Errorf("remove content: %w", err)
		}
		digests[i] = b.Digest
		c.Bytes += b.Size
	}
	if err := d.ledger.Forget(ctx, digests, trees); err != nil {
		return Collected{}, fmt.Errorf("forget content: %w", err)
	}
	return c, nil
}

// endDeletion returns when what was being deleted at the call is gone. Usually that is
// a collector at work, or one that a crash ended; then it is done here. What another
// hand holds on to is waited for.
func (d *Dir) endDeletion(ctx context.Context, try int) error {
	if try > 0 {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(reservePause):
		}
	}
	d.collect.Lock()
	defer d.collect.Unlock()
	_, err := d.collectSome(ctx, math.MaxInt64)
	return err
}

// removeMounted removes the tree made for a mount, if there is one. It loses its name
// at once, so that nobody finds half of it.
func (d *Dir) removeMounted(g weft.Digest) error {
	unlock := d.trees.lock(g.Hex())
	defer unlock()
	away := filepath.Join(d.path, "tmp", "gone-"+g.Hex())
	err := os.Rename(d.tree(g), away)
	if errors.Is(err, fs.ErrExist) || errors.Is(err, unix.ENOTEMPTY) { // left by a crash
		if err := removeTree(away); err != nil {
			return err
		}
		err = os.Rename(d.tree(g), away)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return removeTree(away)
}

// removeTree removes a directory whatever its modes, or a file.
func removeTree(name string) error {
	err := os.RemoveAll(name)
	if !errors.Is(err, fs.ErrPermission) {
		return err
	}
	// Only root may empty directories that are not writable to their owner.
	walkErr := filepath.WalkDir(name, func(p string, e fs.DirEntry, err error) error {
		if err == nil && e.IsDir() {
			err = os.Chmod(p, 0o700)
		}
		return err
	})
	return errors.Join(walkErr, os.RemoveAll(name))
}
