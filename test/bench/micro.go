package main

import (
	"context"
	"maps"
	"slices"
	"strings"
)

// measureStore measures what the relational store promises, on both databases, by
// the store's own benchmarks: with 1,000,000 Runs in it, and with 1,000 for the growth.
func measureStore(ctx context.Context, _ *lab) ([]Figure, error) {
	many, err := goBench(ctx, "./internal/store", "^BenchmarkStore$")
	if err != nil {
		return nil, err
	}
	few, err := goBench(ctx, "./internal/store", "^BenchmarkStore$/./^project$", "-stored=1000")
	if err != nil {
		return nil, err
	}
	index, err := goBench(ctx, "./internal/store", "^BenchmarkLineage100k$|^BenchmarkTwoTags$")
	if err != nil {
		return nil, err
	}
	var figures []Figure
	for _, db := range databases(many) {
		p, p2 := picker{found: many}, picker{found: few}
		project := p.get("Store/"+db+"/project", "runs/s")
		figures = append(figures,
			atLeast(db+": runs made by projection, product of 10,000", project, "runs/s", 4000),
			atMost(db+": the same, cost with 1,000,000 runs stored over that with 1,000", p2.get("Store/"+db+"/project", "runs/s")/project, "×", 1.2),
			atMost(db+": tag added to run made, 10,000 plans, 1,000,000 data, p99", p.get("Store/"+db+"/register", "tag-to-run-p99-ms"), "ms", 50),
			atMost(db+": register a plan that matches 1,000,000 data, p99", p.get("Store/"+db+"/register", "register-p99-ms"), "ms", 10),
			atMost(db+": 50 of 1,000,000 runs, slowest filter, p99", slowest(many["Store/"+db+"/list"]), "ms", 20),
			atMost(db+": unpaged list of 1,000,000 runs, first", p.get("Store/"+db+"/stream", "runs-first-ms"), "ms", 20),
		)
		q := picker{found: index}
		figures = append(figures,
			atMost(db+": first 50 by two tags, 5 in common", q.get("TwoTags/"+db+"/few", "ns/op")/1e6, "ms", 5),
			atMost(db+": first 50 by two tags, 1,000 in common", q.get("TwoTags/"+db+"/many", "ns/op")/1e6, "ms", 5),
			atMost(db+": lineage of 100,000 nodes, traversal", q.get("Lineage100k/"+db, "walk-ms"), "ms", 50),
			atMost(db+": lineage of 100,000 nodes, rows read", q.get("Lineage100k/"+db, "answer-ms"), "ms", 300),
		)
		if err := firstError(p.err, p2.err, q.err); err != nil {
			return nil, err
		}
	}
	return figures, nil
}

// measureEngine measures whole lives of Runs with an executor that does nothing.
func measureEngine(ctx context.Context, _ *lab) ([]Figure, error) {
	found, err := goBench(ctx, "./internal/engine", "^BenchmarkLives$", "-test.benchtime=20000x", "-stored=1000000")
	if err != nil {
		return nil, err
	}
	var figures []Figure
	for _, db := range []string{"sqlite", "postgres"} {
		rate, err := pick(found, "Lives/"+db, "runs/s")
		if err != nil {
			return nil, err
		}
		figures = append(figures, atLeast(db+": life cycles, every transition durable, 1,000,000 runs stored", rate, "1/s", 2000))
	}
	return figures, nil
}

// databases lists those that the benchmark ran on.
func databases(found map[string]map[string]float64) []string {
	seen := map[string]bool{}
	for name := range found {
		if parts := strings.Split(name, "/"); len(parts) > 1 {
			seen[parts[1]] = true
		}
	}
	return slices.Sorted(maps.Keys(seen))
}

// slowest is the largest of the 99th percentiles of lists.
func slowest(units map[string]float64) float64 {
	most := 0.0
	for unit, v := range units {
		if strings.HasSuffix(unit, "-p99-ms") && !strings.HasPrefix(unit, "counts") {
			most = max(most, v)
		}
	}
	return most
}

// A picker finds reported values and keeps the first error.
type picker struct {
	found map[string]map[string]float64
	err   error
}

func (p *picker) get(name, unit string) float64 {
	v, err := pick(p.found, name, unit)
	p.err = firstError(p.err, err)
	return v
}

func firstError(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}
