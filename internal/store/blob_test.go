package store_test

import (
	"context"
	"crypto/sha256"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/weft-dev/weft"
	"github.com/weft-dev/weft/internal/store"
	"github.com/weft-dev/weft/internal/store/storetest"
)

func blob(name string) weft.Blob {
	return weft.Blob{Digest: sha256.Sum256([]byte(name)), Size: int64(len(name))}
}

func blobsOf(names ...string) []weft.Blob {
	out := make([]weft.Blob, len(names))
	for i, n := range names {
		out[i] = blob(n)
	}
	return out
}

func digestsOf(names ...string) []weft.Digest {
	out := make([]weft.Digest, len(names))
	for i, n := range names {
		out[i] = blob(n).Digest
	}
	return out
}

// ledger is a Store with which a test speaks of blobs by name.
type ledger struct {
	*testing.T
	*store.Store
}

func later() time.Time { return time.Now().Add(time.Hour) }

// reserve pins blobs and returns their states as a text, such as "absent present".
func (l ledger) reserve(pin string, names ...string) string {
	l.Helper()
	states, err := l.Store.Reserve(l.Context(), pin, later(), blobsOf(names...))
	if err != nil {
		l.Fatal(err)
	}
	text := ""
	for _, s := range states {
		text += " " + [...]string{"absent", "present", "deleting"}[s]
	}
	return text[1:]
}

func (l ledger) must(err error) {
	l.Helper()
	if err != nil {
		l.Fatal(err)
	}
}

// put reserves and confirms blobs, and says that all of it went as it should.
func (l ledger) put(pin string, names ...string) {
	l.Helper()
	l.reserve(pin, names...)
	l.must(l.Confirm(l.Context(), digestsOf(names...)))
}

func (l ledger) tree(pin, name string, files ...string) error {
	return l.AddTree(l.Context(), pin, later(), weft.Tree{Digest: blob(name).Digest, Files: int64(len(files)), Bytes: 9}, digestsOf(files...))
}

// doom returns the digests of what is to be removed.
func (l ledger) doom() (blobs, trees []weft.Digest) {
	l.Helper()
	found, trees, err := l.Doom(l.Context(), 0, 1000)
	l.must(err)
	for _, b := range found {
		blobs = append(blobs, b.Digest)
	}
	return blobs, trees
}

func (l ledger) wantDoomed(blobs, trees []string) {
	l.Helper()
	gotBlobs, gotTrees := l.doom()
	if !sameDigests(gotBlobs, digestsOf(blobs...)) || !sameDigests(gotTrees, digestsOf(trees...)) {
		l.Errorf("doomed are %d blobs and %d trees; want %v and %v", len(gotBlobs), len(gotTrees), blobs, trees)
	}
	l.must(l.Forget(l.Context(), gotBlobs, gotTrees))
}

func sameDigests(a, b []weft.Digest) bool {
	compare := func(a, b weft.Digest) int { return slices.Compare(a[:], b[:]) }
	return slices.Equal(slices.SortedFunc(slices.Values(a), compare), slices.SortedFunc(slices.Values(b), compare))
}

func eachLedger(t *testing.T, test func(l ledger)) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, s *store.Store) { test(ledger{t, s}) })
}

func TestReserve(t *testing.T) {
	eachLedger(t, func(l ledger) {
		if got := l.reserve("p", "a", "b", "a"); got != "absent absent absent" {
			l.Errorf("first: %s", got)
		}
		if got := l.reserve("q", "a"); got != "absent" {
			l.Errorf("reserved but not confirmed: %s", got)
		}
		l.must(l.Confirm(l.Context(), digestsOf("a")))
		if got := l.reserve("p", "b", "a"); got != "absent present" {
			l.Errorf("after a was confirmed: %s", got)
		}
		if n, size, err := l.BlobTotals(l.Context()); err != nil || n != 1 || size != 1 {
			l.Errorf("totals %d, %d, %v; want 1, 1", n, size, err)
		}
		if err := l.Confirm(l.Context(), digestsOf("a", "nobody reserved this")); weft.KindOf(err) != weft.Conflict {
			l.Errorf("confirmed what was not reserved: %v", err)
		}
		if states, err := l.Store.Reserve(l.Context(), "p", later(), nil); err != nil || len(states) != 0 {
			l.Errorf("nothing reserved: %v, %v", states, err)
		}
	})
}

