package cli

import (
	"github.com/spf13/cobra"

	"github.com/weft-dev/weft/api"
)

func newPlanActive(c *common) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "active yes|no PLAN",
		Short: "Activate or deactivate a plan",
		Long: `Activate or deactivate a plan. The runs of an inactive plan that wait are held back until it
is active again; those under way go on.`,
		Args: cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			var mode three
			if err := mode.Set(args[0]); err != nil || mode.only() == nil {
				return usagef(cmd, "%q is neither yes nor no", args[0])
			}
			return c.changePlan(cmd.Context(), args[1], func(client *api.Client, id string) (api.PlanDetail, error) {
				return client.ActivatePlan(cmd.Context(), id, *mode.only())
			})
		},
	}
	c.formatFlag(cmd, "o", formatTable, formatJSON)
	return cmd
}
