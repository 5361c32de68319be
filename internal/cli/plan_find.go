package cli

import (
	"context"
	"strings"

	"github.com/spf13/cobra"

	"github.com/weft-dev/weft"
	"github.com/weft-dev/weft/api"
)

type planFindOptions struct {
	*common
	active  three
	image   string
	name    string
	former  bool
	inTags  []string
	outTags formatOr
	page    page
	kept    kept
}

func newPlanFind(c *common) *cobra.Command {
	o := planFindOptions{common: c, outTags: formatOr{format: &c.format}}
	cmd := &cobra.Command{
		Use:   "find",
		Short: "List plans",
		Example: `  weft plan find --active yes --in-tag type:dataset
  weft plan find --image localhost:30503/trainer`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			q, err := o.parse()
			if err != nil {
				return usageError{cmd, err}
			}
			return o.do(cmd.Context(), q)
		},
	}
	cmd.Flags().Var(&o.active, "active", "only active plans (yes), only inactive ones (no), or both")
	cmd.Flags().StringVar(&o.name, "name", "", "only of that `name`")
	cmd.Flags().BoolVar(&o.former, "superseded", false, "former revisions of named plans, too")
	cmd.Flags().StringVar(&o.image, "image", "", "only of that image, `repository[:tag]`")
	cmd.Flags().StringArrayVarP(&o.inTags, "in-tag", "i", nil, "`key:value` that one input has; repeat for several")
	cmd.Flags().VarP(&o.outTags, "out-tag", "o", "`key:value` that one output or the log has; repeat for several (-o also takes an output format)")
	o.page.addTo(cmd)
	o.kept.addTo(cmd)
	c.formatFlag(cmd, "", formatTable, formatJSON)
	return cmd
}

// formatOr is the flag -o of commands where knit gives that letter another meaning: a
// value that is a format is one, any other is collected.
type formatOr struct {
	format *format
	values []string
}

func (f *formatOr) Type() string   { return "value" }
func (f *formatOr) String() string { return strings.Join(f.values, ",") }

func (f *formatOr) Set(s string) error {
	if f.format.Set(s) != nil {
		f.values = append(f.values, s)
	}
	return nil
}

func (o *planFindOptions) parse() (api.PlanQuery, error) {
	in, err := parseTags(o.inTags)
	if err != nil {
		return api.PlanQuery{}, err
	}
	out, err := parseTags(o.outTags.values)
	if err != nil {
		return api.PlanQuery{}, err
	}
	p, err := o.page.parse()
	return api.PlanQuery{Active: o.active.only(), Name: o.name, Superseded: o.former, Image: o.image, InTags: in.Strings(), OutTags: out.Strings(), Page: p}, err
}

func (o *planFindOptions) do(ctx context.Context, q api.PlanQuery) error {
	client, err := o.client()
	if err != nil {
		return err
	}
	if q.More, err = o.kept.more(ctx, client, weft.SubjectPlan); err != nil {
		return err
	}
	if err := o.kept.keep(ctx, client, weft.SubjectPlan, q.Values()); err != nil {
		return err
	}
	found := client.FindPlans(ctx, q)
	if o.format == formatJSON {
		return writeJSONList(o.Out, found)
	}
	st := o.style(o.Out)
	t := table{head: []string{"PLAN", "NAME", "STATE", "IMAGE", "READS", "WRITES"}}
	for p, err := range found {
		if err != nil {
			return err
		}
		state := "active"
		switch {
		case p.State != "":
			state = p.State
		case p.Blocked != "":
			state = "blocked"
		case !p.Active:
			state = "inactive"
		}
		var in, out []string
		for _, m := range p.Inputs {
			in = append(in, tagWords(m.Tags))
		}
		for _, m := range p.Outputs {
			out = append(out, tagWords(m.Tags))
		}
		t.add(p.PlanID, revisionName(p.PlanSummary), state, planName(p.PlanSummary), strings.Join(in, " | "), strings.Join(out, " | "))
	}
	t.paint = func(_, col int, cell string) string {
		switch {
		case col == 2 && cell == "active":
			return st.paint("32", cell)
		case col == 2:
			return st.paint("33", cell)
		case col > 3:
			return st.tag(cell)
		}
		return cell
	}
	return t.print(o.Out, st, o.width())
}

func tagWords(tags []api.Tag) string {
	texts := make([]string, len(tags))
	for i, t := range tags {
		texts[i] = t.String()
	}
	return strings.Join(texts, " ")
}
