package operate

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"io/fs"
	"time"
)

// A CertStatus tells about one certificate.
type CertStatus struct {
	Use         string    `json:"use"` // authority, old authority, server, own or public
	Subject     string    `json:"subject"`
	Issuer      string    `json:"issuer"`
	Names       []string  `json:"names,omitempty"`
	Begins      time.Time `json:"begins"`
	Ends        time.Time `json:"ends"`
	Renewed     time.Time `json:"renewed,omitzero"` // when it is renewed by itself; zero: never
	Fingerprint string    `json:"fingerprint"`      // SHA-256 of the whole certificate, hexadecimal
	File        string    `json:"file"`
}

func statusOf(use string, c *x509.Certificate, file string, renewed time.Time) CertStatus {
	sum := sha256.Sum256(c.Raw)
	return CertStatus{
		Use: use, Subject: c.Subject.String(), Issuer: c.Issuer.String(), Names: namesOf(c),
		Begins: c.NotBefore.UTC(), Ends: c.NotAfter.UTC(), Renewed: renewed, Fingerprint: hex.EncodeToString(sum[:]), File: file,
	}
}

// Status tells about all certificates: the authorities that clients may know, the newest
// first, then what the server shows.
func (c *Certs) Status(now time.Time) ([]CertStatus, error) {
	if _, err := c.Names(); err != nil { // which explains that there are none
		return nil, err
	}
	a, err := c.authority()
	if err != nil {
		return nil, err
	}
	all := []CertStatus{statusOf("authority", a.cert, c.path(authorityFile), a.cert.NotAfter.Add(-authorityRenew).UTC())}
	for _, old := range living(a.old, now) {
		all = append(all, statusOf("old authority", old, c.path(authorityFile), time.Time{}))
	}
	p, err := c.pair(serverFile)
	if err != nil {
		return all, err
	}
	all = append(all, statusOf("server", p.leaf(), c.path(serverFile), p.leaf().NotAfter.Add(-serverRenew).UTC()))
	p, err = c.pair(ownFile)
	switch {
	case err == nil:
		all = append(all, statusOf("own", p.leaf(), c.path(ownFile), time.Time{}))
	case !errors.Is(err, fs.ErrNotExist):
		return all, err
	}
	return append(all, c.public()...), nil
}
