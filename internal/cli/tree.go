package cli

import (
	"bufio"
	"fmt"
	"io"
	"strings"

	"github.com/weft-dev/weft"
)

// writeTree draws a graph for a terminal, from what came first to what came last. What
// is reached on several ways is drawn under the first one whose every part is above;
// elsewhere stands a reference to it.
func writeTree(w io.Writer, g graph, st style) error {
	t := tree{g: g, st: st, w: bufio.NewWriter(w)}
	t.out, t.in = g.neighbours()
	t.missing = make([]int, len(g.nodes))
	t.drawn = make([]bool, len(g.nodes))
	for i := range g.nodes {
		t.missing[i] = len(t.in[i])
	}
	for i := range g.nodes {
		if len(t.in[i]) == 0 {
			t.draw(i, "", "")
		}
	}
	for i := range g.nodes { // only a loop, which no server makes, leaves any
		if !t.drawn[i] {
			t.draw(i, "", "")
		}
	}
	return t.w.Flush()
}

type tree struct {
	g       graph
	st      style
	w       *bufio.Writer
	out, in [][]int
	missing []int // per node: edges that lead to it and are not drawn yet
	drawn   []bool
}

// A twig is what is left to draw at one place.
type twig struct {
	node          int
	branch, below string // before the node's first line, and before what hangs on it
	label         string
}

// draw goes deep first, without recursion: a chain of runs may be very long.
func (t *tree) draw(root int, branch, below string) {
	for stack := []twig{{node: root, branch: branch, below: below}}; len(stack) > 0; {
		tw := stack[len(stack)-1]
		stack = stack[:len(stack)-1]
		if t.drawn[tw.node] || t.missing[tw.node] > 0 && len(t.in[tw.node]) > 1 && t.waits(tw.node) {
			t.refer(tw)
			continue
		}
		t.drawn[tw.node] = true
		t.describe(tw)
		edges := t.out[tw.node]
		for i := len(edges) - 1; i >= 0; i-- {
			e := t.g.edges[edges[i]]
			next := twig{e.to, tw.below + "├─ ", tw.below + "│  ", e.leaves + e.reaches}
			if e.leaves != "" && e.reaches != "" {
				next.label = e.leaves + " → " + e.reaches
			}
			if i == len(edges)-1 {
				next.branch, next.below = tw.below+"╰─ ", tw.below+"   "
			}
			stack = append(stack, next)
		}
	}
}

// waits counts that one more way to a node was drawn, and reports whether another is
// still to come, under which the node will stand.
func (t *tree) waits(n int) bool {
	t.missing[n]--
	return t.missing[n] > 0
}

// refer draws the place of a node that is drawn elsewhere.
func (t *tree) refer(tw twig) {
	n := t.g.nodes[tw.node]
	where := "below"
	if t.drawn[tw.node] {
		where = "above"
	}
	fmt.Fprintf(t.w, "%s%s%s %s %s\n", t.st.dim(tw.branch), t.label(tw.label), t.mark(n), printable(n.head), t.st.dim("("+where+": "+printable(n.id)+")"))
}

func (t *tree) label(s string) string {
	if s == "" {
		return ""
	}
	return t.st.dim(printable(s)) + " "
}

func (t *tree) describe(tw twig) {
	n := t.g.nodes[tw.node]
	head := t.st.bold(printable(n.head))
	if n.start {
		head = t.st.paint("1;7", " "+printable(n.head)+" ")
		if !t.st.on {
			head = "[" + printable(n.head) + "]"
		}
	}
	if word := badge(n); word != "" && !(n.kind == planNode && !n.off) {
		head += " " + t.status(n, printable(word))
	}
	fmt.Fprintf(t.w, "%s%s%s %s  %s\n", t.st.dim(tw.branch), t.label(tw.label), t.mark(n), head, t.st.dim(printable(n.id)))
	pad := tw.below
	if len(t.out[tw.node]) > 0 {
		pad += "│  "
	} else {
		pad += "   "
	}
	info := make([]string, 0, len(n.lines))
	for _, l := range n.lines {
		info = append(info, printable(l))
	}
	var tags []string
	for _, tag := range n.tags {
		tags = append(tags, t.st.tag(printable(tag)))
	}
	switch {
	case n.kind == planNode:
		for _, l := range append(info, tags...) {
			fmt.Fprintf(t.w, "%s%s\n", t.st.dim(pad), l)
		}
	case len(info)+len(tags) > 0:
		fmt.Fprintf(t.w, "%s%s\n", t.st.dim(pad), strings.Join(append(info, tags...), "  "))
	}
}

func (t *tree) status(n node, word string) string {
	if n.kind == runNode {
		return t.st.status(n.status, word)
	}
	if n.status == weft.Failed {
		return t.st.paint("31", word)
	}
	return t.st.paint("33", word)
}

// mark is the sign of a kind of node.
func (t *tree) mark(n node) string {
	switch n.kind {
	case runNode:
		return t.st.status(n.status, "▶")
	case planNode:
		return t.st.paint("33", "■")
	case logNode:
		return t.st.dim("○")
	}
	return t.st.paint("36", "●")
}
