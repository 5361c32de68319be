package main

import (
	"context"
	"fmt"
)

// measureRights measures what it adds to a request to know who asks and to decide about
// it: by the server's own benchmark, on both databases.
func measureRights(ctx context.Context, _ *lab) ([]Figure, error) {
	const name = "Authorise/in_use/"
	found, err := goBench(ctx, "./internal/server", "^BenchmarkAuthorise$/^in_use$", "-test.benchtime=3s")
	if err != nil {
		return nil, err
	}
	var figures []Figure
	for _, db := range []string{"sqlite", "postgres"} {
		if found[name+db] == nil && db != "sqlite" {
			continue // no such database here
		}
		ns, err := pick(found, name+db, "ns/op")
		if err != nil {
			return nil, err
		}
		figures = append(figures, atMost(fmt.Sprintf("%s: authorisation of a request", db), ns/1e3, "µs", 50))
	}
	return figures, nil
}
