package registry

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/weft-dev/weft"
)

// Names by which a layer says what it removes from those below it.
const (
	whiteout     = ".wh."
	whiteoutOwn  = ".wh..wh." // of aufs, for itself
	whiteoutAll  = ".wh..wh..opq"
	opaqueXattr  = "trusted.overlay.opaque"
	xattrRecords = "SCHILY.xattr."
)

// An extractor turns the tar of one layer into a directory that can be a lower
// directory of an overlay. Nobody else may see the directory meanwhile, so paths are
// safe once the links in them are resolved.
type extractor struct {
	root  string
	lower []string // the layers below, top first
	room  func(n int64) error

	lastDir, lastReal string                 // what resolve found last
	folders           map[string]*tar.Header // whose mode and times are set at the end
	inherited         bool                   // a folder got its mode or owner from a lower layer
	buffer            []byte
	unasked           int64 // bytes written since room was asked
}

// extract reads the whole tar.
func (x *extractor) extract(r io.Reader) error {
	x.folders = make(map[string]*tar.Header)
	for t := tar.NewReader(r); ; {
		h, err := t.Next()
		if errors.Is(err, io.EOF) {
			return x.finishFolders()
		}
		if err != nil {
			return weft.Errorf(weft.Invalid, "the layer is not a tar archive: %w", err)
		}
		if h.Typeflag == tar.TypeXGlobalHeader {
			continue
		}
		if err := x.entry(h, t); err != nil {
			return blame(h.Name, err)
		}
	}
}

// blame says whose fault it is that an entry cannot be unpacked.
func blame(name string, err error) error {
	for _, wrong := range []error{unix.ENAMETOOLONG, unix.EINVAL, unix.ELOOP, unix.ENOTDIR, tar.ErrHeader, io.ErrUnexpectedEOF} {
		if errors.Is(err, wrong) {
			return weft.Errorf(weft.Invalid, "unpack %q: %w", name, err)
		}
	}
	if errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT) {
		return weft.Errorf(weft.NoSpace, "unpack %q: the disk is full", name)
	}
	return fmt.Errorf("unpack %q: %w", name, err)
}

func (x *extractor) entry(h *tar.Header, r io.Reader) error {
	name := path.Clean("/" + h.Name)
	if name == "/" {
		if h.Typeflag == tar.TypeDir {
			x.folders[x.root] = h
			return x.own(x.root, h)
		}
		return weft.Errorf(weft.Invalid, "the layer makes its root something other than a directory")
	}
	dir, err := x.resolve(path.Dir(name))
	if err != nil {
		return err
	}
	base := path.Base(name)
	if strings.HasPrefix(base, whiteout) {
		return x.remove(dir, base)
	}
	target := filepath.Join(dir, base)
	opaque, err := x.clear(target, h.Typeflag == tar.TypeDir)
	if err != nil {
		return err
	}
	if err := x.make(target, h, r); err != nil {
		return err
	}
	if opaque && h.Typeflag == tar.TypeDir {
		return unix.Lsetxattr(target, opaqueXattr, []byte("y"), 0)
	}
	return nil
}

// maxLinks ends the search in links that lead round in a circle.
const maxLinks = 255

// resolve returns where a directory of the layer is, following links as if the
// layer were the root of the file system. What is not there is made.
func (x *extractor) resolve(dir string) (string, error) {
	if dir == x.lastDir {
		return x.lastReal, nil
	}
	real, links := x.root, 0
	for todo := strings.Split(dir, "/"); len(todo) > 0; {
		step := todo[0]
		todo = todo[1:]
		switch step {
		case "", ".":
			continue
		case "..":
			if real != x.root {
				real = filepath.Dir(real)
			}
			continue
		}
		next := filepath.Join(real, step)
		target, err := x.enter(next)
		switch {
		case err != nil:
			return "", err
		case target == "":
			real = next
			continue
		}
		if links++; links > maxLinks {
			return "", weft.Errorf(weft.Invalid, "too many symbolic links")
		}
		if path.IsAbs(target) {
			real = x.root
		}
		todo = append(strings.Split(target, "/"), todo...)
	}
	x.lastDir, x.lastReal = dir, real
	return real, nil
}

// enter makes sure that something is a directory, or returns the target if it is a link.
func (x *extractor) enter(name string) (target string, err error) {
	info, err := os.Lstat(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "", x.implied(name)
	case err != nil || info.IsDir():
		return "", err
	case info.Mode()&fs.ModeSymlink != 0:
		return os.Readlink(name)
	}
	return "", weft.Errorf(weft.Invalid, "it lies below a file")
}

// implied makes a directory that the layer has no entry for. In an overlay its mode
// and owner hide those of the layers below, so it takes them over.
func (x *extractor) implied(dir string) error {
	if err := os.Mkdir(dir, 0o755); err != nil {
		return err
	}
	rel := strings.TrimPrefix(dir, x.root)
	for _, l := range x.lower {
		var s unix.Stat_t
		if err := unix.Lstat(l+rel, &s); err != nil {
			continue
		}
		if s.Mode&unix.S_IFMT != unix.S_IFDIR {
			return nil
		}
		if s.Mode&0o7777 == 0o755 && s.Uid == 0 && s.Gid == 0 {
			return nil
		}
		x.inherited = true
		if err := os.Lchown(dir, int(s.Uid), int(s.Gid)); err != nil {
			return err
		}
		return unix.Chmod(dir, s.Mode&0o7777)
	}
	return nil
}

