package cli

import (
	"fmt"
	"strings"

	"github.com/weft-dev/weft/api"
)

// printDryRun tells which runs a change would make.
func (c *common) printDryRun(would api.DryRun) error {
	if c.format == formatJSON {
		return writeJSON(c.Out, would)
	}
	st := c.style(c.Out)
	var b strings.Builder
	if would.Applies != nil && would.Applies.Name != "" {
		fmt.Fprintln(&b, applyWords(would))
	}
	fmt.Fprintf(&b, "%s would be made\n", st.bold(count(would.Total, "run")))
	for _, p := range would.Plans {
		name := planName(p.Plan)
		if p.Plan.PlanID != "" {
			name += " " + st.dim(p.Plan.PlanID)
		}
		fmt.Fprintf(&b, "\n%s of plan %s\n", count(p.Total, "run"), name)
		if p.Blocked != "" {
			fmt.Fprintf(&b, "  %s\n", st.paint("33", printable(p.Blocked)))
		}
		for _, run := range p.Runs {
			var inputs []string
			for _, in := range run {
				id := in.KnitID
				if id == "" {
					id = "the new data"
				}
				inputs = append(inputs, printable(in.Path)+" ← "+id)
			}
			fmt.Fprintf(&b, "  %s\n", strings.Join(inputs, ", "))
		}
		if more := p.Total - int64(len(p.Runs)); more > 0 {
			fmt.Fprintf(&b, "  and %d more\n", more)
		}
	}
	_, err := fmt.Fprint(c.Out, b.String())
	return err
}
