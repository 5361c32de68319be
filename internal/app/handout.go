package app

import (
	"bytes"
	"context"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"text/template"
	"time"

	"github.com/spf13/cobra"

	"github.com/weft-dev/weft"
	"github.com/weft-dev/weft/api"
	"github.com/weft-dev/weft/internal/cli"
)

//go:embed handout.md
var handoutText string

var handoutTemplate = template.Must(template.New("README.md").Parse(handoutText))

type handoutOptions struct {
	*admin
	url       string
	tokenFile string
	user      string
	project   string
	life      time.Duration
}

// A handout is what users need, apart from their token.
type handout struct {
	URL      string
	Registry string // as docker and skopeo name it
	Trust    []byte // PEM; empty when their systems' authorities will do
	Token    string // empty: they get one otherwise
}

func (a *admin) newHandout() *cobra.Command {
	o := handoutOptions{admin: a}
	cmd := &cobra.Command{
		Use:   "handout DIR",
		Short: "Write what users need to work with the server",
		Long: `Write into a directory what users need to work with the server: a knitprofile with its URL and
authority, for weft and knit; docker/certs.d for docker, podman and skopeo; and a README that says
what to do with them. Only with a token in it is the handout a secret.`,
		Example: `  weft admin handout /srv/handout --url https://weft.example.org:30803
  weft admin handout ~/for-ann --user ann --project digits
  weft admin handout ~/for-ann --token-file ann.token`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			h, err := o.collect(cmd.Context())
			if err != nil {
				return err
			}
			did, err := h.write(o.path(args[0]))
			if err != nil {
				return err
			}
			return o.say(did)
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.url, "url", "", "`URL` by which users reach the server (default: its first name)")
	f.StringVar(&o.tokenFile, "token-file", "", "`file` with a token to hand out, too; - is standard input")
	f.StringVar(&o.user, "user", "", "make a token of the user with this `name`, and hand it out, too; the server must run")
	f.StringVar(&o.project, "project", "", "with --user: the token is good for the project with this `name` only, which knit needs if it is not the user's own")
	f.DurationVar(&o.life, "token-life", defaultTokenLife, "with --user: how long the token is good")
	return cmd
}

// collect finds out what to hand out.
func (o *handoutOptions) collect(ctx context.Context) (handout, error) {
	c, err := o.config()
	if err != nil {
		return handout{}, err
	}
	if o.user != "" && o.tokenFile != "" {
		return handout{}, weft.Errorf(weft.Invalid, "a handout has one token: that of --token-file, or a new one of --user")
	}
	if o.user == "" && o.project != "" {
		return handout{}, weft.Errorf(weft.Invalid, "--project says what a token is good for, and there is none").WithAdvice("give --user, too")
	}
	h := handout{URL: strings.TrimSuffix(strings.TrimRight(o.url, "/"), "/api")}
	if h.URL == "" {
		w, err := where(c.State)
		if err != nil {
			return h, err
		}
		h.URL = w.URL
	}
	u, err := url.Parse(h.URL)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return h, weft.Errorf(weft.Invalid, "url: %q is not the URL of a server", h.URL).WithAdvice("write it like https://weft.example.org:30803")
	}
	h.Registry = u.Host
	if h.Trust, err = o.trust(c.State, u); err != nil {
		return h, err
	}
	switch {
	case o.tokenFile != "":
		h.Token, err = o.readToken()
	case o.user != "":
		h.Token, err = o.makeToken(ctx, c.State)
	}
	return h, err
}

// defaultTokenLife is how long a token that is handed out is good.
const defaultTokenLife = 90 * 24 * time.Hour

// makeToken has the server that runs make a token for the user.
func (o *handoutOptions) makeToken(ctx context.Context, state string) (string, error) {
	if o.life <= 0 {
		return "", weft.Errorf(weft.Invalid, "token-life: %s is not positive", o.life)
	}
	up, err := runs(state)
	if err != nil {
		return "", err
	}
	if !up {
		return "", weft.Errorf(weft.Unavailable, "no server runs on %s, which could make the token", state).WithAdvice("start it, or give --token-file")
	}
	server, err := client(state, "weft/"+o.Version)
	if err != nil {
		return "", err
	}
	t, err := server.CreateToken(ctx, api.NewToken{Name: "handout", User: o.user, Project: o.project, ExpiresAt: &api.Time{Time: time.Now().Add(o.life)}})
	return t.Token, err
}

// trust returns the authority for users, if they need one, and refuses names that the
// server's certificate is not for: nobody could use the handout.
func (o *handoutOptions) trust(state string, u *url.URL) ([]byte, error) {
	if u.Scheme != "https" {
		return nil, nil
	}
	if _, err := os.Stat(filepath.Join(state, certsDir)); errors.Is(err, os.ErrNotExist) {
		return nil, nil // a load balancer speaks TLS, with a certificate of its own
	}
	certs, err := o.certs()
	if err != nil {
		return nil, err
	}
	if err := certs.Covers(u.Hostname()); err != nil {
		return nil, err
	}
	return trustOf(state, u.String())
}

func (o *handoutOptions) readToken() (string, error) {
	text, err := o.readSecret()
	if err != nil {
		return "", err
	}
	token := strings.TrimSpace(string(text))
	if token == "" {
		return "", weft.Errorf(weft.Invalid, "%s holds no token", o.tokenFile)
	}
	return token, nil
}

// readSecret reads the file of the token, or standard input for -.
func (o *handoutOptions) readSecret() ([]byte, error) {
	const most = 1 << 10
	if o.tokenFile == "-" {
		return io.ReadAll(io.LimitReader(o.In, most))
	}
	return o.read(o.tokenFile)
}

// write writes everything into a directory and returns what it did.
func (h handout) write(dir string) ([]string, error) {
	profile, err := cli.NewProfile(h.URL, h.Token, h.Trust)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, weft.Errorf(weft.Invalid, "%w", err)
	}
	name := filepath.Join(dir, "knitprofile")
	if err := cli.SaveProfile(name, profile); err != nil { // mode 0600
		return nil, err
	}
	did := []string{"wrote " + name}
	if h.Token == "" {
		if err := os.Chmod(name, 0o644); err != nil {
			return nil, err
		}
	} else {
		did[0] += ", which holds a token: give it to nobody else"
	}
	if len(h.Trust) > 0 {
		more, err := h.writeTrust(dir)
		if err != nil {
			return nil, err
		}
		did = append(did, more...)
	}
	var text bytes.Buffer
	if err := handoutTemplate.Execute(&text, h); err != nil {
		return nil, err
	}
	name = filepath.Join(dir, "README.md")
	return append(did, "wrote "+name), writeFile(name, text.Bytes(), 0o644)
}

// writeTrust writes the authority where docker, podman and skopeo look for it.
func (h handout) writeTrust(dir string) ([]string, error) {
	var did []string
	hosts := []string{h.Registry}
	if host, port, err := net.SplitHostPort(h.Registry); err == nil && port == "443" {
		hosts = append(hosts, host)
	}
	for _, host := range hosts {
		name := filepath.Join(dir, "docker", "certs.d", host, "ca.crt")
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			return nil, fmt.Errorf("write handout: %w", err)
		}
		if err := writeFile(name, h.Trust, 0o644); err != nil {
			return nil, fmt.Errorf("write handout: %w", err)
		}
		did = append(did, "wrote "+name)
	}
	return did, nil
}
