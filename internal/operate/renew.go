package operate

import (
	"time"

	"github.com/weft-dev/weft"
)

// RenewOptions say what to make anew.
type RenewOptions struct {
	Authority bool   // a new authority, too
	Forget    bool   // with Authority: the old one is not good any more, as its key is known to others
	Limits    Limits // of the new authority
}

// Renew makes a new certificate for the server now, whatever the old one is. It returns
// what it did, in words. A running server shows the new one within seconds.
func (c *Certs) Renew(now time.Time, o RenewOptions) (did []string, err error) {
	want, err := c.Names()
	if err != nil {
		return nil, err
	}
	err = c.locked(func() error {
		a, err := c.authority()
		if err != nil {
			return err
		}
		if o.Authority {
			if a, err = a.succeed(now, want.host(), o.Limits, !o.Forget); err != nil {
				return err
			}
			if err := c.writeAuthority(a, now); err != nil {
				return err
			}
			did = append(did, "made a new authority, good until "+day(a.cert.NotAfter))
			if o.Forget {
				did = append(did, "the old authority is forgotten: every client needs the new one from now on")
			} else {
				did = append(did, "clients that know the old authority go on until "+day(a.old[0].NotAfter)+"; hand the new one out before")
			}
		}
		if err := c.issue(a, now, want); err != nil {
			return err
		}
		did = append(did, "made a new certificate for the server, good until "+day(earlier(now.Add(serverLife), a.cert.NotAfter)))
		return nil
	})
	return did, err
}

// Adopt makes an authority that another program has made, such as Knitfab's installer,
// ours: clients that know it need nothing new. Those that know the present one go on too.
func (c *Certs) Adopt(now time.Time, cert, key []byte) (did []string, err error) {
	want, err := c.Names()
	if err != nil {
		return nil, err
	}
	next, err := parseAuthority(append(append(cert, '\n'), key...))
	if err != nil {
		return nil, weft.Errorf(weft.Invalid, "the authority cannot be used: %w", err)
	}
	if now.After(next.cert.NotAfter) || now.Before(next.cert.NotBefore) {
		return nil, weft.Errorf(weft.Invalid, "the authority is good from %s to %s only", day(next.cert.NotBefore), day(next.cert.NotAfter))
	}
	err = c.locked(func() error {
		if a, err := c.authority(); err == nil && !a.cert.Equal(next.cert) {
			if next, err = a.vouch(now, next); err != nil {
				return err
			}
		}
		if err := c.writeAuthority(next, now); err != nil {
			return err
		}
		did = append(did, "the authority is now "+next.cert.Subject.String()+", good until "+day(next.cert.NotAfter))
		return c.issue(next, now, want)
	})
	return append(did, "made a new certificate for the server"), err
}
