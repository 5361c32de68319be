package operate

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/weft-dev/weft"
)

const (
	lookEvery   = 2 * time.Second // at the files, which an administrator may have replaced
	ensureEvery = time.Hour       // how often it is considered whether something is due
)

// An Issuer gives certificates of a public authority for some names.
type Issuer interface {
	// Covers reports whether name is one of them.
	Covers(name string) bool
	// GetCertificate is as in tls.Config.
	GetCertificate(*tls.ClientHelloInfo) (*tls.Certificate, error)
}

// A Keeper has the certificates that a server shows, and keeps them good: it reads them
// again when a file was replaced, and renews them before they end. It is safe for
// concurrent use.
type Keeper struct {
	certs  *Certs
	want   func() Names
	only   Limits
	public Issuer // nil: none
	log    *slog.Logger
	told   func()        // after other certificates are shown
	look   time.Duration // how often it looks at the files

	now  atomic.Pointer[shown]
	seen [2]os.FileInfo
}

// shown is what clients are shown at present.
type shown struct {
	server *tls.Certificate
	own    *tls.Certificate // nil: none
}

// KeeperConfig is what a Keeper is made of.
type KeeperConfig struct {
	Certs  *Certs
	Want   func() Names // what the certificate is for; asked again and again
	Limits Limits       // of an authority that is made
	Public Issuer       // optional
	Told   func()       // optional: called when files were read again, as clients may have to trust others
	Log    *slog.Logger
}

// NewKeeper makes what is missing and reads the certificates.
func NewKeeper(c KeeperConfig) (*Keeper, error) {
	k := &Keeper{certs: c.Certs, want: c.Want, only: c.Limits, public: c.Public, log: c.Log, told: c.Told, look: lookEvery}
	if err := k.ensure(time.Now()); err != nil {
		return nil, err
	}
	k.changed()
	return k, k.read()
}

// Run keeps the certificates good until ctx ends. What goes wrong is logged, and tried
// again: the old certificates go on.
func (k *Keeper) Run(ctx context.Context) error {
	look, ensure := time.NewTicker(k.look), time.NewTicker(ensureEvery)
	defer look.Stop()
	defer ensure.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case now := <-ensure.C:
			if err := k.ensure(now); err != nil {
				k.log.Error("certificates could not be renewed; the old ones go on", "error", err)
			}
		case <-look.C:
		}
		if !k.changed() {
			continue
		}
		if err := k.read(); err != nil {
			k.log.Error("certificates could not be read; the old ones go on", "error", err)
			continue
		}
		k.log.Info("certificates were read again", "ends", k.now.Load().server.Leaf.NotAfter)
		if k.told != nil {
			k.told()
		}
	}
}

// Ensure renews what is due now, such as for names that are new in the settings.
func (k *Keeper) Ensure() error { return k.ensure(time.Now()) }

func (k *Keeper) ensure(now time.Time) error {
	did, err := k.certs.Ensure(now, k.want(), k.only)
	for _, what := range did {
		k.log.Info("certificates changed", "what", what)
	}
	return err
}

// changed reports whether a file is another than when it was asked last.
func (k *Keeper) changed() bool {
	changed := false
	for i, name := range []string{serverFile, ownFile} {
		now, err := os.Stat(k.certs.path(name))
		if err != nil {
			now = nil
		}
		was := k.seen[i]
		k.seen[i] = now
		switch {
		case (was == nil) != (now == nil):
			changed = true
		case now != nil && (!os.SameFile(was, now) || !was.ModTime().Equal(now.ModTime()) || was.Size() != now.Size()):
			changed = true
		}
	}
	return changed
}

// read reads the certificates from their files.
func (k *Keeper) read() error {
	server, err := k.certs.pair(serverFile)
	if err != nil {
		return fmt.Errorf("read the server's certificate: %w", err)
	}
	next := &shown{server: server.certificate()}
	own, err := k.certs.pair(ownFile)
	switch {
	case err == nil:
		next.own = own.certificate()
	case !errors.Is(err, fs.ErrNotExist):
		return weft.Errorf(weft.Invalid, "%s: %w", k.certs.path(ownFile), err)
	}
	k.now.Store(next)
	return nil
}

// acmeALPN is the protocol by which a public authority asks for proof (RFC 8737).
const acmeALPN = "acme-tls/1"

