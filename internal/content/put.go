package content

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"github.com/weft-dev/weft"
)

const (
	smallFile  = 1 << 20 // up to this size content is held in memory until it is placed
	copyBuffer = 1 << 20
)

// Put brings in the content that r gives, and pins it. A want that is not zero and a
// size that is not negative are what the content must have; otherwise it is Invalid.
func (d *Dir) Put(ctx context.Context, pin string, until time.Time, want weft.Digest, size int64, r io.Reader) (weft.Blob, error) {
	b := d.newBatch(pin, until)
	defer b.close()
	blob, err := b.stream(ctx, want, size, false, r)
	if err != nil {
		return weft.Blob{}, err
	}
	return blob, b.finish(ctx)
}

// PutFile brings in the content of a file on the same file system, which it takes
// away, and pins it. Nobody may write to the file any more.
func (d *Dir) PutFile(ctx context.Context, pin string, until time.Time, want weft.Digest, name string) (weft.Blob, error) {
	f, err := os.Open(name)
	if err != nil {
		return weft.Blob{}, fmt.Errorf("put file: %w", err)
	}
	defer f.Close()
	blob, err := hashFile(ctx, f, copyBuffer)
	if err != nil {
		return weft.Blob{}, fmt.Errorf("put file: %w", err)
	}
	if err := verify(blob, want, -1); err != nil {
		return weft.Blob{}, err
	}
	b := d.newBatch(pin, until)
	defer b.close()
	if err := b.add(ctx, fileItem(blob, false, name)); err != nil {
		return weft.Blob{}, err
	}
	return blob, b.finish(ctx)
}

// PutBatch brings in many contents, most of them small, and pins them. It asks next
// for one after the other until that returns io.EOF; next has the form of
// api.FrameReader.Next. Nothing counts as put unless the error is nil.
func (d *Dir) PutBatch(ctx context.Context, pin string, until time.Time, next func() (want [32]byte, size int64, r io.Reader, err error)) ([]weft.Blob, error) {
	b := d.newBatch(pin, until)
	defer b.close()
	var blobs []weft.Blob
	for {
		want, size, r, err := next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, err
		}
		blob, err := b.stream(ctx, want, size, false, r)
		if err != nil {
			return nil, err
		}
		blobs = append(blobs, blob)
	}
	if err := b.finish(ctx); err != nil {
		return nil, err
	}
	return blobs, nil
}

// stream adds what r gives.
func (b *batch) stream(ctx context.Context, want weft.Digest, size int64, exec bool, r io.Reader) (weft.Blob, error) {
	if err := b.d.Room(size); err != nil {
		return weft.Blob{}, err
	}
	if size >= 0 && size <= smallFile {
		return b.small(ctx, want, size, exec, r)
	}
	return b.large(ctx, want, size, exec, r)
}

func (b *batch) small(ctx context.Context, want weft.Digest, size int64, exec bool, r io.Reader) (weft.Blob, error) {
	data, err := readExactly(r, size)
	if err != nil {
		return weft.Blob{}, err
	}
	blob := weft.Blob{Digest: sha256.Sum256(data), Size: size}
	if err := verify(blob, want, size); err != nil {
		return weft.Blob{}, err
	}
	return blob, b.add(ctx, dataItem(blob, exec, data))
}

func (b *batch) large(ctx context.Context, want weft.Digest, size int64, exec bool, r io.Reader) (weft.Blob, error) {
	f, err := b.d.temp()
	if err != nil {
		return weft.Blob{}, fmt.Errorf("put content: %w", explainFull(err))
	}
	blob, err := b.d.receive(ctx, f, size, r)
	if err == nil {
		err = verify(blob, want, size)
	}
	if closeErr := f.Close(); err == nil && closeErr != nil {
		err = fmt.Errorf("put content: %w", explainFull(closeErr))
	}
	if err != nil {
		os.Remove(f.Name()) // else the next Open removes it
		return weft.Blob{}, err
	}
	return blob, b.add(ctx, fileItem(blob, exec, f.Name()))
}

// receive copies r into f. While one part is hashed the next is read, and the disk
// writes what came before, so that the last sync finds little to do.
func (d *Dir) receive(ctx context.Context, f *os.File, size int64, r io.Reader) (weft.Blob, error) {
	h := newHasher()
	defer h.stop()
	var n, asked int64
	for {
		buf, end := h.buffer(), false
		k, err := fill(r, buf)
		if errors.Is(err, io.EOF) {
			end, err = true, nil
		}
		if err = errors.Join(err, ctx.Err()); err != nil {
			return weft.Blob{}, err
		}
		n += int64(k)
		if size >= 0 && n > size {
			return weft.Blob{}, weft.Errorf(weft.Invalid, "the content is longer than the %d bytes announced", size)
		}
		if _, err := f.Write(buf[:k]); err != nil {
			return weft.Blob{}, fmt.Errorf("put content: %w", explainFull(err))
		}
		h.hash(buf[:k])
		if end {
			return weft.Blob{Digest: h.sum(), Size: n}, nil
		}
		if n-asked >= roomStep {
			if err := d.Room(max(size-n, 0)); err != nil {
				return weft.Blob{}, err
			}
			// Only a hint to begin writing; an error shows in the sync at the latest.
			_ = unix.SyncFileRange(int(f.Fd()), asked, n-asked, unix.SYNC_FILE_RANGE_WRITE)
			asked = n
		}
	}
}
