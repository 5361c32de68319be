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
	"sync"
	"testing"

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
		Dir: filepath.Join(w.Dir, "runs"), Places: w, Images: w, Worker: []string{self, "supervise"},
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
