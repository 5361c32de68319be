package operate

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"errors"
	"fmt"
	"math/big"
	"net"
	"strings"
	"time"

	"github.com/weft-dev/weft"
)

const (
	authorityLife  = 10 * 365 * 24 * time.Hour
	authorityRenew = 365 * 24 * time.Hour // before its end a new one is made
	serverLife     = 90 * 24 * time.Hour
	serverRenew    = 30 * 24 * time.Hour // before its end a new one is made
	clockSkew      = time.Hour           // by which clients' clocks may be behind
)

// An authority signs the server's certificates.
type authority struct {
	key  crypto.Signer
	cert *x509.Certificate
	// crosses certify each authority by the one before it, newest first; old are the
	// certificates of those before, newest first.
	crosses, old []*x509.Certificate
}

// newAuthority makes an authority whose certificates are good for the domains and
// networks only; none means for all.
func newAuthority(now time.Time, host string, only Limits) (*authority, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	distinct := make([]byte, 4) // so that no two have the same subject
	rand.Read(distinct)         // never fails
	t := &x509.Certificate{
		SerialNumber:          serial(),
		Subject:               pkix.Name{Organization: []string{"Weft"}, CommonName: "Weft CA of " + host + " " + hex.EncodeToString(distinct)},
		NotBefore:             now.Add(-clockSkew),
		NotAfter:              now.Add(authorityLife),
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}, // what it signs is good for servers, not for mail or programs
		BasicConstraintsValid: true,
		IsCA:                  true,
	}
	only.apply(t)
	cert, err := sign(t, t, key.Public(), key)
	return &authority{key: key, cert: cert}, err
}

// Limits are what an authority may vouch for. The zero value is everything.
type Limits struct {
	Domains  []string // and what is below them
	Networks []*net.IPNet
}

// ParseLimits reads domains and networks (CIDR) in any order. The loopback names and
// addresses are always among them.
func ParseLimits(texts []string) (Limits, error) {
	var l Limits
	for _, text := range texts {
		if _, network, err := net.ParseCIDR(text); err == nil {
			l.Networks = append(l.Networks, network)
			continue
		}
		domain := strings.TrimPrefix(text, ".")
		if !isName(domain) || strings.HasPrefix(domain, "*") {
			return l, weft.Errorf(weft.Invalid, "%q is neither a domain nor a network", text).WithAdvice("write domains like example.org, and networks like 10.0.0.0/8")
		}
		l.Domains = append(l.Domains, domain)
	}
	return l, nil
}

func (l Limits) apply(t *x509.Certificate) {
	if len(l.Domains) == 0 && len(l.Networks) == 0 {
		return
	}
	loop4 := &net.IPNet{IP: net.IPv4(127, 0, 0, 0).To4(), Mask: net.CIDRMask(8, 32)}
	loop6 := &net.IPNet{IP: net.IPv6loopback, Mask: net.CIDRMask(128, 128)}
	t.PermittedDNSDomainsCritical = true
	t.PermittedDNSDomains = append([]string{"localhost"}, l.Domains...)
	t.PermittedIPRanges = append([]*net.IPNet{loop4, loop6}, l.Networks...)
}

// allows reports whether an authority with these limits may vouch for a name or address.
// It decides as clients will.
func allows(ca *x509.Certificate, name string) bool {
	if ip := net.ParseIP(name); ip != nil {
		for _, n := range ca.PermittedIPRanges {
			if n.Contains(ip) {
				return true
			}
		}
		return len(ca.PermittedIPRanges) == 0
	}
	for _, d := range ca.PermittedDNSDomains {
		if strings.EqualFold(name, d) || len(name) > len(d) && strings.EqualFold(name[len(name)-len(d)-1:], "."+d) {
			return true
		}
	}
	return len(ca.PermittedDNSDomains) == 0
}

// succeed makes the next authority. With overlap the old one vouches for it, so that
// clients which know the old one only go on.
func (a *authority) succeed(now time.Time, host string, only Limits, overlap bool) (*authority, error) {
	next, err := newAuthority(now, host, only)
	if err != nil || !overlap {
		return next, err
	}
	return a.vouch(now, next)
}

