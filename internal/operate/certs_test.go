package operate

import (
	"crypto/x509"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/weft-dev/weft"
)

var (
	today = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	names = Names{Given: []string{"weft.test"}, Machine: []string{"node1", "192.0.2.7"}}
)

func newCerts(t *testing.T) *Certs {
	t.Helper()
	c, err := OpenCerts(filepath.Join(t.TempDir(), "certs"))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// ensure has the certificates made or renewed, and returns what was done.
func (c *Certs) ensure(t *testing.T, now time.Time, want Names) string {
	t.Helper()
	did, err := c.Ensure(now, want, Limits{})
	if err != nil {
		t.Fatal(err)
	}
	return strings.Join(did, "; ")
}

// roots are the authorities in what is handed out, the newest first.
func (c *Certs) roots(t *testing.T) []*x509.Certificate {
	t.Helper()
	a, err := c.authority()
	if err != nil {
		t.Fatal(err)
	}
	return a.roots(time.Time{})
}

// accepted is nil when a client that knows one authority only is content with what the
// server shows.
func (c *Certs) accepted(t *testing.T, root *x509.Certificate, now time.Time, name string) error {
	t.Helper()
	p, err := c.pair(serverFile)
	if err != nil {
		t.Fatal(err)
	}
	o := x509.VerifyOptions{Roots: x509.NewCertPool(), Intermediates: x509.NewCertPool(), CurrentTime: now, DNSName: name}
	o.Roots.AddCert(root)
	for _, between := range p.chain[1:] {
		o.Intermediates.AddCert(between)
	}
	_, err = p.leaf().Verify(o)
	return err
}

func TestFirstStartMakesEverything(t *testing.T) {
	t.Parallel()
	c := newCerts(t)
	if did := c.ensure(t, today, names); did != "made an authority; made a certificate for the server: there was none" {
		t.Errorf("it %s", did)
	}
	for _, name := range []string{"weft.test", "node1", "192.0.2.7", "localhost", "127.0.0.1", "[::1]"} {
		if err := c.accepted(t, c.roots(t)[0], today, name); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := c.accepted(t, c.roots(t)[0], today, "example.org"); err == nil {
		t.Error("the certificate is for a name that nobody wanted")
	}
	for file, mode := range map[string]fs.FileMode{".": 0o700, authorityFile: 0o600, serverFile: 0o600, trustFile: 0o644} {
		if info, err := os.Stat(c.path(file)); err != nil || info.Mode().Perm() != mode {
			t.Errorf("%s: %v %v; want %v", file, info.Mode(), err, mode)
		}
	}
	if text, err := os.ReadFile(c.path(trustFile)); err != nil || strings.Contains(string(text), "KEY") {
		t.Errorf("what is handed out holds a key (%v)", err)
	}
	if did := c.ensure(t, today, names); did != "" {
		t.Errorf("all was well, but it %s", did)
	}
}

func TestWhenACertificateIsDue(t *testing.T) {
	t.Parallel()
	more := Names{Given: []string{"weft.test", "new.test"}, Machine: names.Machine}
	for _, c := range []struct {
		after time.Duration
		want  Names
		says  string
	}{
		{0, names, ""},
		{59 * 24 * time.Hour, names, ""},
		{61 * 24 * time.Hour, names, "the old one ends on 2027-02-20"},
		{365 * 24 * time.Hour, names, "the old one ends"},
		{time.Hour, more, "new.test is new"},
		{time.Hour, Names{}, ""}, // fewer names are no hurry
		{-48 * time.Hour, names, "the clock was set back"},
		{9*365*24*time.Hour + 1, names, "made a new authority, as the old one ends on 2036-11-19; made a certificate for the server: the old one is of another authority"},
	} {
		certs := newCerts(t)
		certs.ensure(t, today, names)
		if did := certs.ensure(t, today.Add(c.after), c.want); !strings.Contains(did, c.says) || (did == "") != (c.says == "") {
			t.Errorf("after %s it says %q, want %q", c.after, did, c.says)
		}
	}
}

// Three authorities follow each other. Whoever knows one of them goes on, until it has
// expired.
func TestOldAuthoritiesGoOn(t *testing.T) {
	t.Parallel()
	c := newCerts(t)
	c.ensure(t, today, names)
	first := c.roots(t)[0]
	for range 2 {
		if _, err := c.Renew(today.Add(time.Hour), RenewOptions{Authority: true}); err != nil {
			t.Fatal(err)
		}
	}
	roots := c.roots(t)
	if len(roots) != 3 || !roots[2].Equal(first) {
		t.Fatalf("%d authorities are handed out", len(roots))
	}
	for i, root := range roots {
		if err := c.accepted(t, root, today.Add(2*time.Hour), "weft.test"); err != nil {
			t.Errorf("a client that knows authority %d only: %v", 3-i, err)
		}
	}

	if _, err := c.Renew(today.Add(time.Hour), RenewOptions{Authority: true, Forget: true}); err != nil {
		t.Fatal(err)
	}
	if now := c.roots(t); len(now) != 1 || c.accepted(t, now[0], today.Add(2*time.Hour), "weft.test") != nil {
		t.Error("after the old ones were forgotten, the new one alone is not good")
	}
	if c.accepted(t, first, today.Add(2*time.Hour), "weft.test") == nil {
		t.Error("an authority that was forgotten is still good")
	}
}

func TestAnAuthorityWithLimits(t *testing.T) {
	t.Parallel()
	only, err := ParseLimits([]string{"test", "192.0.2.0/24"})
	if err != nil {
		t.Fatal(err)
	}
	c := newCerts(t)
	if _, err := c.Ensure(today, Names{Given: []string{"weft.test"}, Machine: []string{"192.0.2.7", "node1.example.org", "198.51.100.1"}}, only); err != nil {
		t.Fatal(err)
	}
	p, err := c.pair(serverFile)
	if err != nil {
		t.Fatal(err)
	}
	if got := append(slices.Clone(p.leaf().DNSNames), "|"); !slices.Equal(got, []string{"weft.test", "localhost", "|"}) {
		t.Errorf("names are %v: those beyond the limits would spoil it for all", got)
	}
	for _, name := range []string{"weft.test", "192.0.2.7", "127.0.0.1", "::1"} {
		if err := c.accepted(t, c.roots(t)[0], today, strings.Trim("["+name+"]", "[]")); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if did := c.ensure(t, today, Names{Given: []string{"weft.example.org"}}); did != "" {
		t.Errorf("for a name that it may not vouch for it %s", did)
	}
}

func TestDamagedFilesAreExplained(t *testing.T) {
	t.Parallel()
	c := newCerts(t)
	c.ensure(t, today, names)
	if err := os.WriteFile(c.path(serverFile), []byte("damaged"), 0o600); err != nil {
		t.Fatal(err)
	}
	if did := c.ensure(t, today, names); !strings.Contains(did, "cannot be read (there is no private key in it, in PEM)") {
		t.Errorf("it %s", did)
	}
	if err := os.WriteFile(c.path(authorityFile), []byte("damaged"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Ensure(today, names, Limits{}); weft.KindOf(err) != weft.Invalid || !strings.Contains(err.Error(), authorityFile) {
		t.Errorf("an authority that is damaged: %v", err)
	}
}