func TestCollection(t *testing.T) {
	eachLedger(t, func(l ledger) {
		l.put("p", "tree", "a", "b", "c")
		l.must(l.tree("p", "tree", "a", "b"))
		l.wantDoomed(nil, nil) // all is pinned
		l.must(l.Release(l.Context(), "p"))

		blobs, trees := l.doom()
		if !sameDigests(blobs, digestsOf("c")) || !sameDigests(trees, digestsOf("tree")) {
			l.Fatalf("doomed are %v and %v; want c and tree", blobs, trees)
		}
		if got := l.reserve("q", "a", "c"); got != "present deleting" {
			l.Errorf("a and c are %s", got)
		}
		if err := l.tree("q", "tree"); weft.KindOf(err) != weft.Unavailable {
			l.Errorf("a tree that is being removed was taken: %v", err)
		}
		if more, _ := l.doom(); len(more) != 0 {
			l.Errorf("what one collector removes was given to another: %v", more)
		}
		l.must(l.Forget(l.Context(), blobs, trees))
		if got := l.reserve("q", "c"); got != "absent" {
			l.Errorf("after it was removed c is %s", got)
		}
		l.wantDoomed([]string{"tree", "b"}, nil) // q holds a and c
		l.must(l.Release(l.Context(), "q"))
		l.wantDoomed([]string{"a", "c"}, nil) // c was never confirmed
		l.wantDoomed(nil, nil)
	})
}

func TestPinsExpire(t *testing.T) {
	eachLedger(t, func(l ledger) {
		ctx := l.Context()
		for _, pin := range []string{"gone", "extended"} {
			if _, err := l.Store.Reserve(ctx, pin, time.Now().Add(-time.Second), blobsOf(pin)); err != nil {
				l.Fatal(err)
			}
		}
		l.must(l.Extend(ctx, "extended", later()))
		l.must(l.Extend(ctx, "extended", time.Now().Add(-time.Hour))) // never back
		l.wantDoomed([]string{"gone"}, nil)
		if err := l.Confirm(ctx, digestsOf("gone")); weft.KindOf(err) != weft.Conflict {
			l.Errorf("confirmed after it was collected: %v", err)
		}
		l.must(l.Confirm(ctx, digestsOf("extended")))
	})
}

func TestGraceBeforeCollection(t *testing.T) {
	eachLedger(t, func(l ledger) {
		l.put("p", "a")
		l.must(l.Release(l.Context(), "p"))
		for range 2 { // marked, and not long enough
			blobs, _, err := l.Doom(l.Context(), time.Hour, 10)
			if err != nil || len(blobs) != 0 {
				l.Fatalf("doomed are %v, %v", blobs, err)
			}
		}
		l.reserve("q", "a")
		l.wantDoomed(nil, nil)
		l.must(l.Release(l.Context(), "q"))
		if blobs, _, err := l.Doom(l.Context(), time.Hour, 10); err != nil || len(blobs) != 0 {
			l.Errorf("the grace did not begin anew: %v, %v", blobs, err)
		}
		l.wantDoomed([]string{"a"}, nil)
	})
}

func TestDoomKeepsToItsLimit(t *testing.T) {
	eachLedger(t, func(l ledger) {
		var names []string
		for i := range 25 {
			names = append(names, fmt.Sprint(i))
		}
		l.put("p", names...)
		l.must(l.Release(l.Context(), "p"))
		total := 0
		for _, want := range []int{10, 10, 5, 0} {
			blobs, _, err := l.Doom(l.Context(), 0, 10)
			if err != nil || len(blobs) != want {
				l.Errorf("%d blobs, %v; want %d", len(blobs), err, want)
			}
			total += len(blobs)
		}
	})
}

func TestTreesNeedTheirBlobs(t *testing.T) {
	eachLedger(t, func(l ledger) {
		l.put("p", "tree", "a")
		l.reserve("p", "unconfirmed")
		for _, file := range []string{"unconfirmed", "unknown"} {
			if err := l.tree("p", "tree", "a", file); weft.KindOf(err) != weft.Conflict {
				l.Errorf("a tree with a file that is %s: %v", file, err)
			}
		}
		l.must(l.tree("p", "tree", "a"))
		l.must(l.tree("p", "tree", "a")) // again
	})
}

// disk is what a content store does, in memory.
type disk struct {
	mu    sync.Mutex
	files map[weft.Digest]bool
}

func (d *disk) set(there bool, digests ...weft.Digest) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, x := range digests {
		if there {
			d.files[x] = true
		} else {
			delete(d.files, x)
		}
	}
}

