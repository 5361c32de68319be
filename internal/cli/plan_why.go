package cli

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/weft-dev/weft"
	"github.com/weft-dev/weft/api"
)

func newPlanWhy(c *common) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "why PLAN DATA",
		Short: "Tell why a plan does, or does not, run on a data",
		Args:  cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			plan, err := onePlan(args)
			if err != nil {
				return err
			}
			data, err := one[weft.Data](args[1:], "data")
			if err != nil {
				return err
			}
			return c.planWhy(cmd.Context(), plan, data)
		},
	}
	c.formatFlag(cmd, "o", formatTable, formatJSON)
	return cmd
}

func (c *common) planWhy(ctx context.Context, plan string, data weft.DataID) error {
	client, err := c.client()
	if err != nil {
		return err
	}
	why, err := client.Why(ctx, plan, data.String())
	if err != nil {
		return err
	}
	if c.format == formatJSON {
		return writeJSON(c.Out, why)
	}
	_, err = fmt.Fprint(c.Out, whyText(c.style(c.Out), why))
	return err
}

func whyText(st style, why api.Why) string {
	var b strings.Builder
	fmt.Fprintln(&b, printable(why.Reason))
	for _, in := range why.Inputs {
		fmt.Fprintf(&b, "\n%s %s\n", st.dim("input"), printable(in.Path))
		for _, t := range in.Tags {
			mark := st.paint("32", "✓")
			for _, m := range in.Missing {
				if m == t {
					mark = st.paint("31", "✗")
				}
			}
			fmt.Fprintf(&b, "  %s %s\n", mark, st.tag(printable(t.String())))
		}
		if in.MissingKey != "" {
			fmt.Fprintf(&b, "  %s %s\n", st.paint("31", "✗"), st.tag(printable(in.MissingKey)+":…"))
		}
		if in.Earlier {
			fmt.Fprintf(&b, "  %s it was there before the plan was registered\n", st.paint("31", "✗"))
		}
		if in.Newer != "" {
			fmt.Fprintf(&b, "  %s %s is newer\n", st.paint("31", "✗"), in.Newer)
		}
		if !in.Fillable {
			fmt.Fprintf(&b, "  %s\n", st.paint("33", "no data at all fits this input yet"))
		}
	}
	if why.Missing != "" {
		fmt.Fprintf(&b, "\n%s\n  %s %s\n", st.dim("pair"), st.paint("31", "✗"), st.tag(printable(why.Missing)+":…"))
	}
	if len(why.Runs) > 0 {
		fmt.Fprintln(&b)
	}
	for _, r := range why.Runs {
		fmt.Fprintf(&b, "%s %s\n", st.dim("run"), r)
	}
	return b.String()
}
