package content

import (
	"archive/tar"
	"context"
	"fmt"
	"io"
	"runtime"
	"sync"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/pgzip"

	"github.com/weft-dev/weft"
)

const (
	zipBlock    = 1 << 20
	zippedAhead = 2 // blocks in work for each processor
)

// WriteTarGz writes the files and links of a manifest as a gzipped tar that knit can
// unpack: without entries for directories, as it would make files of them. It gets
// contents from open, which Dir.OpenBlob is in a function of this form.
func WriteTarGz(ctx context.Context, w io.Writer, m weft.Manifest, open func(weft.Digest) (io.ReadCloser, error)) error {
	out := &stoppable{w: w}
	z, err := pgzip.NewWriterLevel(out, gzip.BestSpeed)
	if err != nil {
		return fmt.Errorf("write archive: %w", err)
	}
	if err := z.SetConcurrency(zipBlock, zippedAhead*runtime.GOMAXPROCS(0)); err != nil {
		return fmt.Errorf("write archive: %w", err)
	}
	if err := writeTar(ctx, z, m, open); err != nil {
		out.stop()
		z.Close() // ends its goroutines; it has nothing to say any more
		return fmt.Errorf("write archive: %w", err)
	}
	if err := z.Close(); err != nil {
		return fmt.Errorf("write archive: %w", err)
	}
	return nil
}

// A stoppable writer drops what comes after stop: an archive that is not whole must not
// get the end of one that is.
type stoppable struct {
	mu      sync.Mutex
	w       io.Writer
	stopped bool
}

func (s *stoppable) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopped {
		return len(p), nil
	}
	return s.w.Write(p)
}

func (s *stoppable) stop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stopped = true
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
