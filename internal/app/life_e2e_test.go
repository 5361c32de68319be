//go:build e2e

package app_test

import (
	"context"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/weft-dev/weft/api"
)

// TestTermination ends a server that has everything under way, and starts it again.
func TestTermination(t *testing.T) {
	t.Parallel()
	ctx, m := patiently(t), newLab(t)
	meeting := newMeeting(t)
	held := m.run(ctx, append([]string{"print", "before"}, append(meeting.words(), "print", "after", "write", "/out/done=yes")...))
	release := meeting.arrival(ctx)
	heedless := m.run(ctx, append([]string{"fork", "2"}, meeting.words()...))
	meeting.arrival(ctx)
	before := m.countData(ctx)

	open := openRequests(ctx, t, m, held.RunID)
	start := time.Now()
	if err := m.stop(); err != nil {
		t.Errorf("the server ended with %v", err)
	}
	if took := time.Since(start); took >= 5*time.Second {
		t.Errorf("the server took %s to end", took)
	}
	open.ended(ctx, t)
	if n := len(m.supervisors()); n != 2 {
		t.Fatalf("%d containers run on", n)
	}

	// One ends meanwhile, the other goes on until it is stopped.
	release()
	m.start()
	if r := m.reach(ctx, held.RunID, "done", "failed"); r.Status != "done" {
		t.Errorf("the run that was found again is %s: %+v", r.Status, r.Exit)
	}
	if got := m.logOf(ctx, held.RunID); got != "before\nafter\n" {
		t.Errorf("its log is %q", got)
	}
	if got := readFile(ctx, t, m, held.Outputs[0].KnitID, "done"); got != "yes" {
		t.Errorf("its output is %q", got)
	}
	if r, err := m.Run(ctx, heedless.RunID); err != nil || r.Status != "running" || r.Attempt != 1 {
		t.Errorf("the other run is %s, attempt %d, %v", r.Status, r.Attempt, err)
	}
	if got := m.countData(ctx); got != before {
		t.Errorf("there are %d data, and %d before: the upload that broke off left something", got, before)
	}
	if _, err := m.StopRun(ctx, heedless.RunID, api.Stop{}); err != nil {
		t.Fatal(err)
	}
	m.reach(ctx, heedless.RunID, "done")
	if left := m.supervisors(); len(left) > 0 {
		t.Errorf("supervisors %v are left", left)
	}
	if err := m.stop(); err != nil {
		t.Errorf("the server ended with %v", err)
	}
}

// requests are some that do not end by themselves.
type requests struct {
	count int
	body  io.Closer // what the upload would go on to read
	done  chan error
}

// openRequests has an upload, a log and the events under way.
func openRequests(ctx context.Context, t *testing.T, m *machine, run string) requests {
	t.Helper()
	body, w := io.Pipe()
	t.Cleanup(func() { w.Close() })
	upload, err := http.NewRequestWithContext(ctx, "POST", m.url+"/api/data", body)
	if err != nil {
		t.Fatal(err)
	}
	open := requests{body: w, done: make(chan error, 3)}
	begin := func(req *http.Request) {
		req.SetBasicAuth("knit", m.token)
		open.count++
		go func() {
			resp, err := http.DefaultClient.Do(req)
			if err == nil {
				_, err = io.Copy(io.Discard, resp.Body)
				resp.Body.Close()
			}
			open.done <- err
		}()
	}
	begin(upload)
	archive := gzipped(tarOf(t, entry{name: "file", body: strings.Repeat("x", 1<<20)}))
	if _, err := w.Write(archive[:len(archive)/2]); err != nil { // returns when it is being read
		t.Fatal(err)
	}
	for _, path := range []string{"/api/runs/" + run + "/log?follow", "/api/events"} {
		req, err := http.NewRequestWithContext(ctx, "GET", m.url+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		begin(req)
	}
	// The server has them when it says so.
	m.await(ctx, "the requests are under way", func() bool { return true })
	return open
}

// ended waits for the requests to end, well or not.
func (r requests) ended(ctx context.Context, t *testing.T) {
	t.Helper()
	r.body.Close() // Go's client waits for it even when the connection is gone
	for range r.count {
		select {
		case <-r.done:
		case <-ctx.Done():
			t.Fatal("a request goes on without a server")
		}
	}
}

func (m *machine) countData(ctx context.Context) (n int) {
	m.t.Helper()
	for _, err := range m.FindData(ctx, api.DataQuery{}) {
		if err != nil {
			m.t.Fatal(err)
		}
		n++
	}
	return n
}

func readFile(ctx context.Context, t *testing.T, m *machine, data, path string) string {
	t.Helper()
	f, err := m.File(ctx, data, path, 0)
	return readAll(t, f, err)
}
