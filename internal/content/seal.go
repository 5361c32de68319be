package content

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/weft-dev/weft"
)

const modesSuffix = ".modes"

// Seal brings in what a program has left in a directory on this file system, pins it,
// and returns its tree and, in words, what of it could not be kept. The program and
// all its processes must be gone.
//
// Nothing is copied: each file gets a second name as an object, and becomes the
// server's, not writable, without set-id bits, extended attributes or ACLs. The
// directory keeps its shape until the caller removes it, so sealing may be repeated
// after a crash, with the same result: the modes that the files had are kept beside
// the directory, in a file of its name with ".modes" appended.
func (d *Dir) Seal(ctx context.Context, pin string, until time.Time, dir string) (weft.Tree, []string, error) {
	root, err := unix.Open(dir, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return weft.Tree{}, nil, fmt.Errorf("seal: %w", &os.PathError{Op: "open", Path: dir, Err: err})
	}
	defer unix.Close(root)
	w, err := d.walk(ctx, root)
	if err != nil {
		return weft.Tree{}, nil, fmt.Errorf("seal %s: %w", filepath.Base(dir), err)
	}
	m := w.manifest()
	if err := keepModes(dir+modesSuffix, &m); err != nil {
		return weft.Tree{}, nil, fmt.Errorf("seal %s: %w", filepath.Base(dir), explainFull(err))
	}
	t, err := d.adopt(ctx, pin, until, root, w, m)
	if err != nil {
		return weft.Tree{}, nil, fmt.Errorf("seal %s: %w", filepath.Base(dir), err)
	}
	return t, w.problems.list(), nil
}

// adopt brings in what was walked.
func (d *Dir) adopt(ctx context.Context, pin string, until time.Time, root int, w *walk, m weft.Manifest) (weft.Tree, error) {
	desc, err := describe(m)
	if err != nil {
		return weft.Tree{}, err
	}
	if known, err := d.addKnown(ctx, pin, until, desc); known || err != nil {
		return desc.tree, err
	}
	b := d.newBatch(pin, until)
	defer b.close()
	for _, e := range desc.files {
		it := item{blob: weft.Blob{Digest: e.Digest, Size: e.Size}, exec: e.Executable()}
		found := w.files[e.Path]
		it.put = func(name string) error { return d.adoptFile(root, found, name, it.exec, w.how) }
		if err := b.add(ctx, it); err != nil {
			return weft.Tree{}, err
		}
	}
	return b.tree(ctx, desc)
}

// keepModes writes down the modes that files have before they are sealed, and takes
// those of an earlier attempt to seal the same content. It need not be durable: after
// a loss of power, at worst, files are read-only that were not.
func keepModes(name string, m *weft.Manifest) error {
	text, err := os.ReadFile(name)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if before, damaged := weft.DecodeManifest(text); err == nil && damaged == nil {
		for i, e := range m.Entries {
			if was, ok := before.Find(e.Path); ok && was.Kind == weft.File && was.Digest == e.Digest {
				m.Entries[i].Mode = was.Mode
			}
		}
		return nil
	}
	if files, _ := m.Totals(); files == 0 {
		return nil
	}
	tmp := name + ".tmp"
	if err := os.WriteFile(tmp, m.Encode(), 0o600); err != nil {
		return err
	}
	return os.Rename(tmp, name)
}

// adoptFile gives a file that was walked the name of an object. All is done to what was
// opened, so that nothing depends on names that a program chose.
func (d *Dir) adoptFile(root int, f *walked, name string, exec bool, how How) error {
	fd, err := openBeneath(root, f.path, unix.O_RDONLY|unix.O_NONBLOCK)
	if err != nil {
		return &os.PathError{Op: "open", Path: f.path, Err: err}
	}
	file := os.NewFile(uintptr(fd), f.path)
	defer file.Close()
	var s unix.Stat_t
	if err := unix.Fstat(fd, &s); err != nil {
		return &os.PathError{Op: "stat", Path: f.path, Err: err}
	}
	if !f.same(&s) {
		return weft.Errorf(weft.Conflict, "file %q changed while it was being sealed", f.path)
	}
	if s.Nlink == 1 && how != Copy {
		err := d.adoptInode(fd, f, &s, name, exec, how)
		if err == nil || !cannotLink(err) {
			return err
		}
	}
	return d.adoptCopy(file, f, name, exec)
}

