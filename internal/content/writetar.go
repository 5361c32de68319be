package content

import (
	"archive/tar"
	"context"
	"fmt"
	"io"

	"github.com/weft-dev/weft"
)

// WriteTarGz writes the files and links of a manifest as a gzipped tar that knit can
// unpack: without entries for directories, as it would make files of them. It gets
// contents from open, which Dir.OpenBlob is in a function of this form.
func WriteTarGz(ctx context.Context, w io.Writer, m weft.Manifest, open func(weft.Digest) (io.ReadCloser, error)) error {
	z := newZipWriter(w)
	if err := writeTar(ctx, z, m, open); err != nil {
		z.stop(err) // what is not whole must not get the end of what is
		z.Close()   // returns that error again
		return fmt.Errorf("write archive: %w", err)
	}
	if err := z.Close(); err != nil {
		return fmt.Errorf("write archive: %w", err)
	}
	return nil
}

func writeTar(ctx context.Context, w io.Writer, m weft.Manifest, open func(weft.Digest) (io.ReadCloser, error)) error {
	t := tar.NewWriter(w)
	buf := make([]byte, copyBuffer)
	for _, e := range m.Entries {
		if err := ctx.Err(); err != nil {
			return err
		}
		h := &tar.Header{Name: e.Path, Mode: int64(e.Mode), Format: tar.FormatGNU}
		switch e.Kind {
		case weft.Symlink:
			h.Typeflag, h.Linkname, h.Mode = tar.TypeSymlink, e.Target, 0o777
			if err := t.WriteHeader(h); err != nil {
				return err
			}
		case weft.File:
			h.Typeflag, h.Size = tar.TypeReg, e.Size
			if err := t.WriteHeader(h); err != nil {
				return err
			}
			if err := writeFile(ctx, t, e, open, buf); err != nil {
				return fmt.Errorf("%q: %w", e.Path, err)
			}
		}
	}
	return t.Close()
}

func writeFile(ctx context.Context, t *tar.Writer, e weft.Entry, open func(weft.Digest) (io.ReadCloser, error), buf []byte) error {
	f, err := open(e.Digest)
	if err != nil {
		return err
	}
	defer f.Close()
	n, err := io.CopyBuffer(struct{ io.Writer }{t}, onlyReader{contextReader{ctx, f}}, buf)
	if err == nil && n != e.Size {
		err = fmt.Errorf("content %s has %d bytes, not %d", e.Digest, n, e.Size)
	}
	return err
}
