package cli

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/weft-dev/weft"
	"github.com/weft-dev/weft/api"
)

func newToken(env Env) *cobra.Command {
	c := newCommon(env)
	cmd := newGroup(env, "token", "Make and revoke the tokens by which programs act for you", newTokenLs(c), newTokenAdd(c), newTokenRm(c))
	c.addTo(cmd)
	return cmd
}

type tokenLsOptions struct {
	*common
	user string
	all  bool
}

func newTokenLs(c *common) *cobra.Command {
	o := tokenLsOptions{common: c}
	cmd := &cobra.Command{
		Use:   "ls",
		Short: "List tokens: where they are good, and when they were used",
		Long:  `List your tokens, or those of a service whose home you manage. What is secret about a token is not kept anywhere.`,
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return o.do(cmd.Context()) },
	}
	cmd.Flags().StringVar(&o.user, "user", "", "those of another `user`")
	cmd.Flags().BoolVar(&o.all, "all", false, "everyone's, for administrators")
	c.formatFlag(cmd, "o", formatTable, formatJSON)
	return cmd
}

func (o *tokenLsOptions) do(ctx context.Context) error {
	client, err := o.client()
	if err != nil {
		return err
	}
	all, err := client.Tokens(ctx, o.user, o.all)
	if err != nil {
		return err
	}
	if o.format == formatJSON {
		return writeJSON(o.Out, all)
	}
	t := table{head: []string{"TOKEN", "USER", "SCOPE", "PROJECT", "EXPIRES", "USED", "NAME"}}
	for _, k := range all {
		t.add(k.ID, k.User, k.Scope, k.Project, momentOr(k.ExpiresAt, "never"), strings.TrimSpace(momentOr(k.UsedAt, "never")+" "+k.UsedFrom), k.Name)
	}
	return t.print(o.Out, o.style(o.Out), o.width())
}

type tokenAddOptions struct {
	*common
	user, scope, expires string
	json                 bool
}

func newTokenAdd(c *common) *cobra.Command {
	o := tokenAddOptions{common: c}
	cmd := &cobra.Command{
		Use:   "add NAME",
		Short: "Make a token and print it, once",
		Long: `Make a token and print it; it is kept nowhere and cannot be printed again. With --project it is
good for that project only, which is then what it is about: this is how the knit command, docker and
skopeo choose a project. The scope is what it is good for at most, whatever its owner may do:
all     everything
write   read, create and change; nothing is deleted, and nothing decided about people
read    read
import  the import handshake, and nothing else`,
		Example: `  weft token add laptop --expires 90d
  weft token add nightly --user ci --project vision --scope write`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			n, err := o.parse(args[0], time.Now())
			if err != nil {
				return usageError{cmd, err}
			}
			return o.do(cmd.Context(), n)
		},
	}
	cmd.Flags().StringVar(&o.user, "user", "", "for another `user`, such as a service")
	cmd.Flags().StringVar(&o.scope, "scope", string(weft.ScopeAll), "`scope`: all, write, read or import")
	cmd.Flags().StringVar(&o.expires, "expires", "", "ends after that `long`, like 90d or 12h, or at a time, like 2027-01-31 (default: never)")
	cmd.Flags().BoolVar(&o.json, "json", false, "print what is known of it too, as JSON")
	return cmd
}

func (o *tokenAddOptions) parse(name string, now time.Time) (api.NewToken, error) {
	n := api.NewToken{Name: name, User: o.user, Scope: o.scope, Project: o.inside}
	if _, err := weft.ParseScope(o.scope); err != nil {
		return n, err
	}
	if o.expires == "" {
		return n, nil
	}
	at, err := parseLife(o.expires, now)
	n.ExpiresAt = &api.Time{Time: at}
	return n, err
}

// parseLife reads how long something is to last, in days or as a duration, or until when.
func parseLife(s string, now time.Time) (time.Time, error) {
	d, err := time.ParseDuration(s)
	if days, ok := strings.CutSuffix(s, "d"); ok {
		var n int
		n, err = strconv.Atoi(days)
		d = time.Duration(n) * 24 * time.Hour
	}
	if err != nil {
		return parseLooseTime(s, time.Local)
	}
	if d <= 0 {
		return now, weft.Errorf(weft.Invalid, "%s is over already", s)
	}
	return now.Add(d), nil
}

func (o *tokenAddOptions) do(ctx context.Context, n api.NewToken) error {
	client, err := o.client()
	if err != nil {
		return err
	}
	k, err := client.CreateToken(ctx, n)
	if err != nil {
		return err
	}
	if o.json {
		return writeJSON(o.Out, k)
	}
	fmt.Fprintf(o.Err, "token %s of %s, shown only now:\n", k.ID, k.User)
	_, err = fmt.Fprintln(o.Out, k.Token)
	return err
}

func newTokenRm(c *common) *cobra.Command {
	return &cobra.Command{
		Use:   "rm TOKEN...",
		Short: "Revoke tokens, at once",
		Long:  `Revoke tokens, named by their ids as "weft token ls" shows them.`,
		Args:  cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.with(func(client *api.Client) error {
				for _, id := range args {
					if err := c.said(client.DeleteToken(cmd.Context(), id), "token %s is revoked", id); err != nil {
						return err
					}
				}
				return nil
			})
		},
	}
}
