package cli

import (
	"net/url"
	"slices"
	"strings"

	"github.com/spf13/cobra"
)

func newSearch(env Env) *cobra.Command {
	c := newCommon(env)
	cmd := newGroup(env, "search", "List and remove kept searches", newSearchLs(c), newSearchRm(c))
	cmd.Long = `Searches are kept by find --save NAME, and used by find --saved NAME.`
	c.addTo(cmd)
	return cmd
}

func newSearchLs(c *common) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "ls",
		Short: "List the searches that you can use: your own and those shared in the project",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			client, err := c.client()
			if err != nil {
				return err
			}
			all, err := client.Searches(cmd.Context())
			if err != nil {
				return err
			}
			if c.format == formatJSON {
				return writeJSON(c.Out, all)
			}
			t := table{head: []string{"NAME", "FOR", "CONDITIONS", "SHARED", "BY"}}
			for _, s := range all {
				shared := ""
				if s.Shared {
					shared = "yes"
				}
				t.add(s.Name, plural(s.Kind), conditions(s.Query), shared, s.By)
			}
			return t.print(c.Out, c.style(c.Out), c.width())
		},
	}
	c.formatFlag(cmd, "o", formatTable, formatJSON)
	return cmd
}

// conditions writes a query for people.
func conditions(query string) string {
	values, err := url.ParseQuery(query)
	if err != nil {
		return query
	}
	var words []string
	for key, vs := range values {
		for _, v := range vs {
			words = append(words, key+"="+v)
		}
	}
	slices.Sort(words)
	return strings.Join(words, " ")
}

func newSearchRm(c *common) *cobra.Command {
	return &cobra.Command{
		Use:   "rm NAME",
		Short: "Forget a kept search",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			client, err := c.client()
			if err != nil {
				return err
			}
			return client.DeleteSearch(cmd.Context(), args[0])
		},
	}
}
