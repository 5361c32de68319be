package docker_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/weft-dev/weft"
	"github.com/weft-dev/weft/internal/executor/docker"
	"github.com/weft-dev/weft/internal/executor/exectest"
)

type noImages struct{}

func (noImages) Image(context.Context, weft.Digest) (docker.Image, error) {
	return docker.Image{}, weft.Errorf(weft.NotFound, "no such image")
}

func (noImages) WriteArchive(context.Context, weft.Digest, string, io.Writer) error { return nil }

// TestWhatIsNoEngine expects words, and advice, for whatever listens or does not listen.
func TestWhatIsNoEngine(t *testing.T) {
	t.Parallel()
	dir, err := os.MkdirTemp("/tmp", "wn-") // a short name, as sockets need
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	l, err := net.Listen("unix", filepath.Join(dir, "web"))
	if err != nil {
		t.Fatal(err)
	}
	web := &http.Server{Handler: http.NotFoundHandler()}
	go web.Serve(l)
	t.Cleanup(func() { web.Close() })
	for host, want := range map[string]weft.Kind{
		"unix://" + dir + "/nothing": weft.Unavailable,
		"unix://" + dir + "/web":     weft.Unavailable,
		"gopher":                     weft.Invalid,
	} {
		e, err := docker.New(t.Context(), docker.Options{
			Dir: t.TempDir(), Host: host, Images: noImages{}, Places: exectest.WorkPlaces{Dir: t.TempDir()}, Log: slog.New(slog.DiscardHandler),
		})
		if e != nil || weft.KindOf(err) != want || !strings.Contains(err.Error(), host) {
			t.Errorf("%s: %v, %v; want %v, and where", host, e, err, want)
		}
		var explained *weft.Error
		if strings.HasSuffix(host, "nothing") && (!errors.As(err, &explained) || explained.Advice == "") {
			t.Errorf("%s: %v has no advice", host, err)
		}
	}
}
