package content

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/iotest"

	"github.com/weft-dev/weft"
)

var errBroken = errors.New("the line broke")

func TestPutRefusesWhatIsNotAnnounced(t *testing.T) {
	t.Parallel()
	d, l := setup(t)
	big := bytes.Repeat([]byte("x"), smallFile+1000)
	for name, c := range map[string]struct {
		data []byte
		want weft.Digest
		size int64
	}{
		"other digest":        {[]byte("abc"), weft.Digest{1}, 3},
		"other digest, large": {big, weft.Digest{1}, int64(len(big))},
		"unknown size":        {[]byte("abc"), weft.Digest{1}, -1},
		"too short":           {[]byte("abc"), weft.Digest{}, 4},
		"too long":            {[]byte("abc"), weft.Digest{}, 2},
		"too short, large":    {big, weft.Digest{}, int64(len(big)) + 1},
		"too long, large":     {big, weft.Digest{}, int64(len(big)) - 1},
	} {
		_, err := d.Put(t.Context(), "p", later(), c.want, c.size, bytes.NewReader(c.data))
		if weft.KindOf(err) != weft.Invalid {
			t.Errorf("%s: %v", name, err)
		}
		if left := leftovers(t, d); len(left) > 0 || len(l.blobs) > 0 {
			t.Errorf("%s: left behind %v, %d rows", name, left, len(l.blobs))
		}
	}
}

