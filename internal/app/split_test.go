package app

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/weft-dev/weft/internal/operate"
)

// secured serves h as a server with TLS does, and returns its address and what to trust
// it by.
func secured(t *testing.T, h http.Handler, patience time.Duration) (address string, trust *x509.CertPool) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	certs, err := operate.OpenCerts(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	log := slog.New(slog.DiscardHandler)
	k, err := operate.NewKeeper(operate.KeeperConfig{Certs: certs, Want: func() operate.Names { return operate.Names{} }, Log: log})
	if err != nil {
		t.Fatal(err)
	}
	p := &process{log: log, listener: l, certs: k}
	server := p.httpServer(h)
	server.ReadHeaderTimeout = patience
	var g errgroup.Group
	ctx := t.Context()
	p.accept(ctx, &g, server)
	t.Cleanup(func() {
		server.Close()
		l.Close()
		if err := g.Wait(); err != nil {
			t.Error(err)
		}
	})
	text, err := certs.Trust("127.0.0.1")
	if err != nil {
		t.Fatal(err)
	}
	trust = x509.NewCertPool()
	trust.AppendCertsFromPEM(text)
	return l.Addr().String(), trust
}

var hello = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Trailer", "X-Sum")
	fmt.Fprintf(w, "hello by %s", r.Proto)
	w.Header().Set("X-Sum", "sum")
})

// Both versions of HTTP are spoken over TLS, with trailers.
func TestTLSListener(t *testing.T) {
	t.Parallel()
	address, trust := secured(t, hello, time.Minute)
	for _, v := range []struct {
		two   bool
		proto string
	}{{true, "HTTP/2.0"}, {false, "HTTP/1.1"}} {
		tr := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: trust}, ForceAttemptHTTP2: v.two}
		defer tr.CloseIdleConnections()
		res, err := (&http.Client{Transport: tr}).Get("https://" + address)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		text, err := io.ReadAll(res.Body)
		if err != nil || string(text) != "hello by "+v.proto || res.Trailer.Get("X-Sum") != "sum" {
			t.Errorf("%q (%v), trailer %v", text, err, res.Trailer)
		}
	}
}

// Who speaks plain HTTP to a port of TLS is told what to do.
func TestPlainHTTPOnATLSPort(t *testing.T) {
	t.Parallel()
	address, _ := secured(t, hello, time.Minute)
	for _, v := range []struct {
		request string
		status  int
		says    string
	}{
		{"GET /api/data?x=1 HTTP/1.1\r\nHost: weft.test:1\r\n\r\n", 307, "https://weft.test:1/api/data?x=1"},
		{"GET / HTTP/1.1\r\nHost: weft.test\r\nAuthorization: Bearer secret\r\n\r\n", 400, "make a new one"},
		{"GET / HTTP/1.1\r\nHost: weft.test\r\nCookie: weft-session=secret\r\n\r\n", 400, "speaks HTTPS"},
		{"POST /api/data HTTP/1.1\r\nHost: weft.test\r\nContent-Length: 2\r\n\r\nhi", 400, "write https://weft.test"},
	} {
		conn, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		if _, err := io.WriteString(conn, v.request); err != nil {
			t.Fatal(err)
		}
		res, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		text, err := io.ReadAll(res.Body)
		if said := string(text) + res.Header.Get("Location"); err != nil || res.StatusCode != v.status || !strings.Contains(said, v.says) {
			t.Errorf("%q: %d %s (%v)", v.request, res.StatusCode, said, err)
		}
	}
}

// Clients that send nothing, half a handshake, or a header without end, are cut off, and
// nobody else waits for them.
func TestSlowAndHugeClients(t *testing.T) {
	t.Parallel()
	address, trust := secured(t, hello, 100*time.Millisecond)
	for name, begin := range map[string]string{
		"nothing": "", "half a handshake": "\x16\x03\x01", "half a plain header": "GET / HTTP/1.1\r\nHost: x\r\n",
	} {
		conn, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		if _, err := io.WriteString(conn, begin); err != nil {
			t.Fatal(err)
		}
		if _, err := io.Copy(io.Discard, conn); err != nil && !strings.Contains(err.Error(), "reset") { // ends when the server ends it
			t.Errorf("%s: %v", name, err)
		}
	}
	conn, err := tls.Dial("tcp", address, &tls.Config{RootCAs: trust})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, "GET / HTTP/1.1\r\nHost: x\r\n"); err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(io.Discard, conn); err != nil && !strings.Contains(err.Error(), "reset") {
		t.Errorf("half a header: %v", err)
	}

	tr := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: trust}}
	defer tr.CloseIdleConnections()
	req, err := http.NewRequestWithContext(t.Context(), "GET", "https://"+address, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("X-Large", strings.Repeat("x", 2*maxHeader))
	res, err := tr.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusRequestHeaderFieldsTooLarge {
		t.Errorf("a header that is too large: %d", res.StatusCode)
	}
}
