//go:build e2e

package docker_test

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/weft-dev/weft"
	"github.com/weft-dev/weft/internal/executor"
	"github.com/weft-dev/weft/internal/executor/docker"
	"github.com/weft-dev/weft/internal/executor/exectest"
)

// The tests run in a process of their own, as a user who is not root, once for each kind
// of engine. These variables tell it about the engine and about programs built before.
const (
	envHost    = "WEFT_TEST_ENGINE"
	envProgram = "WEFT_TEST_PROGRAM"
	envWeft    = "WEFT_TEST_WEFT"
	envRestart = "WEFT_TEST_RESTART" // directory of the pipes by which a restart is asked for
)

// repository is the root of the sources, seen from this package.
const repository = "../../.."

// TestEngines starts each kind of engine and has the other tests of this package use it.
func TestEngines(t *testing.T) {
	if os.Getenv(envHost) != "" {
		return // this is such a process
	}
	if os.Getuid() != 0 {
		t.Fatal("container engines are started by root, for a user who is not")
	}
	weft := build(t, "./cmd/weft")
	program := build(t, "./internal/executor/exectest/testdata/program")
	for _, kind := range []string{"docker", "podman", "rootless"} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			inProcess(t, kind, weft, program)
		})
	}
}

// build builds a program that needs no libraries, where everyone can run it.
func build(t *testing.T, pkg string) string {
	t.Helper()
	dir := openDir(t)
	name := filepath.Join(dir, filepath.Base(pkg))
	cmd := exec.Command("go", "build", "-o", name, pkg)
	cmd.Dir = repository
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build %s: %v\n%s", pkg, err, out)
	}
	return name
}

// openDir makes a directory with a short name that everyone can read.
func openDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/tmp", "wd-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

func inProcess(t *testing.T, kind, weft, program string) {
	dir := openDir(t)
	t.Cleanup(func() { engine(t, "stop", dir) })
	host := engine(t, "start", kind, dir)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	binary := filepath.Join(openDir(t), "docker.test")
	text, err := os.ReadFile(self)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(binary, text, 0o755); err != nil {
		t.Fatal(err)
	}
	args := []string{"as", dir, "env", envHost + "=" + host, envProgram + "=" + program, envWeft + "=" + weft, "WEFT_TEST_KIND=" + kind,
		binary, "-test.run=" + only(t), "-test.timeout=10m", "-test.parallel=4"}
	if testing.Verbose() {
		args = append(args, "-test.v")
	}
	t.Log(engine(t, args...))
	if kind != "docker" && kind != "podman" || only(t) != "." {
		return
	}
	// Last, alone, a restart of the engine: it asks for one by a named pipe.
	home := filepath.Join(dir, "home")
	for _, name := range []string{"ask", "done"} {
		fifo := filepath.Join(home, name)
		if err := errors.Join(unix.Mkfifo(fifo, 0o600), os.Chmod(fifo, 0o666)); err != nil {
			t.Fatal(err)
		}
	}
	go func() {
		if _, err := os.ReadFile(filepath.Join(home, "ask")); err == nil {
			engine(t, "restart", dir)
			_ = os.WriteFile(filepath.Join(home, "done"), []byte("x"), 0) // the test says if this failed
		}
	}()
	args[slices.Index(args, "-test.run=.")] = "-test.run=TestEngineRestarts"
	t.Log(engine(t, slices.Insert(args, 3, envRestart+"="+home)...))
}

// only passes on which tests were asked for.
func only(t *testing.T) string {
	if name := os.Getenv("WEFT_TEST_ONLY"); name != "" {
		return name
	}
	return "."
}

// engine calls test/engine.sh.
func engine(t *testing.T, args ...string) string {
	t.Helper()
	cmd := exec.Command(repository+"/test/engine.sh", args...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Errorf("engine.sh %s: %v\n%s", args[0], err, out)
	}
	return strings.TrimSpace(string(out))
}

// world runs containers of the engine below a directory of its own.
type world struct {
	exectest.WorkPlaces
	network string
	host    string

	mu     sync.Mutex
	images map[weft.Digest]exectest.Image
	open   *docker.Executor
}