// remove makes an overlay hide what the layers below have.
func (x *extractor) remove(dir, base string) error {
	switch name := strings.TrimPrefix(base, whiteout); {
	case base == whiteoutAll:
		return unix.Lsetxattr(dir, opaqueXattr, []byte("y"), 0)
	case strings.HasPrefix(base, whiteoutOwn):
		return nil
	case name == "" || name == "." || name == "..":
		return weft.Errorf(weft.Invalid, "it removes nothing that could be there")
	default:
		target := filepath.Join(dir, name)
		info, err := os.Lstat(target)
		if errors.Is(err, fs.ErrNotExist) {
			return unix.Mknod(target, unix.S_IFCHR, 0)
		}
		if err == nil && info.IsDir() { // the layer's own, which replaces that below
			return unix.Lsetxattr(target, opaqueXattr, []byte("y"), 0)
		}
		return err
	}
}

// clear makes way for an entry, and reports whether a whiteout was in its place.
func (x *extractor) clear(target string, folder bool) (wasRemoved bool, err error) {
	info, err := os.Lstat(target)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil || info.IsDir() && folder {
		return false, err
	}
	x.lastDir, x.lastReal = "", ""
	return info.Mode()&fs.ModeCharDevice != 0, os.RemoveAll(target)
}

// make creates what the header describes.
func (x *extractor) make(target string, h *tar.Header, r io.Reader) error {
	var err error
	switch h.Typeflag {
	case tar.TypeReg:
		err = x.file(target, h.Size, r)
	case tar.TypeDir:
		if err = os.Mkdir(target, 0o700); errors.Is(err, fs.ErrExist) {
			err = nil
		}
		x.folders[target] = h
	case tar.TypeSymlink:
		err = os.Symlink(h.Linkname, target)
	case tar.TypeLink:
		return x.link(target, h.Linkname) // mode and owner are those of the other name
	case tar.TypeChar:
		err = unix.Mknod(target, unix.S_IFCHR|0o600, device(h))
	case tar.TypeBlock:
		err = unix.Mknod(target, unix.S_IFBLK|0o600, device(h))
	case tar.TypeFifo:
		err = unix.Mknod(target, unix.S_IFIFO|0o600, 0)
	default:
		return weft.Errorf(weft.Invalid, "the layer has an entry of the unknown type %q", h.Typeflag)
	}
	if err != nil {
		return err
	}
	return x.own(target, h)
}

func device(h *tar.Header) int { return int(unix.Mkdev(uint32(h.Devmajor), uint32(h.Devminor))) }

// roomStep is after how many bytes it is asked whether there still is room.
const roomStep = 64 << 20

func (x *extractor) file(target string, size int64, r io.Reader) error {
	if x.unasked += size; x.unasked > roomStep {
		if err := x.room(size); err != nil {
			return err
		}
		x.unasked = 0
	}
	f, err := os.OpenFile(target, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	if x.buffer == nil {
		x.buffer = make([]byte, copyBuffer)
	}
	_, err = io.CopyBuffer(struct{ io.Writer }{f}, r, x.buffer) // not by ReadFrom, which makes a buffer each time
	return errors.Join(err, f.Close())
}

func (x *extractor) link(target, to string) error {
	to = path.Clean("/" + to)
	dir, err := x.resolve(path.Dir(to))
	if err != nil {
		return err
	}
	err = os.Link(filepath.Join(dir, path.Base(to)), target)
	if errors.Is(err, fs.ErrNotExist) {
		return weft.Errorf(weft.Invalid, "the layer links to %q, which it does not have", to)
	}
	return err
}

// own sets owner, mode, extended attributes and times. Changing the owner takes the
// set-id bits away, so it is first; the mode and times of a folder come at the end.
func (x *extractor) own(target string, h *tar.Header) error {
	if err := os.Lchown(target, h.Uid, h.Gid); err != nil {
		return err
	}
	if h.Typeflag == tar.TypeDir {
		return setXattrs(target, h)
	}
	if h.Typeflag != tar.TypeSymlink {
		if err := os.Chmod(target, h.FileInfo().Mode()); err != nil {
			return err
		}
		if err := setXattrs(target, h); err != nil {
			return err
		}
	}
	return setTimes(target, h)
}

func (x *extractor) finishFolders() error {
	for target, h := range x.folders {
		info, err := os.Lstat(target)
		if errors.Is(err, fs.ErrNotExist) || err == nil && !info.IsDir() {
			continue // replaced later on
		}
		if err != nil {
			return err
		}
		if err := os.Chmod(target, h.FileInfo().Mode()); err != nil {
			return err
		}
		if err := setTimes(target, h); err != nil {
			return err
		}
	}
	return nil
}

// setXattrs sets what programs in the container may see, such as file capabilities,
// but nothing by which an overlay or the host's labelling works.
func setXattrs(target string, h *tar.Header) error {
	for key, value := range h.PAXRecords {
		name, ok := strings.CutPrefix(key, xattrRecords)
		if !ok || strings.HasPrefix(name, "trusted.") || name == "security.selinux" {
			continue
		}
		err := unix.Lsetxattr(target, name, []byte(value), 0)
		if err != nil && !errors.Is(err, unix.ENOTSUP) {
			return fmt.Errorf("set attribute %s: %w", name, err)
		}
	}
	return nil
}

func setTimes(target string, h *tar.Header) error {
	at := h.AccessTime
	if at.IsZero() {
		at = h.ModTime
	}
	times := []unix.Timespec{timespec(at), timespec(h.ModTime)}
	return unix.UtimesNanoAt(unix.AT_FDCWD, target, times, unix.AT_SYMLINK_NOFOLLOW)
}

func timespec(t time.Time) unix.Timespec {
	return unix.Timespec{Sec: t.Unix(), Nsec: int64(t.Nanosecond())}
}
