package operate

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"

	"github.com/caddyserver/certmagic"
	"go.uber.org/zap"

	"github.com/weft-dev/weft"
)

// acmeDir is where what a public authority has issued is kept, in the directory of
// certificates.
const acmeDir = "acme"

// ACMEConfig says which names a public authority is to vouch for (RFC 8555).
type ACMEConfig struct {
	Names     []string
	Email     string         // that the authority may write to; may be empty
	Directory string         // URL of the authority; "" is Let's Encrypt
	Roots     *x509.CertPool // to trust that URL by; nil: the system's
	HTTP      bool           // prove by plain HTTP on port 80 (HTTP-01), instead of by TLS (TLS-ALPN-01, RFC 8737)
	Port      int            // where the proof is asked for on this machine; for TLS the listener's
	Certs     *Certs
	Log       *slog.Logger
}

// An ACME gets certificates of a public authority and renews them. It is an Issuer.
type ACME struct {
	names  []string
	cache  *certmagic.Cache
	config *certmagic.Config
	log    *slog.Logger
}

// NewACME returns an ACME, which asks for nothing before Run.
func NewACME(c ACMEConfig) *ACME {
	a := &ACME{names: c.Names, log: c.Log}
	quiet := zap.NewNop() // what matters comes as events
	a.cache = certmagic.NewCache(certmagic.CacheOptions{
		GetConfigForCert: func(certmagic.Certificate) (*certmagic.Config, error) { return a.config, nil },
		Logger:           quiet,
	})
	a.config = certmagic.New(a.cache, certmagic.Config{
		Storage: &certmagic.FileStorage{Path: c.Certs.path(acmeDir)},
		OnEvent: a.event,
		Logger:  quiet,
	})
	issuer := certmagic.ACMEIssuer{
		CA: c.Directory, Email: c.Email, Agreed: true, TrustedRoots: c.Roots, Logger: quiet,
		DisableHTTPChallenge: !c.HTTP, DisableTLSALPNChallenge: c.HTTP,
	}
	if c.HTTP {
		issuer.AltHTTPPort = c.Port
	} else {
		issuer.AltTLSALPNPort = c.Port
	}
	if c.Directory != "" {
		issuer.TestCA = c.Directory // certmagic tries failed orders at another authority first, which a private one does not have
	}
	a.config.Issuers = []certmagic.Issuer{certmagic.NewACMEIssuer(a.config, issuer)}
	return a
}

// event tells the log what certmagic does.
func (a *ACME) event(_ context.Context, event string, data map[string]any) error {
	switch event {
	case "cert_obtained":
		a.log.Info("the public authority has issued a certificate", "name", data["identifier"], "renewal", data["renewal"])
	case "cached_managed_cert":
		a.log.Info("the public authority's certificate is shown", "names", data["sans"])
	case "cert_failed":
		a.log.Error("the public authority has issued no certificate; it is asked again later", "name", data["identifier"], "error", data["error"])
	}
	return nil
}

// Run gets and renews certificates until ctx ends. It does not wait for the first: until
// there is one, ours is shown.
func (a *ACME) Run(ctx context.Context) error {
	defer a.cache.Stop()
	if err := a.config.ManageAsync(ctx, a.names); err != nil {
		return fmt.Errorf("ask the public authority: %w", err)
	}
	<-ctx.Done()
	return nil
}

// Covers implements Issuer.
func (a *ACME) Covers(name string) bool {
	return slices.ContainsFunc(a.names, func(own string) bool { return strings.EqualFold(own, name) })
}

// GetCertificate implements Issuer.
func (a *ACME) GetCertificate(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	return a.config.GetCertificate(hello)
}

// issued returns the chains that a public authority has issued, by file.
func (c *Certs) issued() map[string]*pair {
	files, err := filepath.Glob(c.path(filepath.Join(acmeDir, "certificates", "*", "*", "*.crt")))
	if err != nil {
		return nil // a pattern of ours
	}
	found := map[string]*pair{}
	for _, file := range files {
		chain, err := readChain(file)
		if err == nil && len(chain) > 0 {
			found[file] = &pair{chain: chain}
		}
	}
	return found
}

// issuedFor returns the chain for a name.
func (c *Certs) issuedFor(name string) *pair {
	for _, p := range c.issued() {
		if p.leaf().VerifyHostname(name) == nil {
			return p
		}
	}
	return nil
}

// public tells about what a public authority has issued.
func (c *Certs) public() []CertStatus {
	var all []CertStatus
	for file, p := range c.issued() {
		third := p.leaf().NotAfter.Sub(p.leaf().NotBefore) / 3 // when certmagic renews
		all = append(all, statusOf("public", p.leaf(), file, p.leaf().NotAfter.Add(-third).UTC()))
	}
	slices.SortFunc(all, func(a, b CertStatus) int { return strings.Compare(a.File, b.File) })
	return all
}

// errNotIssued says that nobody could be handed anything for a name yet.
func errNotIssued(name string) error {
	return weft.Errorf(weft.Unavailable, "the public authority has issued no certificate for %s yet", name).
		WithAdvice("look into the server's log for why, and try again later")
}
