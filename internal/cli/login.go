package cli

import (
	"context"
	"fmt"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/weft-dev/weft"
	"github.com/weft-dev/weft/api"
)

type loginOptions struct {
	*common
	user          string
	passwordStdin bool
	ca            string
}

func newLogin(env Env) *cobra.Command {
	o := loginOptions{common: newCommon(env)}
	cmd := &cobra.Command{
		Use:     "login [URL]",
		Short:   "Sign in at a server",
		GroupID: setupGroup,
		Long: `Sign in at the server that this directory works with, or at that of a URL. A code and an address are
printed: open the address in any browser, on any machine, sign in there, and type the code in.
The token that comes of it goes into the profile.

Where there is no browser, --user signs in with a name and a password.`,
		Example: `  weft login
  weft login https://weft.example.org
  weft login --user hanako
  weft login --user hanako --password-stdin <password`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if o.passwordStdin && o.user == "" {
				return usagef(cmd, "--password-stdin needs --user")
			}
			return o.do(cmd.Context(), args)
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.user, "user", "", "`name` to sign in with, by a password")
	f.BoolVar(&o.passwordStdin, "password-stdin", false, "read the password from standard input")
	f.StringVar(&o.profile, "profile", "", "`name` of the profile (default: the first line of the nearest .knitprofile)")
	f.StringVar(&o.store, "profile-store", "", "`file` that keeps profiles by name (default: ~/.knit/profile)")
	f.StringVar(&o.ca, "ca", "", "with a URL: `file` with the certificate of the server's authority, in PEM")
	return cmd
}

func (o *loginOptions) do(ctx context.Context, args []string) error {
	p, err := o.target(args)
	if err != nil {
		return err
	}
	client, err := o.clientOf(p)
	if err != nil {
		return err
	}
	var token string
	if o.user != "" {
		token, err = o.byPassword(ctx, client)
	} else {
		token, err = o.byBrowser(ctx, client)
	}
	if err != nil {
		return err
	}
	if p, err = p.with(token); err != nil {
		return err
	}
	if err := o.keep(p); err != nil {
		return err
	}
	return o.greet(ctx, p)
}

// target returns the profile to sign in at, without a token.
func (o *loginOptions) target(args []string) (Profile, error) {
	if len(args) == 0 {
		p, err := o.server()
		if err != nil {
			return p, err
		}
		return p.with("")
	}
	var ca []byte
	if o.ca != "" {
		text, err := os.ReadFile(o.path(o.ca))
		if err != nil {
			return Profile{}, fileError(err)
		}
		ca = text
	}
	return NewProfile(args[0], "", ca)
}

// with returns the profile with another token, "" for none.
func (p Profile) with(token string) (Profile, error) {
	u, err := url.Parse(p.APIRoot)
	if err != nil {
		return p, weft.Errorf(weft.Invalid, "apiRoot %q is not a URL", hidePassword(p.APIRoot))
	}
	u.User = nil
	if token != "" {
		u.User = url.UserPassword("weft", token)
	}
	p.APIRoot = u.String()
	return p, nil
}

// clientOf returns a client of the server of a profile, with the profile's token.
func (c *common) clientOf(p Profile) (*api.Client, error) {
	ca, err := p.authority()
	if err != nil {
		return nil, err
	}
	return api.NewClient(p.APIRoot, api.Options{CA: ca, UserAgent: "weft/" + c.Version})
}

// clientName is what the server shows people of this program.
func clientName() string {
	host, err := os.Hostname()
	if err != nil {
		return "weft login"
	}
	return "weft login on " + host
}

func (o *loginOptions) byPassword(ctx context.Context, client *api.Client) (string, error) {
	password, err := o.password(ctx, "Password of "+o.user+": ")
	if err != nil {
		return "", err
	}
	in, err := client.SignIn(ctx, api.SignIn{Name: o.user, Password: password, Client: clientName()})
	return in.Token, err
}

// password reads one from standard input, or from the terminal, which does not show it.
func (o *loginOptions) password(ctx context.Context, prompt string) (string, error) {
	if o.passwordStdin {
		const most = 4096
		text, err := io.ReadAll(io.LimitReader(o.In, most))
		return strings.TrimRight(string(text), "\r\n"), err
	}
	f, ok := o.In.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) {
		return "", weft.Errorf(weft.Invalid, "there is no terminal to ask for the password").WithAdvice("give it with --password-stdin")
	}
	was, err := term.GetState(int(f.Fd()))
	if err != nil {
		return "", err
	}
	if _, err := fmt.Fprint(o.Err, prompt); err != nil {
		return "", err
	}
	type answer struct {
		text []byte
		err  error
	}
	typed := make(chan answer, 1)
	go func() {
		text, err := term.ReadPassword(int(f.Fd()))
		typed <- answer{text, err}
	}()
	select {
	case a := <-typed:
		_, err := fmt.Fprintln(o.Err)
		if a.err != nil {
			err = a.err
		}
		return string(a.text), err
	case <-ctx.Done():
		if err := term.Restore(int(f.Fd()), was); err != nil {
			return "", err
		}
		return "", context.Cause(ctx)
	}
}

func (o *loginOptions) byBrowser(ctx context.Context, client *api.Client) (string, error) {
	d, err := client.BeginDevice(ctx, clientName())
	if err != nil {
		return "", err
	}
	life := time.Duration(d.ExpiresIn) * time.Second
	_, err = fmt.Fprintf(o.Err, "Open   %s\nin a browser, on any machine, and type in the code\n\n       %s\n\nor open %s there. The code is good for %s.\n",
		printable(d.VerificationURI), printable(d.UserCode), printable(d.VerificationURIComplete), took(life))
	if err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, life, weft.Errorf(weft.Unauthenticated, "nobody has typed in the code").WithAdvice("begin again: weft login"))
	defer cancel()
	token, err := client.AwaitDevice(ctx, d)
	return token.AccessToken, err
}

// keep stores the profile under the name that this directory has for its server, as weft
// init does.
func (o *loginOptions) keep(p Profile) error {
	name, chosen, err := o.profileName()
	if err != nil {
		return err
	}
	if name == "" || strings.ContainsAny(name, "\n\r") {
		return weft.Errorf(weft.Invalid, "the name of a profile must be one line")
	}
	path, err := o.storePath()
	if err != nil {
		return err
	}
	store, err := readProfileStore(path)
	if err != nil {
		return err
	}
	if err := store.put(path, name, p); err != nil {
		return err
	}
	if chosen && o.profile == "" {
		return nil
	}
	return writePrivate(filepath.Join(o.Dir, profileFile), []byte(name+"\n"))
}

// greet says who is signed in where, and what keeps that from being used.
func (o *loginOptions) greet(ctx context.Context, p Profile) error {
	client, err := o.clientOf(p)
	if err != nil {
		return err
	}
	me, err := client.Me(ctx)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(o.Err, "signed in at %s as %s\n", client.Base(), me.User)
	if err == nil && (o.Getenv("WEFT_TOKEN") != "" || o.Getenv("WEFT_URL") != "") {
		_, err = fmt.Fprintln(o.Err, "but WEFT_URL or WEFT_TOKEN is set, and goes before the profile")
	}
	return err
}