// newWorld returns nil where there is no engine: in the process that starts them.
func newWorld(t testing.TB) *world {
	w := &world{WorkPlaces: exectest.WorkPlaces{Dir: t.TempDir()}, images: map[weft.Digest]exectest.Image{}, network: "none", host: os.Getenv(envHost)}
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

// Unlimited asks what the engine was found to do.
func (w *world) Unlimited() bool { return !w.open.Facts().LimitsMemory }

func (w *world) Open(t testing.TB) executor.Executor {
	t.Helper()
	if w.open != nil {
		if err := w.open.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	}
	var err error
	w.open, err = docker.New(t.Context(), docker.Options{
		Dir: filepath.Join(w.Dir, "runs"), Places: w, Images: imagesOf{w}, Host: w.host, Program: os.Getenv(envWeft),
		Network: w.network, Log: slog.New(slog.NewTextHandler(t.Output(), nil)),
	})
	if err != nil {
		t.Fatal(err)
	}
	return w.open
}

// Image makes nothing yet: the digest stands for what is to be in the image.
func (w *world) Image(t testing.TB, i exectest.Image) weft.Digest {
	t.Helper()
	text, err := json.Marshal(i)
	if err != nil {
		t.Fatal(err)
	}
	digest := weft.Digest(sha256.Sum256(text))
	w.mu.Lock()
	defer w.mu.Unlock()
	w.images[digest] = i
	return digest
}

func (w *world) get(d weft.Digest) (exectest.Image, []byte, error) {
	w.mu.Lock()
	i := w.images[d]
	w.mu.Unlock()
	program, err := os.ReadFile(os.Getenv(envProgram))
	if err != nil {
		return i, nil, err
	}
	layer, err := archive(
		file{"program", 0o755, program}, file{"etc/passwd", 0o644, []byte(i.Passwd)}, file{"etc/group", 0o644, []byte(i.Group)},
		file{"noformat", 0o755, []byte("plain text")},
	)
	return i, layer, err
}

func (w *world) WriteArchive(_ context.Context, d weft.Digest, name string, to io.Writer) error {
	_, layer, err := w.get(d)
	if err != nil {
		return err
	}
	config, err := json.Marshal(map[string]any{
		"architecture": runtime.GOARCH, "os": "linux", "rootfs": map[string]any{"type": "layers", "diff_ids": []string{digestOf(layer)}},
		"config": map[string]any{"User": "5:5", "Env": []string{"GODEBUG=nonsense", "PATH=/nowhere"}, "Volumes": map[string]any{"/volume": struct{}{}}},
	})
	if err != nil {
		return err
	}
	manifest, err := json.Marshal([]map[string]any{{"Config": "config.json", "RepoTags": []string{name}, "Layers": []string{"layer.tar"}}})
	if err != nil {
		return err
	}
	text, err := archive(file{"config.json", 0o644, config}, file{"layer.tar", 0o644, layer}, file{"manifest.json", 0o644, manifest})
	if err != nil {
		return err
	}
	_, err = to.Write(text)
	return err
}

// imageOf is Image of docker.Images; the world's own name is taken.
type imagesOf struct{ *world }

func (w imagesOf) Image(_ context.Context, d weft.Digest) (docker.Image, error) {
	i, layer, err := w.get(d)
	return docker.Image{
		User: i.User, WorkDir: i.WorkDir, Env: i.Env, Entrypoint: i.Entrypoint, Cmd: i.Cmd, Layers: []string{digestOf(layer)},
	}, err
}

type file struct {
	name string
	mode int64
	text []byte
}

func archive(files ...file) ([]byte, error) {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, f := range files {
		if err := w.WriteHeader(&tar.Header{Name: f.name, Typeflag: tar.TypeReg, Mode: f.mode, Size: int64(len(f.text))}); err != nil {
			return nil, err
		}
		if _, err := w.Write(f.text); err != nil {
			return nil, err
		}
	}
	err := w.Close()
	return b.Bytes(), err
}

func digestOf(text []byte) string { return weft.Digest(sha256.Sum256(text)).String() }

// inEngine begins a test that needs an engine. It reports whether there is one: there is
// none in the process that starts them.
func inEngine(t *testing.T) bool {
	t.Helper()
	return os.Getenv(envHost) != ""
}

func TestDockerIsAnExecutor(t *testing.T) {
	t.Parallel()
	if inEngine(t) {
		exectest.Run(t, func(t *testing.T) exectest.World { return newWorld(t) })
	}
}
