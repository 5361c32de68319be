package cli

import (
	"bufio"
	"encoding/xml"
	"fmt"
	"io"
	"strings"

	"github.com/weft-dev/weft"
)

// Sizes of a card in an SVG, in pixels.
const (
	cardWidth  = 268.0
	cardPad    = 12.0
	headSize   = 13.0
	lineSize   = 11.0
	idSize     = 9.5
	chipHeight = 17.0
	chipGap    = 5.0
	labelSize  = 10.5
)

// A paint is the colours of a card.
type paint struct{ strong, soft, text string }

var (
	paintGreen  = paint{"#15803d", "#dcfce7", "#14532d"}
	paintRed    = paint{"#dc2626", "#fee2e2", "#7f1d1d"}
	paintBlue   = paint{"#2563eb", "#dbeafe", "#1e3a8a"}
	paintAmber  = paint{"#d97706", "#fef3c7", "#78350f"}
	paintGrey   = paint{"#94a3b8", "#f1f5f9", "#475569"}
	paintIndigo = paint{"#4f46e5", "#e0e7ff", "#312e81"}
)

// paintOf gives runs the colour of their status, and data one of their own.
func paintOf(n node) paint {
	switch {
	case n.kind == planNode && n.off:
		return paintGrey
	case n.kind == planNode:
		return paintAmber
	case n.kind != runNode:
		return paintIndigo
	}
	return statusPaint(n.status)
}

func statusPaint(s weft.Status) paint {
	switch s {
	case weft.Done, weft.Completing:
		return paintGreen
	case weft.Failed, weft.Aborting:
		return paintRed
	case weft.Running, weft.Starting:
		return paintBlue
	case weft.Ready:
		return paintAmber
	}
	return paintGrey
}

// A chip is a tag in its rounded frame, placed within its card.
type chip struct {
	box
	text string
}

// A card is a node made ready to be drawn: what is written where, and its size.
type card struct {
	node
	w, h  float64
	chips []chip
	lineY float64
	idY   float64
}

func newCard(n node) card {
	c := card{node: n, w: cardWidth}
	y := cardPad + headSize + 5
	if len(n.lines) > 0 {
		c.lineY = y + lineSize
		y += float64(len(n.lines)) * (lineSize + 4)
	}
	y = c.placeChips(y + 2)
	c.idY = y + idSize + 2
	c.h = c.idY + cardPad - 2
	return c
}

func (c *card) placeChips(y float64) float64 {
	x, most := cardPad+4, c.w-cardPad
	for _, tag := range c.tags {
		text := fitText(tag, lineSize, most-x-12)
		if w := textWidth(tag, lineSize) + 12; x+w > most && x > cardPad+4 {
			x, y = cardPad+4, y+chipHeight+chipGap
			text = fitText(tag, lineSize, most-x-12)
		}
		w := textWidth(text, lineSize) + 12
		c.chips = append(c.chips, chip{box{x, y, w, chipHeight}, text})
		x += w + chipGap
	}
	if len(c.tags) > 0 {
		y += chipHeight + chipGap
	}
	return y
}

// writeSVG draws the graph as a picture that needs nothing else: no script, no style
// sheet, no font of its own.
func writeSVG(w io.Writer, g graph) error {
	cards, sizes := make([]card, len(g.nodes)), make([]box, len(g.nodes))
	for i, n := range g.nodes {
		cards[i] = newCard(n)
		sizes[i] = box{w: cards[i].w, h: cards[i].h}
	}
	lay := arrange(g, sizes, func(e edge) float64 {
		return textWidth(e.leaves, labelSize) + textWidth(e.reaches, labelSize)
	})
	b := bufio.NewWriter(w)
	fmt.Fprintf(b, `<svg xmlns="http://www.w3.org/2000/svg" width="%.0f" height="%.0f" viewBox="0 0 %.0f %.0f" font-family="Inter, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, 'Liberation Sans', sans-serif" role="img">`+"\n",
		lay.w, lay.h, lay.w, lay.h)
	fmt.Fprintf(b, "<title>%s</title>\n", escape(g.title))
	fmt.Fprintln(b, `<defs><marker id="tip" viewBox="0 0 8 8" refX="7.5" refY="4" markerWidth="7" markerHeight="7" orient="auto"><path d="M0,0.5 L8,4 L0,7.5 z" fill="#94a3b8"/></marker>`+`</defs>`)
	fmt.Fprintf(b, `<rect width="%.0f" height="%.0f" fill="#f8fafc"/>`+"\n", lay.w, lay.h)
	for i, path := range lay.paths {
		drawEdge(b, path, g.nodes[g.edges[i].to].kind == logNode)
	}
	for i, c := range cards {
		drawCard(b, c, lay.boxes[i])
	}
	for i, path := range lay.paths {
		drawLabels(b, g.edges[i], path)
	}
	fmt.Fprintln(b, "</svg>")
	return b.Flush()
}

