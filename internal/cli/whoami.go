package cli

import (
	"context"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/weft-dev/weft/api"
)

func newWhoami(env Env) *cobra.Command {
	c := newCommon(env)
	cmd := &cobra.Command{
		Use:     "whoami",
		Short:   "Show who you are for the server, and how far that goes",
		GroupID: clientGroup,
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return c.whoami(cmd.Context()) },
	}
	c.addTo(cmd)
	c.formatFlag(cmd, "o", formatTable, formatJSON)
	return cmd
}

func (c *common) whoami(ctx context.Context) error {
	client, err := c.client()
	if err != nil {
		return err
	}
	me, err := client.Me(ctx)
	if err != nil {
		return err
	}
	if c.format == formatJSON {
		return writeJSON(c.Out, me)
	}
	return c.showMe(me, client.Base())
}

func (c *common) showMe(me api.Me, base string) error {
	var f facts
	f.add("server", base)
	f.add("user", me.User)
	if me.Kind != "person" {
		f.add("kind", me.Kind)
	}
	if me.Admin {
		f.add("rights", "administers the system")
	}
	for _, project := range slices.Sorted(maps.Keys(me.Roles)) {
		f.add("role", me.Roles[project]+" in "+project)
	}
	f.add("project", me.Project+", where nothing else is said")
	if me.Token != "" {
		f.add("token", printable(strings.TrimSpace(me.Token))+", of scope "+me.Scope)
	}
	if me.ExpiresAt != nil {
		f.add("ends", localTime(me.ExpiresAt.Time))
	}
	return f.print(c.Out, c.style(c.Out))
}
