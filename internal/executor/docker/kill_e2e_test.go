//go:build e2e

package docker_test

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/moby/moby/client"

	"github.com/weft-dev/weft"
	"github.com/weft-dev/weft/internal/executor"
	"github.com/weft-dev/weft/internal/executor/exectest"
)

// script is a job of the plain image whose program does what the words say.
func (w *world) script(t testing.TB, words ...string) executor.Job {
	t.Helper()
	return w.scriptOf(t, exectest.Image{}, words...)
}

func (w *world) scriptOf(t testing.TB, i exectest.Image, words ...string) executor.Job {
	t.Helper()
	i.Entrypoint = []string{exectest.Program}
	job := executor.Job{
		Attempt: weft.Attempt{Run: weft.NewID[weft.Run](), Number: 1}, Log: weft.NewID[weft.Data](), Args: words, Image: w.Image(t, i),
		Outputs: []executor.Output{{Path: "/out", Data: weft.NewID[weft.Data]()}},
	}
	t.Cleanup(func() { w.remove(t, job.Attempt) })
	return job
}

func (w *world) start(t testing.TB, job executor.Job) {
	t.Helper()
	if err := w.open.Start(t.Context(), job); err != nil {
		t.Fatalf("start: %v", err)
	}
}

func (w *world) remove(t testing.TB, a weft.Attempt) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := w.open.Remove(ctx, a); err != nil {
		t.Errorf("remove: %v", err)
	}
}

// await observes the attempt at each hint until it is in one of the states, or
// observing it fails and that is what is awaited.
func (w *world) await(t testing.TB, a weft.Attempt, enough func(executor.Seen, error) bool) executor.Seen {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	changed, over := make(chan weft.Attempt), make(chan error, 1)
	ex := w.open
	go func() { over <- ex.Watch(ctx, changed) }()
	defer func() {
		cancel()
		<-over
	}()
	for {
		seen, err := ex.Observe(ctx, a)
		if enough(seen, err) {
			return seen
		}
		select {
		case <-changed:
		case <-ctx.Done():
			t.Fatalf("what was awaited has not come; seen %+v, %v", seen, err)
		}
	}
}

func ended(s executor.Seen, err error) bool {
	return err == nil && (s.State == executor.Exited || s.State == executor.Lost)
}

func (w *world) log(t testing.TB, a weft.Attempt) string {
	t.Helper()
	r, err := w.open.Logs(t.Context(), a, false)
	if err != nil {
		t.Fatalf("logs: %v", err)
	}
	defer r.Close()
	text, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// awaitText follows the log until it begins with text.
func (w *world) awaitText(t testing.TB, a weft.Attempt, text string) {
	t.Helper()
	r, err := w.open.Logs(t.Context(), a, true)
	if err != nil {
		t.Fatalf("logs: %v", err)
	}
	defer r.Close()
	got := make([]byte, len(text))
	if _, err := io.ReadFull(r, got); err != nil || string(got) != text {
		t.Fatalf("log begins %q, %v; want %q", got, err, text)
	}
}

// wantOurs fails the test unless everything that the job wrote belongs to this process,
// which is not root, and can be read.
func (w *world) wantOurs(t testing.TB, job executor.Job, files ...string) {
	t.Helper()
	dir := w.Work(job.Attempt, job.Outputs[0].Data)
	var found []string
	err := filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		if uid := int(info.Sys().(*syscall.Stat_t).Uid); uid != os.Geteuid() {
			t.Errorf("%s belongs to user %d, not to %d", name, uid, os.Geteuid())
		}
		if !d.IsDir() {
			rel, _ := filepath.Rel(dir, name)
			found = append(found, rel)
			_, err = os.ReadFile(name)
		}
		return err
	})
	if err != nil || !slices.Equal(found, files) {
		t.Errorf("files %q, %v; want %q", found, err, files)
	}
}

