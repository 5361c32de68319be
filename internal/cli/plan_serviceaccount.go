package cli

import (
	"github.com/spf13/cobra"

	"github.com/weft-dev/weft/api"
)

func newPlanServiceAccount(c *common) *cobra.Command {
	var set string
	var unset bool
	cmd := &cobra.Command{
		Use:   "serviceaccount PLAN",
		Short: "Set or remove the service account of a plan",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if (set != "") == unset {
				return usagef(cmd, "give either --set NAME or --unset")
			}
			return c.changePlan(cmd.Context(), args[0], func(client *api.Client, id string) (api.PlanDetail, error) {
				return client.SetServiceAccount(cmd.Context(), id, set)
			})
		},
	}
	cmd.Flags().StringVar(&set, "set", "", "`name` of the service account")
	cmd.Flags().BoolVar(&unset, "unset", false, "remove the service account")
	c.formatFlag(cmd, "o", formatTable, formatJSON)
	return cmd
}
