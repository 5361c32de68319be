//go:build e2e

package runc_test

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/weft-dev/weft"
	"github.com/weft-dev/weft/internal/executor"
	"github.com/weft-dev/weft/internal/executor/exectest"
	"github.com/weft-dev/weft/internal/executor/runc"
	"github.com/weft-dev/weft/internal/worker"
)

// TestMain lets the test binary be the supervisor, as weft is.
func TestMain(m *testing.M) {
	if len(os.Args) > 2 && os.Args[1] == "supervise" {
		os.Exit(worker.Supervise(os.Args[2:], os.Stderr))
	}
	os.Exit(m.Run())
}

// world runs real containers below a directory of its own.
type world struct {
	exectest.WorkPlaces
	program string
	network string

	mu     sync.Mutex
	images map[weft.Digest]runc.Image
	open   *runc.Executor
}

func newWorld(t testing.TB, program string) *world {
	if os.Getuid() != 0 {
		t.Fatal("real containers need root")
	}
	w := &world{WorkPlaces: exectest.WorkPlaces{Dir: t.TempDir()}, program: program, images: map[weft.Digest]runc.Image{}}
	t.Cleanup(func() {
		if w.open != nil {
			if err := w.open.Close(); err != nil {
				t.Errorf("close: %v", err)
			}
		}
	})
	return w
}

func (w *world) Containers() bool { return true }