func (d *disk) lacks(digests []weft.Digest) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	n := 0
	for _, x := range digests {
		if !d.files[x] {
			n++
		}
	}
	return n
}

// Many push the same few blobs while others collect them without grace: what is pinned,
// or in a tree that is pinned, is on the disk, always.
func TestCollectionCannotRace(t *testing.T) {
	eachLedger(t, func(l ledger) {
		const pushes, pushers, collectors = 100, 8, 2
		d := &disk{files: map[weft.Digest]bool{}}
		push, ctx := errgroup.WithContext(l.Context())
		for w := range pushers {
			r := rand.New(rand.NewPCG(uint64(w), 1))
			push.Go(func() error {
				for n := range pushes {
					if err := l.pushOnce(ctx, d, r, fmt.Sprintf("pin %d %d", w, n)); err != nil {
						return err
					}
				}
				return nil
			})
		}
		pushed := make(chan struct{})
		var collect errgroup.Group
		for range collectors {
			collect.Go(func() error {
				for {
					blobs, trees, err := l.Doom(l.Context(), 0, 4)
					if err != nil {
						return err
					}
					var digests []weft.Digest
					for _, b := range blobs {
						digests = append(digests, b.Digest)
					}
					d.set(false, digests...)
					if err := l.Forget(l.Context(), digests, trees); err != nil {
						return err
					}
					select {
					case <-pushed:
						return nil
					default:
					}
				}
			})
		}
		l.must(push.Wait())
		close(pushed)
		l.must(collect.Wait())
	})
}

// pushOnce reserves a few of thirty blobs, puts what is not there, makes a tree, and looks
// whether all of it is there as long as it is pinned.
func (l ledger) pushOnce(ctx context.Context, d *disk, r *rand.Rand, pin string) error {
	var names []string
	for _, n := range r.Perm(30)[:1+r.IntN(3)] {
		names = append(names, fmt.Sprint("blob ", n))
	}
	slices.Sort(names)
	tree := fmt.Sprint("tree of ", names)
	all := append(slices.Clone(names), tree)
	for wanted := all; len(wanted) > 0; {
		states, err := l.Store.Reserve(ctx, pin, later(), blobsOf(wanted...))
		if err != nil {
			return err
		}
		var absent, again []string
		for i, s := range states {
			switch s {
			case weft.BlobAbsent:
				absent = append(absent, wanted[i])
			case weft.BlobDeleting:
				again = append(again, wanted[i])
			}
		}
		d.set(true, digestsOf(absent...)...)
		if err := l.Confirm(ctx, digestsOf(absent...)); err != nil {
			return err
		}
		wanted = again
	}
	for {
		err := l.AddTree(ctx, pin, later(), weft.Tree{Digest: blob(tree).Digest}, digestsOf(names...))
		if err == nil {
			break
		}
		if weft.KindOf(err) != weft.Unavailable {
			return err
		}
	}
	if n := d.lacks(digestsOf(all...)); n > 0 {
		return fmt.Errorf("%d of %d blobs that are pinned are not there", n, len(all))
	}
	return l.Release(ctx, pin)
}

func BenchmarkReserve100k(b *testing.B) {
	storetest.Bench(b, func(b *testing.B, s *store.Store) {
		const n = 100_000
		ctx := b.Context()
		for i := range b.N {
			blobs, digests := make([]weft.Blob, n), make([]weft.Digest, n)
			for j := range blobs {
				blobs[j] = blob(fmt.Sprint(i, j))
				digests[j] = blobs[j].Digest
			}
			tree := weft.Tree{Digest: blob(fmt.Sprint("tree", i)).Digest}
			blobs, digests = append(blobs, weft.Blob{Digest: tree.Digest}), append(digests, tree.Digest)
			step := func(name string, f func() error) {
				start := time.Now()
				if err := f(); err != nil {
					b.Fatal(err)
				}
				b.ReportMetric(n/time.Since(start).Seconds(), name+"/s")
			}
			reserve := func() error { _, err := s.Reserve(ctx, "p", later(), blobs); return err }
			step("reserve", reserve)
			step("confirm", func() error { return s.Confirm(ctx, digests) })
			step("addtree", func() error { return s.AddTree(ctx, "p", later(), tree, digests) })
			step("again", reserve)
			step("readable", func() error { _, err := s.Readable(ctx, weft.ProjectID{1}, digests); return err })
			step("release", func() error { return s.Release(ctx, "p") })
			step("doom", func() error { _, _, err := s.Doom(ctx, time.Hour, n); return err })
		}
	})
}
