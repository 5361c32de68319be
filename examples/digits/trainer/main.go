// Command trainer learns handwritten digits: it reads the pictures in /in/training
// and leaves a model in /out/model. It knows nothing of Weft.
package main

import (
	"fmt"
	"math/rand/v2"
	"os"

	"github.com/weft-dev/weft/examples/digits/classifier"
)

const (
	epochs = 40
	rate   = 0.02
	seed   = 7
)

func main() {
	if err := train("/in/training", "/out/model/model.json"); err != nil {
		fmt.Fprintln(os.Stderr, "trainer:", err)
		os.Exit(1)
	}
}

func train(in, out string) error {
	samples, err := classifier.Read(in)
	if err != nil {
		return err
	}
	fmt.Printf("training on %d pictures\n", len(samples))
	m := classifier.New(seed)
	rng := rand.New(rand.NewPCG(seed, seed))
	for n := 1; n <= epochs; n++ {
		loss := m.Epoch(samples, rate, rng)
		if n%10 == 0 {
			fmt.Printf("epoch %d: loss %.4f\n", n, loss)
		}
	}
	return m.Save(out)
}
