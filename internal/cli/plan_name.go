package cli

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/weft-dev/weft"
	"github.com/weft-dev/weft/api"
)

// onePlan returns the id or the name of a plan, which may be followed by @ and the number
// of a revision.
func onePlan(args []string) (string, error) {
	if _, err := weft.ParseID[weft.Plan](args[0]); err == nil {
		return args[0], nil
	}
	name, _, _ := strings.Cut(args[0], "@")
	if name == "" || weft.ValidatePlanName(name) != nil {
		return "", weft.Errorf(weft.NotFound, "plan %q is not found", args[0]).
			WithAdvice("give its name, or its id of 36 characters, like 01930e5c-8c54-7a31-9f00-5a3c7e1b2d4f; see weft plan find")
	}
	return args[0], nil
}

// revisionName writes what a plan is called, with the number of its revision.
func revisionName(p api.PlanSummary) string {
	if p.Revision > 0 {
		return fmt.Sprintf("%s@%d", printable(p.Name), p.Revision)
	}
	return printable(p.Name)
}

func latestWords(l *api.Latest) string {
	switch {
	case l == nil:
		return ""
	case l.By != "":
		return "  (the latest by " + printable(l.By) + ")"
	}
	return "  (the latest)"
}

// applyWords tells in a line what registering a named plan does.
func applyWords(would api.DryRun) string {
	a := would.Applies
	name := printable(a.Name)
	switch weft.Applied(a.Did) {
	case weft.AppliedUnchanged:
		return name + ": nothing is changed"
	case weft.AppliedNamed:
		return name + ": a plan that is registered gets this name; nothing runs again"
	case weft.AppliedUpdated:
		return name + ": the plan is changed in place; nothing runs again"
	}
	var words []string
	switch {
	case weft.Applied(a.Did) == weft.AppliedRestored:
		words = append(words, "an earlier revision is put in place again")
	case a.Replaced != "":
		words = append(words, "a new revision takes the place of plan "+a.Replaced)
	default:
		words = append(words, "a new plan")
	}
	words = append(words, fmt.Sprintf("%s made on data that are there", runsAre(would.Total)))
	if len(would.Plans) > 0 && would.Plans[0].Blocked != "" {
		words = append(words, "but it is blocked: it "+printable(would.Plans[0].Blocked))
	}
	if a.Resting > 0 {
		words = append(words, runsAre(a.Resting)+" put to rest that were not started")
	}
	if a.InFlight > 0 {
		words = append(words, fmt.Sprintf("%s in flight on to the end", map[bool]string{true: "1 run goes", false: count(a.InFlight, "run") + " go"}[a.InFlight == 1]))
	}
	return name + ": " + strings.Join(words, "; ")
}

func runsAre(n int64) string {
	if n == 1 {
		return "1 run is"
	}
	return count(n, "run") + " are"
}

func newPlanHistory(c *common) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "history NAME",
		Short: "List the revisions of a named plan",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			plan, err := onePlan(args)
			if err != nil {
				return err
			}
			return c.planHistory(cmd.Context(), plan)
		},
	}
	c.formatFlag(cmd, "o", formatTable, formatJSON)
	return cmd
}

func (c *common) planHistory(ctx context.Context, name string) error {
	client, err := c.client()
	if err != nil {
		return err
	}
	h, err := client.PlanHistory(ctx, name)
	if err != nil {
		return err
	}
	if c.format == formatJSON {
		return writeJSON(c.Out, h)
	}
	t := table{head: []string{"REVISION", "APPLIED", "STATE", "PLAN", "IMAGE", "RUNS"}}
	for _, r := range h.Revisions {
		var runs []string
		for _, status := range slices.Sorted(maps.Keys(r.Runs)) {
			runs = append(runs, fmt.Sprintf("%d %s", r.Runs[status], status))
		}
		t.add(revisionName(r.Plan), localTime(r.At.Time), r.State, r.Plan.PlanID, planName(r.Plan), strings.Join(runs, ", "))
	}
	return t.print(c.Out, c.style(c.Out), c.width())
}

type planRmOptions struct {
	*common
	dryRun bool
}

func newPlanRm(c *common) *cobra.Command {
	o := planRmOptions{common: c}
	cmd := &cobra.Command{
		Use:   "rm PLAN...",
		Short: "Delete plans; what they made stays",
		Long: `Delete plans by id or name. A deleted plan matches nothing any more and is no part of the graph
of plans; an equal one may be registered again. A named plan goes with all its revisions.

Its runs that ended stay, with their data and lineage. Those in flight go on to their end.
Those that were never started are deleted.`,
		Example: `  weft plan rm trainer
  weft plan rm --dry-run trainer`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			for i := range args {
				if _, err := onePlan(args[i:]); err != nil {
					return err
				}
			}
			return o.do(cmd.Context(), args)
		},
	}
	cmd.Flags().BoolVar(&o.dryRun, "dry-run", false, "delete nothing; tell what would go")
	return cmd
}

func (o *planRmOptions) do(ctx context.Context, plans []string) error {
	client, err := o.client()
	if err != nil {
		return err
	}
	for _, plan := range plans {
		act, word := client.DeletePlan, "is deleted"
		if o.dryRun {
			act, word = client.WouldDeletePlan, "would be deleted"
		}
		gone, err := act(ctx, plan)
		if err != nil {
			return fmt.Errorf("plan %s: %w", plan, err)
		}
		fmt.Fprintf(o.Err, "plan %s %s", plan, word)
		if n := int64(len(gone.Plans)); n > 1 {
			fmt.Fprintf(o.Err, " with its %s", count(n, "revision"))
		}
		fmt.Fprintf(o.Err, "; %s that were never started go with it", count(gone.Unstarted, "run"))
		if gone.InFlight > 0 {
			fmt.Fprintf(o.Err, ", %s in flight on to the end", count(gone.InFlight, "run"))
		}
		fmt.Fprintln(o.Err)
	}
	return nil
}
