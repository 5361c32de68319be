package app

import (
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/weft-dev/weft"
)

func TestExecutorSetting(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "weft.yaml")
	if err := os.WriteFile(file, []byte("executor: docker\ndocker: {host: 'unix:///x', network: none}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := load(t, "--config", file)
	if err != nil || c.Executor != executorDocker || c.Docker != (DockerConfig{Host: "unix:///x", Network: "none"}) {
		t.Errorf("config %+v, %v", c, err)
	}
	if _, err := load(t, "--executor", "magic"); weft.KindOf(err) != weft.Invalid || !strings.Contains(err.Error(), "magic") {
		t.Errorf("executor magic: %v; want Invalid", err)
	}
	if err := os.WriteFile(file, []byte("docker: {socket: x}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := load(t, "--config", file); weft.KindOf(err) != weft.Invalid {
		t.Errorf("a setting that docker does not have: %v; want Invalid", err)
	}
}

// TestNoSuchEngine says which engine does not answer, and what to do.
func TestNoSuchEngine(t *testing.T) {
	t.Parallel()
	s, err := openState(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.close() })
	p := &process{log: slog.New(slog.DiscardHandler), state: s, Config: Config{Executor: executorDocker, Docker: DockerConfig{Host: "unix:///no/such/socket"}}}
	err = p.openExecutor(t.Context(), nil)
	var e *weft.Error
	if weft.KindOf(err) != weft.Unavailable || !strings.Contains(err.Error(), "/no/such/socket") || !errors.As(err, &e) || !strings.Contains(e.Advice, "podman.socket") {
		t.Errorf("%v; want Unavailable, the socket, and advice", err)
	}
}
