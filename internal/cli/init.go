package cli

import (
	"context"
	"fmt"
	"io"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/weft-dev/weft"
	"github.com/weft-dev/weft/api"
)

type initOptions struct {
	*common
	tokenFile string
	ca        string
}

func newInit(env Env) *cobra.Command {
	o := initOptions{common: newCommon(env)}
	cmd := &cobra.Command{
		Use:     "init KNITPROFILE|URL",
		Short:   "Say which server this directory works with",
		GroupID: setupGroup,
		Long: `Say which server this directory, and those below it, work with: by the knitprofile file that
an administrator has given you, or by the URL of the server and a token.

The profile goes into the profile store, under the directory's name or that of --profile, and
that name into .knitprofile here. The knit command understands both.`,
		Example: `  weft init ~/handout/knitprofile
  weft init https://weft.example.org --token-file ~/token`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			p, err := o.parse(args[0])
			if err != nil {
				return err
			}
			return o.do(cmd.Context(), p)
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.profile, "profile", "", "`name` of the profile (default: the path of the current directory)")
	f.StringVar(&o.store, "profile-store", "", "`file` that keeps profiles by name (default: ~/.knit/profile)")
	f.StringVar(&o.tokenFile, "token-file", "", "with a URL: `file` that holds the token; - is standard input (default: WEFT_TOKEN)")
	f.StringVar(&o.ca, "ca", "", "with a URL: `file` with the certificate of the server's authority, in PEM")
	return cmd
}

func (o *initOptions) parse(arg string) (Profile, error) {
	if !strings.Contains(arg, "://") {
		return readProfile(o.path(arg))
	}
	token := o.Getenv("WEFT_TOKEN")
	if o.tokenFile != "" {
		text, err := o.readAll(o.tokenFile)
		if err != nil {
			return Profile{}, err
		}
		token = strings.TrimSpace(string(text))
	}
	var ca []byte
	if o.ca != "" {
		var err error
		if ca, err = o.readAll(o.ca); err != nil {
			return Profile{}, err
		}
	}
	return NewProfile(arg, token, ca)
}

// readAll reads a small file, or standard input for -.
func (o *initOptions) readAll(name string) ([]byte, error) {
	const most = 1 << 20
	f, err := o.open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, most))
}

func (o *initOptions) do(ctx context.Context, p Profile) error {
	if o.profile == "" {
		o.profile = o.Dir
	}
	path, err := o.storePath()
	if err != nil {
		return err
	}
	store, err := readProfileStore(path)
	if err != nil {
		return err
	}
	if strings.ContainsAny(o.profile, "\n\r") {
		return weft.Errorf(weft.Invalid, "the name of a profile must be one line")
	}
	if err := store.put(path, o.profile, p); err != nil {
		return err
	}
	if err := writePrivate(filepath.Join(o.Dir, profileFile), []byte(o.profile+"\n")); err != nil {
		return err
	}
	o.greet(ctx, p)
	return nil
}

// greet tells whether the server can be reached. That it cannot just now is no reason
// to refuse the profile.
func (o *initOptions) greet(ctx context.Context, p Profile) {
	client, err := o.client()
	var v api.Version
	if err == nil {
		if v, err = client.Version(ctx); err == nil {
			_, err = client.Cluster(ctx) // needs the token, unlike the version
		}
	}
	if err != nil {
		message, _ := explain(err)
		fmt.Fprintf(o.Err, "the profile is saved, but the server does not take it yet: %s\n", message)
		return
	}
	fmt.Fprintf(o.Err, "this directory works with %s (weft %s)\n", client.Base(), v.Version)
}
