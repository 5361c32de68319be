package cli

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/weft-dev/weft"
	"github.com/weft-dev/weft/api"
)

type logoutOptions struct{ *common }

func newLogout(env Env) *cobra.Command {
	o := logoutOptions{newCommon(env)}
	cmd := &cobra.Command{
		Use:     "logout",
		Short:   "Sign out: end the token of the profile",
		GroupID: setupGroup,
		Long: `End the token that the profile of this directory holds, and remove it from the profile. The profile
goes on saying which server is meant.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return o.do(cmd.Context()) },
	}
	f := cmd.Flags()
	f.StringVar(&o.profile, "profile", "", "`name` of the profile (default: the first line of the nearest .knitprofile)")
	f.StringVar(&o.store, "profile-store", "", "`file` that keeps profiles by name (default: ~/.knit/profile)")
	return cmd
}

func (o *logoutOptions) do(ctx context.Context) error {
	path, err := o.storePath()
	if err != nil {
		return err
	}
	name, _, err := o.profileName()
	if err != nil {
		return err
	}
	store, err := readProfileStore(path)
	if err != nil {
		return err
	}
	p, found, err := store.profile(name)
	if err != nil {
		return err
	}
	if !found {
		return weft.Errorf(weft.NotFound, "there is no profile %q in %s", name, path).
			WithAdvice("a token in WEFT_TOKEN, or that of a server of your own, is ended with: weft token rm")
	}
	client, err := o.clientOf(p)
	if err != nil {
		return err
	}
	if client.Token() == "" {
		_, err := fmt.Fprintf(o.Err, "nobody is signed in at %s\n", client.Base())
		return err
	}
	return o.end(ctx, client, p, func(p Profile) error { return store.put(path, name, p) })
}

// end has the server end the token, and takes it out of the profile. A server that cannot
// be reached keeps the token: it would be good for whoever finds it elsewhere.
func (o *logoutOptions) end(ctx context.Context, client *api.Client, p Profile, save func(Profile) error) error {
	if err := client.RevokeToken(ctx); err != nil {
		return err
	}
	p, err := p.with("")
	if err == nil {
		err = save(p)
	}
	if err == nil {
		_, err = fmt.Fprintf(o.Err, "signed out of %s\n", client.Base())
	}
	return err
}
