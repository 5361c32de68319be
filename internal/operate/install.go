package operate

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/x509"
	"errors"
	"io/fs"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/weft-dev/weft"
)

// minRSA is how many bits clients want of an RSA key at least.
const minRSA = 2048

// Install checks a certificate of another authority and has the server show it, to those
// who ask for its names. Cert, key and chain are PEM; chain, which may be empty, is what
// stands between the certificate and the authority that clients know, and may hold that
// too. It returns what it did and what the administrator should know, in words.
func (c *Certs) Install(now time.Time, cert, key, chain []byte) (did []string, err error) {
	p, err := parsePair(bytes.Join([][]byte{cert, key, chain}, []byte("\n")))
	if err != nil {
		return nil, weft.Errorf(weft.Invalid, "the certificate cannot be installed: %w", err).WithAdvice("CERT and KEY are files in PEM, and belong to each other")
	}
	if err := p.arrange(); err != nil {
		return nil, err
	}
	if err := p.check(now); err != nil {
		return nil, err
	}
	given, err := c.given()
	if err != nil {
		return nil, err
	}
	var missing []string
	for _, name := range given {
		if !covers(p.leaf(), name) {
			missing = append(missing, name)
		}
	}
	if len(given) > 0 && len(missing) == len(given) {
		return nil, weft.Errorf(weft.Invalid, "the certificate is for %s, and the server is called %s", strings.Join(namesOf(p.leaf()), ", "), strings.Join(given, ", ")).
			WithAdvice("get one for the server's names, or set tls-names to the certificate's")
	}
	text, err := p.encode()
	if err != nil {
		return nil, err
	}
	if err := c.locked(func() error { return c.write(ownFile, text, 0o600) }); err != nil {
		return nil, err
	}
	did = append(did, "installed a certificate for "+strings.Join(namesOf(p.leaf()), ", ")+", good until "+day(p.leaf().NotAfter))
	if len(missing) > 0 {
		did = append(did, "it is not for "+strings.Join(missing, ", ")+": who asks for these is shown the one of our own authority")
	}
	if p.trust() != nil {
		did = append(did, "clients' systems do not know its authority: hand it out, with weft admin handout")
	}
	return append(did, "it is not renewed by itself: install the next one before it ends"), nil
}

// given are the names of the settings, if the server has run here.
func (c *Certs) given() ([]string, error) {
	n, err := c.Names()
	if weft.KindOf(err) == weft.NotFound {
		return nil, nil
	}
	return n.Given, err
}

// Uninstall takes back what Install did.
func (c *Certs) Uninstall() error {
	err := c.locked(func() error { return os.Remove(c.path(ownFile)) })
	if errors.Is(err, fs.ErrNotExist) {
		return weft.Errorf(weft.NotFound, "no certificate of another authority is installed")
	}
	return err
}

// arrange puts the chain into the order in which each certificate is signed by the next
// (RFC 8446, section 4.4.2), and leaves out what does not belong to it.
func (p *pair) arrange() error {
	rest, at := slices.Clone(p.chain[1:]), p.leaf()
	chain := []*x509.Certificate{at}
	for !bytes.Equal(at.RawIssuer, at.RawSubject) {
		i := slices.IndexFunc(rest, func(c *x509.Certificate) bool {
			return bytes.Equal(c.RawSubject, at.RawIssuer) && at.CheckSignatureFrom(c) == nil
		})
		if i < 0 {
			break
		}
		at = rest[i]
		chain, rest = append(chain, at), slices.Delete(rest, i, i+1)
	}
	p.chain = chain
	return nil
}

// check refuses what clients would refuse.
func (p *pair) check(now time.Time) error {
	leaf := p.leaf()
	refuse := func(advice, format string, args ...any) error {
		return weft.Errorf(weft.Invalid, "the certificate cannot be installed: "+format, args...).WithAdvice("%s", advice)
	}
	switch k := leaf.PublicKey.(type) {
	case *rsa.PublicKey:
		if k.N.BitLen() < minRSA {
			return refuse("make an ECDSA key, or an RSA key of 2048 bits or more", "its RSA key has %d bits only", k.N.BitLen())
		}
	case *ecdsa.PublicKey:
	default:
		return refuse("make an ECDSA or RSA key", "clients do not know its kind of key")
	}
	switch {
	case now.After(leaf.NotAfter):
		return refuse("get a new one", "it ended on %s", day(leaf.NotAfter))
	case now.Before(leaf.NotBefore):
		return refuse("wait, or set this machine's clock", "it begins on %s", day(leaf.NotBefore))
	case len(namesOf(leaf)) == 0:
		return refuse("have the names put into its subjectAltName; the common name does not count (RFC 9525)", "it is for no names")
	case !isForServers(leaf):
		return refuse("get one with the extended key usage serverAuth", "it is not for servers")
	}
	return p.checkChain(now, refuse)
}

// checkChain refuses a chain that ends before an authority.
func (p *pair) checkChain(now time.Time, refuse func(advice, format string, args ...any) error) error {
	between, top := x509.NewCertPool(), p.chain[len(p.chain)-1]
	for _, c := range p.chain[1:] {
		between.AddCert(c)
	}
	o := x509.VerifyOptions{Intermediates: between, CurrentTime: now}
	if _, err := p.leaf().Verify(o); err == nil {
		return nil // by an authority of this system
	}
	if !bytes.Equal(top.RawIssuer, top.RawSubject) {
		return refuse("give the certificates between, and the authority's own if it is not a public one, with --chain",
			"nobody knows %q, which signed %q", top.Issuer.String(), top.Subject.String())
	}
	o.Roots = x509.NewCertPool()
	o.Roots.AddCert(top)
	if _, err := p.leaf().Verify(o); err != nil {
		return refuse("give the certificates between in --chain", "its chain is not good: %v", err)
	}
	return nil
}

func isForServers(c *x509.Certificate) bool {
	return len(c.ExtKeyUsage) == 0 && len(c.UnknownExtKeyUsage) == 0 ||
		slices.Contains(c.ExtKeyUsage, x509.ExtKeyUsageServerAuth) || slices.Contains(c.ExtKeyUsage, x509.ExtKeyUsageAny)
}

// namesOf are the names and addresses that a certificate is for.
func namesOf(c *x509.Certificate) []string {
	names := slices.Clone(c.DNSNames)
	for _, ip := range c.IPAddresses {
		names = append(names, ip.String())
	}
	return names
}
