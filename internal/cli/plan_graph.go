package cli

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/weft-dev/weft/api"
)

func newPlanGraph(c *common) *cobra.Command {
	o := graphOptions{common: c}
	cmd := &cobra.Command{
		Use:   "graph PLAN",
		Short: "Draw which plans feed a plan and which it feeds",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			plan, err := onePlan(args)
			if err != nil {
				return err
			}
			return o.plans(cmd.Context(), plan)
		},
	}
	o.addTo(cmd)
	return cmd
}

func (o *graphOptions) plans(ctx context.Context, plan string) error {
	client, err := o.client()
	if err != nil {
		return err
	}
	pg, err := client.PlanGraph(ctx, plan, api.GraphQuery{Upstream: o.up, Downstream: o.down, Depth: int(o.numbers)})
	if err != nil {
		return err
	}
	if o.format == formatJSON {
		return writeJSON(o.Out, pg)
	}
	return o.print(planGraph(pg))
}

// planGraph makes nodes of plans and edges of what they hand on.
func planGraph(pg api.PlanGraph) graph {
	g := graph{title: "Plans around plan " + pg.Start}
	at := make(map[string]int, len(pg.Plans))
	for _, p := range pg.Plans {
		n := node{id: p.PlanID, kind: planNode, off: !p.Active, start: p.PlanID == pg.Start, head: planName(p.PlanSummary)}
		for _, in := range p.Inputs {
			n.lines = append(n.lines, fmt.Sprintf("%s ← %s", in.Path, tagWords(in.Tags)))
		}
		for _, out := range p.Outputs {
			n.lines = append(n.lines, fmt.Sprintf("%s → %s", out.Path, tagWords(out.Tags)))
		}
		if p.Log != nil {
			n.lines = append(n.lines, strings.TrimRight(fmt.Sprintf("%s → %s", logLabel, tagWords(p.Log.Tags)), " →"))
		}
		n.tags = p.Annotations
		at[p.PlanID] = len(g.nodes)
		g.nodes = append(g.nodes, n)
	}
	for _, e := range pg.Edges {
		from, ok := at[e.From]
		to, ok2 := at[e.To]
		if !ok || !ok2 {
			continue
		}
		leaves := e.Output
		if e.Log {
			leaves = logLabel
		}
		g.edges = append(g.edges, edge{from: from, to: to, leaves: leaves, reaches: e.Input})
	}
	return g
}
