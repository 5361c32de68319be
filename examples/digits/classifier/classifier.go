// Package classifier is a small neural network for 8×8 pictures of digits: 64 grey
// values in, one hidden layer of rectified units, ten classes out (softmax). It is
// trained by stochastic gradient descent on the cross entropy.
package classifier

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
)

// Sizes of the network and of its input.
const (
	pixels  = 64
	hidden  = 48
	classes = 10
	maxGrey = 16
)

// A Sample is one picture and the digit it shows.
type Sample struct {
	Pixels [pixels]float64 // 0 to 1
	Digit  int
}

// Read reads every .csv file below dir: 64 grey values (0 to 16) and the digit a line.
func Read(dir string) ([]Sample, error) {
	files, err := filepath.Glob(filepath.Join(dir, "*.csv"))
	if err != nil {
		return nil, err
	}
	if len(files) == 0 {
		return nil, fmt.Errorf("%s holds no .csv file", dir)
	}
	var all []Sample
	for _, name := range files {
		samples, err := readFile(name)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		all = append(all, samples...)
	}
	return all, nil
}

func readFile(name string) ([]Sample, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	r := csv.NewReader(f)
	r.FieldsPerRecord = pixels + 1
	var samples []Sample
	for {
		fields, err := r.Read()
		if err == io.EOF {
			return samples, nil
		}
		if err != nil {
			return nil, err
		}
		s, err := parse(fields)
		if err != nil {
			line, _ := r.FieldPos(0)
			return nil, fmt.Errorf("line %d: %w", line, err)
		}
		samples = append(samples, s)
	}
}

func parse(fields []string) (Sample, error) {
	var s Sample
	for i, text := range fields {
		v, err := strconv.Atoi(text)
		switch {
		case err != nil:
			return s, err
		case i < pixels && (v < 0 || v > maxGrey):
			return s, fmt.Errorf("grey value %d is not in 0..%d", v, maxGrey)
		case i == pixels && (v < 0 || v >= classes):
			return s, fmt.Errorf("%d is not a digit", v)
		case i < pixels:
			s.Pixels[i] = float64(v) / maxGrey
		default:
			s.Digit = v
		}
	}
	return s, nil
}

// A Model is a trained network.
type Model struct {
	Hidden [hidden][pixels + 1]float64  // weights and, last, the bias of each hidden unit
	Output [classes][hidden + 1]float64 // the same of each class
}

// New returns a network with small random weights. The same seed gives the same.
func New(seed uint64) *Model {
	rng := rand.New(rand.NewPCG(seed, seed))
	m := &Model{}
	for i := range m.Hidden {
		for j := range pixels {
			m.Hidden[i][j] = rng.NormFloat64() * math.Sqrt(2.0/pixels)
		}
	}
	for i := range m.Output {
		for j := range hidden {
			m.Output[i][j] = rng.NormFloat64() * math.Sqrt(2.0/hidden)
		}
	}
	return m
}

// forward fills in what the hidden units say and returns the chance of each class.
func (m *Model) forward(x *[pixels]float64, h *[hidden]float64) [classes]float64 {
	for i := range h {
		w := &m.Hidden[i]
		sum := w[pixels]
		for j, v := range x {
			sum += w[j] * v
		}
		h[i] = max(sum, 0)
	}
	var p [classes]float64
	most := math.Inf(-1)
	for i := range p {
		w := &m.Output[i]
		sum := w[hidden]
		for j, v := range h {
			sum += w[j] * v
		}
		p[i] = sum
		most = max(most, sum)
	}
	var total float64
	for i := range p {
		p[i] = math.Exp(p[i] - most)
		total += p[i]
	}
	for i := range p {
		p[i] /= total
	}
	return p
}

// Epoch shows the network every sample once, in random order, and returns the mean
// cross entropy before each step.
func (m *Model) Epoch(samples []Sample, rate float64, rng *rand.Rand) float64 {
	var loss float64
	for _, n := range rng.Perm(len(samples)) {
		s := &samples[n]
		var h, back [hidden]float64
		p := m.forward(&s.Pixels, &h)
		loss -= math.Log(max(p[s.Digit], 1e-12))
		for i := range p {
			d := p[i]
			if i == s.Digit {
				d--
			}
			w := &m.Output[i]
			for j := range h {
				back[j] += d * w[j]
				w[j] -= rate * d * h[j]
			}
			w[hidden] -= rate * d
		}
		for i := range h {
			if h[i] == 0 {
				continue
			}
			w, d := &m.Hidden[i], rate*back[i]
			for j, v := range s.Pixels {
				w[j] -= d * v
			}
			w[pixels] -= d
		}
	}
	return loss / float64(len(samples))
}

// Predict returns the likeliest digit.
func (m *Model) Predict(x *[pixels]float64) int {
	var h [hidden]float64
	p := m.forward(x, &h)
	best := 0
	for i := range p {
		if p[i] > p[best] {
			best = i
		}
	}
	return best
}

// A Score says how well a network does on samples it has not seen.
type Score struct {
	Accuracy  float64               `json:"accuracy"` // share of right answers, 0 to 1
	Right     int                   `json:"right"`
	Samples   int                   `json:"samples"`
	Confusion [classes][classes]int `json:"confusion"` // by true digit, then by answer
}

// Test lets the network guess every sample.
func (m *Model) Test(samples []Sample) Score {
	s := Score{Samples: len(samples)}
	for i := range samples {
		got := m.Predict(&samples[i].Pixels)
		s.Confusion[samples[i].Digit][got]++
		if got == samples[i].Digit {
			s.Right++
		}
	}
	if s.Samples > 0 {
		s.Accuracy = float64(s.Right) / float64(s.Samples)
	}
	return s
}

// Save writes the network to a file.
func (m *Model) Save(name string) error {
	b, err := json.Marshal(m)
	if err != nil {
		return err
	}
	return os.WriteFile(name, b, 0o644)
}

// Load reads what Save wrote.
func Load(name string) (*Model, error) {
	b, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	m := &Model{}
	if err := json.Unmarshal(b, m); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return m, nil
}
