package cli

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/weft-dev/weft/api"
)

type planApplyOptions struct {
	*common
	dryRun    bool
	allowRuns int64
}

func newPlanApply(c *common) *cobra.Command {
	o := planApplyOptions{common: c}
	cmd := &cobra.Command{
		Use:   "apply PLAN_FILE",
		Short: "Register a plan from a file",
		Long: `Register a plan from a file in YAML or JSON; - is standard input.

From then on the plan runs on every combination of data that its inputs match, those that
are there already included (those that come later only, with "from: now" in the file).
--dry-run tells how many runs that are and changes nothing.

A plan with a name takes the place of the plan that has it, as its next revision: the former
one matches nothing any more, its runs that were not started rest, and those in flight end as
usual. What that makes run again is told before it is done. A file that changes nothing makes
no revision.`,
		Example: `  weft plan apply trainer.yaml
  weft plan template --scratch | weft plan apply --dry-run -`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			spec, err := o.parse(args[0])
			if err != nil {
				return err
			}
			return o.do(cmd.Context(), spec)
		},
	}
	cmd.Flags().BoolVar(&o.dryRun, "dry-run", false, "register nothing; tell which runs would be made")
	cmd.Flags().Int64Var(&o.allowRuns, "allow-runs", 0, "let the plan make so `many` runs at once instead of the system's limit")
	c.formatFlag(cmd, "o", formatTable, formatJSON)
	return cmd
}

func (o *planApplyOptions) parse(file string) (api.PlanSpec, error) {
	f, err := o.open(file)
	if err != nil {
		return api.PlanSpec{}, err
	}
	defer f.Close()
	if file == "-" {
		file = "standard input"
	}
	spec, err := readPlanFile(file, f)
	if o.allowRuns != 0 {
		spec.AllowRuns = o.allowRuns
	}
	return spec, err
}

func (o *planApplyOptions) do(ctx context.Context, spec api.PlanSpec) error {
	client, err := o.client()
	if err != nil {
		return err
	}
	if o.dryRun {
		would, err := client.WouldCreatePlan(ctx, spec)
		if err != nil {
			return equalPlan(err)
		}
		return o.printDryRun(would)
	}
	if spec.Name != "" { // it may take another's place: say what that does before it is done
		would, err := client.WouldCreatePlan(ctx, spec)
		if err != nil {
			return equalPlan(err)
		}
		fmt.Fprintln(o.Err, applyWords(would))
	}
	p, err := client.CreatePlan(ctx, spec)
	if err != nil {
		return equalPlan(err)
	}
	return o.printPlan(p)
}

// equalPlan adds to a refusal which command shows the plan in the way.
func equalPlan(err error) error {
	var sent *api.Error
	if !errors.As(err, &sent) || sent.Kind != api.KindConflict || sent.See == "" {
		return err
	}
	told := *sent
	told.Message += fmt.Sprintf("\nsee it with: weft plan show %s", sent.See)
	return &told
}
