package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/weft-dev/weft"
	"github.com/weft-dev/weft/api"
)

// newNote returns the command that reads and writes the note about a thing of a kind.
func newNote(c *common, kind string) *cobra.Command {
	var remove bool
	noun := strings.ToUpper(kind)
	cmd := &cobra.Command{
		Use:   "note " + noun + " [TEXT | -]",
		Short: "Read or write the note about a " + kind,
		Long: `Prints the note, or with a text (- reads it from the input) writes it. Everyone in the
project reads the same note.`,
		Example: fmt.Sprintf("  weft %s note %s \"the labels of batch 3 are wrong\"\n  weft %s note %s - < notes.md", kind, noun, kind, noun),
		Args:    cobra.RangeArgs(1, 2),
		RunE: func(cmd *cobra.Command, args []string) error {
			if remove && len(args) > 1 {
				return usagef(cmd, "give either a text or --rm")
			}
			if _, err := weft.ParseSubject(kind, args[0]); err != nil {
				return fmt.Errorf("%s %w", kind, err)
			}
			client, err := c.client()
			if err != nil {
				return err
			}
			if !remove && len(args) == 1 {
				n, err := client.Note(cmd.Context(), kind, args[0])
				if err != nil || n.Text == "" {
					return err
				}
				_, err = fmt.Fprintln(c.Out, strings.TrimSuffix(printableText(n.Text), "\n"))
				return err
			}
			text := ""
			if !remove {
				if text = args[1]; text == "-" {
					if text, err = readNote(c.In); err != nil {
						return err
					}
				}
				if strings.TrimSpace(text) == "" {
					return weft.Errorf(weft.Invalid, "the note is empty").WithAdvice("--rm removes a note")
				}
			}
			_, err = client.SetNote(cmd.Context(), kind, args[0], text)
			return err
		},
	}
	cmd.Flags().BoolVar(&remove, "rm", false, "remove the note")
	return cmd
}

func readNote(r io.Reader) (string, error) {
	if isTerminal(r) {
		return "", errors.New("write the note into the input, or give it as an argument")
	}
	text, err := io.ReadAll(io.LimitReader(r, weft.MaxNote+1))
	if err != nil {
		return "", fmt.Errorf("read the note: %w", err)
	}
	return string(text), weft.CheckNote(string(text))
}

// firstLine is the beginning of a text, for a table.
func firstLine(s string) string {
	line, more, _ := strings.Cut(strings.TrimSpace(s), "\n")
	if more != "" {
		line += " …"
	}
	return printable(line)
}

// showNote prints the note behind what there is to see of something.
func (c *common) showNote(ctx context.Context, client *api.Client, kind, id string) error {
	if c.format == formatJSON {
		return nil
	}
	n, err := client.Note(ctx, kind, id)
	if err != nil || n.Text == "" {
		return err
	}
	_, err = fmt.Fprintf(c.Out, "\nnote by %s, %s:\n%s\n", printable(n.By), localTime(n.At.Time), strings.TrimSuffix(printableText(n.Text), "\n"))
	return err
}

// printableText is printable, line by line.
func printableText(s string) string {
	lines := strings.Split(s, "\n")
	for i, l := range lines {
		lines[i] = printable(l)
	}
	return strings.Join(lines, "\n")
}
