package app

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net/url"
	"path/filepath"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/weft-dev/weft"
	"github.com/weft-dev/weft/internal/cli"
	"github.com/weft-dev/weft/internal/operate"
)

func (a *admin) newCerts() *cobra.Command {
	return cli.NewSubgroup(a.Env, "certs", "Show, renew and install certificates",
		a.newCertsShow(), a.newCertsRenew(), a.newCertsInstall(), a.newCertsUninstall(), a.newCertsAdopt())
}

func (a *admin) newCertsShow() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "show",
		Short: "Show the authority, and the certificates that the server shows",
		Args:  cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			certs, err := a.certs()
			if err != nil {
				return err
			}
			all, err := certs.Status(time.Now())
			if err != nil {
				return err
			}
			if asJSON {
				return writeJSON(a.Out, all)
			}
			return a.showCerts(all)
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print as JSON")
	return cmd
}

func (a *admin) showCerts(all []operate.CertStatus) error {
	w := tabwriter.NewWriter(a.Out, 0, 0, 2, ' ', 0)
	for _, s := range all {
		fmt.Fprintf(w, "%s\t%s\n", s.Use, s.Subject) // errors stay until Flush
		if len(s.Names) > 0 {
			fmt.Fprintf(w, "\tfor %s\n", strings.Join(s.Names, ", "))
		}
		renewed := "not renewed by itself"
		if !s.Renewed.IsZero() {
			renewed = "renewed by itself from " + s.Renewed.Format(time.DateOnly)
		}
		fmt.Fprintf(w, "\tuntil %s, %s\n\tin %s\n\tSHA-256 %s\n", s.Ends.Format(time.DateOnly), renewed, s.File, s.Fingerprint)
	}
	return w.Flush()
}

func (a *admin) newCertsRenew() *cobra.Command {
	var o operate.RenewOptions
	cmd := &cobra.Command{
		Use:   "renew",
		Short: "Make a new certificate for the server now, and a new authority if asked to",
		Long: `Make a new certificate for the server now. That happens by itself in time; this is for a key
that others may know. A server that runs shows the new one within seconds.

With --ca a new authority is made, too. The old one vouches for it: clients that know the
old one only go on until it ends, and what is handed out from now on holds both. If the
authority's key was stolen, add --forget: then clients need the new one at once.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if o.Forget && !o.Authority {
				return weft.Errorf(weft.Invalid, "--forget says what becomes of the old authority").WithAdvice("give --ca, too")
			}
			c, err := a.config()
			if err != nil {
				return err
			}
			if o.Limits, err = operate.ParseLimits(c.CADomains); err != nil {
				return err
			}
			return a.change(cmd.Context(), func(certs *operate.Certs) ([]string, error) { return certs.Renew(time.Now(), o) })
		},
	}
	cmd.Flags().BoolVar(&o.Authority, "ca", false, "make a new authority, too")
	cmd.Flags().BoolVar(&o.Forget, "forget", false, "with --ca: the old authority is good no more, as its key is known to others")
	return cmd
}

func (a *admin) newCertsInstall() *cobra.Command {
	var chain string
	cmd := &cobra.Command{
		Use:   "install CERT KEY",
		Short: "Show a certificate of another authority",
		Long: `Check a certificate of another authority, given with its key as files in PEM, and have the
server show it to those who ask for its names. Others, such as those who come by an
address, go on to be shown the server's own. A server that runs shows it within seconds.

It is refused if the key is another's, if it has ended, is for none of the names in the
setting tls-names, or if its chain does not lead to an authority: that of the system, or
one that --chain holds.`,
		Args: cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			cert, err := a.read(args[0])
			if err != nil {
				return err
			}
			key, err := a.read(args[1])
			if err != nil {
				return err
			}
			var between []byte
			if chain != "" {
				if between, err = a.read(chain); err != nil {
					return err
				}
			}
			return a.change(cmd.Context(), func(certs *operate.Certs) ([]string, error) { return certs.Install(time.Now(), cert, key, between) })
		},
	}
	cmd.Flags().StringVar(&chain, "chain", "", "`file` with the certificates between it and its authority, in PEM, and that of an authority which is not a public one")
	return cmd
}

func (a *admin) newCertsUninstall() *cobra.Command {
	return &cobra.Command{
		Use:   "uninstall",
		Short: "Show the server's own certificate again, instead of the one that was installed",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.change(cmd.Context(), func(certs *operate.Certs) ([]string, error) {
				return []string{"the certificate that was installed is gone; the server's own is shown"}, certs.Uninstall()
			})
		},
	}
}

func (a *admin) newCertsAdopt() *cobra.Command {
	return &cobra.Command{
		Use:   "adopt CACERT CAKEY",
		Short: "Go on with the authority of another installation, such as Knitfab's",
		Long: `Make an authority of another installation, given as files in PEM, the one that signs the
server's certificates. Clients that know it, such as those with a profile of Knitfab,
need nothing new; those that know the present one go on too.`,
		Args: cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			cert, err := a.read(args[0])
			if err != nil {
				return err
			}
			key, err := a.read(args[1])
			if err != nil {
				return err
			}
			return a.change(cmd.Context(), func(certs *operate.Certs) ([]string, error) { return certs.Adopt(time.Now(), cert, key) })
		},
	}
}

// pickedUp waits until the server that runs shows what is there now, and says so.
func (a *admin) pickedUp(ctx context.Context, certs *operate.Certs) (string, error) {
	const within, every = 15 * time.Second, 100 * time.Millisecond
	state := filepath.Dir(certs.Dir())
	up, err := runs(state)
	if err != nil || !up {
		return "no server runs on " + state + "; the next one shows it", err
	}
	w, err := where(state)
	if err != nil {
		return "", err
	}
	u, err := url.Parse(w.Local)
	if err != nil || u.Scheme != "https" {
		return "the server that runs speaks plain HTTP; it shows it once it speaks TLS", err
	}
	expected, err := certs.Expected()
	if err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	tick := time.NewTicker(every)
	defer tick.Stop()
	for name, cert := range expected {
		for !shows(ctx, u.Host, name, cert) {
			select {
			case <-tick.C:
			case <-ctx.Done():
				return "", weft.Errorf(weft.Unavailable, "the server that runs does not show it yet").WithAdvice("look into its log for why")
			}
		}
	}
	return "the server that runs shows it", nil
}

// shows reports whether a server shows a certificate to who asks for a name. Nothing else
// is sent to it or believed of it.
func shows(ctx context.Context, address, name string, cert *x509.Certificate) bool {
	d := tls.Dialer{Config: &tls.Config{ServerName: name, InsecureSkipVerify: true}}
	conn, err := d.DialContext(ctx, "tcp", address)
	if err != nil {
		return false
	}
	defer conn.Close()
	shown := conn.(*tls.Conn).ConnectionState().PeerCertificates
	return len(shown) > 0 && shown[0].Equal(cert)
}

// change does something to the certificates and says what.
func (a *admin) change(ctx context.Context, do func(*operate.Certs) ([]string, error)) error {
	certs, err := a.certs()
	if err != nil {
		return err
	}
	did, err := do(certs)
	if err != nil {
		return err
	}
	if err := a.say(did); err != nil {
		return err
	}
	picked, err := a.pickedUp(ctx, certs)
	if err != nil {
		return err
	}
	return a.say([]string{picked})
}
