package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
)

// goBench runs benchmarks of a package, each once unless the further arguments say
// otherwise, and returns what they report, by name (without "Benchmark") and unit.
func goBench(ctx context.Context, pkg, pattern string, more ...string) (map[string]map[string]float64, error) {
	args := []string{"test", "-run", "^$", "-bench", pattern, "-benchtime", "1x", "-timeout", "30m", pkg, "-args"}
	cmd := exec.CommandContext(ctx, "go", append(args, more...)...)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("benchmarks of %s: %w: %s%s", pkg, err, out, stderr.String())
	}
	found := map[string]map[string]float64{}
	lines := bufio.NewScanner(bytes.NewReader(out))
	for lines.Scan() {
		fields := strings.Fields(lines.Text())
		if len(fields) < 4 || !strings.HasPrefix(fields[0], "Benchmark") {
			continue
		}
		name := strings.TrimPrefix(fields[0], "Benchmark")
		if i := strings.LastIndex(name, "-"); i > 0 { // the number of processors
			name = name[:i]
		}
		units := map[string]float64{}
		for i := 2; i+1 < len(fields); i += 2 {
			v, err := strconv.ParseFloat(fields[i], 64)
			if err != nil {
				return nil, fmt.Errorf("benchmarks of %s: %q: %w", pkg, lines.Text(), err)
			}
			units[fields[i+1]] = v
		}
		found[name] = units
	}
	return found, lines.Err()
}

// pick finds what a benchmark reported in a unit.
func pick(found map[string]map[string]float64, name, unit string) (float64, error) {
	v, ok := found[name][unit]
	if !ok {
		return 0, fmt.Errorf("benchmark %s did not report %s", name, unit)
	}
	return v, nil
}
