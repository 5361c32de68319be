package notify

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"log"
	"math/big"
	"mime"
	"mime/quotedprintable"
	"net"
	"net/mail"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"
)

// A mailbox is a mail server that takes everything.
type mailbox struct {
	auth bool // insists on signing in
	got  chan envelope
}

type envelope struct {
	from string
	to   []string
	text string
	tls  bool
	user string
}

type session struct {
	*mailbox
	conn *smtp.Conn
	envelope
}

func (b *mailbox) NewSession(c *smtp.Conn) (smtp.Session, error) {
	return &session{mailbox: b, conn: c}, nil
}

func (s *session) AuthMechanisms() []string { return []string{sasl.Plain} }

func (s *session) Auth(string) (sasl.Server, error) {
	return sasl.NewPlainServer(func(_, user, password string) error {
		if password != "s3cret" {
			return smtp.ErrAuthFailed
		}
		s.user = user
		return nil
	}), nil
}

func (s *session) Mail(from string, _ *smtp.MailOptions) error {
	if s.auth && s.user == "" {
		return smtp.ErrAuthRequired
	}
	_, s.tls = s.conn.TLSConnectionState()
	s.from = from
	return nil
}

func (s *session) Rcpt(to string, _ *smtp.RcptOptions) error {
	if strings.HasPrefix(to, "unknown") {
		return errors.New("no such mailbox")
	}
	s.to = append(s.to, to)
	return nil
}

func (s *session) Data(r io.Reader) error {
	b, err := io.ReadAll(r)
	s.text = string(b)
	s.got <- s.envelope
	return err
}

func (s *session) Reset()        { s.envelope = envelope{user: s.user} }
func (s *session) Logout() error { return nil }

// serve starts a mail server on loopback; its certificate is for 127.0.0.1.
func serve(t *testing.T, b *mailbox, withTLS bool) (address string, roots *x509.CertPool) {
	t.Helper()
	b.got = make(chan envelope, 1)
	s := smtp.NewServer(b)
	s.Domain, s.AllowInsecureAuth, s.ErrorLog = "mail.test", true, log.New(io.Discard, "", 0)
	roots = x509.NewCertPool()
	if withTLS {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		template := &x509.Certificate{SerialNumber: big.NewInt(1), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, NotAfter: time.Now().Add(time.Hour),
			IsCA: true, BasicConstraintsValid: true}
		der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
		if err != nil {
			t.Fatal(err)
		}
		s.TLSConfig = &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}
		cert, err := x509.ParseCertificate(der)
		if err != nil {
			t.Fatal(err)
		}
		roots.AddCert(cert)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- s.Serve(l) }()
	t.Cleanup(func() {
		s.Close()
		<-done
	})
	return l.Addr().String(), roots
}

func TestMailIsSentOverTLS(t *testing.T) {
	t.Parallel()
	box := &mailbox{auth: true}
	address, roots := serve(t, box, true)
	m := &Mail{Address: address, From: "weft@lab.test", TLS: MailStartTLS, Roots: roots, Username: "weft", Password: "s3cret"}
	at := time.Date(2027, 1, 2, 3, 4, 5, 0, time.UTC)
	if err := m.send(t.Context(), []string{"a@b.test", "c@d.test"}, "[weft] failed: jährlich\r\nBcc: all@b.test", "run 1 — failed\n.\nQUIT\n", "id-1", at); err != nil {
		t.Fatal(err)
	}
	got := <-box.got
	if !got.tls || got.user != "weft" || got.from != "weft@lab.test" || len(got.to) != 2 {
		t.Errorf("envelope %+v", got)
	}
	msg, err := mail.ReadMessage(strings.NewReader(got.text))
	if err != nil {
		t.Fatal(err)
	}
	subject, err := new(mime.WordDecoder).DecodeHeader(msg.Header.Get("Subject"))
	if err != nil || subject != "[weft] failed: jährlich  Bcc: all@b.test" || msg.Header.Get("Bcc") != "" || msg.Header.Get("Message-Id") != "<id-1@lab.test>" {
		t.Errorf("header %v, %v", msg.Header, err)
	}
	if body, err := io.ReadAll(quotedprintable.NewReader(msg.Body)); err != nil || strings.ReplaceAll(string(body), "\r\n", "\n") != "run 1 — failed\n.\nQUIT\n" {
		t.Errorf("body %q, %v", body, err)
	}
}

// Without TLS, where it is asked for, nothing is sent, and no password either.
func TestMailServersThatAreNoGood(t *testing.T) {
	t.Parallel()
	plain := &mailbox{}
	plainAddress, _ := serve(t, plain, false)
	strange := &mailbox{auth: true}
	strangeAddress, roots := serve(t, strange, true)
	for want, m := range map[string]*Mail{
		"no STARTTLS":       {Address: plainAddress, TLS: MailStartTLS, Username: "weft", Password: "s3cret"},
		"certificate":       {Address: strangeAddress, TLS: MailStartTLS, Username: "weft", Password: "s3cret"},
		"uthenticat":        {Address: strangeAddress, TLS: MailStartTLS, Roots: roots, Username: "weft", Password: "wrong"},
		"cannot be reached": {Address: "127.0.0.1:1", TLS: MailPlain},
	} {
		m.From = "weft@lab.test"
		if err := m.send(t.Context(), []string{"a@b.test"}, "s", "t", "i", time.Now()); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v; want %q", err, want)
		}
	}
	ok := &Mail{Address: plainAddress, From: "weft@lab.test", TLS: MailPlain}
	if err := ok.send(t.Context(), []string{"unknown@b.test"}, "s", "t", "i", time.Now()); err == nil || !strings.Contains(err.Error(), "no such mailbox") {
		t.Errorf("to an unknown mailbox: %v", err)
	}
}

// A mail server that says nothing is not waited for longer than the message may take.
func TestAMailServerThatHangs(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		if c, err := l.Accept(); err == nil {
			cancel() // it is connected, and waits for a greeting
			defer c.Close()
			io.Copy(io.Discard, c)
		}
	}()
	m := &Mail{Address: l.Addr().String(), From: "weft@lab.test", TLS: MailPlain}
	if err := m.send(ctx, []string{"a@b.test"}, "s", "t", "i", time.Now()); err == nil {
		t.Error("it was sent")
	}
}
