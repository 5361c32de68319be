package operate

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/weft-dev/weft"
)

// When the end of a certificate that is not renewed by itself is told.
const (
	endsSoon   = 30 * 24 * time.Hour // as a warning
	endsInDays = 7 * 24 * time.Hour  // as a fault
)

// Findings tells what is wrong with the certificates.
func (c *Certs) Findings(now time.Time) []Finding {
	all, err := c.Status(now)
	if weft.KindOf(err) == weft.NotFound {
		return nil // no TLS is spoken, which is for others to judge
	}
	var found []Finding
	if err != nil {
		found = append(found, Finding{Fault, "", "certificates cannot be read: " + err.Error(), "put them back from a backup, or remove the damaged file: what is missing is made again"})
	}
	for _, s := range all {
		found = append(found, s.findings(now)...)
	}
	if a, err := c.authority(); err == nil {
		found = append(found, c.outside(a)...)
	}
	if n, err := c.Names(); err == nil {
		for _, name := range n.Public {
			if c.issuedFor(name) == nil {
				found = append(found, Finding{Fault, "", "the public authority has issued no certificate for " + name,
					"look into the server's log for what it said; it must be able to reach this machine by that name, on port 443 (or 80, with challenge: http)"})
			}
		}
	}
	return found
}

func (s CertStatus) findings(now time.Time) []Finding {
	left := s.Ends.Sub(now)
	level, tells := Warning, fmt.Sprintf("ends on %s, in %d days", day(s.Ends), int(left.Hours()/24))
	switch {
	case left <= 0:
		level, tells = Fault, "ended on "+day(s.Ends)
	case left < endsInDays:
		level = Fault
	case left >= endsSoon && (s.Use != "old authority" || left >= authorityRenew):
		return nil
	}
	switch s.Use {
	case "own":
		return []Finding{{level, "", "the certificate that was installed " + tells, "get a new one and install it with weft admin certs install CERT KEY"}}
	case "old authority":
		return []Finding{{level, "", fmt.Sprintf("the old authority %q %s: clients that know no newer one fail then", s.Subject, tells), "hand out the new one with weft admin handout"}}
	case "public":
		return []Finding{{level, "", fmt.Sprintf("the public authority's certificate for %s %s, and was not renewed", strings.Join(s.Names, ", "), tells), "look into the server's log for what the authority said"}}
	case "server":
		if now.Before(s.Renewed.Add(2 * ensureEvery)) {
			return nil
		}
		return []Finding{{level, "", "the server's certificate " + tells + ", and was not renewed", "start the server, or look into its log for why; weft admin certs renew makes a new one"}}
	}
	return []Finding{{level, "", "the authority " + tells, "start the server, which makes a new one, or do so with weft admin certs renew --ca; then hand it out"}}
}

// outside tells of names that the authority may not vouch for.
func (c *Certs) outside(a *authority) []Finding {
	n, err := c.Names()
	if err != nil {
		return nil // told already
	}
	var found []Finding
	for _, name := range n.Given {
		if !allows(a.cert, name) {
			found = append(found, Finding{Warning, "", "the certificate is not for " + name + ", as the authority is limited to other domains",
				"set ca-domains, make a new authority with weft admin certs renew --ca, and hand it out"})
		}
	}
	return found
}

// CheckModes tells of files in a state directory that others than its owner can read,
// though they hold secrets. Names may have a *.
func CheckModes(dir string, secret ...string) Check {
	return Check{"file modes", func(context.Context) []Finding {
		var found []Finding
		level := Warning // nobody comes past a directory that is closed
		if open := openToOthers(Fault, dir); len(open) > 0 {
			found, level = open, Fault
		}
		for _, pattern := range secret {
			names, err := filepath.Glob(filepath.Join(dir, pattern))
			if err != nil {
				continue // a pattern of ours
			}
			for _, name := range names {
				found = append(found, openToOthers(level, name)...)
			}
		}
		return found
	}}
}

func openToOthers(level Level, name string) []Finding {
	info, err := os.Stat(name)
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		return []Finding{{Fault, "", err.Error(), "see who owns the state directory; it belongs to the user who runs the server"}}
	}
	const others = 0o077
	if info.Mode().Perm()&others == 0 {
		return nil
	}
	return []Finding{{level, "", fmt.Sprintf("%s holds secrets, and its mode %04o lets others in", name, info.Mode().Perm()),
		fmt.Sprintf("chmod go= %s; if others were on this machine meanwhile, renew what is in it", name)}}
}
