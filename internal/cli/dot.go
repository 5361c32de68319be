package cli

import (
	"bufio"
	"fmt"
	"io"
	"strings"
)

// writeDot writes a graph for graphviz, with nodes and names as the knit command
// writes them: d and the id for data, r for runs, p for plans, and a root before each
// run that has no inputs.
func writeDot(w io.Writer, g graph) error {
	b := bufio.NewWriter(w)
	fmt.Fprintf(b, "digraph G {\n\tlabel=%s;\n\trankdir=LR;\n\tnode [shape=plain fontname=\"Helvetica\" fontsize=11];\n\tedge [fontname=\"Helvetica\" fontsize=10 color=\"#94a3b8\"];\n\n", dotText(g.title))
	for _, n := range g.nodes {
		fmt.Fprintf(b, "\t%s [label=<%s>];\n", dotText(dotID(n)), dotTable(n))
	}
	fmt.Fprintln(b)
	_, in := g.neighbours()
	roots := 0
	for i, n := range g.nodes {
		if n.kind == runNode && len(in[i]) == 0 {
			fmt.Fprintf(b, "\t\"root#%d\" [shape=Mdiamond label=\"\"];\n\t\"root#%d\" -> %s;\n", roots, roots, dotText(dotID(n)))
			roots++
		}
	}
	for _, e := range g.edges {
		label := e.leaves + e.reaches
		if e.leaves != "" && e.reaches != "" {
			label = e.leaves + " → " + e.reaches
		}
		fmt.Fprintf(b, "\t%s -> %s [label=%s];\n", dotText(dotID(g.nodes[e.from])), dotText(dotID(g.nodes[e.to])), dotText(label))
	}
	fmt.Fprintln(b, "}")
	return b.Flush()
}

func dotID(n node) string {
	switch n.kind {
	case runNode:
		return "r" + n.id
	case planNode:
		return "p" + n.id
	}
	return "d" + n.id
}

// dotTable is the label of a node, in graphviz's dialect of HTML.
func dotTable(n node) string {
	p := paintOf(n)
	head := n.head
	if word := badge(n); word != "" {
		head += " · " + word
	}
	var b strings.Builder
	fmt.Fprintf(&b, `<TABLE BORDER="0" CELLBORDER="1" CELLSPACING="0" COLOR="%s"><TR><TD BGCOLOR="%s"><FONT COLOR="#ffffff"><B>%s</B></FONT></TD></TR>`, p.strong, p.strong, dotHTML(head))
	ground := "#ffffff"
	if n.start {
		ground = p.soft
	}
	fmt.Fprintf(&b, `<TR><TD BGCOLOR="%s">%s</TD></TR>`, ground, dotHTML(n.id))
	for _, line := range append(append([]string{}, n.lines...), n.tags...) {
		fmt.Fprintf(&b, `<TR><TD ALIGN="LEFT">%s</TD></TR>`, dotHTML(line))
	}
	b.WriteString("</TABLE>")
	return b.String()
}

// dotHTML escapes text in a label; graphviz takes an empty one for an error.
func dotHTML(s string) string {
	if s == "" {
		return " "
	}
	return escape(printable(s))
}

// dotText quotes a string of the dot language, where only the quote is special and a
// backslash begins what graphviz calls an escString.
func dotText(s string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`).Replace(s) + `"`
}
