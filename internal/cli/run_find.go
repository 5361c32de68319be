package cli

import (
	"context"
	"fmt"
	"iter"
	"strings"

	"github.com/spf13/cobra"

	"github.com/weft-dev/weft"
	"github.com/weft-dev/weft/api"
)

type runFindOptions struct {
	*common
	plans    []string
	inputs   []string
	outputs  formatOr
	statuses []string
	span     span
	page     page
	kept     kept
}

func newRunFind(c *common) *cobra.Command {
	o := runFindOptions{common: c, outputs: formatOr{format: &c.format}}
	cmd := &cobra.Command{
		Use:   "find",
		Short: "List runs",
		Example: `  weft run find --status running --status failed
  weft run find --planid PLAN --since 2026-11-22`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			q, err := o.parse()
			if err != nil {
				return usageError{cmd, err}
			}
			return o.do(cmd.Context(), q)
		},
	}
	cmd.Flags().StringSliceVarP(&o.plans, "planid", "p", nil, "`id` of a plan; repeat for any of several")
	cmd.Flags().StringSliceVarP(&o.inputs, "in-knitid", "i", nil, "`id` of a data that is read; repeat for any of several")
	cmd.Flags().VarP(&o.outputs, "out-knitid", "o", "`id` of a data that is made; repeat for any of several (-o also takes an output format)")
	cmd.Flags().StringSliceVarP(&o.statuses, "status", "s", nil, "`status`: "+strings.Join(findableStatuses(), ", ")+"; repeat for any of several")
	cmd.RegisterFlagCompletionFunc("status", cobra.FixedCompletions(findableStatuses(), cobra.ShellCompDirectiveNoFileComp))
	o.span.addTo(cmd)
	o.page.addTo(cmd)
	o.kept.addTo(cmd)
	c.formatFlag(cmd, "", formatTable, formatJSON)
	return cmd
}

// findableStatuses are those that a list can be asked for.
func findableStatuses() []string {
	var out []string
	for _, s := range weft.Statuses {
		if s != weft.Invalidated {
			out = append(out, string(s))
		}
	}
	return out
}

func (o *runFindOptions) parse() (api.RunQuery, error) {
	q := api.RunQuery{Plans: o.plans, Inputs: o.inputs, Outputs: o.outputs.values, Statuses: o.statuses, Duration: o.span.duration}
	for _, s := range o.statuses {
		if _, err := weft.ParseStatus(s); err != nil || s == string(weft.Invalidated) {
			return q, weft.Errorf(weft.Invalid, "%q is not a status to look for", s).WithAdvice("choose among %s", strings.Join(findableStatuses(), ", "))
		}
	}
	var err error
	if q.Since, err = o.span.parse(); err != nil {
		return q, err
	}
	q.Page, err = o.page.parse()
	return q, err
}

func (o *runFindOptions) do(ctx context.Context, q api.RunQuery) error {
	client, err := o.client()
	if err != nil {
		return err
	}
	if q.More, err = o.kept.more(ctx, client, weft.SubjectRun); err != nil {
		return err
	}
	if err := o.kept.keep(ctx, client, weft.SubjectRun, q.Values()); err != nil {
		return err
	}
	return o.print(client.FindRuns(ctx, q))
}

func (o *runFindOptions) print(found iter.Seq2[api.RunDetail, error]) error {
	if o.format == formatJSON {
		return writeJSONList(o.Out, found)
	}
	st := o.style(o.Out)
	t := table{head: []string{"RUN", "STATUS", "CHANGED", "TOOK", "PLAN", "INFO"}}
	for r, err := range found {
		if err != nil {
			return err
		}
		ran := ""
		if r.StartedAt != nil && r.EndedAt != nil {
			ran = took(r.EndedAt.Sub(r.StartedAt.Time))
		}
		t.add(r.RunID, r.Status, localTime(r.UpdatedAt.Time), ran, planName(r.Plan), runInfo(r))
	}
	t.paint = func(_, col int, cell string) string {
		if col == 1 {
			return st.status(weft.Status(cell), cell)
		}
		return cell
	}
	return t.print(o.Out, st, o.width())
}

// runInfo is what there is to say about how a run is.
func runInfo(r api.RunDetail) string {
	switch {
	case r.Reason != "":
		return r.Reason
	case r.Exit != nil && (r.Exit.Code != 0 || r.Exit.Message != ""):
		return strings.TrimSuffix(fmt.Sprintf("exit %d: %s", r.Exit.Code, r.Exit.Message), ": ")
	}
	return ""
}
