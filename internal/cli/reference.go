package cli

import (
	"bufio"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
)

// WriteReference writes what all commands below root do, as Markdown. docs/cli.md is
// made by it.
func WriteReference(w io.Writer, root *cobra.Command) error {
	b := bufio.NewWriter(w)
	fmt.Fprintf(b, "# The command line\n\n<!-- Made from the commands themselves by `make generate`. Do not edit. -->\n\n%s\n", root.Long)
	fmt.Fprint(b, "\nOn a terminal results are tables and drawings; into a pipe they are JSON. `-o` chooses.\n"+
		"Results go to standard output, everything else to standard error.\n"+
		"Colours are left out if `NO_COLOR` is set.\n")
	fmt.Fprint(b, "What `weft serve` can be told is explained in [admin.md](admin.md). Shells complete commands after\n`source <(weft completion bash)`; zsh and fish are there, too.\n")
	fmt.Fprintf(b, "\n## Which server\n\nThe first of these that is there:\n\n%s", whichServer)
	fmt.Fprintf(b, "\n## Exit codes\n\n%s\n", exitCodesHelp)
	var groups []*cobra.Command
	for _, c := range root.Commands() {
		switch {
		case c.HasAvailableSubCommands() && c.Name() != "completion":
			groups = append(groups, c)
		case c.Runnable() && c.IsAvailableCommand() && c.Name() != "help":
			writeCommand(b, c, "##")
		}
	}
	for _, g := range groups {
		fmt.Fprintf(b, "\n## %s\n\n%s.\n", g.CommandPath(), g.Short)
		writeFlags(b, "Flags of all of them", g.PersistentFlags().FlagUsages())
		for _, c := range g.Commands() {
			if c.Runnable() && c.IsAvailableCommand() {
				writeCommand(b, c, "###")
			}
		}
	}
	return b.Flush()
}

const whichServer = "1. `--profile NAME`: a profile in the profile store, `~/.knit/profile`\n" +
	"2. `WEFT_URL` and `WEFT_TOKEN` in the environment\n" +
	"3. the profile that the nearest `.knitprofile` names; `weft init` writes one\n" +
	"4. the profile that `weft serve` has left for you on this machine, `~/.weft/profile`\n"

func writeCommand(b io.Writer, c *cobra.Command, heading string) {
	long := c.Long
	if long == "" {
		long = c.Short + "."
	}
	fmt.Fprintf(b, "\n%s %s\n\n%s\n\n```\n%s\n```\n", heading, c.CommandPath(), long, c.UseLine())
	if c.Example != "" {
		fmt.Fprintf(b, "\n```\n%s\n```\n", strings.ReplaceAll(strings.TrimPrefix(c.Example, "  "), "\n  ", "\n"))
	}
	c.InitDefaultHelpFlag()
	writeFlags(b, "Flags", withoutHelp(c.NonInheritedFlags().FlagUsages()))
}

func withoutHelp(usages string) string {
	var kept []string
	for line := range strings.Lines(usages) {
		if !strings.Contains(line, "--help ") {
			kept = append(kept, line)
		}
	}
	return strings.Join(kept, "")
}

func writeFlags(b io.Writer, title, usages string) {
	if usages != "" {
		fmt.Fprintf(b, "\n%s:\n\n```\n%s```\n", title, usages)
	}
}
