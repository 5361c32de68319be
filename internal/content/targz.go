package content

import (
	"archive/tar"
	"context"
	"errors"
	"io"
	"path"
	"strings"
	"time"

	"github.com/klauspost/pgzip"

	"github.com/weft-dev/weft"
)

const maxEntries = 10_000_000 // of an archive

// ReadTarGz brings in the files of a gzipped tar, as it arrives, pins them, and returns
// its manifest, for PutManifest. It reads r to its end.
//
// Refused as Invalid: what is damaged or cut off, names outside of the directory, files
// below something that is a link or a file, devices and pipes. Of two entries with one
// name the later counts, as in tar; hard links become files of their own.
func ReadTarGz(ctx context.Context, d *Dir, pin string, until time.Time, r io.Reader) (weft.Manifest, error) {
	b := d.newBatch(pin, until)
	defer b.close()
	m, err := b.tarGz(ctx, r)
	if err != nil {
		return weft.Manifest{}, err
	}
	return m, b.finish(ctx)
}

// PutTarGz is ReadTarGz and PutManifest in one, with fewer transactions.
func PutTarGz(ctx context.Context, d *Dir, pin string, until time.Time, r io.Reader) (weft.Tree, error) {
	b := d.newBatch(pin, until)
	defer b.close()
	m, err := b.tarGz(ctx, r)
	if err != nil {
		return weft.Tree{}, err
	}
	desc, err := describe(m)
	if err != nil {
		return weft.Tree{}, err
	}
	if known, err := d.addKnown(ctx, pin, until, desc); known || err != nil {
		return desc.tree, err
	}
	return b.tree(ctx, desc)
}

func (b *batch) tarGz(ctx context.Context, r io.Reader) (weft.Manifest, error) {
	source := &sourceReader{r: contextReader{ctx, r}}
	m, err := b.unzip(ctx, source)
	if source.err != nil {
		return weft.Manifest{}, source.err // what broke the connection, not what that did to gzip
	}
	return m, err
}

func (b *batch) unzip(ctx context.Context, source io.Reader) (weft.Manifest, error) {
	z, err := pgzip.NewReader(source)
	if err != nil {
		return weft.Manifest{}, damaged(err)
	}
	defer z.Close()
	m, err := b.untar(ctx, z)
	if err != nil {
		return weft.Manifest{}, err
	}
	// What follows the end of the tar is read too: gzip's checksum is at its end.
	if _, err := io.Copy(io.Discard, z); err != nil {
		return weft.Manifest{}, damaged(err)
	}
	if _, err := io.Copy(io.Discard, source); err != nil {
		return weft.Manifest{}, err
	}
	return m, nil
}

func (b *batch) untar(ctx context.Context, r io.Reader) (weft.Manifest, error) {
	u := unpacked{entries: make(map[string]weft.Entry)}
	t := tar.NewReader(r)
	for {
		h, err := t.Next()
		if errors.Is(err, io.EOF) {
			return u.manifest()
		}
		if err != nil {
			return weft.Manifest{}, damaged(err)
		}
		if len(u.entries) >= maxEntries {
			return weft.Manifest{}, weft.Errorf(weft.TooLarge, "the archive has more than %d entries", maxEntries)
		}
		if err := b.tarEntry(ctx, &u, h, t); err != nil {
			return weft.Manifest{}, err
		}
	}
}

func (b *batch) tarEntry(ctx context.Context, u *unpacked, h *tar.Header, r io.Reader) error {
	if h.Typeflag == tar.TypeXGlobalHeader {
		return nil
	}
	p, err := archivePath(h.Name)
	if err != nil {
		return err
	}
	if p == "." {
		if h.Typeflag == tar.TypeDir {
			return nil // the directory itself, whose mode is not kept
		}
		return weft.Errorf(weft.Invalid, "archive: the entry %q has no name", h.Name)
	}
	e := weft.Entry{Path: p, Mode: uint32(h.Mode & 0o777)}
	switch h.Typeflag {
	case tar.TypeReg, tar.TypeCont, tar.TypeGNUSparse:
		e.Kind = weft.File
		blob, err := b.stream(ctx, weft.Digest{}, h.Size, e.Executable(), archiveReader{r})
		if err != nil {
			return err
		}
		e.Digest, e.Size = blob.Digest, blob.Size
	case tar.TypeDir:
		e.Kind = weft.Folder
	case tar.TypeSymlink:
		e.Kind, e.Mode, e.Target = weft.Symlink, 0, h.Linkname
	case tar.TypeLink:
		if e, err = u.linked(p, h); err != nil {
			return err
		}
	case tar.TypeChar, tar.TypeBlock:
		return weft.Errorf(weft.Invalid, "archive: %q is a device; only files, directories and links can be Data", h.Name)
	case tar.TypeFifo:
		return weft.Errorf(weft.Invalid, "archive: %q is a named pipe; only files, directories and links can be Data", h.Name)
	default:
		return weft.Errorf(weft.Invalid, "archive: %q is of the unknown type %q", h.Name, string(h.Typeflag))
	}
	return u.add(e)
}

