package worker

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
)

// TestWrapperOutsideOfContainers does nothing where it would see other processes, all of
// which it would kill.
func TestWrapperOutsideOfContainers(t *testing.T) {
	t.Parallel()
	w := &wrapper{run: t.TempDir()}
	if err := Write(w.run, FileInside, Inside{Args: []string{"/bin/true"}, Dir: "/"}, false); err != nil {
		t.Fatal(err)
	}
	if code, err := w.main(); err == nil || code != codeNotPrepared {
		t.Errorf("code %d, %v; want it refused", code, err)
	}
	if _, err := os.Lstat(filepath.Join(w.run, FileStarted)); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("it left a mark: %v", err)
	}
}

// TestTake gives a tree to its owner, and makes readable what is not.
func TestTake(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	sub, file, link := filepath.Join(dir, "sub"), filepath.Join(dir, "sub/file"), filepath.Join(dir, "link")
	err := errors.Join(os.Mkdir(sub, 0o755), os.WriteFile(file, nil, 0o644), os.Chmod(file, fs.ModeSetuid|0o244), os.Chmod(sub, 0o055),
		os.Symlink("/etc/passwd", link))
	if err != nil {
		t.Fatal(err)
	}
	before, err := os.Stat("/etc/passwd")
	if err != nil {
		t.Fatal(err)
	}
	if os.Geteuid() != 0 { // only root, as the wrapper is, can look into what is closed to it
		if err := os.Chmod(sub, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := (owner{os.Geteuid(), os.Getegid()}).take(dir); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]fs.FileMode{sub: fs.ModeDir | 0o755, file: 0o644} {
		if info, err := os.Stat(name); err != nil || info.Mode() != want {
			t.Errorf("%s: %v, %v; want mode %v", name, info.Mode(), err, want)
		}
	}
	if after, err := os.Stat("/etc/passwd"); err != nil || after.Mode() != before.Mode() {
		t.Errorf("a link was followed: %v, %v", after.Mode(), err)
	}
}

func TestLookPath(t *testing.T) {
	t.Parallel()
	root := rootOf(t, map[string]string{"a/tool": "", "b/tool": "", "b/data": ""})
	if err := errors.Join(os.Chmod(filepath.Join(root, "a/tool"), 0o644), os.Chmod(filepath.Join(root, "b/tool"), 0o755)); err != nil {
		t.Fatal(err)
	}
	env := []string{"PATH=/nowhere", "PATH=" + filepath.Join(root, "a") + ":b"}
	for name, want := range map[string]string{"tool": filepath.Join(root, "b/tool"), "./tool": "./tool", "/x/y": "/x/y"} {
		if got, err := lookPath(name, root, env); err != nil || got != want {
			t.Errorf("%s: %q, %v; want %q", name, got, err, want)
		}
	}
	for _, name := range []string{"data", "nothing"} {
		if got, err := lookPath(name, root, env); !errors.Is(err, fs.ErrNotExist) || insideFailed(err).Code != codeNotFound {
			t.Errorf("%s: %q, %v; want not found, which is code 127", name, got, err)
		}
	}
}
