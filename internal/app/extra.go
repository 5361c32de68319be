package app

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"time"

	"github.com/weft-dev/weft"
	"github.com/weft-dev/weft/internal/operate"
	"github.com/weft-dev/weft/internal/server"
)

// extraConfig is one endpoint of the extra API. The first two are Knitfab's.
type extraConfig struct {
	Path          string        `koanf:"path" yaml:"path"`                         // /extra/board
	ProxyTo       string        `koanf:"proxy_to" yaml:"proxy_to"`                 // http://host:8080/base
	Role          string        `koanf:"role" yaml:"role,omitempty"`               // viewer (default), member, manager or admin
	Public        bool          `koanf:"public" yaml:"public,omitempty"`           // no sign-in
	Project       string        `koanf:"project" yaml:"project,omitempty"`         // in which the role is looked for; default: the request's
	SecretFile    string        `koanf:"secret_file" yaml:"secret_file,omitempty"` // signs the header instead of Weft's key
	Authorization bool          `koanf:"forward_authorization" yaml:"forward_authorization,omitempty"`
	Cookies       bool          `koanf:"forward_cookies" yaml:"forward_cookies,omitempty"`
	TrailingSlash bool          `koanf:"trailing_slash" yaml:"trailing_slash,omitempty"` // as Knitfab adds it
	Timeout       time.Duration `koanf:"timeout" yaml:"timeout,omitempty"`               // for the answer's header
	IdleTimeout   time.Duration `koanf:"idle_timeout" yaml:"idle_timeout,omitempty"`     // of a request's body
	MaxBody       string        `koanf:"max_body" yaml:"max_body,omitempty"`             // of a request
	Health        string        `koanf:"health" yaml:"health,omitempty"`                 // path at the service
	CAFile        string        `koanf:"ca_file" yaml:"ca_file,omitempty"`               // authorities of an https service
	CORS          corsConfig    `koanf:"cors" yaml:"cors,omitempty"`
}

// corsConfig says which other sites' pages may use an endpoint from a browser.
type corsConfig struct {
	Origins     []string `koanf:"origins" yaml:"origins,omitempty"`
	Credentials bool     `koanf:"credentials" yaml:"credentials,omitempty"`
}

// extra makes of the settings what the server takes.
func (c Config) extra() ([]server.Extra, error) {
	var list []server.Extra
	for _, x := range c.ExtraAPI {
		e, err := x.endpoint()
		if err != nil {
			return nil, weft.Errorf(weft.Invalid, "extra-api: %s: %w", x.Path, err).WithAdvice("%s", adviceOf(err))
		}
		list = append(list, e)
	}
	return list, nil
}

func (x extraConfig) endpoint() (e server.Extra, err error) {
	e = server.Extra{
		Path: x.Path, Public: x.Public, Project: x.Project, Authorization: x.Authorization, Cookies: x.Cookies, TrailingSlash: x.TrailingSlash,
		Timeout: x.Timeout, Idle: x.IdleTimeout, Health: x.Health, Origins: x.CORS.Origins, Credentials: x.CORS.Credentials,
	}
	if e.Target, err = url.Parse(x.ProxyTo); err != nil {
		return e, weft.Errorf(weft.Invalid, "proxy_to cannot be read as a URL").WithAdvice("write it like http://host:8080/base") // the error may repeat a password
	}
	if e.MaxBody, err = parseBytes(x.MaxBody); err != nil {
		return e, fmt.Errorf("max_body: %w", err)
	}
	switch x.Role {
	case "":
	case "viewer":
		e.Role = weft.Viewer
	case "member":
		e.Role = weft.Member
	case "manager":
		e.Role = weft.Manager
	case "admin":
		e.Admin = true
	default:
		return e, weft.Errorf(weft.Invalid, "role %q is unknown", x.Role).WithAdvice("choose viewer, member, manager or admin; or set public: true")
	}
	if x.SecretFile != "" {
		if e.Secret, err = readExtraSecret(x.SecretFile); err != nil {
			return e, err
		}
	}
	if x.CAFile != "" {
		e.Roots, err = readRoots(x.CAFile)
	}
	return e, err
}

// readExtraSecret reads a secret that Weft shares with one service.
func readExtraSecret(name string) ([]byte, error) {
	const least = 32 // bytes: RFC 7518, section 3.2
	secret, err := os.ReadFile(name)
	if err != nil {
		return nil, fmt.Errorf("secret_file: %w", err)
	}
	if secret = bytes.TrimSpace(secret); len(secret) < least {
		return nil, weft.Errorf(weft.Invalid, "secret_file: it has %d bytes, and %d are needed", len(secret), least).WithAdvice("make one with: openssl rand -hex 32")
	}
	return secret, nil
}

func readRoots(name string) (*x509.CertPool, error) {
	text, err := os.ReadFile(name)
	if err != nil {
		return nil, fmt.Errorf("ca_file: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("ca_file: there is no certificate in %s, in PEM", name)
	}
	return pool, nil
}

// openExtra sets the endpoints, and again whenever the settings were read again.
func (p *process) openExtra() error {
	set := func(c Config) error {
		list, err := c.extra()
		if err != nil {
			return err
		}
		return p.server.SetExtra(list)
	}
	p.onReload(set)
	p.check("extra API", p.checkExtra)
	return set(p.Config)
}

func (p *process) checkExtra(context.Context) []operate.Finding {
	var found []operate.Finding
	for _, h := range p.server.ExtraHealth() {
		if h.Err != nil {
			found = append(found, finding(operate.Fault, fmt.Sprintf("the service behind %s does not answer since %s: %v", h.Path, h.Since.UTC().Format(time.DateTime), h.Err),
				"see whether "+h.Target+" runs, or correct proxy_to and health")...)
		}
		if h.Public {
			found = append(found, finding(operate.Notice, h.Path+" is open to everyone, without signing in", "if that is not meant, drop public from the endpoint")...)
		}
	}
	return found
}

const extraKeyFile = "extra.key"

// extraKey returns the key that tells services of the extra API who asks; it is made at
// the first start. Whoever wants another removes the file and starts the server again.
func (s *state) extraKey() (*ecdsa.PrivateKey, error) {
	const kind = "PRIVATE KEY"
	text, err := os.ReadFile(s.path(extraKeyFile))
	if errors.Is(err, fs.ErrNotExist) {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			return nil, err
		}
		der, err := x509.MarshalPKCS8PrivateKey(key)
		if err != nil {
			return nil, err
		}
		return key, writeFile(s.path(extraKeyFile), pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600)
	}
	if err != nil {
		return nil, fmt.Errorf("read the key of the extra API: %w", err)
	}
	if block, _ := pem.Decode(text); block != nil && block.Type == kind {
		key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
		if own, ok := key.(*ecdsa.PrivateKey); err == nil && ok && own.Curve == elliptic.P256() {
			return own, nil
		}
	}
	return nil, weft.Errorf(weft.Invalid, "%s is damaged", s.path(extraKeyFile)).WithAdvice("remove it; the next start makes a new one, which services get from /api/extra/keys")
}
