package cli

import (
	"io"
	"strings"
	"unicode"
)

// A table is printed in aligned columns. The last one may be cut to the width of the
// terminal, the others never are: ids must be whole to be copied.
type table struct {
	head  []string
	rows  [][]string
	paint func(row, col int, cell string) string // applied after alignment; may be nil
	right map[int]bool                           // columns of numbers
}

func (t *table) add(cells ...string) {
	for i := range cells {
		cells[i] = printable(cells[i])
	}
	t.rows = append(t.rows, cells)
}

const columnGap = "  "

func (t *table) print(w io.Writer, st style, width int) error {
	widths := make([]int, len(t.head))
	for i, h := range t.head {
		widths[i] = columns(h)
	}
	for _, row := range t.rows {
		for i, cell := range row {
			widths[i] = max(widths[i], columns(cell))
		}
	}
	if _, err := io.WriteString(w, t.line(t.head, widths, width, func(_ int, c string) string { return st.bold(c) })); err != nil {
		return err
	}
	for n, row := range t.rows {
		line := t.line(row, widths, width, func(col int, cell string) string {
			if t.paint == nil {
				return cell
			}
			return t.paint(n, col, cell)
		})
		if _, err := io.WriteString(w, line); err != nil {
			return err
		}
	}
	return nil
}

func (t *table) line(cells []string, widths []int, width int, paint func(int, string) string) string {
	var b strings.Builder
	used := 0
	for i, cell := range cells {
		if i > 0 {
			b.WriteString(columnGap)
			used += len(columnGap)
		}
		last := i == len(cells)-1
		if last && width > 0 {
			cell = cutColumns(cell, max(width-used, 12))
		}
		pad := strings.Repeat(" ", max(0, widths[i]-columns(cell)))
		used += widths[i]
		switch {
		case t.right[i]:
			b.WriteString(pad + paint(i, cell))
		case last:
			b.WriteString(paint(i, cell))
		default:
			b.WriteString(paint(i, cell) + pad)
		}
	}
	return strings.TrimRight(b.String(), " ") + "\n"
}

// columns returns how many columns of a terminal s takes.
func columns(s string) int {
	n := 0
	for _, r := range s {
		n += runeColumns(r)
	}
	return n
}

func runeColumns(r rune) int {
	switch {
	case unicode.Is(unicode.Mn, r) || r == '\u200d':
		return 0
	case unicode.In(r, unicode.Han, unicode.Hangul, unicode.Hiragana, unicode.Katakana) || r >= 0xff01 && r <= 0xff60 || r >= 0x1f300 && r <= 0x1faff:
		return 2
	}
	return 1
}

// cutColumns shortens s with an ellipsis to so many columns.
func cutColumns(s string, most int) string {
	if columns(s) <= most {
		return s
	}
	n := 0
	for i, r := range s {
		if n += runeColumns(r); n > most-1 {
			return s[:i] + "…"
		}
	}
	return s
}
