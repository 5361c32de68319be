package docker_test

import (
	"net"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/weft-dev/weft/internal/executor/docker"
)

// TestHosts has sockets of a user, and one that is none.
func TestHosts(t *testing.T) {
	t.Parallel()
	dir, err := os.MkdirTemp("/tmp", "wh-") // a short name, as sockets need
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.MkdirAll(filepath.Join(dir, "run/podman"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "run/docker.sock"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	podman := filepath.Join(dir, "run/podman/podman.sock")
	l, err := net.Listen("unix", podman)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	env := map[string]string{"XDG_RUNTIME_DIR": filepath.Join(dir, "run"), "HOME": dir}
	getenv := func(key string) string { return env[key] }
	got := docker.Hosts(getenv)
	if !slices.Contains(got, "unix://"+podman) || slices.Contains(got, "unix://"+filepath.Join(dir, "run/docker.sock")) {
		t.Errorf("hosts %q; want Podman's socket in it, and no plain file", got)
	}
	env["DOCKER_HOST"] = "unix:///elsewhere"
	if got := docker.Hosts(getenv); !slices.Equal(got, []string{"unix:///elsewhere"}) {
		t.Errorf("hosts %q; want what DOCKER_HOST says, and nothing else", got)
	}
}
