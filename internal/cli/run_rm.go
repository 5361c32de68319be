package cli

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/weft-dev/weft"
)

func newRunRm(c *common) *cobra.Command {
	return &cobra.Command{
		Use:   "rm RUN...",
		Short: "Remove runs together with what they made",
		Long: `Remove runs that ended, together with the data they made. These must not be used by another
run. The same combination of inputs is not run again.`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			ids := make([]weft.RunID, len(args))
			for i := range args {
				var err error
				if ids[i], err = one[weft.Run](args[i:], "run"); err != nil {
					return err
				}
			}
			return c.runRm(cmd.Context(), ids)
		},
	}
}

func (c *common) runRm(ctx context.Context, ids []weft.RunID) error {
	client, err := c.client()
	if err != nil {
		return err
	}
	for _, id := range ids {
		if err := client.DeleteRun(ctx, id.String()); err != nil {
			return fmt.Errorf("run %s: %w", id, err)
		}
		fmt.Fprintf(c.Err, "run %s is removed\n", id)
	}
	return nil
}
