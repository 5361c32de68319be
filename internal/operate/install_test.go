package operate

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/weft-dev/weft"
)

// A foreign authority is one that is not ours.
type foreign struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

// newForeign makes an authority, below another one if there is one.
func newForeign(t *testing.T, above *foreign) *foreign {
	t.Helper()
	key := newECDSA(t)
	tmpl := &x509.Certificate{
		SerialNumber: serial(), Subject: pkix.Name{CommonName: "Example CA " + serial().String()}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign, NotBefore: today.Add(-time.Hour), NotAfter: today.Add(authorityLife),
	}
	f := &foreign{tmpl, key}
	if above == nil {
		above = f
	}
	cert, err := sign(tmpl, above.cert, key.Public(), above.key)
	if err != nil {
		t.Fatal(err)
	}
	f.cert = cert
	return f
}

func newECDSA(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func pemOf(t *testing.T, key crypto.Signer) []byte {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
}

// certFor signs a certificate; change may spoil it before.
func (f *foreign) certFor(t *testing.T, key crypto.Signer, change func(*x509.Certificate)) []byte {
	t.Helper()
	tmpl := &x509.Certificate{
		SerialNumber: serial(), DNSNames: []string{"weft.test"}, NotBefore: today.Add(-time.Hour), NotAfter: today.Add(serverLife),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	if change != nil {
		change(tmpl)
	}
	cert, err := sign(tmpl, f.cert, key.Public(), f.key)
	if err != nil {
		t.Fatal(err)
	}
	return encodeCerts([]*x509.Certificate{cert})
}

func TestInstallRefuses(t *testing.T) {
	t.Parallel()
	c := newCerts(t)
	c.ensure(t, today, names)
	ca, key := newForeign(t, nil), newECDSA(t)
	root := encodeCerts([]*x509.Certificate{ca.cert})
	weak, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	below := newForeign(t, ca)
	for _, v := range []struct {
		cert, key, chain []byte
		says             string
	}{
		{ca.certFor(t, key, nil), pemOf(t, newECDSA(t)), root, "the key is not that of the certificate"},
		{[]byte("not PEM"), pemOf(t, key), nil, "no certificate"},
		{ca.certFor(t, key, nil), []byte("not PEM"), root, "no private key"},
		{ca.certFor(t, key, nil), []byte("-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n"), root, "encrypted"},
		{ca.certFor(t, key, func(x *x509.Certificate) { x.NotAfter = today.Add(-time.Minute) }), pemOf(t, key), root, "it ended on 2026-11-22"},
		{ca.certFor(t, key, func(x *x509.Certificate) { x.NotBefore = today.Add(48 * time.Hour) }), pemOf(t, key), root, "it begins on 2026-11-24"},
		{ca.certFor(t, key, func(x *x509.Certificate) { x.DNSNames = nil; x.Subject.CommonName = "weft.test" }), pemOf(t, key), root, "for no names"},
		{ca.certFor(t, key, func(x *x509.Certificate) { x.DNSNames = []string{"other.test"} }), pemOf(t, key), root, "the certificate is for other.test, and the server is called weft.test"},
		{ca.certFor(t, key, func(x *x509.Certificate) { x.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth} }), pemOf(t, key), root, "not for servers"},
		{ca.certFor(t, weak, nil), pemOf(t, weak), root, "1024 bits"},
		{ca.certFor(t, key, nil), pemOf(t, key), nil, "nobody knows"},
		{below.certFor(t, key, nil), pemOf(t, key), root, "nobody knows"},
	} {
		if _, err := c.Install(today, v.cert, v.key, v.chain); weft.KindOf(err) != weft.Invalid || !strings.Contains(err.Error(), v.says) {
			t.Errorf("%v; want %q", err, v.says)
		}
	}
	if _, err := os.Stat(c.path(ownFile)); err == nil {
		t.Error("something was installed")
	}
}

func TestOnesOwnCertificate(t *testing.T) {
	t.Parallel()
	c := newCerts(t)
	c.ensure(t, today, names)
	ca, key := newForeign(t, nil), newECDSA(t)
	below := newForeign(t, ca)
	chain := encodeCerts([]*x509.Certificate{ca.cert, below.cert}) // in the wrong order
	did, err := c.Install(today, below.certFor(t, key, nil), pemOf(t, key), chain)
	if err != nil {
		t.Fatal(err)
	}
	if text := strings.Join(did, "\n"); !strings.Contains(text, "installed a certificate for weft.test") || !strings.Contains(text, "hand it out") {
		t.Errorf("it says %s", text)
	}
	k := newKeeper(t, c)
	if got := k.shows(t, "weft.test"); len(got.Certificate) != 3 || !bytes.Equal(got.Certificate[1], below.cert.Raw) {
		t.Errorf("the chain has %d, in the wrong order", len(got.Certificate))
	}
	if got := k.shows(t, "localhost"); got.Leaf.VerifyHostname("localhost") != nil {
		t.Error("who comes as localhost is shown a certificate for other names")
	}
	for name, want := range map[string][]byte{"weft.test": ca.cert.Raw, "localhost": c.roots(t)[0].Raw} {
		trust, err := c.Trust(name)
		if err != nil {
			t.Fatal(err)
		}
		if block, _ := pem.Decode(trust); block == nil || !bytes.Equal(block.Bytes, want) {
			t.Errorf("%s: the wrong authority is handed out", name)
		}
	}
	if err := c.Uninstall(); err != nil {
		t.Fatal(err)
	}
	if err := c.Uninstall(); weft.KindOf(err) != weft.NotFound {
		t.Errorf("once more: %v", err)
	}
}

// Clients of another installation go on when its authority is adopted.
func TestAdopt(t *testing.T) {
	t.Parallel()
	c := newCerts(t)
	c.ensure(t, today, names)
	ours, theirs := c.roots(t)[0], newForeign(t, nil)
	if _, err := c.Adopt(today, encodeCerts([]*x509.Certificate{theirs.cert}), pemOf(t, theirs.key)); err != nil {
		t.Fatal(err)
	}
	for name, root := range map[string]*x509.Certificate{"ours": ours, "theirs": theirs.cert} {
		if err := c.accepted(t, root, today, "weft.test"); err != nil {
			t.Errorf("clients that know %s: %v", name, err)
		}
	}
	key := newECDSA(t)
	if _, err := c.Adopt(today, theirs.certFor(t, key, nil), pemOf(t, key)); weft.KindOf(err) != weft.Invalid || !strings.Contains(err.Error(), "not one of an authority") {
		t.Errorf("a server's certificate: %v", err)
	}
}

func TestFindings(t *testing.T) {
	t.Parallel()
	c := newCerts(t)
	if found := c.Findings(today); len(found) > 0 {
		t.Errorf("without TLS: %v", found)
	}
	c.ensure(t, today, names)
	ca, key := newForeign(t, nil), newECDSA(t)
	if _, err := c.Install(today, ca.certFor(t, key, nil), pemOf(t, key), encodeCerts([]*x509.Certificate{ca.cert})); err != nil {
		t.Fatal(err)
	}
	for _, v := range []struct {
		after int // days
		want  string
	}{
		{1, ""},
		{61, "warning the certificate that was installed ends on 2027-02-20, in 29 days; warning the server's certificate ends on 2027-02-20, in 29 days, and was not renewed"},
		{85, "fault the certificate that was installed ends on 2027-02-20, in 5 days; fault the server's certificate ends on 2027-02-20, in 5 days, and was not renewed"},
		{91, "fault the certificate that was installed ended on 2027-02-20; fault the server's certificate ended on 2027-02-20, and was not renewed"},
	} {
		var got []string
		for _, f := range Diagnose(t.Context(), []Check{{"certificates", func(context.Context) []Finding { return c.Findings(today.AddDate(0, 0, v.after)) }}}) {
			got = append(got, string(f.Level)+" "+f.Problem)
			if f.Advice == "" || f.About != "certificates" {
				t.Errorf("%+v", f)
			}
		}
		slices.Sort(got)
		if text := strings.Join(got, "; "); text != v.want {
			t.Errorf("after %d days:\n%s\nwant\n%s", v.after, text, v.want)
		}
	}
}

func TestFileModes(t *testing.T) {
	t.Parallel()
	c := newCerts(t)
	c.ensure(t, today, names)
	check := CheckModes(c.dir, "*.pem", "missing")
	if found := check.Look(t.Context()); len(found) > 0 {
		t.Errorf("all was well, but %v", found)
	}
	if err := os.Chmod(c.path(serverFile), 0o644); err != nil {
		t.Fatal(err)
	}
	if found := check.Look(t.Context()); len(found) != 1 || found[0].Level != Warning || !strings.Contains(found[0].Problem, "0644") {
		t.Errorf("in a closed directory: %v", found)
	}
	if err := os.Chmod(c.dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if found := check.Look(t.Context()); len(found) != 2 || found[0].Level != Fault || found[1].Level != Fault {
		t.Errorf("in an open directory: %v", found)
	}
}
