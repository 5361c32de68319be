package cli

import (
	"context"
	"hash"
	"io"
	"os"
	"sync"

	"github.com/weft-dev/weft"
)

const (
	chunkBytes  = 1 << 18 // what fits a processor's own cache is copied twice as fast
	chunksAhead = 8
)

// A hashing reads a file ahead in a goroutine of its own and hashes it there, so that
// reading, hashing and sending go on at the same time.
type hashing struct {
	hash   hash.Hash // of what was read; to be asked once ended
	chunks chan []byte
	free   chan []byte
	cur    []byte // what is left of the chunk being read
	used   []byte // that chunk
	stop   context.CancelFunc
	done   sync.WaitGroup

	// Written by the goroutine before it closes chunks.
	err   error
	whole bool // all was read
}

// newHashing reads a file that must have exactly that size. It is closed by close.
func newHashing(ctx context.Context, f *os.File, size int64, sum hash.Hash) *hashing {
	ctx, stop := context.WithCancel(ctx)
	h := &hashing{hash: sum, chunks: make(chan []byte, chunksAhead), free: make(chan []byte, chunksAhead+2), stop: stop}
	for range chunksAhead + 2 {
		h.free <- nil // allocated when needed
	}
	h.done.Go(func() {
		defer close(h.chunks)
		h.err = h.readAhead(ctx, f, size)
	})
	return h
}

func (h *hashing) readAhead(ctx context.Context, f *os.File, size int64) error {
	read := int64(0)
	for {
		var chunk []byte
		select {
		case chunk = <-h.free:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		if chunk == nil {
			chunk = make([]byte, min(chunkBytes, size+1))
		}
		n, err := io.ReadFull(f, chunk[:cap(chunk)])
		if read += int64(n); read > size {
			return changed(f.Name(), "grew")
		}
		h.hash.Write(chunk[:n])
		if n > 0 {
			select {
			case h.chunks <- chunk[:n]:
			case <-ctx.Done():
				return context.Cause(ctx)
			}
		}
		switch {
		case err == io.EOF || err == io.ErrUnexpectedEOF:
			if read < size {
				return changed(f.Name(), "shrank")
			}
			h.whole = true
			return nil
		case err != nil:
			return fileError(err)
		}
	}
}

// Read gives the content of the file.
func (h *hashing) Read(p []byte) (int, error) {
	for len(h.cur) == 0 {
		if h.used != nil {
			h.free <- h.used[:0]
			h.used = nil
		}
		chunk, ok := <-h.chunks
		if !ok {
			if h.err != nil {
				return 0, h.err
			}
			return 0, io.EOF
		}
		h.cur, h.used = chunk, chunk
	}
	n := copy(p, h.cur)
	h.cur = h.cur[n:]
	return n, nil
}

// close ends the goroutine; ended and failure may be asked for afterwards too.
func (h *hashing) close() {
	h.stop()
	h.done.Wait()
}

// ended reports whether the content was read to its end, so that hash is of all of it.
func (h *hashing) ended() bool {
	h.close()
	return h.whole
}

// failure prefers why the file could not be read to what became of the request.
func (h *hashing) failure(err error) error {
	h.close()
	if h.err != nil && weft.KindOf(h.err) != weft.Canceled {
		return h.err
	}
	return err
}