// adoptInode makes the file itself the object.
func (d *Dir) adoptInode(fd int, f *walked, s *unix.Stat_t, name string, exec bool, how How) error {
	if how == Take && s.Dev != d.disk() {
		return unix.EXDEV // before anything of it is changed
	}
	if s.Uid != uint32(os.Geteuid()) || s.Gid != uint32(os.Getegid()) {
		if err := unix.Fchown(fd, os.Geteuid(), os.Getegid()); err != nil {
			return &os.PathError{Op: "chown", Path: name, Err: err}
		}
	}
	if err := stripAttributes(fd); err != nil {
		return &os.PathError{Op: "strip attributes", Path: name, Err: err}
	}
	if err := unix.Fchmod(fd, uint32(modeOf(exec))); err != nil {
		return &os.PathError{Op: "chmod", Path: name, Err: err}
	}
	if how == Take {
		if err := nobodyWrites(fd, f); err != nil {
			return err
		}
	}
	if err := unix.Linkat(unix.AT_FDCWD, fmt.Sprintf("/proc/self/fd/%d", fd), unix.AT_FDCWD, name, unix.AT_SYMLINK_FOLLOW); err != nil {
		return &os.LinkError{Op: "link", Old: "", New: name, Err: err}
	}
	return nil
}

// nobodyWrites makes sure that what was hashed stays as it is, now that the file is not
// writable any more.
func nobodyWrites(fd int, f *walked) error {
	err := still(fd)
	switch {
	case errors.Is(err, unix.EAGAIN):
		return weft.Errorf(weft.Conflict, "somebody has file %q open for writing", f.path).WithAdvice("close it, and try again")
	case err != nil: // no leases on this file system: a copy is safe
		return unix.EXDEV
	}
	var s unix.Stat_t
	if err := unix.Fstat(fd, &s); err != nil {
		return &os.PathError{Op: "stat", Path: f.path, Err: err}
	}
	if !f.same(&s) {
		return weft.Errorf(weft.Conflict, "file %q changed while it was being sealed", f.path)
	}
	return nil
}

// disk is the file system of the store; 0, which is none, if it cannot be told.
func (d *Dir) disk() uint64 {
	var s unix.Stat_t
	if unix.Fstat(int(d.handle.Fd()), &s) != nil {
		return 0
	}
	return s.Dev
}

// cannotLink tells that a file has to be copied: it lies elsewhere, or has flags such
// as immutable.
func cannotLink(err error) bool {
	return errors.Is(err, unix.EXDEV) || errors.Is(err, unix.EMLINK) || errors.Is(err, unix.EPERM)
}

// adoptCopy copies a file that has other names as well, by which it could be changed.
func (d *Dir) adoptCopy(from *os.File, f *walked, name string, exec bool) error {
	to, err := d.temp()
	if err != nil {
		return err
	}
	h := sha256.New()
	if cloneFile(to, from) == nil {
		_, err = io.CopyBuffer(h, onlyReader{to}, bufferFor(f.stat.Size))
	} else {
		_, err = io.CopyBuffer(io.MultiWriter(to, h), onlyReader{from}, bufferFor(f.stat.Size))
	}
	if err == nil && weft.Digest(h.Sum(nil)) != f.digest {
		err = weft.Errorf(weft.Conflict, "file %q changed while it was being sealed", f.path)
	}
	if err := finishFile(to, modeOf(exec), err); err != nil {
		return err
	}
	if err := os.Rename(to.Name(), name); err != nil {
		return errors.Join(err, os.Remove(to.Name()))
	}
	return nil
}

// stripAttributes removes extended attributes, which ACLs and file capabilities are too.
func stripAttributes(fd int) error {
	n, err := unix.Flistxattr(fd, nil)
	if n == 0 || errors.Is(err, unix.ENOTSUP) {
		return nil
	}
	if err != nil {
		return err
	}
	buf := make([]byte, n)
	if n, err = unix.Flistxattr(fd, buf); err != nil {
		return err
	}
	for name := range strings.SplitSeq(strings.TrimSuffix(string(buf[:n]), "\x00"), "\x00") {
		if name == "security.selinux" {
			continue // a label that every file has where SELinux is on
		}
		if err := unix.Fremovexattr(fd, name); err != nil && !errors.Is(err, unix.ENODATA) {
			return err
		}
	}
	return nil
}
