package registry_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/weft-dev/weft/internal/store/storetest"
)

// A wire is a listener whose connections are in memory, so that time in a bubble can pass.
type wire chan net.Conn

func (l wire) Accept() (net.Conn, error) {
	c, ok := <-l
	if !ok {
		return nil, net.ErrClosed
	}
	return c, nil
}
func (l wire) Close() error   { return nil }
func (l wire) Addr() net.Addr { return &net.TCPAddr{} }

// A client that begins a blob, a chunk or a manifest and then sends nothing is let go.
func TestStalledClientsAreLetGo(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := assemble(t, storetest.SQLite(t))
		l := make(wire)
		server := &http.Server{Handler: s.handler}
		go func() { _ = server.Serve(l) }() // ends with Close
		defer func() { close(l); server.Close() }()
		stall := func(method, path, contentType string) (status int, took time.Duration) {
			ours, theirs := net.Pipe()
			defer ours.Close()
			l <- theirs
			began := time.Now()
			go fmt.Fprintf(ours, "%s %s HTTP/1.1\r\nHost: x\r\nAuthorization: Basic YW5uOnNlY3JldA==\r\nContent-Type: %s\r\nContent-Length: 1000\r\n\r\nsome", method, path, contentType)
			resp, err := http.ReadResponse(bufio.NewReader(ours), nil)
			if err != nil {
				t.Fatalf("%s %s: %v", method, path, err)
			}
			defer resp.Body.Close()
			if _, err := io.Copy(io.Discard, resp.Body); err != nil {
				t.Error(err)
			}
			return resp.StatusCode, time.Since(began)
		}
		session := s.begin(l)
		for _, c := range [][3]string{
			{"POST", "/v2/r/blobs/uploads/?digest=" + digestOf("x"), "application/octet-stream"},
			{"PATCH", session, "application/octet-stream"},
			{"PUT", session + "?digest=" + digestOf("x"), "application/octet-stream"},
			{"PUT", "/v2/r/manifests/v1", ociManifest},
		} {
			if status, took := stall(c[0], c[1], c[2]); status != 400 || took > 2*time.Minute {
				t.Errorf("%s %s: %d after %s", c[0], c[1], status, took)
			}
		}
	})
}

// begin opens an upload by a wire.
func (s *system) begin(l wire) string {
	s.t.Helper()
	ours, theirs := net.Pipe()
	defer ours.Close()
	l <- theirs
	go fmt.Fprint(ours, "POST /v2/r/blobs/uploads/ HTTP/1.1\r\nHost: x\r\nAuthorization: Basic YW5uOnNlY3JldA==\r\n\r\n")
	resp, err := http.ReadResponse(bufio.NewReader(ours), nil)
	if err != nil {
		s.t.Fatal(err)
	}
	resp.Body.Close()
	return resp.Header.Get("Location")
}
