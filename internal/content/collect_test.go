package content

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/weft-dev/weft"
)

func TestCollectRemovesWhatNothingRefersTo(t *testing.T) {
	t.Parallel()
	d, l := setup(t)
	tree, err := PutTarGz(t.Context(), d, "p", later(), bytes.NewReader(archive(t, "f a=kept", "x b=run")))
	if err != nil {
		t.Fatal(err)
	}
	at := mount(t, d, tree.Digest)
	loose := put(t, d, "q", "loose")
	if c, err := d.Collect(t.Context(), 0); err != nil || c != (Collected{}) {
		t.Errorf("collected what is pinned: %v %v", c, err)
	}
	l.keep(tree.Digest, true)
	l.release("p")
	l.release("q")
	if c, err := d.Collect(t.Context(), time.Hour); err != nil || c != (Collected{}) {
		t.Errorf("collected within the grace: %v %v", c, err)
	}
	if c, err := d.Collect(t.Context(), 0); err != nil || c != (Collected{Blobs: 1, Bytes: 5}) {
		t.Errorf("collected %v: %v", c, err)
	}
	if _, err := d.Stat(t.Context(), loose); weft.KindOf(err) != weft.NotFound {
		t.Error(err)
	}
	if p, err := d.Verify(t.Context(), tree.Digest, nil); len(p) > 0 || err != nil {
		t.Error(p, err)
	}
	l.keep(tree.Digest, false)
	if c, err := d.Collect(t.Context(), 0); err != nil || c.Trees != 1 || c.Blobs != 3 {
		t.Errorf("collected %v: %v", c, err)
	}
	if _, err := os.Stat(at); !errors.Is(err, os.ErrNotExist) || countObjects(t, d) > 0 {
		t.Error("not everything is gone", err)
	}
}

func TestPutWhatACrashLeftDeleting(t *testing.T) {
	t.Parallel()
	for _, unlinked := range []bool{false, true} {
		d, l := setup(t)
		tree, err := PutTarGz(t.Context(), d, "p", later(), bytes.NewReader(archive(t, "f a=x")))
		if err != nil {
			t.Fatal(err)
		}
		mount(t, d, tree.Digest)
		l.release("p")
		// A collector that ends after Doom, or after unlinking.
		blobs, trees, err := l.Doom(t.Context(), 0, 10)
		if err != nil || len(trees) != 1 {
			t.Fatal(blobs, trees, err)
		}
		if unlinked {
			if err := d.removeMounted(tree.Digest); err != nil {
				t.Fatal(err)
			}
		}
		again, err := PutTarGz(t.Context(), d, "q", later(), bytes.NewReader(archive(t, "f a=x")))
		if err != nil || again != tree {
			t.Fatal(again, err)
		}
		if p, err := d.Verify(t.Context(), tree.Digest, nil); len(p) > 0 || err != nil {
			t.Error(p, err)
		}
		mount(t, d, tree.Digest)
	}
}

// A stubborn ledger goes on deleting for ever.
type stubborn struct{ *memory }

func (stubborn) Reserve(_ context.Context, _ string, _ time.Time, blobs []weft.Blob) ([]weft.BlobState, error) {
	return slices.Repeat([]weft.BlobState{weft.BlobDeleting}, len(blobs)), nil
}

func TestPutGivesUpOnWhatIsDeletedForEver(t *testing.T) {
	t.Parallel()
	d, l := setup(t)
	d.ledger = stubborn{l}
	if _, err := d.Put(t.Context(), "p", later(), weft.Digest{}, 1, bytes.NewReader([]byte("x"))); weft.KindOf(err) != weft.Unavailable {
		t.Error(err)
	}
}

