package cli

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/weft-dev/weft"
)

func newPlanShow(c *common) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "show PLAN",
		Short: "Show one plan, what feeds it and what it feeds",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			plan, err := onePlan(args)
			if err != nil {
				return err
			}
			return c.planShow(cmd.Context(), plan)
		},
	}
	c.formatFlag(cmd, "o", formatTable, formatJSON)
	return cmd
}

func (c *common) planShow(ctx context.Context, plan string) error {
	client, err := c.client()
	if err != nil {
		return err
	}
	p, err := client.Plan(ctx, plan)
	if err != nil {
		return err
	}
	if err := c.printPlan(p); err != nil {
		return err
	}
	return c.showNote(ctx, client, weft.SubjectPlan, p.PlanID)
}
