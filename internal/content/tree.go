package content

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"

	"github.com/weft-dev/weft"
)

// Tree returns a directory that holds the tree of a manifest, to be mounted read-only:
// its files are hard links to the objects. It is made at the first call. Files have
// the mode 0444 or 0555 and directories 0755 there, so that every user can read them;
// the exact modes are in the manifest.
func (d *Dir) Tree(ctx context.Context, g weft.Digest) (string, error) {
	dir := d.tree(g)
	unlock := d.trees.lock(g.Hex())
	defer unlock()
	if _, err := os.Lstat(dir); err == nil {
		return dir, nil
	}
	m, err := d.ReadManifest(ctx, g)
	if err != nil {
		return "", err
	}
	tmp, err := os.MkdirTemp(filepath.Join(d.path, "tmp"), "tree-")
	if err != nil {
		return "", fmt.Errorf("make tree: %w", explainFull(err))
	}
	if err := d.fillTree(ctx, tmp, dir, m); err != nil {
		return "", errors.Join(fmt.Errorf("make tree: %w", explainFull(err)), removeTree(tmp))
	}
	return dir, nil
}

func (d *Dir) fillTree(ctx context.Context, tmp, dir string, m weft.Manifest) error {
	if err := d.bothForms(ctx, m); err != nil {
		return err
	}
	root, err := unix.Open(tmp, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(root)
	folders := byFolder(m)
	for _, f := range folders {
		if f.path != "." {
			if err := mkdirAt(root, f.path); err != nil {
				return err
			}
		}
	}
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(d.hashers)
	for _, f := range folders {
		if len(f.entries) > 0 {
			g.Go(func() error { return d.fillFolder(ctx, root, f) })
		}
	}
	if err := g.Wait(); err != nil {
		return err
	}
	if err := os.Chmod(tmp, dirMode); err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(dir), dirMode); err != nil {
		return err
	}
	return os.Rename(tmp, dir)
}

// A folder is a directory of a tree with the files and links right in it.
type folder struct {
	path    string
	entries []weft.Entry
}

// byFolder sorts the files and links of a manifest by the directory they are in.
// Parents come before what is in them.
func byFolder(m weft.Manifest) []*folder {
	var list []*folder
	at := make(map[string]*folder)
	var get func(string) *folder
	get = func(p string) *folder {
		f := at[p]
		if f == nil {
			if p != "." {
				get(parent(p))
			}
			f = &folder{path: p}
			at[p] = f
			list = append(list, f)
		}
		return f
	}
	for _, e := range m.Entries {
		if e.Kind == weft.Folder {
			get(e.Path)
			continue
		}
		f := get(parent(e.Path))
		f.entries = append(f.entries, e)
	}
	return list
}

func mkdirAt(root int, p string) error {
	if err := unix.Mkdirat(root, p, uint32(dirMode)); err != nil {
		return &os.PathError{Op: "mkdir", Path: p, Err: err}
	}
	// mkdir obeys the umask; no link can be in the way, as this tree is made by us alone.
	return unix.Fchmodat(root, p, uint32(dirMode), 0)
}

func (d *Dir) fillFolder(ctx context.Context, root int, f *folder) error {
	fd, err := unix.Openat(root, f.path, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return &os.PathError{Op: "open", Path: f.path, Err: err}
	}
	defer unix.Close(fd)
	for _, e := range f.entries {
		if err := ctx.Err(); err != nil {
			return err
		}
		name := path.Base(e.Path)
		if e.Kind == weft.Symlink {
			err = unix.Symlinkat(e.Target, fd, name)
		} else {
			err = d.link(e, fd, name)
		}
		if err != nil {
			return &os.PathError{Op: "link", Path: e.Path, Err: err}
		}
	}
	return nil
}

// link makes a name for an object. When the file system allows no more names for it,
// a copy takes its place, and the names that there are keep the old one.
func (d *Dir) link(e weft.Entry, fd int, name string) error {
	object := d.object(e.Digest, e.Executable())
	again := func() error { return unix.Linkat(unix.AT_FDCWD, object, fd, name, 0) }
	if err := again(); !errors.Is(err, unix.EMLINK) {
		return err
	}
	// One at a time: a copy that were replaced at once by another would have no name
	// any more for whoever is just about to link it.
	d.renewing.Lock()
	defer d.renewing.Unlock()
	if err := again(); !errors.Is(err, unix.EMLINK) {
		return err
	}
	tmp, err := d.copyObject(e.Digest, e.Executable())
	if err != nil {
		return err
	}
	if err := fsync(tmp); err != nil {
		return errors.Join(err, os.Remove(tmp))
	}
	if err := os.Rename(tmp, object); err != nil {
		return errors.Join(err, os.Remove(tmp))
	}
	return again()
}

// bothForms makes the plain or executable forms that a tree needs and that are not
// there. They get their names only when their bytes are on the disk.
func (d *Dir) bothForms(ctx context.Context, m weft.Manifest) error {
	made := make(map[string]string) // by the name to be
	defer func() {
		for _, tmp := range made {
			os.Remove(tmp) // else the next Open removes it
		}
	}()
	for _, e := range m.Entries {
		if e.Kind != weft.File {
			continue
		}
		_, exec, _, err := d.find(e.Digest, e.Executable())
		if err != nil {
			return err
		}
		name := d.object(e.Digest, e.Executable())
		if exec == e.Executable() || made[name] != "" {
			continue
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		if made[name], err = d.copyObject(e.Digest, e.Executable()); err != nil {
			return err
		}
	}
	tmps := make([]string, 0, len(made))
	for _, tmp := range made {
		tmps = append(tmps, tmp)
	}
	if err := d.persist(tmps); err != nil {
		return err
	}
	for name, tmp := range made {
		if err := os.Rename(tmp, name); err != nil {
			return err
		}
		delete(made, name)
	}
	return nil
}

// copyObject copies an object to a temporary file of the form that is asked for.
func (d *Dir) copyObject(g weft.Digest, exec bool) (tmp string, err error) {
	name, _, size, err := d.find(g, exec)
	if err != nil {
		return "", err
	}
	if err := d.Room(size); err != nil {
		return "", err
	}
	from, err := os.Open(name)
	if err != nil {
		return "", err
	}
	defer from.Close()
	to, err := d.temp()
	if err != nil {
		return "", err
	}
	h := sha256.New()
	_, err = io.CopyBuffer(io.MultiWriter(to, h), onlyReader{from}, bufferFor(size))
	if err == nil && weft.Digest(h.Sum(nil)) != g {
		err = fmt.Errorf("content %s is damaged", g)
	}
	if err := finishFile(to, modeOf(exec), err); err != nil {
		return "", explainFull(err)
	}
	return to.Name(), nil
}

// onlyReader hides the other methods of a file, which would get around the buffer.
type onlyReader struct{ io.Reader }
