package cli

import (
	"context"
	"strings"

	"github.com/spf13/cobra"

	"github.com/weft-dev/weft"
	"github.com/weft-dev/weft/api"
)

type planResourceOptions struct {
	*common
	set       []string
	unset     []string
	allowRuns int64
}

func newPlanResource(c *common) *cobra.Command {
	o := planResourceOptions{common: c}
	cmd := &cobra.Command{
		Use:   "resource PLAN",
		Short: "Change the limits of a plan's runs",
		Long: `Change the resources that each run of a plan may use, for runs that have not started yet.
What is set comes first, then what is unset goes: a name in both ends up without a limit.

--allow-runs raises how many runs the plan may make at once; a plan that is blocked
because they were too many then makes them.`,
		Example: `  weft plan resource --set cpu=2 --set memory=4Gi --unset nvidia.com/gpu PLAN`,
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			change, err := o.parse()
			if err != nil {
				return usageError{cmd, err}
			}
			return o.changePlan(cmd.Context(), args[0], func(client *api.Client, id string) (api.PlanDetail, error) {
				return o.do(cmd.Context(), client, id, change, cmd.Flags().Changed("allow-runs"))
			})
		},
	}
	cmd.Flags().StringArrayVarP(&o.set, "set", "s", nil, "`name=quantity` to set, like memory=4Gi; repeat for several")
	cmd.Flags().StringArrayVarP(&o.unset, "unset", "u", nil, "`name` to remove; repeat for several")
	cmd.Flags().Int64Var(&o.allowRuns, "allow-runs", 0, "how `many` runs the plan may make at once; 0 is the system's limit")
	c.formatFlag(cmd, "o", formatTable, formatJSON)
	return cmd
}

func (o *planResourceOptions) parse() (api.ResourceChange, error) {
	change := api.ResourceChange{Unset: o.unset}
	for _, s := range o.set {
		name, quantity, ok := strings.Cut(s, "=")
		if !ok {
			return change, weft.Errorf(weft.Invalid, "resource %q has no =", s).WithAdvice("write it as name=quantity, like cpu=2")
		}
		name, quantity = strings.TrimSpace(name), strings.TrimSpace(quantity)
		if _, err := weft.ParseResources(map[string]string{name: quantity}); err != nil {
			return change, err
		}
		if change.Set == nil {
			change.Set = map[string]api.Quantity{}
		}
		change.Set[name] = api.Quantity(quantity)
	}
	if o.allowRuns < 0 {
		return change, weft.Errorf(weft.Invalid, "--allow-runs %d is negative", o.allowRuns)
	}
	return change, nil
}

// do makes the changes that were asked for; with none it only reads the plan.
func (o *planResourceOptions) do(ctx context.Context, client *api.Client, id string, change api.ResourceChange, limit bool) (p api.PlanDetail, err error) {
	if limit {
		if p, err = client.SetRunLimit(ctx, id, o.allowRuns); err != nil {
			return p, err
		}
	}
	if len(change.Set)+len(change.Unset) > 0 {
		return client.ChangeResources(ctx, id, change)
	}
	if !limit {
		return client.Plan(ctx, id)
	}
	return p, nil
}
