//go:build e2e

package app_test

import (
	"bytes"
	"context"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/weft-dev/weft/api"
)

// newEngine starts a container engine for a user who is not root, and returns its
// directory.
func newEngine(t *testing.T, kind string) string {
	t.Helper()
	dir, err := os.MkdirTemp("/tmp", "wa-") // a short name, as sockets need
	if err != nil {
		t.Fatal(err)
	}
	engine := func(args ...string) {
		if out, err := exec.Command(repository+"/test/engine.sh", args...).CombinedOutput(); err != nil {
			t.Errorf("engine.sh %s: %v\n%s", args[0], err, out)
		}
	}
	t.Cleanup(func() { engine("stop", dir) })
	if engine("start", kind, dir); t.Failed() {
		t.FailNow()
	}
	return dir
}

// newUserMachine starts a server as the engine's user.
func newUserMachine(t *testing.T, engine string, args ...string) *machine {
	t.Helper()
	dir, err := built()
	if err != nil {
		t.Fatal(err)
	}
	settings := filepath.Join(engine, "weft.yaml")
	if err := os.WriteFile(settings, []byte("docker: {network: none}\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	m := &machine{t: t, built: dir, state: filepath.Join(engine, "home", "state"), home: t.TempDir(), user: engine, log: &bytes.Buffer{},
		args: append([]string{"--config", settings}, args...)}
	return m.open()
}

// TestDigitsWithoutRoot takes the digits example through servers that are not root, on each
// kind of engine, kills some of them at random instants, and expects what a server with
// runc comes to.
func TestDigitsWithoutRoot(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
	defer cancel()
	calm := newMachine(t)
	calm.digits()
	never := func(r api.RunDetail) bool {
		t.Fatalf("run %s failed: %+v", r.RunID, r.Exit)
		return false
	}
	calm.settle(ctx, never)
	want := calm.picture(ctx)
	t.Logf("killseed is %d", *killSeed)
	for kind, kills := range map[string]int{"docker": 4, "podman": 0, "rootless": 4} {
		t.Run(kind, func(t *testing.T) {
			m := newUserMachine(t, newEngine(t, kind))
			c, err := m.Cluster(ctx)
			if err != nil || c.Executor.Kind != "docker" || !strings.Contains(c.Executor.Why, "root") {
				t.Errorf("the executor is %+v, %v; want docker, as this takes no root", c.Executor, err)
			}
			m.digits()
			rng := rand.New(rand.NewPCG(*killSeed, uint64(len(kind))))
			for range kills {
				pause(ctx, t, time.Duration(rng.IntN(1500))*time.Millisecond)
				m.kill()
				pause(ctx, t, time.Duration(rng.IntN(500))*time.Millisecond)
				m.start()
			}
			m.settle(ctx, never)
			if diff := cmp.Diff(want, m.picture(ctx)); diff != "" {
				t.Errorf("another end than with runc (-runc +%s):\n%s", kind, diff)
			}
			m.verifyAll(ctx)
			if err := m.stop(); err != nil {
				t.Errorf("the server ended with %v", err)
			}
			m.wantOwned()
		})
	}
}

// wantOwned fails the test unless all that the server keeps belongs to it, and nothing is
// left of containers.
func (m *machine) wantOwned() {
	m.t.Helper()
	info, err := os.Stat(m.state)
	if err != nil {
		m.t.Fatal(err)
	}
	owner := info.Sys().(*syscall.Stat_t).Uid
	if owner == 0 {
		m.t.Error("the state belongs to root")
	}
	err = filepath.WalkDir(m.state, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err == nil && info.Sys().(*syscall.Stat_t).Uid != owner {
			m.t.Errorf("%s belongs to user %d", name, info.Sys().(*syscall.Stat_t).Uid)
		}
		return err
	})
	if err != nil {
		m.t.Error(err)
	}
	for _, dir := range []string{"runs/docker/attempts", "content/work"} {
		if left, err := os.ReadDir(filepath.Join(m.state, dir)); err != nil || len(left) > 0 {
			m.t.Errorf("%s: %v, %v", dir, left, err)
		}
	}
}

// TestNothingRunsContainers starts a server that is not root where no engine is.
func TestNothingRunsContainers(t *testing.T) {
	t.Parallel()
	dir, err := built()
	if err != nil {
		t.Fatal(err)
	}
	home, err := os.MkdirTemp("/tmp", "wa-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(home) })
	const nobody = 65534
	if err := os.Chown(home, nobody, nobody); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(dir+"/weft", "serve", "--listen", "127.0.0.1:0")
	cmd.Env = []string{"HOME=" + home, "DOCKER_HOST=unix://" + home + "/engine.sock", "PATH=" + os.Getenv("PATH")}
	cmd.Dir = home
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	out, err := cmd.CombinedOutput()
	if err == nil {
		t.Error("the server ran")
	}
	for _, want := range []string{"runc cannot be used: that takes root", home + "/engine.sock does not answer", "podman.socket"} {
		if !strings.Contains(string(out), want) {
			t.Errorf("it said %q; want %q in it", out, want)
		}
	}
}
