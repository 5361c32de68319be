package cli

import (
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/term"

	"github.com/weft-dev/weft"
	"github.com/weft-dev/weft/api"
)

// A statusLine is one line on standard error that is written over again and again while a
// command waits; nothing when that is not a terminal.
type statusLine struct {
	w     io.Writer // nil: nobody looks
	width int
	shown string
}

func (c *common) statusLine() *statusLine {
	f, ok := c.Err.(*os.File)
	if !ok || !isTerminal(f) {
		return &statusLine{}
	}
	const usual = 80
	width, _, err := term.GetSize(int(f.Fd()))
	if err != nil || width < 2 {
		width = usual
	}
	return &statusLine{w: f, width: width}
}

// clearLine goes to the beginning of the line and removes what stands there.
const clearLine = "\r\x1b[K"

func (l *statusLine) show(text string) {
	if l.w == nil || text == l.shown {
		return
	}
	l.shown = text
	if r := []rune(text); len(r) >= l.width {
		text = string(r[:l.width-2]) + "…"
	}
	fmt.Fprint(l.w, clearLine, text)
}

// end removes the line.
func (l *statusLine) end() {
	if l.w != nil && l.shown != "" {
		fmt.Fprint(l.w, clearLine)
	}
}

// waitWords says how far runs are that are waited for: "waits for 3 of 5 runs: 1 running, 2
// waiting (waits for 2 cpu: …)".
func waitWords(runs []api.RunDetail) string {
	counts, open, reason := map[weft.Status]int{}, 0, ""
	for _, r := range runs {
		s := weft.Status(r.Status)
		counts[s]++
		if !s.Ended() {
			open++
			if reason == "" {
				reason = r.Reason
			}
		}
	}
	if open == 0 {
		return "waits for runs to come"
	}
	var parts []string
	for _, s := range weft.Statuses {
		if n := counts[s]; n > 0 && !s.Ended() {
			parts = append(parts, fmt.Sprintf("%d %s", n, s))
		}
	}
	text := fmt.Sprintf("waits for %d of %s: %s", open, count(int64(len(runs)), "run"), strings.Join(parts, ", "))
	if reason != "" {
		text += " (" + printable(reason) + ")"
	}
	return text
}