// vouch has a certify its successor.
func (a *authority) vouch(now time.Time, next *authority) (*authority, error) {
	t := *next.cert
	t.SerialNumber = serial()
	t.SignatureAlgorithm, t.AuthorityKeyId = 0, a.cert.SubjectKeyId // the key of the one that signs decides
	if a.cert.NotAfter.Before(t.NotAfter) {
		t.NotAfter = a.cert.NotAfter
	}
	cross, err := sign(&t, a.cert, next.cert.PublicKey, a.key)
	if err != nil {
		return nil, err
	}
	next.crosses = append([]*x509.Certificate{cross}, living(a.crosses, now)...)
	next.old = append([]*x509.Certificate{a.cert}, living(a.old, now)...)
	return next, nil
}

// living leaves out what has expired.
func living(certs []*x509.Certificate, now time.Time) []*x509.Certificate {
	var kept []*x509.Certificate
	for _, c := range certs {
		if now.Before(c.NotAfter) {
			kept = append(kept, c)
		}
	}
	return kept
}

// roots are the authorities that clients may know: this one, and those before it that
// have not expired.
func (a *authority) roots(now time.Time) []*x509.Certificate {
	return append([]*x509.Certificate{a.cert}, living(a.old, now)...)
}

// issue makes a certificate for the server, with the chain to every root.
func (a *authority) issue(now time.Time, names Names) (*pair, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	t := &x509.Certificate{
		SerialNumber: serial(),
		Subject:      pkix.Name{Organization: []string{"Weft"}, CommonName: names.first()},
		NotBefore:    now.Add(-clockSkew),
		NotAfter:     earlier(now.Add(serverLife), a.cert.NotAfter),
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	for _, name := range names.all() {
		switch ip := net.ParseIP(name); {
		case !allows(a.cert, name): // one such name would spoil it for all
		case ip != nil:
			t.IPAddresses = append(t.IPAddresses, ip)
		default:
			t.DNSNames = append(t.DNSNames, name)
		}
	}
	leaf, err := sign(t, a.cert, key.Public(), a.key)
	if err != nil {
		return nil, err
	}
	p := &pair{key: key, chain: append([]*x509.Certificate{leaf}, living(a.crosses, now)...)}
	return p, nil
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

func sign(t, parent *x509.Certificate, public crypto.PublicKey, key crypto.Signer) (*x509.Certificate, error) {
	der, err := x509.CreateCertificate(rand.Reader, t, parent, public, key)
	if err != nil {
		return nil, fmt.Errorf("sign certificate: %w", err)
	}
	return x509.ParseCertificate(der)
}

func serial() *big.Int {
	b := make([]byte, 16)
	rand.Read(b) // never fails
	b[0] &= 0x7f // positive, as RFC 5280 wants it
	return new(big.Int).SetBytes(b)
}

// encode writes an authority as the text of its file: the key, its own certificate, then
// the others.
func (a *authority) encode() ([]byte, error) {
	return (&pair{key: a.key, chain: append(append([]*x509.Certificate{a.cert}, a.crosses...), a.old...)}).encode()
}

// parseAuthority reads what encode has written, or what another program made: a key and
// its certificate, in any order.
func parseAuthority(text []byte) (*authority, error) {
	p, err := parsePair(text)
	if err != nil {
		return nil, err
	}
	a := &authority{key: p.key, cert: p.chain[0]}
	if !a.cert.IsCA || a.cert.KeyUsage != 0 && a.cert.KeyUsage&x509.KeyUsageCertSign == 0 {
		return nil, errors.New("its certificate is not one of an authority: it may not sign others")
	}
	for _, c := range p.chain[1:] {
		if bytes.Equal(c.RawIssuer, c.RawSubject) {
			a.old = append(a.old, c)
		} else {
			a.crosses = append(a.crosses, c)
		}
	}
	return a, nil
}
