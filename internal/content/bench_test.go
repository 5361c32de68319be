package content

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/md5"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/weft-dev/weft"
)

const (
	smallFiles = 20_000
	smallSize  = 4096
	largeSize  = 1 << 30
)

// noise is content that does not compress; text does.
func noise(seed uint64, n int) []byte {
	b := make([]byte, n+8)
	r := rand.New(rand.NewPCG(seed, 0))
	for i := 0; i < n; i += 8 {
		binary.LittleEndian.PutUint64(b[i:], r.Uint64())
	}
	return b[:n]
}

func text(seed uint64, n int) []byte {
	var b bytes.Buffer
	for r := rand.New(rand.NewPCG(seed, 0)); b.Len() < n; {
		fmt.Fprintf(&b, "%d,%.4f,%.4f,label-%d\n", r.IntN(1_000_000), r.Float64(), r.NormFloat64(), r.IntN(10))
	}
	return b.Bytes()[:n]
}

// frames gives n distinct small files in the form of api.FrameReader.Next.
func frames(seed uint64, n int) func() ([32]byte, int64, io.Reader, error) {
	data := noise(seed, smallSize)
	i := 0
	return func() ([32]byte, int64, io.Reader, error) {
		if i == n {
			return [32]byte{}, 0, nil, io.EOF
		}
		i++
		binary.LittleEndian.PutUint64(data, uint64(i))
		return sha256.Sum256(data), smallSize, bytes.NewReader(data), nil
	}
}

func BenchmarkPutSmallFiles(b *testing.B) {
	d, _ := setup(b)
	for i := 0; b.Loop(); i++ {
		if _, err := d.PutBatch(b.Context(), "p", later(), frames(uint64(i), smallFiles)); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(smallFiles*b.N)/b.Elapsed().Seconds(), "files/s")
}

func BenchmarkPutOneSmallFile(b *testing.B) {
	d, _ := setup(b)
	for i := 0; b.Loop(); i++ {
		put(b, d, "p", fmt.Sprint("content ", i))
	}
}

// pattern gives n bytes made of one block of noise with a counter in it.
type pattern struct {
	block []byte
	left  int64
	at    int
	count uint64
}

func newPattern(n int64, block []byte) *pattern { return &pattern{block: block, left: n} }

func (p *pattern) Read(b []byte) (int, error) {
	if p.left == 0 {
		return 0, io.EOF
	}
	if p.at == 0 {
		p.count++
		binary.LittleEndian.PutUint64(p.block, p.count)
	}
	n := copy(b[:min(int64(len(b)), p.left)], p.block[p.at:])
	p.at = (p.at + n) % len(p.block)
	p.left -= int64(n)
	return n, nil
}

func BenchmarkPutLargeFile(b *testing.B) {
	d, _ := setup(b)
	src := largeFile(b)
	b.SetBytes(largeSize)
	for i := 0; b.Loop(); i++ {
		f, err := os.Open(src)
		if err != nil {
			b.Fatal(err)
		}
		blob, err := d.Put(b.Context(), "p", later(), weft.Digest{}, largeSize, f)
		if err != nil {
			b.Fatal(err)
		}
		f.Close()
		b.StopTimer()
		if err := d.unlink(blob.Digest); err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
	}
}

// BenchmarkCopyLargeFile is what BenchmarkPutLargeFile is measured against.
func BenchmarkCopyLargeFile(b *testing.B) {
	src := largeFile(b)
	to := filepath.Join(b.TempDir(), "to")
	b.SetBytes(largeSize)
	for b.Loop() {
		if out, err := exec.Command("sh", "-c", "cp "+src+" "+to+" && sync "+to).CombinedOutput(); err != nil {
			b.Fatal(err, string(out))
		}
		b.StopTimer()
		os.Remove(to)
		b.StartTimer()
	}
}

func largeFile(b *testing.B) string {
	name := filepath.Join(b.TempDir(), "large")
	f, err := os.Create(name)
	if err != nil {
		b.Fatal(err)
	}
	if _, err := io.Copy(f, newPattern(largeSize, noise(1, 1<<20))); err != nil {
		b.Fatal(err)
	}
	if err := f.Sync(); err != nil {
		b.Fatal(err)
	}
	f.Close()
	return name
}

