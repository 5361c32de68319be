package exectest

import (
	"bytes"
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/weft-dev/weft"
	"github.com/weft-dev/weft/internal/executor"
)

// Run tests the Executor of the worlds that make makes.
func Run(t *testing.T, make func(t *testing.T) World) {
	tests := map[string]func(b *bench){
		"ends":            ends,
		"unknown":         unknown,
		"start twice":     startTwice,
		"start ended":     startEnded,
		"stop":            stop,
		"stop stubborn":   stopStubborn,
		"stop at once":    stopAtOnce,
		"remove":          remove,
		"remove running":  removeRunning,
		"list":            list,
		"logs":            logs,
		"logs long":       logsLong,
		"log limit":       logLimit,
		"output limit":    outputLimit,
		"hints":           hints,
		"restart":         restart,
		"restart ended":   restartEnded,
		"concurrent":      concurrent,
		"inputs, outputs": inputsOutputs,
		"input missing":   inputMissing,
	}
	inside := map[string]func(b *bench){
		"image":           image,
		"entrypoint":      entrypoint,
		"no program":      noProgram,
		"user":            user,
		"user unknown":    userUnknown,
		"user can write":  userCanWrite,
		"input read-only": inputReadOnly,
		"stdout reopened": stdoutReopened,
		"children":        children,
		"out of memory":   outOfMemory,
		"cpu limit":       cpuLimit,
		"rights":          rights,
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) { test(setup(t, make)) })
	}
	for name, test := range inside {
		t.Run(name, func(t *testing.T) {
			if b := setup(t, make); b.Containers() {
				test(b)
			}
		})
	}
}

func ends(b *bench) {
	before := time.Now()
	job := b.job("print", "hello", "write", "/out/a/b=text", "exit", "3", "after", "20ms")
	seen, log := b.run(job)
	b.wantEnd(seen, log, 3, "hello\n")
	if got := b.output(job, 0, "a/b"); got != "text" {
		b.Errorf("output %q; want text", got)
	}
	if seen.Signal != 0 || seen.OOM || seen.Message != "" {
		b.Errorf("seen %+v; want nothing but the code", seen)
	}
	if seen.Started.Before(before) || seen.Ended.Before(seen.Started) || seen.Ended.After(time.Now()) {
		b.Errorf("started %s, ended %s; began %s", seen.Started, seen.Ended, before)
	}
	seen, log = b.run(b.job("exit", "0"))
	b.wantEnd(seen, log, 0)
}

func unknown(b *bench) {
	a := weft.Attempt{Run: weft.NewID[weft.Run](), Number: 1}
	if seen := b.observe(a); seen.State != executor.Gone {
		b.Errorf("seen %+v; want gone", seen)
	}
	if err := b.Stop(b.ctx, a, time.Second); err != nil {
		b.Errorf("stop: %v", err)
	}
	if err := b.Remove(b.ctx, a); err != nil {
		b.Errorf("remove: %v", err)
	}
	if _, err := b.Logs(b.ctx, a, false); weft.KindOf(err) != weft.NotFound {
		b.Errorf("logs: %v; want NotFound", err)
	}
}

func startTwice(b *bench) {
	job := b.job("print", "once", "after", "1h")
	a := b.start(job)
	b.awaitLine(a, "once")
	if err := b.Start(b.ctx, job); err != nil {
		b.Errorf("second start: %v", err)
	}
	b.restart()
	if err := b.Start(b.ctx, job); err != nil {
		b.Errorf("start after restart: %v", err)
	}
	if seen := b.observe(a); seen.State != executor.Running {
		b.Errorf("seen %+v; want running", seen)
	}
	if log := b.log(a); log != "once\n" {
		b.Errorf("log %q; want it printed once", log)
	}
}

func startEnded(b *bench) {
	job := b.job("print", "once", "exit", "4")
	seen, _ := b.run(job)
	if err := b.Start(b.ctx, job); err != nil {
		b.Errorf("second start: %v", err)
	}
	if again := b.observe(job.Attempt); again.State != executor.Exited || again.Code != 4 || !again.Ended.Equal(seen.Ended) {
		b.Errorf("seen %+v; want %+v still", again, seen)
	}
}

func stop(b *bench) {
	a := b.start(b.job("print", "ready", "after", "1h"))
	b.awaitLine(a, "ready")
	for range 2 {
		if err := b.Stop(b.ctx, a, time.Hour); err != nil {
			b.Fatalf("stop: %v", err)
		}
	}
	b.wantEnd(b.end(a), "", executor.CodeTerminated)
	if err := b.Stop(b.ctx, a, time.Hour); err != nil {
		b.Errorf("stop after the end: %v", err)
	}
}

