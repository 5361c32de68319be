package content

import (
	"archive/tar"
	"archive/zip"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/weft-dev/weft"
)

// An Intake brings in the files of one Data, one after the other, from wherever they are.
// It is used by one goroutine. Nothing of it counts unless Finish returns without error.
type Intake struct {
	b *batch
	u unpacked

	// Progress is called now and then with how much was brought in so far.
	Progress func(files, bytes int64)
	files    int64
	bytes    int64
}

// NewIntake begins to bring in files, which the pin holds from Finish on. Close it.
func (d *Dir) NewIntake(pin string, until time.Time) *Intake {
	return &Intake{b: d.newBatch(pin, until), u: unpacked{entries: make(map[string]weft.Entry)}}
}

// Close ends the intake; after Finish it does nothing.
func (in *Intake) Close() { in.b.close() }

// File brings in a file under a path relative to the Data. A size of -1 is not known. What
// may not be the name of a file in Data, or would be where another file is, is Invalid.
func (in *Intake) File(ctx context.Context, name string, mode uint32, size int64, r io.Reader) error {
	p, err := archivePath(name)
	if err != nil {
		return err
	}
	if p == "." {
		return weft.Errorf(weft.Invalid, "%q is no name of a file", name)
	}
	e := weft.Entry{Path: p, Kind: weft.File, Mode: mode & 0o777}
	blob, err := in.b.stream(ctx, weft.Digest{}, size, e.Executable(), &counted{in, r})
	if err != nil {
		return err
	}
	e.Digest, e.Size = blob.Digest, blob.Size
	in.files++
	in.tell()
	return in.u.add(e)
}

func (in *Intake) tell() {
	if in.Progress != nil {
		in.Progress(in.files, in.bytes)
	}
}

// A counted reader tells how much has come.
type counted struct {
	in *Intake
	r  io.Reader
}

func (c *counted) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.in.bytes += int64(n)
	c.in.tell()
	return n, err
}

// Tar brings in what a tar holds, with the rules of ReadTarGz, and reads r to its end.
func (in *Intake) Tar(ctx context.Context, r io.Reader) error {
	t := tar.NewReader(&counted{in, r})
	for {
		h, err := t.Next()
		if errors.Is(err, io.EOF) {
			_, err := io.Copy(io.Discard, r) // a checksum may be at the end
			return err
		}
		if err != nil {
			return damaged(err)
		}
		if len(in.u.entries) >= maxEntries {
			return weft.Errorf(weft.TooLarge, "the archive has more than %d entries", maxEntries)
		}
		if err := in.b.tarEntry(ctx, &in.u, h, t); err != nil {
			return err
		}
		in.files++
	}
}

// Zip brings in what a zip of that size holds, with the same rules.
func (in *Intake) Zip(ctx context.Context, r io.ReaderAt, size int64) error {
	z, err := zip.NewReader(r, size)
	if err != nil {
		return weft.Errorf(weft.Invalid, "archive: it is no zip, or damaged: %w", err)
	}
	if len(z.File) > maxEntries {
		return weft.Errorf(weft.TooLarge, "the archive has more than %d entries", maxEntries)
	}
	for _, f := range z.File {
		if err := in.zipped(ctx, f); err != nil {
			return err
		}
	}
	return nil
}

const maxTarget = maxPath // bytes of a link's target

