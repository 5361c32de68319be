package cli

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"iter"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/weft-dev/weft"
)

// A format is how a command prints its result.
type format string

const (
	formatAuto  format = ""
	formatTable format = "table"
	formatJSON  format = "json"
	formatTree  format = "tree"
	formatDot   format = "dot"
	formatSVG   format = "svg"
)

// String, Set and Type make a format a flag.
func (f *format) String() string { return string(*f) }
func (f *format) Type() string   { return "format" }

func (f *format) Set(s string) error {
	if !slices.Contains([]format{formatTable, formatJSON, formatTree, formatDot, formatSVG}, format(s)) {
		return fmt.Errorf("%q is not a format", s)
	}
	*f = format(s)
	return nil
}

// formatFlag adds -o to a command; the first of the formats that it can print is for
// a terminal, the second for a pipe.
func (c *common) formatFlag(cmd *cobra.Command, shorthand string, formats ...format) {
	var names []string
	for _, f := range formats {
		names = append(names, string(f))
	}
	cmd.Flags().VarP(&c.format, "output", shorthand,
		fmt.Sprintf("print as %s (default: %s on a terminal, else %s)", strings.Join(names, ", "), names[0], names[1]))
	cmd.RegisterFlagCompletionFunc("output", cobra.FixedCompletions(names, cobra.ShellCompDirectiveNoFileComp))
	run := cmd.RunE
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if c.format == formatAuto {
			c.format = formats[1]
			if isTerminal(c.Out) {
				c.format = formats[0]
			}
		}
		if !slices.Contains(formats, c.format) {
			return usagef(cmd, "%s cannot print %s; choose among %s", cmd.CommandPath(), c.format, strings.Join(names, ", "))
		}
		return run(cmd, args)
	}
}

// isTerminal reports whether w is one.
func isTerminal(w any) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// width returns how many columns the terminal has, or 0 when there is no end.
func (e Env) width() int {
	if f, ok := e.Out.(*os.File); ok {
		if w, _, err := term.GetSize(int(f.Fd())); err == nil {
			return w
		}
	}
	return 0
}

// writeJSON prints v as the knit command does.
func writeJSON(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "    ")
	enc.SetEscapeHTML(false)
	return enc.Encode(v)
}

// writeJSONList prints a list while it comes in, however long it is. When it breaks
// off the array stays open, so that nobody takes it for the whole.
func writeJSONList[T any](w io.Writer, items iter.Seq2[T, error]) error {
	b := bufio.NewWriter(w)
	sep := "[\n    "
	for item, err := range items {
		if err != nil {
			return flushed(b, err)
		}
		text, err := encodeIndented(item)
		if err != nil {
			return flushed(b, err)
		}
		b.WriteString(sep) // errors of a bufio.Writer stay until Flush
		b.Write(text)
		sep = ",\n    "
	}
	if strings.HasPrefix(sep, "[") {
		b.WriteString("[]\n")
	} else {
		b.WriteString("\n]\n")
	}
	return b.Flush()
}

func flushed(b *bufio.Writer, err error) error {
	if werr := b.Flush(); werr != nil {
		return werr
	}
	return err
}

func encodeIndented(v any) ([]byte, error) {
	var b strings.Builder
	enc := json.NewEncoder(&b)
	enc.SetIndent("    ", "    ")
	enc.SetEscapeHTML(false)
	err := enc.Encode(v)
	return []byte(strings.TrimSuffix(b.String(), "\n")), err
}

// A style colours text for a terminal, or leaves it as it is.
type style struct{ on bool }

// style returns colours if w is a terminal and NO_COLOR is not set.
func (e Env) style(w io.Writer) style {
	return style{isTerminal(w) && e.Getenv("NO_COLOR") == "" && e.Getenv("TERM") != "dumb"}
}

func (s style) paint(code, text string) string {
	if !s.on || text == "" {
		return text
	}
	return "\x1b[" + code + "m" + text + "\x1b[0m"
}

func (s style) bold(text string) string { return s.paint("1", text) }
func (s style) dim(text string) string  { return s.paint("2", text) }
func (s style) tag(text string) string  { return s.paint("36", text) }

// status colours the name of a status as the drawings do.
func (s style) status(st weft.Status, text string) string {
	switch statusPaint(st) {
	case paintGreen:
		return s.paint("32", text)
	case paintRed:
		return s.paint("31", text)
	case paintBlue:
		return s.paint("34", text)
	case paintAmber:
		return s.paint("33", text)
	}
	return s.dim(text)
}

// printable makes text safe for a terminal: control characters and bytes that are
// no UTF-8 are shown as escapes.
func printable(s string) string {
	if !strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f || r >= 0x80 && r < 0xa0 || r == '\uFFFD' }) {
		return s
	}
	q := fmt.Sprintf("%q", s)
	return strings.ReplaceAll(q[1:len(q)-1], `\"`, `"`)
}

// localTime writes a time for people, in their zone.
func localTime(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.Local().Format("2006-01-02 15:04:05")
}

// byteCount writes a number of bytes for people.
func byteCount(n int64) string {
	if n < 1000 {
		return fmt.Sprintf("%d B", n)
	}
	v, unit := float64(n), 0
	for v >= 999.5 && unit < 5 {
		v /= 1000
		unit++
	}
	if v < 9.95 {
		return fmt.Sprintf("%.1f %cB", v, " kMGTP"[unit])
	}
	return fmt.Sprintf("%.0f %cB", v, " kMGTP"[unit])
}

// count writes a number with a noun in the right form.
func count(n int64, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// took writes a duration for people.
func took(d time.Duration) string {
	switch {
	case d < time.Second:
		return d.Round(time.Millisecond).String()
	case d < time.Minute:
		return d.Round(100 * time.Millisecond).String()
	}
	return d.Round(time.Second).String()
}

// keep leaves the items of a list that match.
func keep[T any](items iter.Seq2[T, error], match func(T) bool) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		for item, err := range items {
			if (err != nil || match(item)) && !yield(item, err) {
				return
			}
		}
	}
}