func stopStubborn(b *bench) {
	a := b.start(b.job("stubborn", "print", "ready", "after", "1h"))
	b.awaitLine(a, "ready")
	asked := time.Now()
	const grace = 300 * time.Millisecond
	if err := b.Stop(b.ctx, a, grace); err != nil {
		b.Fatalf("stop: %v", err)
	}
	b.restart() // the grace ends whether or not there is a server
	seen := b.end(a)
	if seen.Code != 137 || seen.Signal != 9 || seen.OOM {
		b.Errorf("seen %+v; want killed by signal 9", seen)
	}
	if took := seen.Ended.Sub(asked); took < grace {
		b.Errorf("killed after %s; want the grace of %s", took, grace)
	}
}

// stopAtOnce stops what may not have started yet.
func stopAtOnce(b *bench) {
	a := b.start(b.job("after", "1h"))
	if err := b.Stop(b.ctx, a, 0); err != nil {
		b.Fatalf("stop: %v", err)
	}
	if seen := b.end(a); seen.Code == 0 {
		b.Errorf("seen %+v; want it stopped", seen)
	}
}

func remove(b *bench) {
	job := b.job("write", "/out/a=b", "print", "text")
	a := b.start(job)
	b.end(a)
	for range 2 {
		if err := b.Remove(b.ctx, a); err != nil {
			b.Fatalf("remove: %v", err)
		}
	}
	if seen := b.observe(a); seen.State != executor.Gone {
		b.Errorf("seen %+v; want gone", seen)
	}
	if got := b.output(job, 0, "a"); got != "b" {
		b.Errorf("output %q; want it kept", got)
	}
}

func removeRunning(b *bench) {
	a := b.start(b.job("stubborn", "print", "ready", "after", "1h"))
	b.awaitLine(a, "ready")
	if err := b.Remove(b.ctx, a); err != nil {
		b.Fatalf("remove: %v", err)
	}
	if seen := b.observe(a); seen.State != executor.Gone {
		b.Errorf("seen %+v; want gone", seen)
	}
}

// list finds what a late Start has made, and Remove then removes it.
func list(b *bench) {
	job := b.job("after", "1h")
	if err := b.Remove(b.ctx, job.Attempt); err != nil {
		b.Fatalf("remove: %v", err)
	}
	a := b.start(job)
	b.restart()
	as, err := b.List(b.ctx)
	if err != nil || !slices.Contains(as, a) {
		b.Errorf("list %v, %v; want %s in it", as, err, a)
	}
	if err := b.Remove(b.ctx, a); err != nil {
		b.Fatalf("remove: %v", err)
	}
	if as, err := b.List(b.ctx); err != nil || slices.Contains(as, a) {
		b.Errorf("list %v, %v; want no %s in it", as, err, a)
	}
}

func logs(b *bench) {
	a := b.start(b.job("print", "one", "after", "100ms", "print", "two"))
	r, err := b.Logs(b.ctx, a, true)
	if err != nil {
		b.Fatalf("logs: %v", err)
	}
	defer r.Close()
	if text, err := io.ReadAll(r); err != nil || string(text) != "one\ntwo\n" {
		b.Errorf("followed %q, %v", text, err)
	}
	if log := b.log(a); log != "one\ntwo\n" {
		b.Errorf("log %q", log)
	}
	ctx, cancel := context.WithCancel(b.ctx)
	quiet := b.start(b.job("print", "ready", "after", "1h"))
	b.awaitLine(quiet, "ready")
	r, err = b.Logs(ctx, quiet, true)
	if err != nil {
		b.Fatalf("logs: %v", err)
	}
	defer r.Close()
	cancel()
	if text, err := io.ReadAll(r); err == nil && ctx.Err() == nil {
		b.Errorf("followed %q to an end, though it goes on", text)
	}
}

func logsLong(b *bench) {
	text := strings.Repeat(strings.Repeat("x", 99)+"\n", 1000)
	a := b.start(b.job("print", text))
	r, err := b.Logs(b.ctx, a, true)
	if err != nil {
		b.Fatalf("logs: %v", err)
	}
	defer r.Close()
	got, err := io.ReadAll(r)
	if err != nil || string(got) != text+"\n" {
		b.Errorf("followed %d bytes, %v; want %d", len(got), err, len(text)+1)
	}
}

func logLimit(b *bench) {
	job := b.job("print", strings.Repeat("x", 5000), "after", "1h")
	job.LogLimit = 1000
	seen, log := b.run(job)
	if seen.Code != 137 || !strings.Contains(seen.Message, "1000 bytes") || !strings.Contains(seen.Message, "log") {
		b.Errorf("seen %+v; want it killed for its log", seen)
	}
	if len(log) != 1000 {
		b.Errorf("log has %d bytes; want 1000", len(log))
	}
}

