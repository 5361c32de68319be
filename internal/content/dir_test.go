package content

import (
	"bytes"
	"context"
	"crypto/sha256"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/weft-dev/weft"
)

// later is when the pins of tests end.
func later() time.Time { return time.Now().Add(time.Hour) }

func setup(t testing.TB) (*Dir, *memory) {
	t.Helper()
	l := newMemory()
	return open(t, filepath.Join(t.TempDir(), "content"), l), l
}

func open(t testing.TB, path string, l Ledger) *Dir {
	t.Helper()
	d, err := Open(path, l, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	d.SetReserve(0)
	t.Cleanup(func() { d.Close() })
	return d
}

func put(t testing.TB, d *Dir, pin, text string) weft.Digest {
	t.Helper()
	b, err := d.Put(t.Context(), pin, later(), weft.Digest{}, int64(len(text)), bytes.NewReader([]byte(text)))
	if err != nil {
		t.Fatal(err)
	}
	return b.Digest
}

func read(t testing.TB, d *Dir, g weft.Digest) string {
	t.Helper()
	f, size, err := d.OpenBlob(t.Context(), g)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	b, err := io.ReadAll(f)
	if err != nil || int64(len(b)) != size {
		t.Fatalf("read %d of %d bytes: %v", len(b), size, err)
	}
	return string(b)
}

// leftovers lists what is in tmp.
func leftovers(t testing.TB, d *Dir) []string {
	t.Helper()
	entries, err := os.ReadDir(filepath.Join(d.path, "tmp"))
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

func TestPutThenRead(t *testing.T) {
	t.Parallel()
	d, _ := setup(t)
	for _, size := range []int{0, 1, 4096, smallFile, smallFile + 1, 3*copyBuffer + 7} {
		data := bytes.Repeat([]byte("weft "), size/5+1)[:size]
		for _, announced := range []int64{int64(size), -1} {
			b, err := d.Put(t.Context(), "p", later(), weft.Digest{}, announced, bytes.NewReader(data))
			if err != nil {
				t.Fatal(err)
			}
			if b.Size != int64(size) || b.Digest != sha256.Sum256(data) {
				t.Errorf("put %d bytes as %v", size, b)
			}
			if read(t, d, b.Digest) != string(data) {
				t.Errorf("%d bytes came back changed", size)
			}
		}
	}
	if l := leftovers(t, d); len(l) > 0 {
		t.Errorf("left behind: %v", l)
	}
}

func TestSealThenMount(t *testing.T) {
	t.Parallel()
	d, _ := setup(t)
	a := weft.Attempt{Run: weft.NewID[weft.Run](), Number: 1}
	data := weft.NewID[weft.Data]()
	if err := d.MakeWork(a, data, os.Getuid(), os.Getgid(), 0o777); err != nil {
		t.Fatal(err)
	}
	dir := d.WorkDir(a, data)
	write := func(name, text string, mode os.FileMode) {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o750); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), mode); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(filepath.Join(dir, name), mode); err != nil {
			t.Fatal(err)
		}
	}
	write("a", "one", 0o640)
	write("sub/b", "one", 0o644)
	write("sub/run.sh", "#!/bin/sh", 0o755)
	tree, problems, err := d.Seal(t.Context(), "p", later(), dir)
	if err != nil || len(problems) > 0 {
		t.Fatal(err, problems)
	}
	again, _, err := d.Seal(t.Context(), "p", later(), dir)
	if err != nil || again != tree {
		t.Fatalf("sealed again: %v %v, not %v", again, err, tree)
	}
	mounted, err := d.Tree(context.Background(), tree.Digest)
	if err != nil {
		t.Fatal(err)
	}
	if b, err := os.ReadFile(filepath.Join(mounted, "sub/b")); string(b) != "one" || err != nil {
		t.Error(string(b), err)
	}
	if err := d.RemoveWork(a); err != nil {
		t.Fatal(err)
	}
	if p, err := d.Verify(t.Context(), tree.Digest, nil); err != nil || len(p) > 0 {
		t.Error(p, err)
	}
}