// theEngine is a client of the engine, to do what an administrator may do.
func theEngine(t testing.TB) *client.Client {
	t.Helper()
	c, err := client.New(client.WithHost(os.Getenv(envHost)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func containerOf(a weft.Attempt) string { return "weft-" + a.String() }

// someUser is not root, and not the user of this process.
var someUser = exectest.Image{User: "4321:8765"}

func TestOutputsAreHandedOver(t *testing.T) {
	t.Parallel()
	if !inEngine(t) {
		return
	}
	w := newWorld(t)
	w.Open(t)
	for _, i := range []exectest.Image{someUser, {}} {
		job := w.scriptOf(t, i, "write", "/out/a/b/c=x", "write", "/out/d=y")
		w.start(t, job)
		w.await(t, job.Attempt, ended)
		w.remove(t, job.Attempt)
		w.wantOurs(t, job, "a/b/c", "d")
	}
}

func TestKilledFromOutside(t *testing.T) {
	t.Parallel()
	if !inEngine(t) {
		return
	}
	w := newWorld(t)
	w.Open(t)
	job := w.scriptOf(t, someUser, "write", "/out/a=b", "print", "ready", "after", "1h")
	w.start(t, job)
	w.awaitText(t, job.Attempt, "ready\n")
	if _, err := theEngine(t).ContainerKill(t.Context(), containerOf(job.Attempt), client.ContainerKillOptions{Signal: "KILL"}); err != nil {
		t.Fatal(err)
	}
	seen := w.await(t, job.Attempt, ended)
	if seen.State != executor.Exited || seen.Code != 137 || seen.Signal != 9 || seen.OOM || seen.Message == "" {
		t.Errorf("seen %+v; want killed by signal 9, and words", seen)
	}
	w.remove(t, job.Attempt)
	w.wantOurs(t, job, "a")
	if got := w.log(t, w.again(t, job)); got != "ready\n" {
		t.Errorf("log %q", got)
	}
}

// again makes the log of a removed attempt readable.
func (w *world) again(t testing.TB, job executor.Job) weft.Attempt {
	t.Helper()
	next := w.script(t, "print", "ready")
	w.start(t, next)
	w.await(t, next.Attempt, ended)
	return next.Attempt
}

func TestRemovedFromOutside(t *testing.T) {
	t.Parallel()
	if !inEngine(t) {
		return
	}
	w := newWorld(t)
	w.Open(t)
	job := w.scriptOf(t, someUser, "write", "/out/a=b", "print", "ready", "after", "1h")
	w.start(t, job)
	w.awaitText(t, job.Attempt, "ready\n")
	if _, err := theEngine(t).ContainerRemove(t.Context(), containerOf(job.Attempt), client.ContainerRemoveOptions{Force: true}); err != nil {
		t.Fatal(err)
	}
	if seen := w.await(t, job.Attempt, ended); seen.State != executor.Lost || seen.Message == "" {
		t.Errorf("seen %+v; want lost, and words", seen)
	}
	w.remove(t, job.Attempt)
	w.wantOurs(t, job, "a")
}

// TestStartedFromOutside starts a container once more that has ended.
func TestStartedFromOutside(t *testing.T) {
	t.Parallel()
	if !inEngine(t) {
		return
	}
	w := newWorld(t)
	w.Open(t)
	job := w.script(t, "print", "once", "exit", "4")
	w.start(t, job)
	before := w.await(t, job.Attempt, ended)
	engine := theEngine(t)
	name := containerOf(job.Attempt)
	await := func() {
		result := engine.ContainerWait(t.Context(), name, client.ContainerWaitOptions{})
		select {
		case <-result.Result:
		case err := <-result.Error:
			t.Fatal(err)
		}
	}
	await()
	if _, err := engine.ContainerStart(t.Context(), name, client.ContainerStartOptions{}); err != nil {
		t.Fatal(err)
	}
	await()
	after, err := w.open.Observe(t.Context(), job.Attempt)
	if err != nil || after.Code != 4 || !after.Ended.Equal(before.Ended) {
		t.Errorf("seen %+v, %v; want %+v still", after, err, before)
	}
	if got := w.log(t, job.Attempt); got != "once\n" {
		t.Errorf("log %q; want it printed once", got)
	}
}

// TestServerGoneAtAnyInstant gives up one Executor after the other while its containers
// are made, start and end.
func TestServerGoneAtAnyInstant(t *testing.T) {
	t.Parallel()
	if !inEngine(t) {
		return
	}
	w := newWorld(t)
	w.Open(t)
	w.again(t, executor.Job{}) // the image is there from now on
	for delay := time.Duration(0); delay < 700*time.Millisecond; delay += 50 * time.Millisecond {
		job := w.scriptOf(t, someUser, "print", "one", "after", "20ms", "write", "/out/a=b", "print", "two", "exit", "7")
		ctx, cancel := context.WithTimeout(t.Context(), delay)
		err := w.open.Start(ctx, job)
		cancel()
		w.Open(t)
		if err != nil {
			w.start(t, job)
		}
		seen := w.await(t, job.Attempt, ended)
		if got := w.log(t, job.Attempt); seen.State != executor.Exited || seen.Code != 7 || got != "one\ntwo\n" {
			t.Errorf("after %s: seen %+v, log %q", delay, seen, got)
		}
		w.remove(t, job.Attempt)
		w.wantOurs(t, job, "a")
	}
}

// TestNothingLeftBehind looks for what Remove must have removed.
func TestNothingLeftBehind(t *testing.T) {
	t.Parallel()
	if !inEngine(t) {
		return
	}
	w := newWorld(t)
	ex := w.Open(t)
	job := w.script(t, "print", "ready", "after", "1h")
	w.start(t, job)
	w.awaitText(t, job.Attempt, "ready\n")
	got, err := theEngine(t).ContainerInspect(t.Context(), containerOf(job.Attempt), client.ContainerInspectOptions{})
	if err != nil {
		t.Fatal(err)
	}
	w.remove(t, job.Attempt)
	if left, err := os.ReadDir(filepath.Join(w.Dir, "runs/attempts")); err != nil || len(left) > 0 {
		t.Errorf("directories %v, %v", left, err)
	}
	if as, err := ex.List(t.Context()); err != nil || len(as) > 0 {
		t.Errorf("containers %v, %v", as, err)
	}
	for _, m := range got.Container.Mounts {
		if m.Type == "volume" {
			if _, err := theEngine(t).VolumeInspect(t.Context(), m.Name, client.VolumeInspectOptions{}); err == nil {
				t.Errorf("volume %s is left", m.Name)
			}
		}
	}
}

// TestUnusedImagesAreRemoved loads an image, and collects it.
func TestUnusedImagesAreRemoved(t *testing.T) {
	t.Parallel()
	if !inEngine(t) {
		return
	}
	w := newWorld(t)
	w.Open(t)
	job := w.scriptOf(t, exectest.Image{Env: []string{"THIS=test"}, Passwd: "only:x:1:1::/:\n"}, "print", "ready", "after", "1h")
	w.start(t, job)
	has := func() bool {
		_, err := theEngine(t).ImageInspect(t.Context(), "localhost/weft/image:"+job.Image.Hex())
		return err == nil
	}
	collect := func(inUse []weft.Digest, unused time.Duration) {
		t.Helper()
		if _, err := w.open.Collect(t.Context(), inUse, unused); err != nil {
			t.Errorf("collect: %v", err)
		}
	}
	collect([]weft.Digest{job.Image}, 0)
	collect(nil, time.Hour)
	collect(nil, 0) // a container has it
	if !has() {
		t.Error("an image in use was removed")
	}
	w.remove(t, job.Attempt)
	collect(nil, 0)
	if has() {
		t.Error("an image that nobody uses is left")
	}
}

// TestHostileProgram has a program, as root, put links in the place of every file that
// the server reads or writes.
func TestHostileProgram(t *testing.T) {
	t.Parallel()
	if !inEngine(t) {
		return
	}
	w := newWorld(t)
	w.Open(t)
	secret := filepath.Join(w.Dir, "secret")
	if err := os.WriteFile(secret, []byte(`{"Code":0,"Message":"secret"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	job := w.script(t, "probe", "hostile", secret)
	w.start(t, job)
	w.awaitText(t, job.Attempt, "done\n")
	seen, err := w.open.Observe(t.Context(), job.Attempt)
	if err != nil || seen.State != executor.Running {
		t.Errorf("seen %+v, %v; want running", seen, err)
	}
	if err := w.open.Stop(t.Context(), job.Attempt, time.Hour); err != nil {
		t.Errorf("stop: %v", err)
	}
	seen = w.await(t, job.Attempt, ended)
	if strings.Contains(seen.Message+w.log(t, job.Attempt), "secret") {
		t.Errorf("a secret came out: %+v", seen)
	}
	w.remove(t, job.Attempt)
	if text, err := os.ReadFile(secret); err != nil || string(text) != `{"Code":0,"Message":"secret"}` {
		t.Errorf("the secret is now %q, %v", text, err)
	}
}

// TestDevices gives one of two devices to a container, where the engine does that.
func TestDevices(t *testing.T) {
	t.Parallel()
	if !inEngine(t) {
		return
	}
	w := newWorld(t)
	w.Open(t)
	const kind = "weft.test/device" // which engine.sh describes
	c, err := w.open.Capacity(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	job := w.script(t, "probe", "device", "/cdi/text", "DEVICE")
	job.Devices = []string{kind + "=1"}
	if !w.open.Facts().Devices {
		if len(c.Devices) > 0 {
			t.Errorf("there are devices %v that cannot be given", c.Devices)
		}
		if err := w.open.Start(t.Context(), job); weft.KindOf(err) != weft.Unavailable {
			t.Errorf("start: %v; want Unavailable", err)
		}
		return
	}
	if got := c.Devices[kind]; !slices.Equal(got, []string{kind + "=0", kind + "=1"}) {
		t.Errorf("devices %q", got)
	}
	w.start(t, job)
	seen := w.await(t, job.Attempt, ended)
	if got := w.log(t, job.Attempt); seen.Code != 0 || got != "of a device\n1\n" || !slices.Equal(seen.Devices, job.Devices) {
		t.Errorf("seen %+v, log %q", seen, got)
	}
	job.Attempt.Number, job.Devices = 2, []string{kind + "=7"}
	if err := w.open.Start(t.Context(), job); weft.KindOf(err) != weft.Unavailable {
		t.Errorf("start with a device that is not there: %v; want Unavailable", err)
	}
}

// A road leads to the engine, and can be closed.
type road struct {
	net.Listener
	to    string
	mu    sync.Mutex
	shut  bool
	conns []net.Conn
}

func newRoad(t testing.TB) *road {
	t.Helper()
	l, err := net.Listen("unix", filepath.Join(t.TempDir(), "s"))
	if err != nil {
		t.Fatal(err)
	}
	r := &road{Listener: l, to: strings.TrimPrefix(os.Getenv(envHost), "unix://")}
	t.Cleanup(func() { r.Close(); r.close(true) })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go r.carry(c)
		}
	}()
	return r
}

func (r *road) carry(c net.Conn) {
	defer c.Close()
	r.mu.Lock()
	shut := r.shut
	r.conns = append(r.conns, c)
	r.mu.Unlock()
	if shut {
		return
	}
	e, err := net.Dial("unix", r.to)
	if err != nil {
		return
	}
	defer e.Close()
	go func() { _, _ = io.Copy(e, c); e.(*net.UnixConn).CloseWrite() }()
	_, _ = io.Copy(c, e)
}

func (r *road) close(shut bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.shut = shut
	for _, c := range r.conns {
		c.Close()
	}
	r.conns = nil
}

// TestEngineUnreachable expects words while the engine does not answer, and that all
// goes on when it does.
func TestEngineUnreachable(t *testing.T) {
	t.Parallel()
	if !inEngine(t) {
		return
	}
	w := newWorld(t)
	r := newRoad(t)
	w.host = "unix://" + r.Addr().String()
	w.Open(t)
	job := w.script(t, "print", "ready", "after", "2s", "exit", "5")
	w.start(t, job)
	w.awaitText(t, job.Attempt, "ready\n")
	r.close(true)
	w.await(t, job.Attempt, func(s executor.Seen, err error) bool { return weft.KindOf(err) == weft.Unavailable })
	for doing, err := range map[string]error{
		"start":  w.open.Start(t.Context(), w.script(t)),
		"stop":   w.open.Stop(t.Context(), job.Attempt, time.Hour),
		"remove": w.open.Remove(t.Context(), job.Attempt),
	} {
		var e *weft.Error
		if weft.KindOf(err) != weft.Unavailable || !strings.Contains(err.Error(), "does not answer") || !errors.As(err, &e) || e.Advice == "" {
			t.Errorf("%s: %v; want Unavailable, and words", doing, err)
		}
	}
	r.close(false)
	if seen := w.await(t, job.Attempt, ended); seen.State != executor.Exited || seen.Code != 5 {
		t.Errorf("seen %+v; want exit 5", seen)
	}
}

// TestEngineRestarts restarts the engine under a program that runs. Podman's programs go
// on; Docker's end with it, unless it is told otherwise, and what they wrote is kept.
func TestEngineRestarts(t *testing.T) {
	pipes := os.Getenv(envRestart)
	if pipes == "" {
		return
	}
	w := newWorld(t)
	w.Open(t)
	job := w.scriptOf(t, someUser, "stubborn", "write", "/out/a=b", "print", "ready", "after", "1h")
	w.start(t, job)
	w.awaitText(t, job.Attempt, "ready\n")
	if err := os.WriteFile(filepath.Join(pipes, "ask"), []byte("x"), 0); err != nil {
		t.Fatal(err)
	}
	if text, err := os.ReadFile(filepath.Join(pipes, "done")); err != nil || len(text) == 0 {
		t.Fatalf("the engine was not restarted: %v", err)
	}
	if strings.HasPrefix(w.open.Facts().Engine, "Podman") {
		if seen, err := w.open.Observe(t.Context(), job.Attempt); err != nil || seen.State != executor.Running {
			t.Errorf("seen %+v, %v; want running", seen, err)
		}
		if err := w.open.Stop(t.Context(), job.Attempt, 0); err != nil {
			t.Errorf("stop: %v", err)
		}
	}
	if seen := w.await(t, job.Attempt, ended); seen.Code != 137 || seen.Message == "" && seen.Signal != 9 {
		t.Errorf("seen %+v; want it killed", seen)
	}
	w.remove(t, job.Attempt)
	w.wantOurs(t, job, "a")
	again := w.script(t, "exit", "3")
	w.start(t, again)
	if seen := w.await(t, again.Attempt, ended); seen.Code != 3 {
		t.Errorf("seen %+v; want exit 3 of what was started after", seen)
	}
}
