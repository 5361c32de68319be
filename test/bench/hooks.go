package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"sync/atomic"
	"time"
)

const hookRuns = 60

// measureHooks measures what a before hook adds to a trivial job beyond the time that the
// hook itself takes: beside a server without hooks, in turn, one whose hook answers at
// once, and one whose hook takes 50 ms.
func measureHooks(ctx context.Context, l *lab) (figures []Figure, err error) {
	plain, err := l.hooked(ctx, "plain", nil)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, plain.stop()) }()
	for _, delay := range []time.Duration{0, 50 * time.Millisecond} {
		figure, err := l.measureHook(ctx, plain, delay)
		if err != nil {
			return nil, err
		}
		figures = append(figures, figure)
	}
	return figures, nil
}

func (l *lab) measureHook(ctx context.Context, plain *server, delay time.Duration) (f Figure, err error) {
	var calls atomic.Int64
	hook := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		calls.Add(1)
		time.Sleep(delay)
		w.WriteHeader(http.StatusNoContent)
	}))
	defer hook.Close()
	s, err := l.hooked(ctx, fmt.Sprint("hook-", delay.Milliseconds()), hook)
	if err != nil {
		return f, err
	}
	defer func() { err = errors.Join(err, s.stop()) }()
	calls.Store(0)
	var without, with []float64
	for range hookRuns {
		for _, side := range []struct {
			s    *server
			took *[]float64
		}{{plain, &without}, {s, &with}} {
			t, err := pushAndWait(ctx, side.s, "trivial")
			if err != nil {
				return f, err
			}
			*side.took = append(*side.took, 1000*t.done)
		}
	}
	own := float64(calls.Load()) / hookRuns * float64(delay.Milliseconds())
	name := fmt.Sprintf("trivial job with a hook of %d ms, above what the hook takes", delay.Milliseconds())
	return atMost(name, median(with)-median(without)-own, "ms", 20), nil
}

// hooked starts a server that asks a hook, or none, and lets it run its first job, which
// unpacks the image.
func (l *lab) hooked(ctx context.Context, name string, hook *httptest.Server) (*server, error) {
	var args []string
	if hook != nil {
		file := l.path(name + ".yaml")
		text := fmt.Sprintf("egress: {allow: [%q]}\nhooks: {lifecycle-hooks: {before: [%q]}}\n", hook.Listener.Addr(), hook.URL)
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			return nil, err
		}
		args = []string{"--config", file}
	}
	s, err := l.serve(ctx, l.path(name), args...)
	if err != nil {
		return nil, err
	}
	if _, err := l.jobImage(ctx, s); err != nil {
		return nil, errors.Join(err, s.stop())
	}
	if err := plan(ctx, s, "trivial", nil); err != nil {
		return nil, errors.Join(err, s.stop())
	}
	if _, err := pushAndWait(ctx, s, "trivial"); err != nil {
		return nil, errors.Join(err, s.stop())
	}
	return s, nil
}
