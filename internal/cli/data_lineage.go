package cli

import (
	"context"
	"strings"

	"github.com/spf13/cobra"

	"github.com/weft-dev/weft"
	"github.com/weft-dev/weft/api"
)

func newDataLineage(c *common) *cobra.Command {
	o := graphOptions{common: c}
	cmd := &cobra.Command{
		Use:   "lineage DATA",
		Short: "Draw what a data comes from and what comes from it",
		Example: `  weft data lineage DATA
  weft data lineage DATA --upstream --numbers all -o svg > lineage.svg`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			id, err := one[weft.Data](args, "data")
			if err != nil {
				return err
			}
			return o.lineage(cmd.Context(), id)
		},
	}
	o.addTo(cmd)
	return cmd
}

func (o *graphOptions) lineage(ctx context.Context, id weft.DataID) error {
	client, err := o.client()
	if err != nil {
		return err
	}
	l, err := client.Lineage(ctx, id.String(), api.LineageQuery{Upstream: o.up, Downstream: o.down, Depth: int(o.numbers)})
	if err != nil {
		return err
	}
	if o.format == formatJSON {
		return writeJSON(o.Out, l)
	}
	return o.print(lineageGraph(l))
}

// lineageGraph makes nodes of data and runs, and edges of the runs' mountpoints.
func lineageGraph(l api.Lineage) graph {
	g := graph{title: "Lineage of data " + l.Start}
	at := make(map[string]int, len(l.Data))
	for _, d := range l.Data {
		at[d.KnitID] = len(g.nodes)
		g.nodes = append(g.nodes, lineageData(d, d.KnitID == l.Start))
	}
	for _, r := range l.Runs {
		run := len(g.nodes)
		g.nodes = append(g.nodes, lineageRun(r))
		for _, in := range r.Inputs {
			if d, ok := at[in.KnitID]; ok {
				g.edges = append(g.edges, edge{from: d, to: run, reaches: in.Path})
			}
		}
		made := func(id, path string, kind nodeKind) {
			if d, ok := at[id]; ok {
				n := &g.nodes[d]
				n.kind, n.status = kind, weft.Status(r.Status)
				if n.head == "" {
					n.head = madeName(path)
				}
				g.edges = append(g.edges, edge{from: run, to: d, leaves: path})
			}
		}
		for _, out := range r.Outputs {
			made(out.KnitID, out.Path, dataNode)
		}
		if r.Log != nil {
			made(r.Log.KnitID, logLabel, logNode)
		}
	}
	return g
}

func lineageData(d api.LineageData, start bool) node {
	n := node{id: d.KnitID, kind: dataNode, start: start, head: tagValue(d.Tags, "name")}
	for _, t := range userTags(d.Tags) {
		if t != "name:"+n.head {
			n.tags = append(n.tags, t)
		}
	}
	if at, err := weft.ParseTime(tagValue(d.Tags, weft.KeyTimestamp)); err == nil {
		n.lines = []string{localTime(at)}
	}
	if d.Origin != nil {
		n.lines = append(n.lines, "from "+printable(d.Origin.URL))
	}
	return n
}

// madeName is what a data without a name is called, by where it was written.
func madeName(path string) string {
	if path == logLabel {
		return "log"
	}
	return strings.TrimPrefix(path[strings.LastIndexByte(path, '/'):], "/")
}

func lineageRun(r api.RunDetail) node {
	n := node{id: r.RunID, kind: runNode, status: weft.Status(r.Status), head: planName(r.Plan), lines: []string{localTime(r.UpdatedAt.Time)}}
	if r.StartedAt != nil && r.EndedAt != nil && len(r.Inputs) > 0 {
		n.lines[0] += " · took " + took(r.EndedAt.Sub(r.StartedAt.Time))
	}
	if info := runInfo(r); info != "" {
		n.lines = append(n.lines, info)
	}
	return n
}
