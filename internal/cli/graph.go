package cli

import (
	"github.com/spf13/cobra"

	"github.com/weft-dev/weft"
)

// A graph is what is drawn: a lineage or the plans that feed each other. How it is
// drawn (dot, SVG, text) does not matter to who makes it.
type graph struct {
	title string
	nodes []node
	edges []edge
}

// A node is one box of a graph.
type node struct {
	id     string // as the server knows it
	kind   nodeKind
	status weft.Status // of runs, and of the run that makes a data
	off    bool        // of plans: inactive
	start  bool        // the one that was asked about
	head   string      // what people would call it
	lines  []string    // what else to know, one per line
	tags   []string
}

// A nodeKind says what a node stands for.
type nodeKind int

const (
	dataNode nodeKind = iota
	logNode
	runNode
	planNode
)

// An edge leads from one node to another, by their places in graph.nodes. Its
// labels are paths of mountpoints, or logLabel; in a lineage one end has none.
type edge struct {
	from, to int
	leaves   string // what it is called where it leaves
	reaches  string // and where it arrives
}

const logLabel = "(log)"

// neighbours lists, for each node, the edges that leave it and that reach it.
func (g graph) neighbours() (out, in [][]int) {
	out, in = make([][]int, len(g.nodes)), make([][]int, len(g.nodes))
	for i, e := range g.edges {
		out[e.from] = append(out[e.from], i)
		in[e.to] = append(in[e.to], i)
	}
	return out, in
}

// graphOptions are those of commands that draw.
type graphOptions struct {
	*common
	up, down bool
	numbers  depth
}

func (o *graphOptions) addTo(cmd *cobra.Command) {
	o.numbers = defaultDepth
	cmd.Flags().BoolVarP(&o.up, "upstream", "u", false, "only what it comes from")
	cmd.Flags().BoolVarP(&o.down, "downstream", "d", false, "only what comes from it")
	cmd.Flags().VarP(&o.numbers, "numbers", "n", "how many steps to go, or all")
	o.formatFlag(cmd, "o", formatTree, formatDot, formatSVG, formatJSON)
}

// print draws a graph in the chosen way.
func (o *graphOptions) print(g graph) error {
	switch o.format {
	case formatSVG:
		return writeSVG(o.Out, g)
	case formatTree:
		return writeTree(o.Out, g, o.style(o.Out))
	}
	return writeDot(o.Out, g)
}
