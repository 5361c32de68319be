package content

import (
	"encoding/binary"
	"hash/crc32"
	"io"
	"runtime"
	"sync"
	"time"

	"github.com/klauspost/compress/flate"
)

const (
	zipBlock     = 1 << 20
	storedBlock  = 1<<16 - 1 // the most that deflate stores in one piece
	zippedAhead  = 2         // blocks in work for each processor
	trialBlocks  = 16        // more than what buffers on the way to a reader hold
	trialsBefore = 256       // before the other way is tried again
)

// A zipWriter is a gzip writer for a reader whose speed is not known. Compressing pays
// where the line is slow; where it is fast, reader and writer are quicker without. So
// it tries both, block by block, and goes on with what takes more content a second.
// Blocks are compressed in parallel.
type zipWriter struct {
	w     io.Writer
	crc   uint32
	size  uint32
	block []byte         // being filled
	queue chan *zippable // in order
	packs chan *flate.Writer
	done  chan struct{}

	mu   sync.Mutex
	pace pace
	err  error // of w
}

// A zippable block is content and, once ready is closed, what the stream is to hold.
type zippable struct {
	data, out []byte
	pack      bool
	ready     chan struct{}
}

const gzipHeader = "\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff" // deflate, no name, no time, unknown system

func newZipWriter(w io.Writer) *zipWriter {
	procs := runtime.GOMAXPROCS(0)
	z := &zipWriter{
		w: w, block: make([]byte, 0, zipBlock), queue: make(chan *zippable, zippedAhead*procs),
		packs: make(chan *flate.Writer, zippedAhead*procs), done: make(chan struct{}), pace: pace{packing: true},
	}
	go z.run()
	return z
}

// Write takes content. Its error is that of an earlier block.
func (z *zipWriter) Write(p []byte) (n int, err error) {
	for n < len(p) {
		k := min(len(p)-n, zipBlock-len(z.block))
		z.block = append(z.block, p[n:n+k]...)
		n += k
		if len(z.block) == zipBlock {
			if err := z.submit(); err != nil {
				return n, err
			}
		}
	}
	return n, nil
}

func (z *zipWriter) submit() error {
	z.crc = crc32.Update(z.crc, crc32.IEEETable, z.block)
	z.size += uint32(len(z.block))
	z.mu.Lock()
	b, err := &zippable{data: z.block, pack: z.pace.packing, ready: make(chan struct{})}, z.err
	z.mu.Unlock()
	if err != nil {
		return err
	}
	z.block = make([]byte, 0, zipBlock)
	z.queue <- b // waits while enough is in work
	go z.encode(b)
	return nil
}

// Close writes the end of the stream, unless it was stopped. It does not close the
// writer below.
func (z *zipWriter) Close() error {
	err := z.submit()
	close(z.queue)
	<-z.done
	if err == nil {
		err = z.err
	}
	if err != nil {
		return err
	}
	end := []byte{1, 0, 0, 0xff, 0xff} // a last, empty, stored block
	end = binary.LittleEndian.AppendUint32(end, z.crc)
	end = binary.LittleEndian.AppendUint32(end, z.size)
	_, err = z.w.Write(end)
	return err
}

// stop makes every later call return err. The stream stays without an end.
func (z *zipWriter) stop(err error) {
	z.mu.Lock()
	defer z.mu.Unlock()
	if z.err == nil {
		z.err = err
	}
}

// run writes the blocks in their order.
func (z *zipWriter) run() {
	defer close(z.done)
	_, err := io.WriteString(z.w, gzipHeader)
	began := time.Now()
	for b := range z.queue {
		<-b.ready
		z.mu.Lock()
		if err != nil && z.err == nil {
			z.err = err
		}
		stopped := z.err != nil
		z.mu.Unlock()
		if stopped {
			continue // the rest is only taken from whoever waits to hand it over
		}
		_, err = z.w.Write(b.out)
		now := time.Now()
		z.mu.Lock()
		z.pace.wrote(len(b.data), b.pack, now.Sub(began))
		z.mu.Unlock()
		began = now
	}
	z.mu.Lock()
	defer z.mu.Unlock()
	if z.err == nil {
		z.err = err
	}
}

func (z *zipWriter) encode(b *zippable) {
	defer close(b.ready)
	if b.pack {
		b.out = z.packed(b.data)
		return
	}
	b.out = stored(b.data)
}

func (z *zipWriter) packed(data []byte) []byte {
	out := &appender{make([]byte, 0, len(data)/2)}
	var f *flate.Writer
	select {
	case f = <-z.packs:
		f.Reset(out)
	default:
		f, _ = flate.NewWriter(out, flate.BestSpeed) // fails for unknown levels only
	}
	f.Write(data) // an appender takes everything
	f.Flush()
	select {
	case z.packs <- f:
	default:
	}
	return out.b
}

type appender struct{ b []byte }

func (a *appender) Write(p []byte) (int, error) {
	a.b = append(a.b, p...)
	return len(p), nil
}

// stored is content as deflate has it when it is not compressed.
func stored(data []byte) []byte {
	out := make([]byte, 0, len(data)+5*(len(data)/storedBlock+1))
	for len(data) > 0 {
		n := min(len(data), storedBlock)
		out = append(out, 0, byte(n), byte(n>>8), ^byte(n), ^byte(n>>8))
		out = append(out, data[:n]...)
		data = data[n:]
	}
	return out
}

// A pace finds out whether packing takes more content a second than storing.
type pace struct {
	packing bool // what to do with the next block

	blocks int // of the present trial
	bytes  int
	took   time.Duration
	trials int // since the other way was tried
	rate   [2]float64
}

// wrote records a block, which may have been handed in before the present trial.
func (p *pace) wrote(bytes int, packed bool, took time.Duration) {
	if packed != p.packing {
		return
	}
	p.blocks++
	p.bytes += bytes
	p.took += took
	if p.blocks < trialBlocks {
		return
	}
	mine, other := way(packed), way(!packed)
	p.rate[mine] = float64(p.bytes) / max(p.took.Seconds(), 1e-9)
	p.blocks, p.bytes, p.took = 0, 0, 0
	if p.trials++; p.rate[other] > p.rate[mine] || p.rate[other] == 0 || p.trials > trialsBefore {
		p.packing, p.trials = !p.packing, 0
	}
}

func way(packed bool) int {
	if packed {
		return 1
	}
	return 0
}