func TestPutThatBreaksOffLeavesNothing(t *testing.T) {
	t.Parallel()
	for _, size := range []int64{100, smallFile + 100, -1} {
		d, l := setup(t)
		r := io.MultiReader(strings.NewReader("begin"), iotest.ErrReader(errBroken))
		if _, err := d.Put(t.Context(), "p", later(), weft.Digest{}, size, r); !errors.Is(err, errBroken) {
			t.Error(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		endless := readerFunc(func(p []byte) (int, error) { cancel(); return len(p), nil })
		if _, err := d.Put(ctx, "p", later(), weft.Digest{}, -1, endless); weft.KindOf(err) != weft.Canceled {
			t.Error(err)
		}
		if left := leftovers(t, d); len(left) > 0 || len(l.blobs) > 0 {
			t.Errorf("left behind %v, %d rows", left, len(l.blobs))
		}
	}
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

func TestPutKeepsOneObject(t *testing.T) {
	t.Parallel()
	d, _ := setup(t)
	g := put(t, d, "a", "same")
	before, err := os.Stat(d.object(g, false))
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() { put(t, d, "b", "same") })
	}
	wg.Wait()
	after, err := os.Stat(d.object(g, false))
	if err != nil || !os.SameFile(before, after) {
		t.Error("the object was replaced", err)
	}
	if after.Mode().Perm() != plain {
		t.Error(after.Mode())
	}
}

func TestPutAgainRepairsAMissingObject(t *testing.T) {
	t.Parallel()
	d, _ := setup(t)
	g := put(t, d, "a", "lost")
	if err := os.Remove(d.object(g, false)); err != nil {
		t.Fatal(err)
	}
	if _, _, err := d.OpenBlob(t.Context(), g); weft.KindOf(err) != weft.NotFound {
		t.Error(err)
	}
	put(t, d, "a", "lost")
	if read(t, d, g) != "lost" {
		t.Error("not repaired")
	}
}

func TestPutReplacesWhatACrashCutShort(t *testing.T) {
	t.Parallel()
	d, l := setup(t)
	g := weft.Digest(sha256.Sum256([]byte("whole")))
	if _, err := l.Reserve(t.Context(), "crashed", later(), []weft.Blob{{Digest: g, Size: 5}}); err != nil {
		t.Fatal(err)
	}
	for _, exec := range []bool{false, true} {
		if err := os.WriteFile(d.object(g, exec), []byte("WHOLE"), 0o444); err != nil { // same size, damaged
			t.Fatal(err)
		}
	}
	put(t, d, "p", "whole")
	if read(t, d, g) != "whole" {
		t.Error("the unfinished object was trusted")
	}
	if _, err := os.Stat(d.object(g, true)); !errors.Is(err, os.ErrNotExist) {
		t.Error("the unfinished executable is still there", err)
	}
}

func TestPutFileTakesTheFile(t *testing.T) {
	t.Parallel()
	d, _ := setup(t)
	name := filepath.Join(d.path, "upload")
	for range 2 { // the second time it is there already
		if err := os.WriteFile(name, []byte("layer"), 0o600); err != nil {
			t.Fatal(err)
		}
		b, err := d.PutFile(t.Context(), "p", later(), weft.Digest{}, name)
		if err != nil || read(t, d, b.Digest) != "layer" {
			t.Fatal(err)
		}
		if _, err := os.Stat(name); !errors.Is(err, os.ErrNotExist) {
			t.Error("the file is still there", err)
		}
	}
	if err := os.WriteFile(name, []byte("layer"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := d.PutFile(t.Context(), "p", later(), weft.Digest{1}, name); weft.KindOf(err) != weft.Invalid {
		t.Error(err)
	}
	if _, err := os.Stat(name); err != nil {
		t.Error("a refused file was taken", err)
	}
}

func TestPutBatch(t *testing.T) {
	t.Parallel()
	d, l := setup(t)
	counted := &counting{memory: l}
	d.ledger = counted
	const n = 5000
	blobs, err := d.PutBatch(t.Context(), "p", later(), frames(1, n))
	if err != nil || len(blobs) != n {
		t.Fatal(len(blobs), err)
	}
	for _, b := range blobs {
		if got := read(t, d, b.Digest); sha256.Sum256([]byte(got)) != b.Digest {
			t.Fatal("content changed")
		}
	}
	if c := counted.calls; c > 6 {
		t.Errorf("%d transactions for %d files", c, n)
	}
	again, err := d.PutBatch(t.Context(), "p", later(), frames(1, n))
	if err != nil || len(again) != n {
		t.Error(len(again), err)
	}
}

func TestPutBatchRefusesDamage(t *testing.T) {
	t.Parallel()
	d, _ := setup(t)
	sent := 0
	_, err := d.PutBatch(t.Context(), "p", later(), func() ([32]byte, int64, io.Reader, error) {
		if sent++; sent == 3 {
			return sha256.Sum256([]byte("good")), 4, strings.NewReader("evil"), nil
		}
		return sha256.Sum256([]byte("good")), 4, strings.NewReader("good"), nil
	})
	if weft.KindOf(err) != weft.Invalid {
		t.Error(err)
	}
	_, err = d.PutBatch(t.Context(), "p", later(), func() ([32]byte, int64, io.Reader, error) {
		return [32]byte{}, 0, nil, io.ErrUnexpectedEOF
	})
	if !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Error(err)
	}
}

func TestManifestMustHaveItsFiles(t *testing.T) {
	t.Parallel()
	d, l := setup(t)
	g := put(t, d, "p", "here")
	file := weft.Entry{Path: "f", Kind: weft.File, Mode: 0o644, Size: 4, Digest: g}
	with := func(change func(*weft.Entry)) weft.Manifest {
		e := file
		change(&e)
		return weft.Manifest{Entries: []weft.Entry{e}}
	}
	for name, c := range map[string]struct {
		m    weft.Manifest
		kind weft.Kind
	}{
		"not sent":      {with(func(e *weft.Entry) { e.Digest = weft.Digest{9} }), weft.Conflict},
		"another size":  {with(func(e *weft.Entry) { e.Size = 5 }), weft.Invalid},
		"two sizes":     {weft.Manifest{Entries: []weft.Entry{file, {Path: "g", Kind: weft.File, Size: 5, Digest: g}}}, weft.Invalid},
		"leads outside": {with(func(e *weft.Entry) { e.Path = "../f" }), weft.Invalid},
		"long name":     {with(func(e *weft.Entry) { e.Path = strings.Repeat("n", 256) }), weft.Invalid},
		"long path":     {with(func(e *weft.Entry) { e.Path = strings.Repeat("n/", 2048) + "f" }), weft.Invalid},
	} {
		if _, err := d.PutManifest(t.Context(), "p", later(), c.m); weft.KindOf(err) != c.kind {
			t.Errorf("%s: %v, want %s", name, err, c.kind)
		}
	}
	if read(t, d, g) != "here" {
		t.Error("a refused manifest damaged the content")
	}
	if len(l.trees) > 0 {
		t.Error("a refused manifest made a tree")
	}
	tree, err := d.PutManifest(t.Context(), "p", later(), weft.Manifest{Entries: []weft.Entry{file}})
	if err != nil || tree.Files != 1 || tree.Bytes != 4 {
		t.Error(tree, err)
	}
	m, err := d.ReadManifest(t.Context(), tree.Digest)
	if err != nil || m.Digest() != tree.Digest {
		t.Error(m, err)
	}
	counted := &counting{memory: l}
	d.ledger = counted
	if again, err := d.PutManifest(t.Context(), "q", later(), m); again != tree || err != nil || counted.calls != 1 {
		t.Errorf("put again: %v %v, %d transactions", again, err, counted.calls)
	}
}

func TestWithParentsIsOneFormOfATree(t *testing.T) {
	t.Parallel()
	file := weft.Entry{Path: "a/b/c", Kind: weft.File, Mode: 0o644, Digest: weft.Digest{1}}
	bare := WithParents(weft.Manifest{Entries: []weft.Entry{file}})
	full := WithParents(weft.Manifest{Entries: []weft.Entry{
		{Path: "a/b", Kind: weft.Folder, Mode: 0o755}, file, {Path: "a", Kind: weft.Folder, Mode: 0o755}}})
	if err := bare.Validate(); err != nil || len(bare.Entries) != 3 || bare.Digest() != full.Digest() {
		t.Error(err, bare, full)
	}
}