func (w *world) Open(t testing.TB) executor.Executor {
	t.Helper()
	if w.open != nil {
		if err := w.open.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	w.open, err = runc.New(runc.Options{
		Dir: filepath.Join(w.Dir, "runs"), Places: w, Images: w, Worker: []string{self, "supervise"}, Network: w.network,
		Log: slog.New(slog.NewTextHandler(t.Output(), nil)),
	})
	if err != nil {
		t.Fatal(err)
	}
	return w.open
}

func (w *world) Image(t testing.TB, i exectest.Image) weft.Digest {
	t.Helper()
	text, err := json.Marshal(i)
	if err != nil {
		t.Fatal(err)
	}
	digest := weft.Digest(sha256.Sum256(text))
	layer := filepath.Join(w.Dir, "layers", digest.Hex())
	w.mu.Lock()
	defer w.mu.Unlock()
	if _, ok := w.images[digest]; ok {
		return digest
	}
	err = errors.Join(
		os.MkdirAll(filepath.Join(layer, "etc"), 0o755),
		os.WriteFile(filepath.Join(layer, "etc/passwd"), []byte(i.Passwd), 0o644),
		os.WriteFile(filepath.Join(layer, "etc/group"), []byte(i.Group), 0o644),
		os.Link(w.program, filepath.Join(layer, exectest.Program)),
		os.WriteFile(filepath.Join(layer, "noformat"), []byte("plain text"), 0o755),
	)
	if err != nil {
		t.Fatal(err)
	}
	w.images[digest] = runc.Image{
		Layers: []string{layer}, User: i.User, WorkDir: i.WorkDir, Env: i.Env, Entrypoint: i.Entrypoint, Cmd: i.Cmd,
	}
	return digest
}

func (w *world) Unpack(_ context.Context, d weft.Digest) (runc.Image, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.images[d], nil
}

func TestRuncIsAnExecutor(t *testing.T) {
	t.Parallel()
	program := exectest.BuildProgram(t)
	exectest.Run(t, func(t *testing.T) exectest.World { return newWorld(t, program) })
}

// TestManyLayers has more layers than their names would fit into one page.
func TestManyLayers(t *testing.T) {
	t.Parallel()
	w := newWorld(t, exectest.BuildProgram(t))
	ex := w.Open(t)
	job := script(t, w, "show", "/order", "show", "/layer-7")
	img := w.images[job.Image]
	for i := range 120 {
		layer := filepath.Join(w.Dir, "layers", strings.Repeat("long", 20), strconv.Itoa(i))
		err := errors.Join(
			os.MkdirAll(layer, 0o755),
			os.WriteFile(filepath.Join(layer, "order"), []byte(strconv.Itoa(i)+"\n"), 0o644),
			os.WriteFile(filepath.Join(layer, "layer-"+strconv.Itoa(i)), []byte("there"), 0o644),
		)
		if err != nil {
			t.Fatal(err)
		}
		img.Layers = append(img.Layers, layer)
	}
	w.images[job.Image] = img
	start(t, ex, job)
	seen := await(t, ex, job.Attempt)
	if got := logOf(t, ex, job.Attempt, false); seen.Code != 0 || got != "119\nthere" {
		t.Errorf("seen %+v, log %q; want the uppermost layer's file", seen, got)
	}
	remove(t, ex, job.Attempt)
}

// TestNothingLeftBehind looks for what Remove must have removed.
func TestNothingLeftBehind(t *testing.T) {
	t.Parallel()
	w := newWorld(t, exectest.BuildProgram(t))
	ex := w.Open(t)
	job := script(t, w, "print", "ready", "after", "1h")
	start(t, ex, job)
	awaitText(t, ex, job.Attempt, "ready\n")
	remove(t, ex, job.Attempt)
	cgroups, err := filepath.Glob("/sys/fs/cgroup/*/weft/" + job.Attempt.String())
	if err != nil || len(cgroups) > 0 {
		t.Errorf("cgroups %v, %v", cgroups, err)
	}
	mounts, err := os.ReadFile("/proc/self/mounts")
	if err != nil || strings.Contains(string(mounts), job.Attempt.String()) {
		t.Errorf("there are mounts, or %v", err)
	}
	for _, dir := range []string{"runs/attempts", "runs/runc"} {
		if left, err := os.ReadDir(filepath.Join(w.Dir, dir)); err != nil || len(left) > 0 {
			t.Errorf("%s: %v, %v", dir, left, err)
		}
	}
	if pids := supervisors(t, job.Attempt); len(pids) > 0 {
		t.Errorf("supervisors %v", pids)
	}
}

// TestOwnNetwork expects nothing but a loopback device.
func TestOwnNetwork(t *testing.T) {
	t.Parallel()
	w := newWorld(t, exectest.BuildProgram(t))
	w.network = runc.NetworkNone
	ex := w.Open(t)
	job := script(t, w, "show", "/proc/net/dev")
	start(t, ex, job)
	await(t, ex, job.Attempt)
	const head = 2 // lines
	if got := logOf(t, ex, job.Attempt, false); strings.Count(got, "\n") != head+1 || !strings.Contains(got, "lo:") {
		t.Errorf("network devices: %s", got)
	}
	remove(t, ex, job.Attempt)
}

// TestFullDisk has no room for requests and records. Removing a container frees some,
// so that must work.
func TestFullDisk(t *testing.T) {
	t.Parallel()
	w := newWorld(t, exectest.BuildProgram(t))
	job := script(t, w, "print", "ready", "after", "1h")
	disk := filepath.Join(w.Dir, "runs")
	if err := os.Mkdir(disk, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount("tmpfs", disk, "tmpfs", 0, "size=1m"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(disk, unix.MNT_DETACH); err != nil {
			t.Errorf("unmount: %v", err)
		}
	})
	ex := w.Open(t)
	start(t, ex, job)
	awaitText(t, ex, job.Attempt, "ready\n")
	if err := os.WriteFile(filepath.Join(disk, "filler"), make([]byte, 2<<20), 0o600); !errors.Is(err, unix.ENOSPC) {
		t.Fatalf("fill disk: %v", err)
	}
	if err := ex.Stop(t.Context(), job.Attempt, 0); weft.KindOf(err) != weft.NoSpace {
		t.Errorf("stop: %v; want NoSpace", err)
	}
	remove(t, ex, job.Attempt)
	if seen, err := ex.Observe(t.Context(), job.Attempt); err != nil || seen.State != executor.Gone {
		t.Errorf("seen %+v, %v; want gone", seen, err)
	}
}
