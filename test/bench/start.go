package main

import (
	"context"
	"time"
)

// idle is how long a server is left alone before its memory is read.
const idle = 3 * time.Second

// measureStart measures how soon an empty server is ready, and its memory when idle.
func measureStart(ctx context.Context, l *lab) ([]Figure, error) {
	state := l.path("start")
	var memory float64
	ready, err := repeat(5, func() (float64, error) {
		s, err := l.serve(ctx, state)
		if err != nil {
			return 0, err
		}
		time.Sleep(idle)
		if memory, err = s.memory(); err != nil {
			return 0, err
		}
		return s.ready.Seconds(), s.stop()
	})
	if err != nil {
		return nil, err
	}
	return []Figure{
		atMost("empty server: start to ready", median(ready), "s", 1),
		atMost("empty server: idle memory", memory, "MB", 100),
	}, nil
}