func outputLimit(b *bench) {
	job := b.job("write", "/out/a="+strings.Repeat("x", 5000), "after", "1h")
	job.OutputLimit = 1000
	seen, _ := b.run(job)
	if seen.Code != 137 || !strings.Contains(seen.Message, "1000 bytes") || !strings.Contains(seen.Message, "outputs") {
		b.Errorf("seen %+v; want it killed for its outputs", seen)
	}
}

// hints looks only when hinted at, from before the start to the end.
func hints(b *bench) {
	changed, stop := b.watch()
	defer stop()
	a := b.start(b.job("after", "50ms"))
	for b.observe(a).State != executor.Exited {
		select {
		case <-changed:
		case <-b.ctx.Done():
			b.Fatal("no hint at the end")
		}
	}
}

func restart(b *bench) {
	a := b.start(b.job("print", "one", "after", "3s", "print", "two", "exit", "5"))
	b.awaitLine(a, "one")
	b.restart()
	if seen := b.observe(a); seen.State != executor.Running {
		b.Errorf("seen %+v; want running", seen)
	}
	b.wantEnd(b.end(a), b.log(a), 5)
	if log := b.log(a); log != "one\ntwo\n" {
		b.Errorf("log %q", log)
	}
}

// restartEnded expects a new Watch to begin with what has ended.
func restartEnded(b *bench) {
	seen, _ := b.run(b.job("exit", "6"))
	as, err := b.List(b.ctx)
	if err != nil || len(as) == 0 {
		b.Fatalf("list %v, %v", as, err)
	}
	b.restart()
	changed, stop := b.watch()
	defer stop()
	for {
		select {
		case a := <-changed:
			if again := b.observe(a); again.Code == 6 && again.Ended.Equal(seen.Ended) {
				return
			}
		case <-b.ctx.Done():
			b.Fatal("no hint at what ended before")
		}
	}
}

// concurrent has several callers do the same and different things at once.
func concurrent(b *bench) {
	jobs := []executor.Job{b.job("print", "x"), b.job("exit", "1"), b.job("after", "1h"), b.job("print", "y", "after", "10ms")}
	var group sync.WaitGroup
	for _, job := range jobs {
		b.Cleanup(func() {
			if err := b.Remove(context.Background(), job.Attempt); err != nil {
				b.Errorf("remove: %v", err)
			}
		})
		for range 3 {
			group.Go(func() {
				_, err := b.Observe(b.ctx, job.Attempt)
				if err = errors.Join(err, b.Start(b.ctx, job), b.Stop(b.ctx, job.Attempt, time.Hour)); err != nil {
					b.Errorf("start and stop: %v", err)
				}
			})
		}
	}
	group.Wait()
	for _, job := range jobs {
		b.end(job.Attempt)
		for range 3 {
			group.Go(func() {
				if err := b.Remove(b.ctx, job.Attempt); err != nil {
					b.Errorf("remove: %v", err)
				}
			})
		}
	}
	group.Wait()
	if as, err := b.List(b.ctx); err != nil || len(as) > 0 {
		b.Errorf("list %v, %v; want nothing", as, err)
	}
}

func inputsOutputs(b *bench) {
	digest := weft.Digest(bytes.Repeat([]byte{7}, 32))
	b.MakeTree(b, digest, "file", "from the input")
	job := b.job("copy", "/in/deep/file=/out/copied", "copy", "/in/deep/file=/second/a/b", "show", "/in/deep/file")
	job.Inputs = []executor.Input{{Path: "/in/deep", Data: weft.NewID[weft.Data](), Tree: digest}}
	job.Outputs = append(job.Outputs, executor.Output{Path: "/second", Data: weft.NewID[weft.Data]()})
	seen, log := b.run(job)
	b.wantEnd(seen, log, 0, "from the input")
	if a, c := b.output(job, 0, "copied"), b.output(job, 1, "a/b"); a != "from the input" || c != a {
		b.Errorf("outputs %q, %q", a, c)
	}
}

func inputMissing(b *bench) {
	job := b.job()
	job.Inputs = []executor.Input{{Path: "/in", Tree: weft.Digest{1}}}
	if err := b.Start(b.ctx, job); weft.KindOf(err) != weft.NotFound {
		b.Errorf("start: %v; want NotFound", err)
	}
	if seen := b.observe(job.Attempt); seen.State != executor.Gone {
		b.Errorf("seen %+v; want gone", seen)
	}
}