func (in *Intake) zipped(ctx context.Context, f *zip.File) error {
	mode := f.Mode()
	if strings.HasSuffix(f.Name, "/") || mode.IsDir() {
		p, err := archivePath(f.Name)
		if err != nil || p == "." {
			return err
		}
		return in.u.add(weft.Entry{Path: p, Kind: weft.Folder, Mode: uint32(mode.Perm())})
	}
	r, err := f.Open()
	if err != nil {
		return weft.Errorf(weft.Invalid, "archive: %q: %w", f.Name, err)
	}
	defer r.Close()
	switch {
	case mode&os.ModeSymlink != 0:
		p, err := archivePath(f.Name)
		if err != nil {
			return err
		}
		target, err := io.ReadAll(io.LimitReader(r, maxTarget+1))
		if err != nil {
			return weft.Errorf(weft.Invalid, "archive: %q: %w", f.Name, err)
		}
		return in.u.add(weft.Entry{Path: p, Kind: weft.Symlink, Target: string(target)})
	case !mode.IsRegular():
		return weft.Errorf(weft.Invalid, "archive: %q is neither a file nor a directory nor a link", f.Name)
	}
	perm := uint32(mode.Perm())
	if perm == 0 { // by a program that knows no modes
		perm = 0o644
	}
	return in.File(ctx, f.Name, perm, -1, archiveReader{r})
}

// Finish makes the tree of all that was brought in, and pins it.
func (in *Intake) Finish(ctx context.Context) (weft.Tree, error) {
	m, err := in.u.manifest()
	if err != nil {
		return weft.Tree{}, err
	}
	desc, err := describe(m)
	if err != nil {
		return weft.Tree{}, err
	}
	if known, err := in.b.d.addKnown(ctx, in.b.pin, in.b.until, desc); known || err != nil {
		return desc.tree, err
	}
	return in.b.tree(ctx, desc)
}

// How says what becomes of a directory that is brought in.
type How int

const (
	sealed How = iota // a program wrote it, and has ended
	Copy              // it stays as it is; blocks are shared where the file system can
	Take              // its files become the server's, without a copy where they can; the caller removes it
)

// PutDir brings in the directory that root has open, with the rules of Seal: no link is
// followed, and nothing but files, directories and links is kept. What could not be kept is
// Invalid, in words. Taken is no file that somebody has open for writing: that is a
// Conflict, as what is kept is never to change.
func (d *Dir) PutDir(ctx context.Context, pin string, until time.Time, root *os.File, how How, progress func(files, bytes int64)) (weft.Tree, error) {
	w, err := d.walk(ctx, int(root.Fd()))
	if err != nil {
		return weft.Tree{}, fmt.Errorf("import directory: %w", explainFull(err))
	}
	if told := w.problems.list(); len(told) > 0 {
		return weft.Tree{}, weft.Errorf(weft.Invalid, "%s", strings.Join(told, "; ")).WithAdvice("remove it, or import another directory")
	}
	m := w.manifest()
	files, bytes := m.Totals()
	if how == Take {
		if err := keepModes(root.Name()+modesSuffix, &m); err != nil {
			return weft.Tree{}, fmt.Errorf("import directory: %w", explainFull(err))
		}
	}
	if how == Copy || w.dev != d.disk() {
		if err := d.Room(bytes); err != nil {
			return weft.Tree{}, err
		}
	}
	w.how = how
	t, err := d.adopt(ctx, pin, until, int(root.Fd()), w, m)
	if err != nil {
		return weft.Tree{}, fmt.Errorf("import directory: %w", explainFull(err))
	}
	if progress != nil {
		progress(files, bytes)
	}
	return t, nil
}

// RemoveTaken removes a directory that was taken, and what was kept beside it meanwhile.
func RemoveTaken(dir string) error {
	err := os.Remove(dir + modesSuffix)
	if errors.Is(err, os.ErrNotExist) {
		err = nil
	}
	return errors.Join(err, removeTree(dir))
}

// still makes sure that nobody can write to a file that is not writable any more: by a
// lease, which the kernel gives only while nobody has it open for that.
func still(fd int) error {
	_, err := unix.FcntlInt(uintptr(fd), unix.F_SETLEASE, unix.F_RDLCK)
	if err == nil {
		_, err = unix.FcntlInt(uintptr(fd), unix.F_SETLEASE, unix.F_UNLCK)
	}
	return err
}

// cloneFile makes to share the blocks of from.
func cloneFile(to, from *os.File) error {
	return unix.IoctlFileClone(int(to.Fd()), int(from.Fd()))
}
