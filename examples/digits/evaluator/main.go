// Command evaluator tests a model: it reads the one in /in/model, lets it guess the
// pictures in /in/test, and leaves its score in /out/report. It knows nothing of Weft.
package main

import (
	"encoding/json"
	"fmt"
	"os"

	"github.com/weft-dev/weft/examples/digits/classifier"
)

func main() {
	if err := evaluate("/in/model/model.json", "/in/test", "/out/report/report.json"); err != nil {
		fmt.Fprintln(os.Stderr, "evaluator:", err)
		os.Exit(1)
	}
}

func evaluate(model, in, out string) error {
	m, err := classifier.Load(model)
	if err != nil {
		return err
	}
	samples, err := classifier.Read(in)
	if err != nil {
		return err
	}
	score := m.Test(samples)
	fmt.Printf("accuracy: %.2f %% (%d of %d pictures)\n", 100*score.Accuracy, score.Right, score.Samples)
	b, err := json.MarshalIndent(score, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(out, append(b, '\n'), 0o644)
}
