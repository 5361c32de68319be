//go:build e2e

package runc_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/weft-dev/weft/internal/executor"
	"github.com/weft-dev/weft/internal/executor/exectest"
)

// BenchmarkStart measures the time from the call of Start to the first instruction
// of the program, and beside it that of a bare "runc run" of the same container. The
// target: p50 at most 60 ms, p99 at most 250 ms above.
func BenchmarkStart(b *testing.B) {
	w := newWorld(b, exectest.BuildProgram(b))
	ex := w.Open(b)
	bare := newBundle(b, w, ex)
	var ours, theirs, ends []time.Duration
	for b.Loop() {
		theirs = append(theirs, bare.run(b))

		job := script(b, w, "probe", "now")
		begin := time.Now()
		start(b, ex, job)
		await(b, ex, job.Attempt)
		ends = append(ends, time.Since(begin))
		ours = append(ours, since(b, begin, logOf(b, ex, job.Attempt, false)))
		remove(b, ex, job.Attempt)
	}
	for _, p := range []int{50, 99} {
		name := "-p" + strconv.Itoa(p) + "-ms"
		b.ReportMetric(percentile(theirs, p), "runc"+name)
		b.ReportMetric(percentile(ours, p), "weft"+name)
		b.ReportMetric(percentile(ours, p)-percentile(theirs, p), "above"+name)
		b.ReportMetric(percentile(ends, p), "end"+name)
	}
	b.ReportMetric(0, "ns/op")
}

func percentile(ds []time.Duration, p int) float64 {
	sorted := slices.Sorted(slices.Values(ds))
	return float64(sorted[(len(sorted)-1)*p/100].Microseconds()) / 1000
}

// since reads the time that the program printed.
func since(b *testing.B, begin time.Time, printed string) time.Duration {
	b.Helper()
	ns, err := strconv.ParseInt(strings.TrimSpace(printed), 10, 64)
	if err != nil {
		b.Fatal(err)
	}
	return time.Unix(0, ns).Sub(begin)
}

// A bundle is a container as we make them, with a plain directory as its root file
// system, for runc alone.
type bundle struct{ dir string }

func newBundle(b *testing.B, w *world, ex executor.Executor) bundle {
	b.Helper()
	job := script(b, w, "probe", "now")
	start(b, ex, job)
	await(b, ex, job.Attempt)
	spec, err := os.ReadFile(filepath.Join(w.Dir, "runs/attempts", job.Attempt.String(), "config.json"))
	if err != nil {
		b.Fatal(err)
	}
	remove(b, ex, job.Attempt)
	spec = bytes.ReplaceAll(spec, []byte(job.Attempt.String()), []byte("bare"))
	out := filepath.Join(w.Dir, "work", "bare", job.Outputs[0].Data.String())
	dir := filepath.Join(w.Dir, "bare")
	rootfs := filepath.Join(dir, "rootfs")
	for _, d := range []string{out, rootfs} {
		if err := os.MkdirAll(d, 0o755); err != nil {
			b.Fatal(err)
		}
	}
	if err := os.Link(w.program, filepath.Join(rootfs, exectest.Program)); err != nil {
		b.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "config.json"), spec, 0o600); err != nil {
		b.Fatal(err)
	}
	return bundle{dir}
}

func (bu bundle) run(b *testing.B) time.Duration {
	b.Helper()
	begin := time.Now()
	cmd := exec.Command("runc", "--root", filepath.Join(bu.dir, "state"), "run", "bare")
	cmd.Dir = bu.dir
	out, err := cmd.CombinedOutput()
	if err != nil {
		b.Fatalf("runc run: %v: %s", err, out)
	}
	return since(b, begin, string(out))
}