func drawEdge(b io.Writer, path []point, dashed bool) {
	var d strings.Builder
	fmt.Fprintf(&d, "M%.1f,%.1f", path[0].x, path[0].y)
	for i := 1; i < len(path); i++ {
		p, q := path[i-1], path[i]
		if i%2 == 0 {
			fmt.Fprintf(&d, " L%.1f,%.1f", q.x, q.y)
			continue
		}
		bow := (q.x - p.x) / 2
		fmt.Fprintf(&d, " C%.1f,%.1f %.1f,%.1f %.1f,%.1f", p.x+bow, p.y, q.x-bow, q.y, q.x, q.y)
	}
	style := ""
	if dashed {
		style = ` stroke-dasharray="4 3"`
	}
	fmt.Fprintf(b, `<path d="%s" fill="none" stroke="#94a3b8" stroke-width="1.4"%s marker-end="url(#tip)"/>`+"\n", d.String(), style)
}

func drawLabels(b io.Writer, e edge, path []point) {
	label := func(text string, x, y float64, anchor string) {
		if text == "" {
			return
		}
		fmt.Fprintf(b, `<text x="%.1f" y="%.1f" font-size="%.1f" text-anchor="%s" fill="#475569" stroke="#f8fafc" stroke-width="3" stroke-linejoin="round" paint-order="stroke">%s</text>`+"\n",
			x, y, labelSize, anchor, escape(text))
	}
	first, last := path[0], path[len(path)-1]
	label(e.leaves, first.x+6, first.y-4, "start")
	label(e.reaches, last.x-10, last.y-4, "end")
}

func drawCard(b io.Writer, c card, at box) {
	p := paintOf(c.node)
	fmt.Fprintf(b, `<g transform="translate(%.1f,%.1f)"><title>%s</title>`+"\n", at.x, at.y, escape(tooltip(c.node)))
	if c.start {
		fmt.Fprintf(b, `<rect x="-5" y="-5" width="%.1f" height="%.1f" rx="13" fill="none" stroke="%s" stroke-width="2.5" stroke-opacity="0.45"/>`+"\n",
			at.w+10, at.h+10, p.strong)
	}
	frame, dash := p.strong, ""
	if c.kind == logNode {
		dash = ` stroke-dasharray="4 3"`
	}
	fill := "#ffffff"
	if c.kind == runNode || c.kind == planNode {
		fill = p.soft
	}
	fmt.Fprintf(b, `<rect x="0.5" y="2" width="%.1f" height="%.1f" rx="9" fill="#0f172a" fill-opacity="0.08"/>`+"\n", at.w, at.h)
	fmt.Fprintf(b, `<rect width="%.1f" height="%.1f" rx="9" fill="%s" stroke="%s" stroke-width="1.2"%s/>`+"\n", at.w, at.h, fill, frame, dash)
	if c.kind == dataNode {
		fmt.Fprintf(b, `<path d="M9,0.6 H5.5 V%.1f H9 A8.4,8.4 0 0 1 0.6,%.1f V9 A8.4,8.4 0 0 1 9,0.6 z" fill="%s"/>`+"\n", at.h-0.6, at.h-9, p.strong)
	}
	drawText(b, c, p, (at.h-c.h)/2)
	fmt.Fprintln(b, "</g>")
}

