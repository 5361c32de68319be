package app

import (
	"crypto/x509"
	"net"
	"net/mail"
	"os"

	"github.com/weft-dev/weft"
	"github.com/weft-dev/weft/internal/notify"
)

// smtpConfig says by which server mail is sent.
type smtpConfig struct {
	Address      string `koanf:"address" yaml:"address"`             // host:port; empty: no mail is sent
	From         string `koanf:"from" yaml:"from"`                   // the address that mail comes from
	TLS          string `koanf:"tls" yaml:"tls"`                     // starttls (also when empty), tls or none
	CAFile       string `koanf:"ca-file" yaml:"ca-file"`             // certificates of authorities to trust instead of the machine's own
	Username     string `koanf:"username" yaml:"username"`           // empty: without signing in
	PasswordFile string `koanf:"password-file" yaml:"password-file"` // holds the password
}

// mail reads the section, and the files that it names; nil when no mail is sent.
func (c smtpConfig) mail() (*notify.Mail, error) {
	if c.Address == "" {
		return nil, nil
	}
	m := &notify.Mail{Address: c.Address, TLS: notify.MailTLS(c.TLS), Username: c.Username}
	if _, _, err := net.SplitHostPort(c.Address); err != nil {
		return nil, weft.Errorf(weft.Invalid, "smtp: address: %q is not host:port", c.Address)
	}
	from, err := mail.ParseAddress(c.From)
	if err != nil {
		return nil, weft.Errorf(weft.Invalid, "smtp: from: %q is not the address of a mailbox", c.From)
	}
	m.From = from.Address
	switch m.TLS {
	case "":
		m.TLS = notify.MailStartTLS
	case notify.MailStartTLS, notify.MailAlways, notify.MailPlain:
	default:
		return nil, weft.Errorf(weft.Invalid, "smtp: tls is %q; it is starttls, tls or none", c.TLS)
	}
	if host, _, _ := net.SplitHostPort(c.Address); c.Username != "" && m.TLS == notify.MailPlain && !isLoopback(host) {
		return nil, weft.Errorf(weft.Invalid, "smtp: the password would go to %s in plain text", c.Address).WithAdvice("set tls to starttls or tls")
	}
	if c.PasswordFile != "" {
		password, err := secretFile(c.PasswordFile)
		if err != nil {
			return nil, weft.Errorf(weft.Invalid, "smtp: password-file: %w", err)
		}
		m.Password = string(password)
	}
	if c.CAFile != "" {
		pem, err := os.ReadFile(c.CAFile)
		if err != nil {
			return nil, weft.Errorf(weft.Invalid, "smtp: ca-file: %w", err)
		}
		m.Roots = x509.NewCertPool()
		if !m.Roots.AppendCertsFromPEM(pem) {
			return nil, weft.Errorf(weft.Invalid, "smtp: ca-file: %s holds no certificate in PEM", c.CAFile)
		}
	}
	return m, nil
}