// GetCertificate is for tls.Config: the certificate that fits what the client asks for.
func (k *Keeper) GetCertificate(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	name, now := askedFor(hello), k.now.Load()
	if k.public != nil && slices.Equal(hello.SupportedProtos, []string{acmeALPN}) {
		return k.public.GetCertificate(hello)
	}
	if now.own != nil && now.own.Leaf.VerifyHostname(name) == nil {
		return now.own, nil
	}
	if k.public != nil && k.public.Covers(name) {
		c, err := k.public.GetCertificate(hello)
		if err == nil {
			return c, nil
		}
		k.log.Warn("the public authority's certificate is not there yet; ours is shown", "name", name, "error", err)
	}
	if now.own != nil && now.server.Leaf.VerifyHostname(name) != nil {
		return now.own, nil
	}
	return now.server, nil
}

// askedFor is the name a client asks for; for one that asks for none, as it knows an
// address only, the address it came to.
func askedFor(hello *tls.ClientHelloInfo) string {
	if hello.ServerName != "" {
		return strings.TrimSuffix(hello.ServerName, ".")
	}
	if hello.Conn != nil {
		if host, _, err := net.SplitHostPort(hello.Conn.LocalAddr().String()); err == nil {
			return host
		}
	}
	return loopback[0]
}

// Config returns the settings of a listener that shows these certificates: TLS 1.2 at
// least, and of that only what keeps secrets when the key is stolen later (RFC 9325,
// section 4.2).
func (k *Keeper) Config() *tls.Config {
	c := &tls.Config{
		GetCertificate: k.GetCertificate,
		MinVersion:     tls.VersionTLS12,
		CipherSuites: []uint16{ // of TLS 1.2; those of 1.3 are all good
			tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
			tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
			tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256, tls.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
		},
		NextProtos: []string{"h2", "http/1.1"},
	}
	if k.public != nil {
		c.NextProtos = append(c.NextProtos, acmeALPN)
	}
	return c
}

// Findings is that of the Keeper's Certs.
func (k *Keeper) Findings(now time.Time) []Finding { return k.certs.Findings(now) }

// Expected returns the certificates that a server is to show, by the name to ask for: its
// own for the loopback address, and that of another authority, if one is installed.
func (c *Certs) Expected() (map[string]*x509.Certificate, error) {
	p, err := c.pair(serverFile)
	if err != nil {
		return nil, err
	}
	all := map[string]*x509.Certificate{"localhost": p.leaf()}
	if own, err := c.pair(ownFile); err == nil {
		name := strings.Replace(namesOf(own.leaf())[0], "*", "any", 1)
		all[name] = own.leaf()
	}
	return all, nil
}

// Covers is an error when no certificate that the server shows is for a name or address.
func (c *Certs) Covers(name string) error {
	var known []string
	for _, file := range []string{ownFile, serverFile} {
		if p, err := c.pair(file); err == nil {
			if p.leaf().VerifyHostname(name) == nil {
				return nil
			}
			known = append(known, namesOf(p.leaf())...)
		}
	}
	return weft.Errorf(weft.Invalid, "the server's certificate is not for %s, but for %s", name, strings.Join(known, ", ")).
		WithAdvice("add it to the setting tls-names; the server makes a certificate for it when it starts, or reads its settings again")
}

// Trust returns, in PEM, the authorities that a client needs to be sure of the server by
// a name or address; nothing when those of its system will do.
func (c *Certs) Trust(name string) ([]byte, error) {
	own, err := c.pair(ownFile)
	if err == nil && own.leaf().VerifyHostname(name) == nil {
		return own.trust(), nil
	}
	if n, err := c.Names(); err == nil && slices.Contains(n.Public, strings.ToLower(name)) {
		p := c.issuedFor(name)
		if p == nil {
			return nil, errNotIssued(name)
		}
		return p.trust(), nil
	}
	text, err := os.ReadFile(c.path(trustFile))
	if err != nil {
		return nil, weft.Errorf(weft.NotFound, "there is no authority in %s: %w", c.dir, err)
	}
	return text, nil
}

// trust returns what a client needs to trust this chain.
func (p *pair) trust() []byte {
	between := x509.NewCertPool()
	for _, c := range p.chain[1:] {
		between.AddCert(c)
	}
	if _, err := p.leaf().Verify(x509.VerifyOptions{Intermediates: between}); err == nil {
		return nil
	}
	top := p.chain[len(p.chain)-1]
	for _, c := range p.chain {
		if bytes.Equal(c.RawIssuer, c.RawSubject) {
			top = c
		}
	}
	return encodeCerts([]*x509.Certificate{top})
}
