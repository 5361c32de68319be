package content

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/weft-dev/weft"
)

var errCrash = errors.New("crash")

// counting counts the transactions of a ledger, and can make one of them fail: before
// it takes effect or after, which its caller cannot tell apart.
type counting struct {
	*memory
	calls  int64
	failAt int64
	after  bool
}

func (c *counting) call(do func() error) error {
	fail := atomic.AddInt64(&c.calls, 1) == c.failAt
	if fail && !c.after {
		return errCrash
	}
	if err := do(); err != nil {
		return err
	}
	if fail {
		return errCrash
	}
	return nil
}

func (c *counting) Reserve(ctx context.Context, pin string, until time.Time, blobs []weft.Blob) (s []weft.BlobState, err error) {
	err = c.call(func() (err error) { s, err = c.memory.Reserve(ctx, pin, until, blobs); return err })
	return s, err
}

func (c *counting) Confirm(ctx context.Context, digests []weft.Digest) error {
	return c.call(func() error { return c.memory.Confirm(ctx, digests) })
}

func (c *counting) AddTree(ctx context.Context, pin string, until time.Time, t weft.Tree, files []weft.Digest) error {
	return c.call(func() error { return c.memory.AddTree(ctx, pin, until, t, files) })
}

func (c *counting) Doom(ctx context.Context, grace time.Duration, limit int) (b []weft.Blob, t []weft.Digest, err error) {
	err = c.call(func() (err error) { b, t, err = c.memory.Doom(ctx, grace, limit); return err })
	return b, t, err
}

func (c *counting) Forget(ctx context.Context, blobs []weft.Digest, trees []weft.Digest) error {
	return c.call(func() error { return c.memory.Forget(ctx, blobs, trees) })
}

// TestCrashAnywhere ends a process at each of its transactions, opens the directory
// again, and does the work again: the result is that of an undisturbed run.
func TestCrashAnywhere(t *testing.T) {
	t.Parallel()
	undisturbed := liveOnce(t, 0, false)
	if undisturbed.crashed {
		t.Fatal("crashed without being asked to")
	}
	for at := int64(1); at <= undisturbed.calls; at++ {
		for _, after := range []bool{false, true} {
			got := liveOnce(t, at, after)
			if !got.crashed {
				t.Errorf("call %d: no crash", at)
			}
			if got.tree != undisturbed.tree {
				t.Errorf("crash at call %d (after it: %v): tree %v, want %v", at, after, got.tree, undisturbed.tree)
			}
		}
	}
}

type life struct {
	tree    weft.Tree
	calls   int64
	crashed bool
}

// liveOnce puts, seals, mounts and collects, with one crash.
func liveOnce(t *testing.T, failAt int64, after bool) life {
	l := &counting{memory: newMemory(), failAt: failAt, after: after}
	path := filepath.Join(t.TempDir(), "content")
	d := open(t, path, l)
	a := weft.Attempt{Run: weft.NewID[weft.Run](), Number: 1}
	data := weft.NewID[weft.Data]()
	writeTree(t, d, a, data)
	var tree weft.Tree
	steps := []func() error{
		func() error {
			_, err := d.PutBatch(t.Context(), "upload", later(), frames(7, 20))
			return err
		},
		func() (err error) {
			tree, _, err = d.Seal(t.Context(), "run", later(), d.WorkDir(a, data))
			return err
		},
		func() error {
			l.keep(tree.Digest, true)
			l.release("upload")
			_, err := d.Collect(t.Context(), 0)
			return err
		},
		func() error {
			if _, err := d.Tree(t.Context(), tree.Digest); err != nil {
				return err
			}
			return d.RemoveWork(a)
		},
	}
	crashed := false
	for i := 0; i < len(steps); i++ {
		err := steps[i]()
		if errors.Is(err, errCrash) {
			crashed = true
			d.Close()
			d = open(t, path, l)
			i-- // do it again
		} else if err != nil {
			t.Fatalf("crash at %d, step %d: %v", failAt, i, err)
		}
	}
	if p, err := d.Verify(t.Context(), tree.Digest, nil); err != nil || len(p) > 0 {
		t.Errorf("crash at %d: %v %v", failAt, p, err)
	}
	if n := countObjects(t, d); n != 4 { // three contents, one manifest
		t.Errorf("crash at %d: %d objects", failAt, n)
	}
	if left := leftovers(t, d); len(left) > 0 {
		t.Errorf("crash at %d: left behind %v", failAt, left)
	}
	return life{tree: tree, calls: l.calls, crashed: crashed}
}

func writeTree(t *testing.T, d *Dir, a weft.Attempt, data weft.DataID) {
	t.Helper()
	if err := d.MakeWork(a, data, os.Getuid(), os.Getgid(), 0o755); err != nil {
		t.Fatal(err)
	}
	for i, mode := range []os.FileMode{0o640, 0o600, 0o755} {
		name := filepath.Join(d.WorkDir(a, data), fmt.Sprint(i))
		if err := os.WriteFile(name, []byte(fmt.Sprint("output ", i)), mode); err != nil {
			t.Fatal(err)
		}
	}
}

func countObjects(t *testing.T, d *Dir) int {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(d.path, "objects", "*", "*"))
	if err != nil {
		t.Fatal(err)
	}
	return len(names)
}
