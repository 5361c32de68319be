// Command bench measures every figure that Weft promises, with the built program and
// real containers, prints each beside its target, and writes bench.json. Machines are
// noisy: where a peer is at hand, it is measured in turn with Weft in the same run, and
// what is quoted is the median.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"syscall"
	"text/tabwriter"
	"time"
)

// A Figure is one line of the table.
type Figure struct {
	Name   string  `json:"name"`
	Value  float64 `json:"value"`
	Unit   string  `json:"unit"`
	Target float64 `json:"target"`
	Better string  `json:"better"` // "higher" or "lower"
	OK     bool    `json:"ok"`
}

// atLeast and atMost make a Figure with its verdict.
func atLeast(name string, value float64, unit string, target float64) Figure {
	return Figure{name, value, unit, target, "higher", value >= target}
}

func atMost(name string, value float64, unit string, target float64) Figure {
	return Figure{name, value, unit, target, "lower", value <= target}
}

// A group measures some figures that belong together.
type group struct {
	name string
	run  func(context.Context, *lab) ([]Figure, error)
}

var groups = []group{
	{"store", measureStore},
	{"engine", measureEngine},
	{"jobs", measureJobs},
	{"hooks", measureHooks},
	{"push", measurePush},
	{"small-files", measureSmallFiles},
	{"large-file", measureLargeFile},
	{"registry", measureRegistry},
	{"start", measureStart},
	{"sign-in", measureSignIn},
	{"rights", measureRights},
	{"scale", measureScale},
}

func main() {
	weft := flag.String("weft", "bin/weft", "the `program` to measure")
	out := flag.String("o", "bench.json", "write the figures to this `file`")
	only := flag.String("only", "", "measure only groups whose name matches this `regexp`")
	size := flag.Int64("large", 10<<30, "`bytes` of the large file")
	keep := flag.String("dir", "", "work in this `directory` (and keep it)")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	ok, err := bench(ctx, *weft, *out, *only, *keep, *size)
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
	if !ok {
		os.Exit(3)
	}
}

func bench(ctx context.Context, program, out, only, dir string, large int64) (ok bool, err error) {
	which, err := regexp.Compile(only)
	if err != nil {
		return false, err
	}
	program, err = filepath.Abs(program)
	if err != nil {
		return false, err
	}
	if dir == "" {
		if dir, err = os.MkdirTemp("", "weft-bench-"); err != nil {
			return false, err
		}
		defer os.RemoveAll(dir)
	}
	l := &lab{program: program, dir: dir, large: large}
	var figures []Figure
	var failed []error
	for _, g := range groups {
		if !which.MatchString(g.name) {
			continue
		}
		from := time.Now()
		fmt.Printf("measuring %s …\n", g.name)
		found, err := g.run(ctx, l)
		if err != nil { // the others count all the same
			failed = append(failed, fmt.Errorf("%s: %w", g.name, err))
		}
		fmt.Printf("measured %s in %.0f s\n", g.name, time.Since(from).Seconds())
		figures = append(figures, found...)
		if err := write(out, figures); err != nil {
			return false, err
		}
	}
	return table(figures), errors.Join(failed...)
}

func write(name string, figures []Figure) error {
	b, err := json.MarshalIndent(figures, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(name, append(b, '\n'), 0o644)
}

func table(figures []Figure) bool {
	ok := true
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "\nFIGURE\tVALUE\tTARGET\tUNIT\t")
	for _, f := range figures {
		verdict, sign := "ok", "≤"
		if f.Better == "higher" {
			sign = "≥"
		}
		if !f.OK {
			verdict, ok = "MISSED", false
		}
		fmt.Fprintf(w, "%s\t%.4g\t%s %.4g\t%s\t%s\n", f.Name, f.Value, sign, f.Target, f.Unit, verdict)
	}
	w.Flush()
	return ok
}