// drawText writes what is in a card, moved down by dy when ports made it taller.
func drawText(b io.Writer, c card, p paint, dy float64) {
	x, room := cardPad+4, c.w-2*cardPad-4
	if word := badge(c.node); word != "" {
		w := textWidth(word, lineSize) + 16
		room -= w + 8
		fmt.Fprintf(b, `<rect x="%.1f" y="%.1f" width="%.1f" height="18" rx="9" fill="%s"/><text x="%.1f" y="%.1f" font-size="%.1f" font-weight="600" text-anchor="middle" fill="#ffffff">%s</text>`+"\n",
			c.w-cardPad-w, cardPad-4+dy, w, badgePaint(c.node).strong, c.w-cardPad-w/2, cardPad+9+dy, lineSize, escape(word))
	}
	fmt.Fprintf(b, `<text x="%.1f" y="%.1f" font-size="%.1f" font-weight="700" fill="#0f172a">%s</text>`+"\n",
		x, cardPad+headSize-3+dy, headSize, escape(fitText(c.head, headSize*1.06, room)))
	for i, line := range c.lines {
		fmt.Fprintf(b, `<text x="%.1f" y="%.1f" font-size="%.1f" fill="#475569">%s</text>`+"\n",
			x, c.lineY+float64(i)*(lineSize+4)+dy, lineSize, escape(fitText(line, lineSize, c.w-2*cardPad-4)))
	}
	for _, t := range c.chips {
		fmt.Fprintf(b, `<rect x="%.1f" y="%.1f" width="%.1f" height="%.1f" rx="8.5" fill="%s"/><text x="%.1f" y="%.1f" font-size="%.1f" fill="%s">%s</text>`+"\n",
			t.x, t.y+dy, t.w, t.h, p.soft, t.x+6, t.y+12.5+dy, lineSize, p.text, escape(t.text))
	}
	fmt.Fprintf(b, `<text x="%.1f" y="%.1f" font-size="%.1f" font-family="ui-monospace, Menlo, Consolas, 'DejaVu Sans Mono', monospace" fill="#94a3b8">%s</text>`+"\n",
		x, c.idY+dy, idSize, escape(c.id))
}

// badgePaint is the colour behind the badge: for data, that of the run that makes it.
func badgePaint(n node) paint {
	if n.kind == dataNode || n.kind == logNode {
		return statusPaint(n.status)
	}
	return paintOf(n)
}

// badge is the word in a card's corner.
func badge(n node) string {
	switch {
	case n.kind == runNode:
		return string(n.status)
	case n.kind == planNode && n.off:
		return "inactive"
	case n.kind == planNode:
		return "active"
	case n.status == weft.Failed:
		return "failed"
	case n.status != "" && n.status != weft.Done:
		return "processing"
	}
	return ""
}

func tooltip(n node) string {
	return strings.Join(append(append([]string{n.head, n.id}, n.lines...), n.tags...), "\n")
}

// escape makes text safe in XML, whatever bytes it has.
func escape(s string) string {
	var b strings.Builder
	_ = xml.EscapeText(&b, []byte(s)) // a Builder takes everything
	return b.String()
}

// textWidth estimates how wide s is in a usual sans-serif font of that size. Too wide
// is harmless; so it errs that way.
func textWidth(s string, size float64) float64 {
	w := 0.0
	for _, r := range s {
		switch {
		case strings.ContainsRune("iljtfrI.,:;'|!()[]/ ", r):
			w += 0.34
		case strings.ContainsRune("mwMW@%&", r):
			w += 0.9
		case r >= 'A' && r <= 'Z':
			w += 0.7
		case r >= 0x1100:
			w += 1.05
		default:
			w += 0.58
		}
	}
	return w * size
}

// fitText cuts s with an ellipsis to what fits into that width.
func fitText(s string, size, width float64) string {
	if textWidth(s, size) <= width {
		return s
	}
	runes := []rune(s)
	for len(runes) > 0 && textWidth(string(runes)+"…", size) > width {
		runes = runes[:len(runes)-1]
	}
	return string(runes) + "…"
}
