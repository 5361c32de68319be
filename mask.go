package weft

import (
	"bytes"
	"slices"
	"strings"
)

// MaskText stands in logs where a secret stood.
const MaskText = "***"

// minMaskedLine is from what length on single lines of a secret are masked too: shorter
// ones, such as a bracket, are in every log.
const minMaskedLine = 8

// A Mask hides values in what Runs print. The zero Mask hides nothing.
type Mask struct {
	values [][]byte // the longest first, so that of two that begin alike the whole one is hidden
	begins [256]bool
}

// NewMask returns a Mask of the values as they are, without space around them and, of those
// that have several lines, of each longer one.
func NewMask(values []string) Mask {
	var m Mask
	add := func(text string, least int) {
		if len(text) >= least && !slices.ContainsFunc(m.values, func(v []byte) bool { return string(v) == text }) {
			m.values = append(m.values, []byte(text))
			m.begins[text[0]] = true
		}
	}
	for _, v := range values {
		add(v, minSecret)
		add(strings.TrimSpace(v), minSecret)
		if strings.Contains(strings.TrimSpace(v), "\n") {
			for line := range strings.Lines(v) {
				add(strings.TrimSpace(line), minMaskedLine)
			}
		}
	}
	slices.SortStableFunc(m.values, func(a, b []byte) int { return len(b) - len(a) })
	return m
}

// IsZero reports whether the Mask hides nothing.
func (m Mask) IsZero() bool { return len(m.values) == 0 }

// Hide appends text to out with every value hidden, and returns how much of text that
// took. Unless more will not come, an end that may be the beginning of a value is left for
// the next call, which begins with it.
func (m Mask) Hide(out, text []byte, last bool) (hidden []byte, used int) {
	from := 0 // where what is not appended yet begins
	for i := 0; i < len(text); {
		if !m.begins[text[i]] {
			i++
			continue
		}
		n, open := m.match(text[i:])
		if open && !last {
			return append(out, text[from:i]...), i
		}
		if n == 0 {
			i++
			continue
		}
		out = append(append(out, text[from:i]...), MaskText...)
		i += n
		from = i
	}
	return append(out, text[from:]...), len(text)
}

// match returns the length of the longest value that text begins with. Open says that text
// may be the beginning of a longer one still.
func (m Mask) match(text []byte) (n int, open bool) {
	for _, v := range m.values {
		switch {
		case len(text) < len(v):
			open = open || bytes.HasPrefix(v, text)
		case bytes.HasPrefix(text, v):
			return len(v), open
		}
	}
	return 0, open
}