// TestRace pushes, seals, mounts and collects the same ten contents at once. Whoever
// holds a pin must find its tree whole.
func TestRace(t *testing.T) {
	t.Parallel()
	d, l := setup(t)
	texts := make([]string, 10)
	for i := range texts {
		texts[i] = fmt.Sprint("content ", i)
	}
	const rounds = 60
	var pushers sync.WaitGroup
	for who := range 4 {
		pushers.Go(func() {
			r := rand.New(rand.NewPCG(uint64(who), 0))
			for round := range rounds {
				pin := fmt.Sprint(who, "-", round)
				tree, err := bringIn(t, d, pin, texts, r)
				if err != nil {
					t.Error(err)
					return
				}
				if _, err := d.Tree(t.Context(), tree.Digest); err != nil {
					t.Error("mount:", err)
				}
				if p, err := d.Verify(t.Context(), tree.Digest, nil); len(p) > 0 || err != nil {
					t.Error("verify:", p, err)
				}
				l.release(pin)
			}
		})
	}
	ctx, stop := context.WithCancel(t.Context())
	var collector sync.WaitGroup
	collected := make(chan int64, 1)
	collector.Go(func() {
		var n int64
		for ctx.Err() == nil {
			c, err := d.Collect(context.WithoutCancel(ctx), 0)
			if err != nil {
				t.Error(err)
			}
			n += c.Blobs
		}
		collected <- n
	})
	pushers.Wait()
	stop()
	collector.Wait()
	if n := <-collected; n < rounds {
		t.Errorf("only %d contents were collected meanwhile", n)
	}
	if _, err := d.Collect(t.Context(), 0); err != nil || countObjects(t, d) > 0 {
		t.Error("objects are left", err)
	}
	if left := leftovers(t, d); len(left) > 0 {
		t.Errorf("left behind %v", left)
	}
}

// bringIn uploads or seals some of the contents.
func bringIn(t *testing.T, d *Dir, pin string, texts []string, r *rand.Rand) (weft.Tree, error) {
	kinds := []string{"f", "x"}
	var entries []string
	for _, i := range r.Perm(len(texts))[:1+r.IntN(len(texts))] {
		entries = append(entries, fmt.Sprintf("%s %d=%s", kinds[r.IntN(2)], i, texts[i]))
	}
	if r.IntN(2) == 0 {
		return PutTarGz(t.Context(), d, pin, later(), bytes.NewReader(archive(t, entries...)))
	}
	dir, do := output(t, d)
	for _, e := range entries {
		mode := os.FileMode(0o644)
		if e[0] == 'x' {
			mode = 0o755
		}
		do(os.WriteFile(filepath.Join(dir, e[2:3]), []byte(e[4:]), mode))
	}
	tree, _, err := d.Seal(t.Context(), pin, later(), dir)
	return tree, errors.Join(err, os.RemoveAll(dir))
}

func TestMountAtOnce(t *testing.T) {
	t.Parallel()
	d, _ := setup(t)
	b, err := d.PutBatch(t.Context(), "p", later(), frames(1, 200))
	if err != nil {
		t.Fatal(err)
	}
	var m weft.Manifest
	for i, blob := range b {
		m.Entries = append(m.Entries, weft.Entry{Path: fmt.Sprintf("d/%03d", i), Kind: weft.File, Mode: uint32(0o600 + i%2*0o111), Size: blob.Size, Digest: blob.Digest})
	}
	tree, err := d.PutManifest(t.Context(), "p", later(), WithParents(m))
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			at, err := d.Tree(t.Context(), tree.Digest)
			if err != nil {
				t.Error(err)
			}
			if entries, err := os.ReadDir(at + "/d"); len(entries) != len(b) || err != nil {
				t.Error(len(entries), err)
			}
		})
	}
	wg.Wait()
	for i, e := range m.Entries {
		info, err := os.Stat(filepath.Join(d.tree(tree.Digest), e.Path))
		if err != nil || info.Mode() != modeOf(i%2 == 1) {
			t.Fatalf("%s: %v %v", e.Path, info, err)
		}
	}
	if _, err := d.Tree(t.Context(), weft.Digest{1}); weft.KindOf(err) != weft.NotFound {
		t.Error(err)
	}
}

func TestMountThatBreaksOffLeavesNothing(t *testing.T) {
	t.Parallel()
	d, _ := setup(t)
	tree, err := PutTarGz(t.Context(), d, "p", later(), bytes.NewReader(archive(t, "x a=1", "f b=1", "f c=2")))
	if err != nil {
		t.Fatal(err)
	}
	m, err := d.ReadManifest(t.Context(), tree.Digest)
	if err != nil {
		t.Fatal(err)
	}
	gone := m.Entries[2].Digest
	if err := d.unlink(gone); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Tree(t.Context(), tree.Digest); weft.KindOf(err) != weft.NotFound {
		t.Error(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := d.Tree(ctx, tree.Digest); err == nil {
		t.Error("mounted with a context that had ended")
	}
	if left := leftovers(t, d); len(left) > 0 {
		t.Errorf("left behind %v", left)
	}
	put(t, d, "p", "2")
	mount(t, d, tree.Digest)
}