// archivePath makes an entry's name a clean path inside of the directory.
func archivePath(name string) (string, error) {
	switch {
	case strings.HasPrefix(name, "/"):
		return "", weft.Errorf(weft.Invalid, "archive: the name %q is absolute", name)
	case strings.Contains(name, "\x00"):
		return "", weft.Errorf(weft.Invalid, "archive: the name %q contains a zero byte", name)
	}
	for part := range strings.SplitSeq(name, "/") {
		if part == ".." {
			return "", weft.Errorf(weft.Invalid, "archive: the name %q leads out of the directory", name)
		}
	}
	p := path.Clean(name)
	return p, checkLength(p)
}

// unpacked is the directory that an archive makes, without making it.
type unpacked struct {
	entries map[string]weft.Entry
	parents map[string]string // directories in use, by something in them
}

// add puts an entry where an earlier one of that name may be.
func (u *unpacked) add(e weft.Entry) error {
	if _, used := u.parents[e.Path]; used && e.Kind != weft.Folder {
		return weft.Errorf(weft.Invalid, "archive: %q is to be a file or link, but %q was put below it", e.Path, u.parents[e.Path])
	}
	for dir := parent(e.Path); dir != "."; dir = parent(dir) {
		if above, ok := u.entries[dir]; ok && above.Kind != weft.Folder {
			what := "a file"
			if above.Kind == weft.Symlink {
				what = "a link"
			}
			return weft.Errorf(weft.Invalid, "archive: %q would be written through %q, which is %s", e.Path, dir, what)
		}
		if _, known := u.parents[dir]; known {
			break // and so are those above it
		}
		if u.parents == nil {
			u.parents = make(map[string]string)
		}
		u.parents[dir] = e.Path
	}
	u.entries[e.Path] = e
	return nil
}

// linked resolves a hard link to an entry before it.
func (u *unpacked) linked(p string, h *tar.Header) (weft.Entry, error) {
	target, err := archivePath(h.Linkname)
	if err != nil {
		return weft.Entry{}, err
	}
	e, ok := u.entries[target]
	if !ok || e.Kind == weft.Folder {
		return weft.Entry{}, weft.Errorf(weft.Invalid, "archive: %q is a hard link to %q, which is not a file before it", h.Name, h.Linkname)
	}
	e.Path = p
	return e, nil
}

func (u *unpacked) manifest() (weft.Manifest, error) {
	m := weft.Manifest{Entries: make([]weft.Entry, 0, len(u.entries)+len(u.parents))}
	for _, e := range u.entries {
		m.Entries = append(m.Entries, e)
	}
	m = WithParents(m)
	return m, checkManifest(m)
}

// damaged is the error for an archive that cannot be read.
func damaged(err error) error {
	if weft.KindOf(err) != weft.Internal {
		return err
	}
	switch {
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return weft.Errorf(weft.Invalid, "archive: it is cut off")
	case errors.Is(err, pgzip.ErrHeader):
		return weft.Errorf(weft.Invalid, "archive: it is not compressed by gzip")
	}
	return weft.Errorf(weft.Invalid, "archive: it is damaged: %w", err)
}

// An archiveReader says that the archive is to blame for what cannot be read.
type archiveReader struct{ r io.Reader }

func (a archiveReader) Read(p []byte) (int, error) {
	n, err := a.r.Read(p)
	if err != nil && !errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		err = damaged(err)
	}
	return n, err
}

// A sourceReader remembers the error of what it reads, other than its end. A broken
// connection shows as io.ErrUnexpectedEOF, which is left to be an archive cut off.
type sourceReader struct {
	r   io.Reader
	err error
}

func (s *sourceReader) Read(p []byte) (int, error) {
	n, err := s.r.Read(p)
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		s.err = err
	}
	return n, err
}

// A contextReader ends with its context.
type contextReader struct {
	ctx context.Context
	r   io.Reader
}

func (c contextReader) Read(p []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, err
	}
	return c.r.Read(p)
}
