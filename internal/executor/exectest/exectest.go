// Package exectest is the behaviour that every Executor must show, as tests. A
// driver's own tests call Run with a World in which the driver works.
package exectest

import (
	"bufio"
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/weft-dev/weft"
	"github.com/weft-dev/weft/internal/executor"
)

// A World is what a driver works in, for one test.
type World interface {
	executor.Places

	// Open returns the Executor. Calling it again is a restart of the server: it
	// gives up the former Executor, and returns one that knows what that has left.
	Open(t testing.TB) executor.Executor

	// MakeTree makes a tree with one file, to be an input.
	MakeTree(t testing.TB, d weft.Digest, name, text string)

	// Image makes an image of the test program and returns its digest. The program
	// is /program, and /etc/passwd and /etc/group are as in Image's fields.
	Image(t testing.TB, i Image) weft.Digest

	// Containers reports whether programs really run. If not, tests that look from
	// within are left out.
	Containers() bool
}

// Unlimited is implemented by a World whose engine may be unable to limit what containers
// take, as without root on cgroups of version 1. It reports whether that is so; tests of
// limits are left out then.
type Unlimited interface{ Unlimited() bool }

// limited reports whether containers have limits.
func (b *bench) limited() bool {
	w, ok := b.World.(Unlimited)
	return !ok || !w.Unlimited()
}

// An Image is what an image of the test program is to have.
type Image struct {
	User, WorkDir   string
	Env             []string
	Entrypoint, Cmd []string // usually /program and nothing
	Passwd, Group   string
}

// Program is where the test program is in the images.
const Program = "/program"

// BuildProgram compiles the test program, which needs nothing in its image.
func BuildProgram(t testing.TB) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "program")
	cmd := exec.Command("go", "build", "-o", name, "github.com/weft-dev/weft/internal/executor/exectest/testdata/program")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build test program: %v\n%s", err, out)
	}
	return name
}

// WorkPlaces keeps work directories and trees below one directory, as a content
// store would.
type WorkPlaces struct{ Dir string }

// Work is a directory named after the attempt and the Data.
func (p WorkPlaces) Work(a weft.Attempt, d weft.DataID) string {
	return filepath.Join(p.Dir, "work", a.String(), d.String())
}

// Tree is a directory named after the digest.
func (p WorkPlaces) Tree(_ context.Context, d weft.Digest) (string, error) {
	dir := filepath.Join(p.Dir, "trees", d.Hex())
	if _, err := os.Stat(dir); errors.Is(err, os.ErrNotExist) {
		return "", weft.Errorf(weft.NotFound, "tree %s is not found", d)
	}
	return dir, nil
}

// MakeTree makes a tree with one file.
func (p WorkPlaces) MakeTree(t testing.TB, d weft.Digest, name, text string) {
	t.Helper()
	dir := filepath.Join(p.Dir, "trees", d.Hex())
	if err := errors.Join(os.MkdirAll(dir, 0o755), os.WriteFile(filepath.Join(dir, name), []byte(text), 0o444)); err != nil {
		t.Fatal(err)
	}
}

// patience is how long a test waits for what must happen. It is never reached when
// all is well.
const patience = time.Minute

// A bench is a World with an open Executor and what a test does to them.
type bench struct {
	testing.TB
	World
	executor.Executor
	ctx context.Context
}

func setup(t *testing.T, make func(t *testing.T) World) *bench {
	t.Helper()
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	b := &bench{TB: t, World: make(t), ctx: ctx}
	b.Executor = b.Open(t)
	return b
}

func (b *bench) restart() { b.Executor = b.Open(b) }

// job is a job of the plain image with these words of a Script or a probe, an output
// at /out, and a log.
func (b *bench) job(words ...string) executor.Job { return b.jobOf(Image{}, words...) }

func (b *bench) jobOf(i Image, words ...string) executor.Job {
	b.Helper()
	if i.Entrypoint == nil {
		i.Entrypoint = []string{Program}
	}
	resources, err := weft.ParseResources(map[string]string{"cpu": "1", "memory": "256Mi"})
	if err != nil {
		b.Fatal(err)
	}
	return executor.Job{
		Attempt: weft.Attempt{Run: weft.NewID[weft.Run](), Number: 1}, Image: b.Image(b, i), ImageName: "test:1",
		Args: words, Resources: resources, Log: weft.NewID[weft.Data](),
		Outputs: []executor.Output{{Path: "/out", Data: weft.NewID[weft.Data]()}},
	}
}

