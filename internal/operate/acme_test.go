package operate

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"io"
	"log"
	"log/slog"
	"net"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/letsencrypt/pebble/v2/ca"
	"github.com/letsencrypt/pebble/v2/db"
	"github.com/letsencrypt/pebble/v2/va"
	"github.com/letsencrypt/pebble/v2/wfe"
	"github.com/miekg/dns"

	"github.com/weft-dev/weft"
)

// everywhere answers every question for an address with the loopback address, and says
// where.
func everywhere(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &dns.Server{Listener: l, Handler: dns.HandlerFunc(func(w dns.ResponseWriter, q *dns.Msg) {
		a := new(dns.Msg).SetReply(q)
		for _, question := range q.Question {
			if question.Qtype == dns.TypeA {
				a.Answer = append(a.Answer, &dns.A{Hdr: dns.RR_Header{Name: question.Name, Rrtype: dns.TypeA, Class: dns.ClassINET}, A: net.IPv4(127, 0, 0, 1)})
			}
		}
		if err := w.WriteMsg(a); err != nil {
			t.Error(err)
		}
	})}
	go s.ActivateAndServe()
	t.Cleanup(func() { s.Shutdown() })
	return l.Addr().String()
}

// newAuthorityOfThePublic starts an ACME server that asks for proof at a port of this
// machine, and returns its directory and what to trust it by.
func newAuthorityOfThePublic(t *testing.T, port int) (directory string, roots *x509.CertPool, issuers *ca.CAImpl) {
	t.Helper()
	t.Setenv("PEBBLE_VA_NOSLEEP", "1")
	t.Setenv("PEBBLE_WFE_NONCEREJECT", "0")
	quiet := log.New(io.Discard, "", 0)
	store := db.NewMemoryStore()
	issuers = ca.New(quiet, store, "", "ecdsa", 0, 1, map[string]ca.Profile{"default": {}})
	front := wfe.New(quiet, store, va.New(quiet, port, port, false, everywhere(t), store), issuers, []string{"authority.test"}, false, false, 1, 1)
	s := httptest.NewTLSServer(front.Handler())
	t.Cleanup(s.Close)
	roots = x509.NewCertPool()
	roots.AddCert(s.Certificate())
	return s.URL + wfe.DirectoryPath, roots, issuers
}

// A public authority asks for proof at our own listener (TLS-ALPN-01) or at a port of its
// own (HTTP-01), and issues a certificate, which is shown to those who ask for its name.
func TestAPublicAuthority(t *testing.T) {
	for name, http := range map[string]bool{"TLS-ALPN-01": false, "HTTP-01": true} {
		t.Run(name, func(t *testing.T) {
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			port := l.Addr().(*net.TCPAddr).Port
			if http { // the port that nobody listens on but for the proof
				spare, err := net.Listen("tcp", "127.0.0.1:0")
				if err != nil {
					t.Fatal(err)
				}
				port = spare.Addr().(*net.TCPAddr).Port
				spare.Close()
			}
			directory, roots, issuers := newAuthorityOfThePublic(t, port)
			c, issued := newCerts(t), make(issuedLog, 8)
			acme := NewACME(ACMEConfig{Names: []string{"public.test"}, Directory: directory, Roots: roots, HTTP: http, Port: port, Certs: c, Log: slog.New(issued)})
			want := Names{Given: []string{"public.test", "weft.test"}, Public: []string{"public.test"}}
			k, err := NewKeeper(KeeperConfig{Certs: c, Want: func() Names { return want }, Public: acme, Log: slog.New(slog.DiscardHandler)})
			if err != nil {
				t.Fatal(err)
			}
			if _, err := c.Trust("public.test"); weft.KindOf(err) != weft.Unavailable {
				t.Errorf("before it was issued, what is handed out: %v", err)
			}
			secure := tls.NewListener(l, k.Config())
			t.Cleanup(func() { secure.Close() })
			go func() {
				for {
					conn, err := secure.Accept()
					if err != nil {
						return
					}
					go func() {
						defer conn.Close()
						conn.(*tls.Conn).Handshake()
					}()
				}
			}()
			ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
			ended := make(chan error, 1)
			go func() { ended <- acme.Run(ctx) }()
			t.Cleanup(func() {
				cancel()
				if err := <-ended; err != nil {
					t.Error(err)
				}
			})
			for shown := false; !shown; {
				select {
				case what := <-issued:
					shown = strings.Contains(what, "is shown")
					if strings.Contains(what, "issued no certificate") {
						t.Fatal(what)
					}
				case <-ctx.Done():
					t.Fatal("it took more than a minute")
				}
			}

			public := x509.NewCertPool()
			root, err := x509.ParseCertificate(issuers.GetRootCert(0).DER)
			if err != nil {
				t.Fatal(err)
			}
			public.AddCert(root)
			ours, err := c.Trust("weft.test")
			if err != nil {
				t.Fatal(err)
			}
			for name, trust := range map[string]*x509.CertPool{"public.test": public, "weft.test": pool(t, ours)} {
				conn, err := tls.Dial("tcp", l.Addr().String(), &tls.Config{RootCAs: trust, ServerName: name})
				if err != nil {
					t.Errorf("%s: %v", name, err)
					continue
				}
				conn.Close()
			}
			if trust, err := c.Trust("public.test"); err != nil {
				t.Error(err)
			} else if block, _ := pem.Decode(trust); block == nil {
				t.Error("an authority that the system does not know is not handed out")
			}
			uses := map[string]bool{}
			all, err := c.Status(time.Now())
			for _, s := range all {
				uses[s.Use] = true
			}
			if err != nil || !uses["public"] || len(c.Findings(time.Now())) > 0 {
				t.Errorf("it has %v (%v), and the doctor finds %v", uses, err, c.Findings(time.Now()))
			}
		})
	}
}

// An issuedLog sends what is logged.
type issuedLog chan string

func (l issuedLog) Enabled(context.Context, slog.Level) bool { return true }
func (l issuedLog) WithAttrs([]slog.Attr) slog.Handler       { return l }
func (l issuedLog) WithGroup(string) slog.Handler            { return l }

func (l issuedLog) Handle(_ context.Context, r slog.Record) error {
	text := r.Message
	r.Attrs(func(a slog.Attr) bool { text += " " + a.String(); return true })
	l <- text
	return nil
}
