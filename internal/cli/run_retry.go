package cli

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/weft-dev/weft"
)

func newRunRetry(c *common) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "retry RUN",
		Short: "Try a run that ended once more",
		Long: `Try a run that ended once more, with the same inputs. What it made before is discarded; it
must not be used by another run.`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			id, err := one[weft.Run](args, "run")
			if err != nil {
				return err
			}
			return c.runRetry(cmd.Context(), id)
		},
	}
	c.formatFlag(cmd, "o", formatTable, formatJSON)
	return cmd
}

func (c *common) runRetry(ctx context.Context, id weft.RunID) error {
	client, err := c.client()
	if err != nil {
		return err
	}
	if err := client.RetryRun(ctx, id.String()); err != nil {
		return err
	}
	r, err := client.Run(ctx, id.String())
	if err != nil {
		return err
	}
	return c.printRun(r)
}
