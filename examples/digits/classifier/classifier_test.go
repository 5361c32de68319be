package classifier

import (
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestLearns trains on drawn bars, which a network that learns anything tells apart.
func TestLearns(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(1, 2))
	draw := func(n int) []Sample {
		out := make([]Sample, n)
		for i := range out {
			out[i].Digit = i % 2
			for k := range 8 {
				at := 8*k + 3 // an upright bar
				if out[i].Digit == 1 {
					at = 8*3 + k // a level one
				}
				out[i].Pixels[at] = 0.5 + rng.Float64()/2
			}
		}
		return out
	}
	m := New(1)
	first := m.Epoch(draw(100), 0.05, rng)
	var last float64
	for range 10 {
		last = m.Epoch(draw(100), 0.05, rng)
	}
	if last > first/4 {
		t.Errorf("loss went from %.3f to %.3f only", first, last)
	}
	if s := m.Test(draw(50)); s.Right != 50 || s.Confusion[0][0] != 25 || s.Confusion[1][1] != 25 {
		t.Errorf("score is %+v", s)
	}
	name := filepath.Join(t.TempDir(), "model.json")
	if err := m.Save(name); err != nil {
		t.Fatal(err)
	}
	again, err := Load(name)
	if err != nil || *again != *m {
		t.Errorf("the model read back differs (%v)", err)
	}
}

func TestReadRefusesWhatIsNoPicture(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		strings.Repeat("0,", 64) + "12\n": "12 is not a digit",
		strings.Repeat("17,", 64) + "1\n": "grey value 17",
		"1,2,3\n":                         "wrong number of fields",
	} {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "a.csv"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := Read(dir); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Read says %v, want %q", err, want)
		}
	}
	if _, err := Read(t.TempDir()); err == nil {
		t.Error("an empty directory was read")
	}
}
