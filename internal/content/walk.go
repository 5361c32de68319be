package content

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path"
	"strings"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"

	"github.com/weft-dev/weft"
)

const (
	namesAtOnce = 1024
	maxProblems = 100
)

// A walk finds and hashes what is in a directory that a program wrote, which may hold
// anything: it follows no link, opens nothing but regular files and directories, and
// leaves other file systems alone.
type walk struct {
	d        *Dir
	root     int
	dev      uint64
	entries  []weft.Entry // directories and links
	found    []*walked
	files    map[string]*walked // by path
	problems problems
	hash     *errgroup.Group
	how      How
}

// A walked file was regular, and had these properties when it was read.
type walked struct {
	path   string
	mode   uint32
	digest weft.Digest
	stat   unix.Stat_t
}

func (f *walked) same(s *unix.Stat_t) bool {
	return s.Dev == f.stat.Dev && s.Ino == f.stat.Ino && s.Size == f.stat.Size && s.Mtim == f.stat.Mtim &&
		s.Mode&unix.S_IFMT == unix.S_IFREG
}

// walk walks the directory open at root.
func (d *Dir) walk(ctx context.Context, root int) (*walk, error) {
	var s unix.Stat_t
	if err := unix.Fstat(root, &s); err != nil {
		return nil, &os.PathError{Op: "stat", Path: ".", Err: err}
	}
	w := &walk{d: d, root: root, dev: s.Dev}
	var hashCtx context.Context
	w.hash, hashCtx = errgroup.WithContext(ctx)
	w.hash.SetLimit(d.hashers)
	pending := []string{"."}
	var err error
	for len(pending) > 0 && err == nil {
		dir := pending[len(pending)-1]
		pending = pending[:len(pending)-1]
		var more []string
		more, err = w.folder(hashCtx, dir)
		pending = append(pending, more...)
	}
	if hashErr := w.hash.Wait(); hashErr != nil {
		return nil, hashErr
	}
	if err != nil {
		return nil, err
	}
	w.files = make(map[string]*walked, len(w.found))
	for _, f := range w.found {
		w.files[f.path] = f
	}
	return w, nil
}

func (w *walk) manifest() weft.Manifest {
	m := weft.Manifest{Entries: w.entries}
	for _, f := range w.found {
		m.Entries = append(m.Entries, weft.Entry{Path: f.path, Kind: weft.File, Mode: f.mode, Size: f.stat.Size, Digest: f.digest})
	}
	m.Sort()
	return m
}

// folder walks one directory, and returns those in it.
func (w *walk) folder(ctx context.Context, dir string) (folders []string, err error) {
	fd, err := openBeneath(w.root, dir, unix.O_RDONLY|unix.O_DIRECTORY)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: dir, Err: err}
	}
	f := os.NewFile(uintptr(fd), dir)
	defer f.Close()
	for {
		names, err := f.Readdirnames(namesAtOnce)
		for _, name := range names {
			p := path.Join(dir, name)
			isFolder, err := w.entry(ctx, fd, name, p)
			if err != nil {
				return nil, &os.PathError{Op: "seal", Path: p, Err: err}
			}
			if isFolder {
				folders = append(folders, p)
			}
		}
		if len(names) == 0 {
			if err != nil && !isEOF(err) {
				return nil, err
			}
			return folders, ctx.Err()
		}
	}
}

// entry takes down one name of the directory open at fd.
func (w *walk) entry(ctx context.Context, fd int, name, p string) (isFolder bool, err error) {
	if len(p) > maxPath {
		w.problems.add("%q… was not kept: its path is longer than %d bytes", p[:64], maxPath)
		return false, nil
	}
	var s unix.Stat_t
	if err := unix.Fstatat(fd, name, &s, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return false, err
	}
	if s.Dev != w.dev {
		w.problems.add("%q was not kept: another file system is mounted there", p)
		return false, nil
	}
	switch s.Mode & unix.S_IFMT {
	case unix.S_IFREG:
		return false, w.file(ctx, fd, name, p)
	case unix.S_IFDIR:
		w.entries = append(w.entries, weft.Entry{Path: p, Kind: weft.Folder, Mode: s.Mode & 0o777})
		return true, nil
	case unix.S_IFLNK:
		target, err := readLinkAt(fd, name)
		if err != nil {
			return false, err
		}
		w.entries = append(w.entries, weft.Entry{Path: p, Kind: weft.Symlink, Target: target})
	case unix.S_IFIFO:
		w.problems.add("the named pipe %q was not kept", p)
	case unix.S_IFSOCK:
		w.problems.add("the socket %q was not kept", p)
	default:
		w.problems.add("the device %q was not kept", p)
	}
	return false, nil
}

// file opens a regular file, and has it hashed meanwhile.
func (w *walk) file(ctx context.Context, dir int, name, p string) error {
	fd, err := unix.Openat(dir, name, unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	f := &walked{path: p}
	if err := unix.Fstat(fd, &f.stat); err != nil || f.stat.Mode&unix.S_IFMT != unix.S_IFREG {
		unix.Close(fd)
		return errors.Join(err, weft.Errorf(weft.Conflict, "file %q changed while it was being sealed", p))
	}
	f.mode = f.stat.Mode & 0o777
	w.found = append(w.found, f)
	w.hash.Go(func() error {
		file := os.NewFile(uintptr(fd), p)
		defer file.Close()
		blob, err := hashFile(ctx, file, f.stat.Size)
		if err == nil && blob.Size != f.stat.Size {
			err = weft.Errorf(weft.Conflict, "file %q changed while it was being sealed", p)
		}
		f.digest = blob.Digest
		return err
	})
	return nil
}

func readLinkAt(fd int, name string) (string, error) {
	buf := make([]byte, maxPath+1)
	n, err := unix.Readlinkat(fd, name, buf)
	return string(buf[:max(n, 0)]), err
}

// openBeneath opens a path below root that passes no link. Where the kernel has no one
// call for that, it goes step by step.
func openBeneath(root int, p string, flags int) (int, error) {
	how := unix.OpenHow{
		Flags:   uint64(flags | unix.O_NOFOLLOW | unix.O_CLOEXEC),
		Resolve: unix.RESOLVE_BENEATH | unix.RESOLVE_NO_SYMLINKS | unix.RESOLVE_NO_XDEV,
	}
	for {
		fd, err := unix.Openat2(root, p, &how)
		switch {
		case errors.Is(err, unix.ENOSYS) || errors.Is(err, unix.EPERM):
			return openStepwise(root, p, flags)
		case errors.Is(err, unix.EINTR) || errors.Is(err, unix.EAGAIN):
			continue
		}
		return fd, err
	}
}

func openStepwise(root int, p string, flags int) (int, error) {
	at := root
	for {
		name, rest, more := strings.Cut(p, "/")
		step := unix.O_RDONLY | unix.O_DIRECTORY
		if !more {
			step = flags
		}
		fd, err := unix.Openat(at, name, step|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
		if at != root {
			unix.Close(at)
		}
		if err != nil || !more {
			return fd, err
		}
		at, p = fd, rest
	}
}

// problems are told to the user; a great many are summed up.
type problems struct {
	told []string
	more int
}

func (p *problems) add(format string, args ...any) {
	if len(p.told) == maxProblems {
		p.more++
		return
	}
	p.told = append(p.told, fmt.Sprintf(format, args...))
}

func (p *problems) list() []string {
	if p.more > 0 {
		return append(p.told, fmt.Sprintf("and %d more were not kept", p.more))
	}
	return p.told
}
