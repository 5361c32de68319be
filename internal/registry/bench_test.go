package registry_test

import (
	"crypto/sha256"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"testing"

	"github.com/weft-dev/weft"
)

// gigabyte is bytes that no compression makes less of; reads give them again.
type gigabyte struct {
	block []byte
	left  int
}

const benchSize = 1 << 30

func newGigabyte() *gigabyte {
	block := make([]byte, 1<<20)
	var seed [32]byte
	_, _ = rand.NewChaCha8(seed).Read(block) // it never fails
	return &gigabyte{block, benchSize}
}

func (g *gigabyte) Read(p []byte) (int, error) {
	if g.left == 0 {
		return 0, io.EOF
	}
	at := (benchSize - g.left) % len(g.block)
	n := copy(p, g.block[at:min(len(g.block), at+g.left)])
	if n > 8 && at == 0 { // no two megabytes alike
		for i := range 8 {
			p[i] = byte(g.left >> (8 * i))
		}
	}
	g.left -= n
	return n, nil
}

func benchDigest(b *testing.B) weft.Digest {
	b.Helper()
	h := sha256.New()
	if _, err := io.CopyBuffer(h, newGigabyte(), make([]byte, 1<<20)); err != nil {
		b.Fatal(err)
	}
	return weft.Digest(h.Sum(nil))
}

// send makes a request with a long body, or reads a long answer.
func (s *system) send(b *testing.B, method, url string, body io.Reader) *http.Response {
	b.Helper()
	r, err := http.NewRequest(method, url, body)
	if err != nil {
		b.Fatal(err)
	}
	r.SetBasicAuth("ann", "secret")
	resp, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		b.Fatal(err)
	}
	n, err := io.CopyBuffer(io.Discard, resp.Body, make([]byte, 1<<20))
	if err != nil || resp.StatusCode >= 300 {
		b.Fatalf("%s: %d %v after %d bytes", method, resp.StatusCode, err, n)
	}
	resp.Body.Close()
	return resp
}

// BenchmarkPushLayer pushes a layer of 1 GiB as docker does: POST, PATCH, PUT.
func BenchmarkPushLayer(b *testing.B) {
	d := benchDigest(b)
	b.SetBytes(benchSize)
	for b.Loop() {
		b.StopTimer()
		s := setup(b)
		b.StartTimer()
		at := s.send(b, "POST", s.server.URL+"/v2/r/blobs/uploads/", nil).Header.Get("Location")
		at = s.send(b, "PATCH", s.server.URL+at, newGigabyte()).Header.Get("Location")
		s.send(b, "PUT", s.server.URL+at+"?digest="+d.String(), nil)
	}
}

// BenchmarkPullLayer pulls it.
func BenchmarkPullLayer(b *testing.B) {
	d := benchDigest(b)
	s := setup(b)
	s.send(b, "POST", s.server.URL+"/v2/r/blobs/uploads/?digest="+d.String(), newGigabyte())
	b.SetBytes(benchSize)
	for b.Loop() {
		s.send(b, "GET", s.server.URL+"/v2/r/blobs/"+d.String(), nil)
	}
}

// BenchmarkUnpackLayer unpacks 20,000 files, 200 MB in all.
func BenchmarkUnpackLayer(b *testing.B) {
	const files, size = 20_000, 10_000
	var text strings.Builder
	line := strings.Repeat("All that is gold does not glitter. ", size/35+1)[:size]
	for i := range files {
		fmt.Fprintf(&text, "f 0644 d%d/f%d %s\n", i%100, i, line)
	}
	img := imageOf(b, text.String())
	b.SetBytes(files * size)
	for b.Loop() {
		b.StopTimer()
		u := setupLayers(b)
		d := u.push(img)
		b.StartTimer()
		if _, err := u.Unpack(b.Context(), d); err != nil {
			b.Fatal(err)
		}
	}
}
