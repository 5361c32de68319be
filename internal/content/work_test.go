package content

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/weft-dev/weft"
)

func TestWork(t *testing.T) {
	t.Parallel()
	d, _ := setup(t)
	a := weft.Attempt{Run: weft.NewID[weft.Run](), Number: 3}
	data := weft.NewID[weft.Data]()
	for range 2 {
		if err := d.MakeWork(a, data, 1000, 1001, 0o770); err != nil {
			t.Fatal(err)
		}
	}
	info, err := os.Stat(d.WorkDir(a, data))
	if err != nil {
		t.Fatal(err)
	}
	if s := info.Sys().(*syscall.Stat_t); s.Uid != 1000 || s.Gid != 1001 || info.Mode().Perm() != 0o770 {
		t.Error(s.Uid, s.Gid, info.Mode())
	}
	if err := os.WriteFile(filepath.Join(d.path, "work", "not an attempt"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if list, err := d.ListWork(); err != nil || len(list) != 1 || list[0] != a {
		t.Error(list, err)
	}
	again := open(t, d.path, newMemory()) // a restart leaves what runs alone
	for range 2 {
		if err := again.RemoveWork(a); err != nil {
			t.Fatal(err)
		}
	}
	if list, err := again.ListWork(); err != nil || len(list) != 0 {
		t.Error(list, err)
	}
}

func TestOpenSweeps(t *testing.T) {
	t.Parallel()
	d, l := setup(t)
	g := put(t, d, "p", "kept")
	tmp := filepath.Join(d.path, "tmp")
	for _, err := range []error{
		os.WriteFile(filepath.Join(tmp, "put-1"), []byte("half"), 0o444),
		os.MkdirAll(filepath.Join(tmp, "tree-1", "a", "b"), 0o755),
		os.WriteFile(filepath.Join(tmp, "tree-1", "a", "f"), nil, 0o444),
		os.Chmod(filepath.Join(tmp, "tree-1", "a"), 0o555),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	d.Close()
	d = open(t, d.path, l)
	if left := leftovers(t, d); len(left) > 0 {
		t.Errorf("left behind %v", left)
	}
	if read(t, d, g) != "kept" {
		t.Error("content is gone")
	}
}

func TestOpenSaysWhatIsWrong(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(file, newMemory(), nil); !errors.Is(err, syscall.ENOTDIR) {
		t.Error(err)
	}
}
