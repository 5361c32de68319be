//go:build e2e

package runc_test

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/weft-dev/weft"
	"github.com/weft-dev/weft/internal/executor"
	"github.com/weft-dev/weft/internal/executor/exectest"
	"github.com/weft-dev/weft/internal/worker"
)

// supervisors returns the processes that supervise the attempt: one, or none.
func supervisors(t testing.TB, a weft.Attempt) []int {
	t.Helper()
	entries, err := os.ReadDir("/proc")
	if err != nil {
		t.Fatal(err)
	}
	var pids []int
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		line, err := os.ReadFile(filepath.Join("/proc", e.Name(), "cmdline"))
		if err != nil {
			continue // it has ended
		}
		if args := strings.Split(strings.TrimRight(string(line), "\x00"), "\x00"); len(args) == 3 && args[1] == "supervise" && filepath.Base(args[2]) == a.String() {
			pids = append(pids, pid)
		}
	}
	return pids
}

func killSupervisors(t testing.TB, a weft.Attempt) (killed int) {
	t.Helper()
	for _, pid := range supervisors(t, a) {
		if err := unix.Kill(pid, unix.SIGKILL); err == nil {
			killed++
		}
	}
	return killed
}

func script(t testing.TB, w *world, words ...string) executor.Job {
	t.Helper()
	return executor.Job{
		Attempt: weft.Attempt{Run: weft.NewID[weft.Run](), Number: 1}, Log: weft.NewID[weft.Data](), Args: words,
		Image:   w.Image(t, exectest.Image{Entrypoint: []string{exectest.Program}}),
		Outputs: []executor.Output{{Path: "/out", Data: weft.NewID[weft.Data]()}},
	}
}

// await observes the attempt at each hint until it has ended.
func await(t testing.TB, ex executor.Executor, a weft.Attempt) executor.Seen {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	changed, over := make(chan weft.Attempt), make(chan error, 1)
	go func() { over <- ex.Watch(ctx, changed) }()
	defer func() {
		cancel()
		<-over
	}()
	for {
		seen, err := ex.Observe(ctx, a)
		if err != nil {
			t.Fatalf("observe: %v", err)
		}
		if seen.State == executor.Exited || seen.State == executor.Lost {
			return seen
		}
		select {
		case <-changed:
		case <-ctx.Done():
			t.Fatalf("no end; seen %+v", seen)
		}
	}
}

func start(t testing.TB, ex executor.Executor, job executor.Job) {
	t.Helper()
	if err := ex.Start(t.Context(), job); err != nil {
		t.Fatalf("start: %v", err)
	}
}

func logOf(t testing.TB, ex executor.Executor, a weft.Attempt, follow bool) string {
	t.Helper()
	r, err := ex.Logs(t.Context(), a, follow)
	if err != nil {
		t.Fatalf("logs: %v", err)
	}
	defer r.Close()
	text, err := io.ReadAll(r)
	if err != nil {
		t.Fatalf("read log: %v", err)
	}
	return string(text)
}

// awaitText follows the log until it begins with text.
func awaitText(t testing.TB, ex executor.Executor, a weft.Attempt, text string) {
	t.Helper()
	r, err := ex.Logs(t.Context(), a, true)
	if err != nil {
		t.Fatalf("logs: %v", err)
	}
	defer r.Close()
	got := make([]byte, len(text))
	if _, err := io.ReadFull(r, got); err != nil || string(got) != text {
		t.Fatalf("log begins %q, %v; want %q", got, err, text)
	}
}

func remove(t testing.TB, ex executor.Executor, a weft.Attempt) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := ex.Remove(ctx, a); err != nil {
		t.Errorf("remove: %v", err)
	}
}

// Kernels before 6.15 forget how a process ended that is nobody's child; the attempt
// then is Lost.
func wantEnd(t testing.TB, seen executor.Seen, code int) {
	t.Helper()
	if seen.State == executor.Lost && !remembersExits(t) {
		return
	}
	if seen.State != executor.Exited || seen.Code != code {
		t.Errorf("seen %+v; want exit %d", seen, code)
	}
}

func remembersExits(t testing.TB) bool {
	t.Helper()
	var name unix.Utsname
	if err := unix.Uname(&name); err != nil {
		t.Fatal(err)
	}
	var major, minor int
	if _, err := fmt.Sscanf(unix.ByteSliceToString(name.Release[:]), "%d.%d", &major, &minor); err != nil {
		t.Fatal(err)
	}
	return major > 6 || major == 6 && minor >= 15
}