func (b *bench) start(job executor.Job) weft.Attempt {
	b.Helper()
	b.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := b.Remove(ctx, job.Attempt); err != nil {
			b.Errorf("remove: %v", err)
		}
	})
	if err := b.Start(b.ctx, job); err != nil {
		b.Fatalf("start: %v", err)
	}
	return job.Attempt
}

func (b *bench) observe(a weft.Attempt) executor.Seen {
	b.Helper()
	seen, err := b.Observe(b.ctx, a)
	if err != nil {
		b.Fatalf("observe: %v", err)
	}
	return seen
}

// await observes the attempt whenever there is a hint, until it is in one of these
// states.
func (b *bench) await(a weft.Attempt, states ...executor.State) executor.Seen {
	b.Helper()
	changed, stop := b.watch()
	defer stop()
	for {
		seen := b.observe(a)
		for _, s := range states {
			if seen.State == s {
				return seen
			}
		}
		select {
		case <-changed:
		case <-b.ctx.Done():
			b.Fatalf("no hint at the change that was awaited; seen %+v", seen)
		}
	}
}

func (b *bench) watch() (changed <-chan weft.Attempt, stop func()) {
	c := make(chan weft.Attempt)
	ctx, cancel := context.WithCancel(b.ctx)
	over := make(chan struct{})
	ex := b.Executor
	go func() {
		defer close(over)
		if err := ex.Watch(ctx, c); !errors.Is(err, context.Canceled) && !errors.Is(err, context.DeadlineExceeded) {
			b.Errorf("watch: %v", err)
		}
	}()
	return c, func() {
		cancel()
		<-over
	}
}

// end waits for the attempt's end, and fails the test unless it is Exited.
func (b *bench) end(a weft.Attempt) executor.Seen {
	b.Helper()
	seen := b.await(a, executor.Exited, executor.Lost, executor.Gone)
	if seen.State != executor.Exited {
		b.Fatalf("seen %+v; want exited", seen)
	}
	return seen
}

// run starts a job and returns its end and what it printed.
func (b *bench) run(job executor.Job) (executor.Seen, string) {
	b.Helper()
	a := b.start(job)
	seen := b.end(a)
	return seen, b.log(a)
}

func (b *bench) log(a weft.Attempt) string {
	b.Helper()
	r, err := b.Logs(b.ctx, a, false)
	if err != nil {
		b.Fatalf("logs: %v", err)
	}
	defer r.Close()
	text, err := io.ReadAll(r)
	if err != nil {
		b.Fatalf("read log: %v", err)
	}
	return string(text)
}

// awaitLine follows the log until it has the line.
func (b *bench) awaitLine(a weft.Attempt, line string) {
	b.Helper()
	r, err := b.Logs(b.ctx, a, true)
	if err != nil {
		b.Fatalf("logs: %v", err)
	}
	defer r.Close()
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		if lines.Text() == line {
			return
		}
	}
	b.Fatalf("the log has no line %q; it ended with %v; seen %+v", line, lines.Err(), b.observe(a))
}

// output reads a file of the job's nth output.
func (b *bench) output(job executor.Job, nth int, name string) string {
	b.Helper()
	text, err := os.ReadFile(filepath.Join(b.Work(job.Attempt, job.Outputs[nth].Data), name))
	if err != nil {
		b.Fatal(err)
	}
	return string(text)
}

// wantEnd fails the test unless the attempt ended with this code and printed this.
func (b *bench) wantEnd(seen executor.Seen, log string, code int, printed ...string) {
	b.Helper()
	if seen.Code != code {
		b.Errorf("seen %+v; want code %d; log %q", seen, code, log)
	}
	for _, p := range printed {
		if !strings.Contains(log, p) {
			b.Errorf("log %q has no %q", log, p)
		}
	}
}
