package cli

import (
	"fmt"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/weft-dev/weft/api"
)

func newHook(env Env) *cobra.Command {
	c := newCommon(env)
	cmd := newGroup(env, "hook", "See how the server's lifecycle hooks are doing", newHookLs(c), newHookRevive(c))
	c.addTo(cmd)
	return cmd
}

func newHookLs(c *common) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "ls",
		Short: "List hooks: when they were called, what waits, what was given up",
		Long: `List the hooks of the server's settings, with their last answer, how many runs or deliveries
wait for them, and how many deliveries were given up. It takes an administrator.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return c.with(func(client *api.Client) error {
				all, err := client.Hooks(cmd.Context())
				if err != nil {
					return err
				}
				if c.format == formatJSON {
					return writeJSON(c.Out, all)
				}
				t := table{head: []string{"HOOK", "WHEN", "CALLED", "WAITING", "DEAD", "LAST ERROR"}}
				for _, h := range all {
					t.add(h.Name, h.When, momentOr(h.At, "never"), strconv.FormatInt(h.Waiting, 10), strconv.FormatInt(h.Dead, 10), h.Error)
				}
				return t.print(c.Out, c.style(c.Out), c.width())
			})
		},
	}
	c.formatFlag(cmd, "o", formatTable, formatJSON)
	return cmd
}

func newHookRevive(c *common) *cobra.Command {
	return &cobra.Command{
		Use:   "revive HOOK",
		Short: "Have what a hook was not told in the end tried again",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.with(func(client *api.Client) error {
				r, err := client.ReviveHook(cmd.Context(), args[0])
				if err != nil {
					return err
				}
				_, err = fmt.Fprintf(c.Err, "%d deliveries are tried again\n", r.Count)
				return err
			})
		},
	}
}
