package cli

import (
	"archive/tar"
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"

	"github.com/weft-dev/weft"
)

// An archive is a directory or a tar file that holds images.
type archive interface {
	has(name string) bool
	open(name string) (io.ReadCloser, int64, error)
	Close() error
}

// maxArchivedJSON is how much of a manifest or configuration is read.
const maxArchivedJSON = 16 << 20

func readAll(a archive, name string) ([]byte, error) {
	f, size, err := a.open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if size > maxArchivedJSON {
		return nil, weft.Errorf(weft.Invalid, "%s has %d bytes, which is too many", name, size)
	}
	return io.ReadAll(f)
}

func readArchived(a archive, name string, into any) error {
	text, err := readAll(a, name)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(text, into); err != nil {
		return weft.Errorf(weft.Invalid, "%s is damaged: %w", name, err)
	}
	return nil
}

// A folder is an archive that is a directory. Links out of it lead nowhere.
type folder struct{ root *os.Root }

func openFolder(path string) (archive, error) {
	root, err := os.OpenRoot(path)
	if err != nil {
		return nil, fileError(err)
	}
	return folder{root}, nil
}

func (f folder) Close() error { return f.root.Close() }

func (f folder) has(name string) bool {
	info, err := f.root.Stat(name)
	return err == nil && info.Mode().IsRegular()
}

func (f folder) open(name string) (io.ReadCloser, int64, error) {
	if !f.has(name) {
		return nil, 0, missing(name)
	}
	file, err := f.root.Open(name)
	if err != nil {
		return nil, 0, fileError(err)
	}
	info, err := file.Stat()
	if err != nil {
		return nil, 0, errors.Join(err, file.Close())
	}
	return file, info.Size(), nil
}

func missing(name string) error {
	return weft.Errorf(weft.Invalid, "%s is missing; the image is not complete", name)
}

// A tarball is an archive that is a tar file, of which it is known where each file is.
type tarball struct {
	file  *os.File
	files map[string]section
	links map[string]string
}

type section struct{ offset, size int64 }

// openTar reads the tar's headers. A compressed one is first unpacked into a temporary
// file that nobody else sees.
func openTar(name string) (archive, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, fileError(err)
	}
	plain, err := uncompressed(f)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w", name, err), f.Close())
	}
	t := &tarball{file: plain, files: map[string]section{}, links: map[string]string{}}
	if err := t.scan(); err != nil {
		return nil, errors.Join(weft.Errorf(weft.Invalid, "%s is not a complete tar archive: %w", name, err), plain.Close())
	}
	return t, nil
}

func (t *tarball) scan() error {
	r := tar.NewReader(t.file)
	for {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		name := path.Clean(h.Name)
		switch h.Typeflag {
		case tar.TypeReg:
			offset, err := t.file.Seek(0, io.SeekCurrent)
			if err != nil {
				return err
			}
			t.files[name] = section{offset, h.Size}
		case tar.TypeSymlink:
			t.links[name] = path.Join(path.Dir(name), h.Linkname)
		case tar.TypeLink:
			t.links[name] = path.Clean(h.Linkname)
		}
	}
}

func (t *tarball) Close() error { return t.file.Close() }

// find follows links, which old archives have between equal layers.
func (t *tarball) find(name string) (section, bool) {
	name = path.Clean(name)
	for range len(t.links) + 1 {
		if s, ok := t.files[name]; ok {
			return s, true
		}
		next, ok := t.links[name]
		if !ok {
			break
		}
		name = next
	}
	return section{}, false
}

func (t *tarball) has(name string) bool { _, ok := t.find(name); return ok }

func (t *tarball) open(name string) (io.ReadCloser, int64, error) {
	s, ok := t.find(name)
	if !ok {
		return nil, 0, missing(name)
	}
	return io.NopCloser(io.NewSectionReader(t.file, s.offset, s.size)), s.size, nil
}

// compressionOf tells by its first bytes how something is compressed.
func compressionOf(head []byte) string {
	switch {
	case bytes.HasPrefix(head, []byte{0x1f, 0x8b}):
		return "gzip"
	case bytes.HasPrefix(head, []byte{0x28, 0xb5, 0x2f, 0xfd}):
		return "zstd"
	}
	return ""
}

// uncompressed returns f itself at its beginning or, if it is compressed, a temporary
// file with what it unpacks to, and closes f.
func uncompressed(f *os.File) (_ *os.File, err error) {
	b := bufio.NewReaderSize(f, 1<<20)
	head, err := b.Peek(4)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, fileError(err)
	}
	var r io.Reader
	switch compressionOf(head) {
	case "gzip":
		r, err = gzip.NewReader(b)
	case "zstd":
		var z *zstd.Decoder
		if z, err = zstd.NewReader(b); err == nil {
			defer z.Close()
			r = z
		}
	default:
		_, err = f.Seek(0, io.SeekStart)
		return f, err
	}
	if err != nil {
		return nil, weft.Errorf(weft.Invalid, "the archive is damaged: %w", err)
	}
	tmp, err := os.CreateTemp("", "weft-image-")
	if err != nil {
		return nil, fileError(err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, tmp.Close())
		}
	}()
	if err := os.Remove(tmp.Name()); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fileError(err)
	}
	if _, err := io.Copy(tmp, r); err != nil {
		return nil, weft.Errorf(weft.Invalid, "the archive is damaged: %w", err)
	}
	if _, err := tmp.Seek(0, io.SeekStart); err != nil {
		return nil, err
	}
	return tmp, f.Close()
}
