package app

import (
	"context"
	"os"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

// How much garbage is let lie before it is collected. Most of what lives in a large
// server are arrays without pointers (the index over lineage and tags), which cost the
// collector nothing to look at: so it may run often, where it would otherwise wait until
// as much garbage is there as there is live memory.
const (
	garbage      = 16 << 20 // bytes, as far as the next two allow
	leastPercent = 10       // of what lives
	mostPercent  = 100
	tuneEvery    = 5 * time.Second
)

// tuneMemory adapts the collector to what lives until ctx ends. Whoever has set GOGC has
// decided for himself.
func tuneMemory(ctx context.Context) error {
	if os.Getenv("GOGC") != "" {
		<-ctx.Done()
		return nil
	}
	live := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	tick := time.NewTicker(tuneEvery)
	defer tick.Stop()
	for last := mostPercent; ; {
		metrics.Read(live)
		if now := percentFor(live[0].Value.Uint64()); now != last {
			debug.SetGCPercent(now)
			last = now
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
	}
}

// percentFor is the percentage at which the garbage is as much as it may be.
func percentFor(live uint64) int {
	if live == 0 {
		return mostPercent
	}
	return int(min(max(100*garbage/live, leastPercent), mostPercent))
}