func BenchmarkSealSmallFiles(b *testing.B) {
	d, _ := setup(b)
	for i := 0; b.Loop(); i++ {
		b.StopTimer()
		a := weft.Attempt{Run: weft.NewID[weft.Run](), Number: 1}
		data := weft.NewID[weft.Data]()
		if err := d.MakeWork(a, data, 1000, 1000, 0o755); err != nil {
			b.Fatal(err)
		}
		block := noise(uint64(i), smallSize)
		for k := range smallFiles {
			dir := filepath.Join(d.WorkDir(a, data), fmt.Sprint(k/1000))
			if k%1000 == 0 {
				os.Mkdir(dir, 0o755)
			}
			binary.LittleEndian.PutUint64(block, uint64(k))
			if err := os.WriteFile(filepath.Join(dir, fmt.Sprint(k)), block, 0o644); err != nil {
				b.Fatal(err)
			}
		}
		b.StartTimer()
		if _, _, err := d.Seal(b.Context(), "p", later(), d.WorkDir(a, data)); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(smallFiles*b.N)/b.Elapsed().Seconds(), "files/s")
}

func BenchmarkMountSmallFiles(b *testing.B) {
	d, _ := setup(b)
	blobs, err := d.PutBatch(b.Context(), "p", later(), frames(0, smallFiles))
	if err != nil {
		b.Fatal(err)
	}
	var m weft.Manifest
	for i, blob := range blobs {
		m.Entries = append(m.Entries, weft.Entry{Path: fmt.Sprintf("%02d/%d", i/1000, i), Kind: weft.File, Mode: 0o644, Size: blob.Size, Digest: blob.Digest})
	}
	tree, err := d.PutManifest(b.Context(), "p", later(), WithParents(m))
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if _, err := d.Tree(b.Context(), tree.Digest); err != nil {
			b.Fatal(err)
		}
		b.StopTimer()
		if err := d.removeMounted(tree.Digest); err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
	}
	b.ReportMetric(float64(smallFiles*b.N)/b.Elapsed().Seconds(), "files/s")
}

// BenchmarkPull is what the server does for knit, and what knit does with it: both
// share the processors, as on one machine.
func BenchmarkPull(b *testing.B) {
	for name, block := range map[string][]byte{"noise": noise(1, 1<<20), "text": text(1, 1<<20), "zeros": make([]byte, 1<<20)} {
		b.Run(name, func(b *testing.B) {
			const size = 256 << 20
			m := weft.Manifest{Entries: []weft.Entry{{Path: "f", Kind: weft.File, Mode: 0o644, Size: size, Digest: weft.Digest{1}}}}
			b.SetBytes(size)
			for b.Loop() {
				r, w := io.Pipe()
				go func() {
					sum := md5.New()
					w.CloseWithError(WriteTarGz(context.Background(), io.MultiWriter(w, sum), m, func(weft.Digest) (io.ReadCloser, error) {
						return io.NopCloser(newPattern(size, block)), nil
					}))
				}()
				sum := md5.New()
				n := unpackAsKnit(b, io.TeeReader(r, sum))
				if n != size {
					b.Fatal(n)
				}
			}
		})
	}
}

func unpackAsKnit(b *testing.B, r io.Reader) int64 {
	z, err := gzip.NewReader(r)
	if err != nil {
		b.Fatal(err)
	}
	t := tar.NewReader(z)
	if _, err := t.Next(); err != nil {
		b.Fatal(err)
	}
	n, err := io.Copy(io.Discard, t)
	if err != nil {
		b.Fatal(err)
	}
	if _, err := t.Next(); err != io.EOF {
		b.Fatal(err)
	}
	return n
}

func BenchmarkUnpackUpload(b *testing.B) {
	for name, level := range map[string]int{"stored": gzip.NoCompression, "default": gzip.DefaultCompression} {
		b.Run(name, func(b *testing.B) {
			d, _ := setup(b)
			const size = 64 << 20
			var archive bytes.Buffer
			z, _ := gzip.NewWriterLevel(&archive, level)
			t := tar.NewWriter(z)
			t.WriteHeader(&tar.Header{Name: "f", Mode: 0o644, Size: size, Typeflag: tar.TypeReg})
			io.Copy(t, newPattern(size, text(1, 1<<20)))
			t.Close()
			z.Close()
			b.SetBytes(size)
			for b.Loop() {
				if _, err := ReadTarGz(b.Context(), d, "p", later(), bytes.NewReader(archive.Bytes())); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
