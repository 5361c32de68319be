package content

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"

	"github.com/weft-dev/weft"
)

// fill reads until buf is full or r is at an end, whose error it returns as it is:
// only io.EOF means that there is no more, whereas io.ReadFull calls a regular end
// and a broken stream by one name.
func fill(r io.Reader, buf []byte) (n int, err error) {
	for n < len(buf) && err == nil {
		var k int
		k, err = r.Read(buf[n:])
		n += k
	}
	return n, err
}

// readExactly reads size bytes, and makes sure that there are no more.
func readExactly(r io.Reader, size int64) ([]byte, error) {
	data := make([]byte, size)
	n, err := fill(r, data)
	if errors.Is(err, io.EOF) {
		if int64(n) == size {
			return data, nil
		}
		return nil, weft.Errorf(weft.Invalid, "the content ends after %d of %d bytes", n, size)
	}
	if err != nil {
		return nil, err
	}
	var more [1]byte
	n, err = fill(r, more[:])
	if n > 0 {
		return nil, weft.Errorf(weft.Invalid, "the content is longer than the %d bytes announced", size)
	}
	if !errors.Is(err, io.EOF) {
		return nil, err
	}
	return data, nil
}

// verify compares what came with what was announced.
func verify(got weft.Blob, want weft.Digest, size int64) error {
	if size >= 0 && got.Size != size {
		return weft.Errorf(weft.Invalid, "the content has %d bytes, not the %d announced", got.Size, size)
	}
	if !want.IsZero() && got.Digest != want {
		return weft.Errorf(weft.Invalid, "the content arrived damaged: its digest is %s, not %s", got.Digest, want)
	}
	return nil
}

// bufferFor returns a buffer to read so many bytes and then notice the end.
func bufferFor(size int64) []byte { return make([]byte, min(size+1, copyBuffer)) }

// hashFile reads f, which is about so long, to its end.
func hashFile(ctx context.Context, f *os.File, about int64) (weft.Blob, error) {
	h := sha256.New()
	buf := bufferFor(about)
	var size int64
	for {
		n, err := fill(f, buf)
		h.Write(buf[:n])
		size += int64(n)
		if errors.Is(err, io.EOF) {
			return weft.Blob{Digest: weft.Digest(h.Sum(nil)), Size: size}, nil
		}
		if err = errors.Join(err, ctx.Err()); err != nil {
			return weft.Blob{}, fmt.Errorf("hash: %w", err)
		}
	}
}

// A hasher hashes in a goroutine of its own, so that the next part can be read meanwhile.
type hasher struct {
	free chan []byte // buffers that may be filled
	full chan []byte
	done chan struct{}
	h    hash.Hash
}

func newHasher() *hasher {
	const buffers = 4
	h := &hasher{free: make(chan []byte, buffers), full: make(chan []byte, buffers), done: make(chan struct{}), h: sha256.New()}
	for range buffers {
		h.free <- make([]byte, copyBuffer)
	}
	go h.run(h.full)
	return h
}

func (h *hasher) run(full <-chan []byte) {
	defer close(h.done)
	for part := range full {
		h.h.Write(part)
		h.free <- part[:cap(part)]
	}
}

// buffer returns a buffer to fill. It is given back by hash.
func (h *hasher) buffer() []byte { return <-h.free }

func (h *hasher) hash(part []byte) { h.full <- part }

// sum ends the hasher.
func (h *hasher) sum() weft.Digest {
	h.stop()
	return weft.Digest(h.h.Sum(nil))
}

// stop ends the hasher; it may be called again.
func (h *hasher) stop() {
	if h.full != nil {
		close(h.full)
		h.full = nil
		<-h.done
	}
}

func isEOF(err error) bool { return errors.Is(err, io.EOF) }
