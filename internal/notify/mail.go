package notify

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"mime"
	"mime/quotedprintable"
	"net"
	"net/smtp"
	"strings"
	"time"

	"github.com/weft-dev/weft"
)

// Mail is how mail is sent: by SMTP (RFC 5321) to one server, which passes it on.
type Mail struct {
	Address  string // host:port
	From     string // address
	TLS      MailTLS
	Roots    *x509.CertPool // nil: the machine's own
	Username string         // with it, Weft signs in
	Password string
}

// MailTLS says how a mail server is spoken to.
type MailTLS string

const (
	MailStartTLS MailTLS = "starttls" // begins in plain text, and goes on in TLS or not at all (RFC 3207)
	MailAlways   MailTLS = "tls"      // TLS from the beginning
	MailPlain    MailTLS = "none"     // for a server on this machine
)

// send sends one message to all addresses.
func (m *Mail) send(ctx context.Context, to []string, subject, text, id string, at time.Time) error {
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", m.Address)
	if err != nil {
		return weft.Errorf(weft.Unavailable, "the mail server cannot be reached: %w", err)
	}
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	err = m.talk(conn, to, m.compose(to, subject, text, id, at))
	if cerr := conn.Close(); err == nil && !errors.Is(cerr, net.ErrClosed) {
		err = cerr
	}
	if err != nil {
		return weft.Errorf(weft.Unavailable, "the mail server: %w", err)
	}
	return nil
}

func (m *Mail) talk(conn net.Conn, to []string, message []byte) error {
	host, _, err := net.SplitHostPort(m.Address)
	if err != nil {
		return err
	}
	config := &tls.Config{ServerName: host, RootCAs: m.Roots, MinVersion: tls.VersionTLS12}
	if m.TLS == MailAlways {
		conn = tls.Client(conn, config)
	}
	c, err := smtp.NewClient(conn, host)
	if err != nil {
		return err
	}
	if m.TLS == MailStartTLS {
		if ok, _ := c.Extension("STARTTLS"); !ok {
			return errors.New("it offers no STARTTLS")
		}
		if err := c.StartTLS(config); err != nil {
			return err
		}
	}
	if m.Username != "" {
		if err := c.Auth(smtp.PlainAuth("", m.Username, m.Password, host)); err != nil {
			return err
		}
	}
	if err := c.Mail(m.From); err != nil {
		return err
	}
	for _, a := range to {
		if err := c.Rcpt(a); err != nil {
			return err
		}
	}
	w, err := c.Data()
	if err != nil {
		return err
	}
	if _, err := w.Write(message); err != nil {
		return err
	}
	if err := w.Close(); err != nil {
		return err
	}
	return c.Quit()
}

// compose writes the message (RFC 5322). The id is the same when it is sent again.
func (m *Mail) compose(to []string, subject, text, id string, at time.Time) []byte {
	_, domain, _ := strings.Cut(m.From, "@")
	subject = strings.Map(func(r rune) rune {
		if r < ' ' {
			return ' '
		}
		return r
	}, subject)
	var b bytes.Buffer
	for _, h := range [][2]string{
		{"From", "Weft <" + m.From + ">"}, {"To", strings.Join(to, ", ")}, {"Subject", mime.QEncoding.Encode("utf-8", subject)},
		{"Date", at.Format(time.RFC1123Z)}, {"Message-ID", "<" + id + "@" + domain + ">"}, {"Auto-Submitted", "auto-generated"},
		{"MIME-Version", "1.0"}, {"Content-Type", "text/plain; charset=utf-8"}, {"Content-Transfer-Encoding", "quoted-printable"},
	} {
		fmt.Fprintf(&b, "%s: %s\r\n", h[0], h[1])
	}
	b.WriteString("\r\n")
	q := quotedprintable.NewWriter(&b)
	_, err := q.Write([]byte(strings.ReplaceAll(text, "\n", "\r\n")))
	if err = errors.Join(err, q.Close()); err != nil {
		return nil // a buffer takes everything
	}
	return b.Bytes()
}
