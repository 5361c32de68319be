package content

import (
	"bytes"
	"compress/gzip"
	"io"
	"testing"
	"time"
)

func TestZipIsWhatGzipReads(t *testing.T) {
	t.Parallel()
	for _, size := range []int{0, 1, storedBlock, zipBlock - 1, zipBlock, zipBlock + 1, (3*trialBlocks + 1) * zipBlock} {
		data := bytes.Repeat(append(text(1, 50_000), noise(2, 50_000)...), size/100_000+1)[:size]
		var packed bytes.Buffer
		z := newZipWriter(&packed)
		for rest := data; len(rest) > 0; {
			n := min(len(rest), 333_333)
			if _, err := z.Write(rest[:n]); err != nil {
				t.Fatal(err)
			}
			rest = rest[n:]
		}
		if err := z.Close(); err != nil {
			t.Fatal(err)
		}
		r, err := gzip.NewReader(&packed)
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(r)
		if err != nil || !bytes.Equal(got, data) {
			t.Errorf("%d bytes came back as %d: %v", size, len(got), err)
		}
	}
}

func TestZipPacksWhatIsSmall(t *testing.T) {
	t.Parallel()
	var packed bytes.Buffer
	z := newZipWriter(&packed)
	if _, err := z.Write(text(1, zipBlock)); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil || packed.Len() > zipBlock/2 {
		t.Errorf("%d bytes: %v", packed.Len(), err)
	}
}

// TestPaceFindsWhatIsQuicker sends blocks over lines on which a block takes these times.
func TestPaceFindsWhatIsQuicker(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ packed, stored time.Duration }{
		"a slow line": {packed: 30 * time.Millisecond, stored: 100 * time.Millisecond},
		"a fast line": {packed: 7 * time.Millisecond, stored: 4 * time.Millisecond},
	} {
		p := pace{packing: true}
		const blocks = 20_000
		var took time.Duration
		before := [4]bool{true, true, true, true} // blocks already in work
		for i := range blocks {
			packed := before[i%4]
			before[i%4] = p.packing
			d := c.stored
			if packed {
				d = c.packed
			}
			took += d
			p.wrote(zipBlock, packed, d)
		}
		if best := blocks * min(c.packed, c.stored); took > best+best/20 {
			t.Errorf("%s: took %v, where %v was to be had", name, took, best)
		}
	}
}
