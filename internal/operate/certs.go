package operate

import (
	"bytes"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/weft-dev/weft"
)

// The files of a directory of certificates; the package comment says what they are.
const (
	authorityFile = "ca.pem"
	trustFile     = "ca.crt"
	serverFile    = "server.pem"
	ownFile       = "own.pem"
	namesFile     = "names"
	lockFile      = "lock"
)

// A Certs is a directory of certificates. Any number of processes may have it open.
type Certs struct{ dir string }

// OpenCerts opens a directory of certificates, which is made where it is missing. Only
// its owner can enter it.
func OpenCerts(dir string) (*Certs, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, weft.Errorf(weft.Invalid, "certificates: %w", err)
	}
	return &Certs{dir}, os.Chmod(dir, 0o700)
}

// Dir is where the certificates are.
func (c *Certs) Dir() string { return c.dir }

func (c *Certs) path(name string) string { return filepath.Join(c.dir, name) }

// locked calls f while no other process changes the directory.
func (c *Certs) locked(f func() error) error {
	lock, err := os.OpenFile(c.path(lockFile), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return weft.Errorf(weft.Forbidden, "certificates: %w", err)
	}
	defer lock.Close() // which gives the lock back
	if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX); err != nil {
		return fmt.Errorf("lock certificates: %w", err)
	}
	return f()
}

// Ensure makes what is missing and renews what ends soon, or is for other names than
// those wanted. It returns what it did, in words; nothing when all was well.
func (c *Certs) Ensure(now time.Time, want Names, only Limits) (did []string, err error) {
	err = c.locked(func() error {
		if err := c.writeNames(want); err != nil {
			return err
		}
		a, err := c.authority()
		if errors.Is(err, fs.ErrNotExist) {
			did = append(did, "made an authority")
			a, err = newAuthority(now, want.host(), only)
		} else if err == nil && now.After(a.cert.NotAfter.Add(-authorityRenew)) {
			did = append(did, "made a new authority, as the old one ends on "+day(a.cert.NotAfter))
			a, err = a.succeed(now, want.host(), only, true)
		}
		if err != nil {
			return err
		}
		if len(did) > 0 {
			if err := c.writeAuthority(a, now); err != nil {
				return err
			}
		}
		p, err := c.pair(serverFile)
		why := whyIssue(p, err, a, now, want)
		if why == "" {
			return c.writeTrust(a, now)
		}
		did = append(did, "made a certificate for the server: "+why)
		return c.issue(a, now, want)
	})
	return did, err
}

// whyIssue says why a new certificate is due for the server; "" when it is not.
func whyIssue(p *pair, err error, a *authority, now time.Time, want Names) string {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "there was none"
	case err != nil:
		return "the old one cannot be read (" + err.Error() + ")"
	case p.leaf().CheckSignatureFrom(a.cert) != nil:
		return "the old one is of another authority"
	case now.After(p.leaf().NotAfter.Add(-serverRenew)) && p.leaf().NotAfter.Before(a.cert.NotAfter):
		return "the old one ends on " + day(p.leaf().NotAfter)
	case now.Before(p.leaf().NotBefore):
		return "the old one is not valid yet; the clock was set back"
	}
	for _, name := range want.all() {
		if allows(a.cert, name) && !covers(p.leaf(), name) {
			return name + " is new"
		}
	}
	return ""
}

// covers reports whether a certificate is for a name, which may be one with a *.
func covers(cert *x509.Certificate, name string) bool {
	return slices.Contains(cert.DNSNames, name) || cert.VerifyHostname(name) == nil
}

func (c *Certs) issue(a *authority, now time.Time, want Names) error {
	p, err := a.issue(now, want)
	if err != nil {
		return err
	}
	text, err := p.encode()
	if err != nil {
		return err
	}
	if err := c.writeTrust(a, now); err != nil { // before anything that only the new authority vouches for
		return err
	}
	return c.write(serverFile, text, 0o600)
}

func (c *Certs) authority() (*authority, error) {
	text, err := os.ReadFile(c.path(authorityFile))
	if err != nil {
		return nil, err
	}
	a, err := parseAuthority(text)
	if err != nil {
		return nil, weft.Errorf(weft.Invalid, "%s: %w", c.path(authorityFile), err).
			WithAdvice("put it back from a backup; without it, remove it: the next start makes a new authority, and clients need the new one")
	}
	return a, nil
}

func (c *Certs) pair(name string) (*pair, error) {
	text, err := os.ReadFile(c.path(name))
	if err != nil {
		return nil, err
	}
	return parsePair(text)
}

func (c *Certs) writeAuthority(a *authority, now time.Time) error {
	text, err := a.encode()
	if err != nil {
		return err
	}
	if err := c.write(authorityFile, text, 0o600); err != nil {
		return err
	}
	return c.writeTrust(a, now)
}

// writeTrust leaves what clients trust where people look for it.
func (c *Certs) writeTrust(a *authority, now time.Time) error {
	text := encodeCerts(a.roots(now))
	if was, err := os.ReadFile(c.path(trustFile)); err == nil && bytes.Equal(was, text) {
		return nil
	}
	return c.write(trustFile, text, 0o644)
}

func (c *Certs) writeNames(n Names) error {
	text, err := json.MarshalIndent(n, "", "  ")
	if err != nil {
		return err
	}
	text = append(text, '\n')
	if was, err := os.ReadFile(c.path(namesFile)); err == nil && bytes.Equal(was, text) {
		return nil
	}
	return c.write(namesFile, text, 0o600)
}

// Names returns what the server's certificate is for, as the server last wanted it.
func (c *Certs) Names() (Names, error) {
	var n Names
	text, err := os.ReadFile(c.path(namesFile))
	if errors.Is(err, fs.ErrNotExist) {
		return n, weft.Errorf(weft.NotFound, "there are no certificates in %s", c.dir).
			WithAdvice("weft serve makes them when it listens on another address than loopback, or is given --tls on")
	}
	if err != nil {
		return n, weft.Errorf(weft.Forbidden, "certificates: %w", err)
	}
	return n, json.Unmarshal(text, &n)
}

// write replaces a file at once.
func (c *Certs) write(name string, text []byte, mode fs.FileMode) error {
	f, err := os.CreateTemp(c.dir, name+".*")
	if err != nil {
		return fmt.Errorf("write certificates: %w", err)
	}
	_, err = f.Write(text)
	err = errors.Join(err, f.Chmod(mode), c.giveToOwner(f), f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), c.path(name))
	}
	if err != nil {
		_ = os.Remove(f.Name()) // the error before counts
		return fmt.Errorf("write certificates: %w", err)
	}
	return nil
}

// giveToOwner lets the server read what root has written for it.
func (c *Certs) giveToOwner(f *os.File) error {
	info, err := os.Stat(c.dir)
	if err != nil || os.Geteuid() != 0 {
		return err
	}
	owner, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return nil
	}
	return f.Chown(int(owner.Uid), int(owner.Gid))
}

func day(t time.Time) string { return t.UTC().Format(time.DateOnly) }

// host is what the authority is called after.
func (n Names) host() string {
	if all := slices.Concat(n.Given, n.Machine); len(all) > 0 {
		return all[0]
	}
	return loopback[0]
}
