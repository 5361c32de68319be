package engine

import (
	"context"
	"log/slog"
	"time"
)

// Loop calls step until ctx ends: again at once while step finds more to do, else
// when it is woken, or after pause as a safety net. An error is logged, and step
// called again after a while that grows with the errors in a row.
func Loop(ctx context.Context, log *slog.Logger, pause time.Duration, wake <-chan struct{}, step func(context.Context) (more bool, err error)) error {
	timer := time.NewTimer(pause)
	defer timer.Stop()
	for failures := 0; ; {
		more, err := step(ctx)
		if ctx.Err() != nil {
			return nil
		}
		wait, woken := pause, wake
		switch {
		case err != nil:
			failures++
			wait, woken = min(backoff(failures)/10, pause), nil
			log.Warn("a step of a loop failed and will be repeated", "error", err, "failures", failures, "after", wait)
		case more:
			failures = 0
			continue
		default:
			failures = 0
		}
		timer.Reset(wait)
		select {
		case <-ctx.Done():
			return nil
		case <-woken:
		case <-timer.C:
		}
	}
}

// A signal wakes one loop. Signals that come before it looks are one.
type signal chan struct{}

func newSignal() signal { return make(signal, 1) }

func (s signal) set() {
	select {
	case s <- struct{}{}:
	default:
	}
}
