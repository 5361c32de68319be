package app

import (
	"net"
	"net/url"
	"strconv"
	"strings"

	"github.com/weft-dev/weft"
	"github.com/weft-dev/weft/internal/operate"
)

// acmeConfig says which names a public authority is to vouch for. It is read at the start.
type acmeConfig struct {
	Names     []string `koanf:"names" yaml:"names"`         // none: no public authority is asked
	Email     string   `koanf:"email" yaml:"email"`         // that the authority may write to
	Directory string   `koanf:"directory" yaml:"directory"` // URL of the authority; empty: Let's Encrypt
	CAFile    string   `koanf:"ca-file" yaml:"ca-file"`     // authorities to trust that URL by; empty: the system's
	Challenge string   `koanf:"challenge" yaml:"challenge"` // tls or http; empty: tls if the server listens on port 443
	Port      int      `koanf:"port" yaml:"port"`           // of this machine, where requests to port 443 or 80 arrive; 0: the listener's, or 80
}

// How control of a name is proved.
const (
	challengeTLS  = "tls"
	challengeHTTP = "http"
)

func (c acmeConfig) check(tls bool) error {
	if len(c.Names) == 0 {
		return nil
	}
	for _, name := range c.Names {
		clean, err := operate.ParseName(name)
		if err != nil || net.ParseIP(clean) != nil || !strings.Contains(name, ".") || strings.HasPrefix(name, "*") {
			return weft.Errorf(weft.Invalid, "acme: names: %q is not a name that a public authority vouches for", name).WithAdvice("write whole names, like weft.example.org")
		}
	}
	if u, err := url.Parse(c.Directory); c.Directory != "" && (err != nil || u.Scheme != "https" || u.Host == "") {
		return weft.Errorf(weft.Invalid, "acme: directory: %q is not an https URL", c.Directory)
	}
	switch {
	case c.Challenge != "" && c.Challenge != challengeTLS && c.Challenge != challengeHTTP:
		return weft.Errorf(weft.Invalid, "acme: challenge: %q is neither tls nor http", c.Challenge)
	case c.Port < 0 || c.Port > 65535:
		return weft.Errorf(weft.Invalid, "acme: port: %d is not a port", c.Port)
	case !tls:
		return weft.Errorf(weft.Invalid, "acme: the server speaks no TLS, which the certificate would be for").WithAdvice("listen on another address than loopback, without --plain-http; or give --tls on")
	}
	return nil
}

// openACME makes what asks the public authority; nil when none is to be asked.
func (p *process) openACME(certs *operate.Certs) (*operate.ACME, error) {
	c := p.ACME
	if len(c.Names) == 0 {
		return nil, nil
	}
	_, text, err := net.SplitHostPort(p.listener.Addr().String())
	if err != nil {
		return nil, err
	}
	listens, err := strconv.Atoi(text)
	if err != nil {
		return nil, err
	}
	const https, http = 443, 80
	o := operate.ACMEConfig{
		Names: p.wantedNames().Public, Email: c.Email, Directory: c.Directory, Port: c.Port, Certs: certs, Log: p.log,
		HTTP: c.Challenge == challengeHTTP || c.Challenge == "" && listens != https,
	}
	if o.Port == 0 {
		o.Port = listens
		if o.HTTP {
			o.Port = http
		}
	}
	if c.CAFile != "" {
		if o.Roots, err = readRoots(c.CAFile); err != nil {
			return nil, weft.Errorf(weft.Invalid, "acme: %w", err)
		}
	}
	return operate.NewACME(o), nil
}
