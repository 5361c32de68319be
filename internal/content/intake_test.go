package content

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/weft-dev/weft"
)

// source makes a directory of path=text pairs on the file system of the store.
func source(t testing.TB, at string, files ...string) string {
	t.Helper()
	dir := filepath.Join(at, "source")
	for _, f := range files {
		name, text, _ := strings.Cut(f, "=")
		name = filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(text), 0o640); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func putDir(t testing.TB, d *Dir, dir string, how How) (weft.Tree, error) {
	t.Helper()
	f, err := os.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	return d.PutDir(t.Context(), "p", later(), f, how, nil)
}

func inode(t testing.TB, name string) unix.Stat_t {
	t.Helper()
	var s unix.Stat_t
	if err := unix.Stat(name, &s); err != nil {
		t.Fatal(err)
	}
	return s
}

func TestTakenDirectory(t *testing.T) {
	t.Parallel()
	d, _ := setup(t)
	dir := source(t, t.TempDir(), "a=one", "sub/b=two", "twin=one")
	was := inode(t, dir+"/sub/b")
	tree, err := putDir(t, d, dir, Take)
	if err != nil {
		t.Fatal(err)
	}
	if tree.Files != 3 || tree.Bytes != 9 {
		t.Errorf("the tree is %+v", tree)
	}
	m, err := d.ReadManifest(t.Context(), tree.Digest)
	if err != nil {
		t.Fatal(err)
	}
	e, _ := m.Find("sub/b")
	now := inode(t, d.object(e.Digest, false))
	if now.Ino != was.Ino || now.Mode&0o777 != 0o444 {
		t.Errorf("the object is inode %d with mode %o, the file was inode %d", now.Ino, now.Mode, was.Ino)
	}
	if e.Mode != 0o640 {
		t.Errorf("its mode in the manifest is %o", e.Mode)
	}
	if again, err := putDir(t, d, dir, Take); err != nil || again != tree {
		t.Errorf("taken again, after a crash: %+v, %v", again, err)
	}
	if err := RemoveTaken(dir); err != nil {
		t.Fatal(err)
	}
	if left, err := filepath.Glob(dir + "*"); err != nil || len(left) > 0 {
		t.Errorf("left: %v, %v", left, err)
	}
	if got := read(t, d, e.Digest); got != "two" {
		t.Errorf("the content is %q", got)
	}
}

// A file with another name, by which it could be changed, is copied when it is taken, and
// so is one on another disk.
func TestTakenFilesThatAreCopied(t *testing.T) {
	t.Parallel()
	d, _ := setup(t)
	dir := source(t, t.TempDir(), "a=one")
	other := dir + "-other"
	if err := os.Link(dir+"/a", other); err != nil {
		t.Fatal(err)
	}
	tree, err := putDir(t, d, dir, Take)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(other, []byte("changed"), 0o640); err != nil {
		t.Fatal(err)
	}
	m, err := d.ReadManifest(t.Context(), tree.Digest)
	if err != nil {
		t.Fatal(err)
	}
	if got := read(t, d, m.Entries[0].Digest); got != "one" {
		t.Errorf("the content became %q", got)
	}
}

// Nothing is taken that somebody can still write to, and what was begun can go on.
func TestFilesInWritingAreNotTaken(t *testing.T) {
	t.Parallel()
	d, _ := setup(t)
	dir := source(t, t.TempDir(), "a=one", "b=two")
	for what, hold := range map[string]func() (free func() error){
		"open": func() func() error {
			f, err := os.OpenFile(dir+"/b", os.O_RDWR, 0)
			if err != nil {
				t.Fatal(err)
			}
			return f.Close
		},
		"mapped": func() func() error {
			f, err := os.OpenFile(dir+"/b", os.O_RDWR, 0)
			if err != nil {
				t.Fatal(err)
			}
			m, err := unix.Mmap(int(f.Fd()), 0, 3, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
			if err != nil {
				t.Fatal(err)
			}
			if err := f.Close(); err != nil {
				t.Fatal(err)
			}
			return func() error { return unix.Munmap(m) }
		},
	} {
		if err := os.Chmod(dir+"/b", 0o640); err != nil {
			t.Fatal(err)
		}
		free := hold()
		if _, err := putDir(t, d, dir, Take); weft.KindOf(err) != weft.Conflict || !strings.Contains(err.Error(), "writing") {
			t.Errorf("%s: %v", what, err)
		}
		if err := free(); err != nil {
			t.Fatal(err)
		}
	}
	tree, err := putDir(t, d, dir, Take)
	if err != nil || tree.Files != 2 {
		t.Fatalf("at last: %+v, %v", tree, err)
	}
	m, err := d.ReadManifest(t.Context(), tree.Digest)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range m.Entries {
		if e.Mode != 0o640 {
			t.Errorf("the mode of %s became %o by what was tried", e.Path, e.Mode)
		}
	}
}

// What is copied stays its owner's, and he may go on writing to it.
func TestCopiedDirectory(t *testing.T) {
	t.Parallel()
	d, _ := setup(t)
	dir := source(t, t.TempDir(), "a=one")
	was := inode(t, dir+"/a")
	tree, err := putDir(t, d, dir, Copy)
	if err != nil {
		t.Fatal(err)
	}
	if now := inode(t, dir+"/a"); now.Ino != was.Ino || now.Mode != was.Mode || now.Nlink != 1 {
		t.Errorf("the file is %+v, was %+v", now, was)
	}
	if err := os.WriteFile(dir+"/a", []byte("changed"), 0o640); err != nil {
		t.Fatal(err)
	}
	m, err := d.ReadManifest(t.Context(), tree.Digest)
	if err != nil {
		t.Fatal(err)
	}
	if got := read(t, d, m.Entries[0].Digest); got != "one" {
		t.Errorf("the content became %q", got)
	}
	if err := unix.Mkfifo(dir+"/pipe", 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := putDir(t, d, dir, Copy); weft.KindOf(err) != weft.Invalid || !strings.Contains(err.Error(), "pipe") {
		t.Errorf("with a pipe: %v", err)
	}
	if left := leftovers(t, d); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
}

// An intake that is given up leaves nothing.
func TestIntakeGivenUp(t *testing.T) {
	t.Parallel()
	d, _ := setup(t)
	in := d.NewIntake("p", later())
	if err := in.File(t.Context(), "a", 0o644, -1, strings.NewReader(strings.Repeat("x", 3<<20))); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"a/b", "../x", "/x", ".", "", "a/../../x"} {
		if err := in.File(t.Context(), name, 0o644, 1, strings.NewReader("x")); weft.KindOf(err) != weft.Invalid {
			t.Errorf("%q: %v", name, err)
		}
	}
	in.Close()
	if left := leftovers(t, d); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
}
