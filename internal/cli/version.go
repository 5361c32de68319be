package cli

import (
	"fmt"

	"github.com/spf13/cobra"
)

func newVersion(env Env) *cobra.Command {
	return &cobra.Command{
		Use:     "version",
		Short:   "Print the version of this program",
		GroupID: setupGroup,
		Args:    cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			line := env.Version
			if env.Commit != "" {
				line += " (commit: " + env.Commit + ")"
			}
			_, err := fmt.Fprintln(env.Out, line)
			return err
		},
	}
}