func TestSupervisorKilledWhileProgramRuns(t *testing.T) {
	t.Parallel()
	w := newWorld(t, exectest.BuildProgram(t))
	ex := w.Open(t)
	job := script(t, w, "print", "one", "after", "300ms", "print", strings.Repeat("x", 100_000), "exit", "7")
	start(t, ex, job)
	awaitText(t, ex, job.Attempt, "one\n")
	if n := killSupervisors(t, job.Attempt); n != 1 {
		t.Fatalf("killed %d supervisors; want 1", n)
	}
	wantEnd(t, await(t, ex, job.Attempt), 7)
	if got := logOf(t, ex, job.Attempt, false); len(got) != 100_005 {
		t.Errorf("log has %d bytes; want 100005", len(got))
	}
	remove(t, ex, job.Attempt)
}

func TestSupervisorKilledWhileServerIsDown(t *testing.T) {
	t.Parallel()
	w := newWorld(t, exectest.BuildProgram(t))
	ex := w.Open(t)
	// More than a pipe holds: the program cannot end before somebody reads.
	job := script(t, w, "print", "one", "after", "50ms", "print", strings.Repeat("x", 100_000), "exit", "7")
	start(t, ex, job)
	awaitText(t, ex, job.Attempt, "one\n")
	if err := w.open.Close(); err != nil {
		t.Fatal(err)
	}
	killSupervisors(t, job.Attempt)
	ex = w.Open(t)
	wantEnd(t, await(t, ex, job.Attempt), 7)
	if got := logOf(t, ex, job.Attempt, true); len(got) != 100_005 {
		t.Errorf("log has %d bytes; want 100005", len(got))
	}
	remove(t, ex, job.Attempt)
}

// TestAllKilled loses the container while nobody looks.
func TestAllKilled(t *testing.T) {
	t.Parallel()
	w := newWorld(t, exectest.BuildProgram(t))
	ex := w.Open(t)
	job := script(t, w, "print", "one", "after", "1h")
	start(t, ex, job)
	awaitText(t, ex, job.Attempt, "one\n")
	if err := w.open.Close(); err != nil {
		t.Fatal(err)
	}
	pids := supervisors(t, job.Attempt)
	killSupervisors(t, job.Attempt)
	for _, pid := range append(pids, program(t, w, job.Attempt)) {
		// As this process is the parent of both, it plays the system's init, too.
		if err := unix.Kill(pid, unix.SIGKILL); err != nil {
			t.Fatal(err)
		}
		if _, err := unix.Wait4(pid, nil, 0, nil); err != nil {
			t.Fatal(err)
		}
	}
	ex = w.Open(t)
	if seen := await(t, ex, job.Attempt); seen.State != executor.Lost || seen.Message == "" {
		t.Errorf("seen %+v; want lost, and why", seen)
	}
	remove(t, ex, job.Attempt)
}

// TestSupervisorKilledAtAnyInstant kills one supervisor after the other, from before
// it begins until it is done. Each program runs exactly once.
func TestSupervisorKilledAtAnyInstant(t *testing.T) {
	t.Parallel()
	w := newWorld(t, exectest.BuildProgram(t))
	ex := w.Open(t)
	for delay := time.Duration(0); delay < 150*time.Millisecond; delay += 3 * time.Millisecond {
		job := script(t, w, "print", "one", "after", "20ms", "write", "/out/a=b", "print", "two", "exit", "7")
		start(t, ex, job)
		<-time.After(delay)
		killed := killSupervisors(t, job.Attempt)
		seen := await(t, ex, job.Attempt)
		if seen.State != executor.Exited || seen.Code != 7 {
			t.Errorf("killed %d after %s: seen %+v; want exit 7", killed, delay, seen)
		}
		if got := logOf(t, ex, job.Attempt, false); got != "one\ntwo\n" {
			t.Errorf("killed %d after %s: log %q", killed, delay, got)
		}
		remove(t, ex, job.Attempt)
	}
}

// TestServerKilledAtAnyInstant gives up one Executor after the other while its
// containers start, stop and end.
func TestServerGoneAtAnyInstant(t *testing.T) {
	t.Parallel()
	w := newWorld(t, exectest.BuildProgram(t))
	for delay := time.Duration(0); delay < 120*time.Millisecond; delay += 6 * time.Millisecond {
		ex := w.Open(t)
		job := script(t, w, "print", "one", "after", "20ms", "print", "two", "exit", "7")
		start(t, ex, job)
		<-time.After(delay)
		ex = w.Open(t)
		start(t, ex, job)
		seen := await(t, ex, job.Attempt)
		if got := logOf(t, ex, job.Attempt, false); seen.State != executor.Exited || seen.Code != 7 || got != "one\ntwo\n" {
			t.Errorf("after %s: seen %+v, log %q", delay, seen, got)
		}
		remove(t, ex, job.Attempt)
	}
}

func program(t testing.TB, w *world, a weft.Attempt) int {
	t.Helper()
	r, err := worker.Read[worker.Running](filepath.Join(w.Dir, "runs/attempts", a.String()), worker.FileRunning)
	if err != nil {
		t.Fatal(err)
	}
	return r.PID
}
