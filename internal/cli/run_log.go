package cli

import (
	"context"
	"io"

	"github.com/spf13/cobra"

	"github.com/weft-dev/weft"
)

func newRunLog(c *common) *cobra.Command {
	var follow bool
	var attempt int64
	cmd := &cobra.Command{
		Use:   "log RUN",
		Short: "Print what a run has printed",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			id, err := one[weft.Run](args, "run")
			if err != nil {
				return err
			}
			if attempt != 0 {
				return c.attemptLog(cmd.Context(), id, attempt)
			}
			return c.runLog(cmd.Context(), id, follow)
		},
	}
	cmd.Flags().BoolVarP(&follow, "follow", "f", false, "go on until the run ends")
	cmd.Flags().Int64Var(&attempt, "attempt", 0, "print the log of an earlier attempt, by its `number`")
	return cmd
}

func (c *common) runLog(ctx context.Context, id weft.RunID, follow bool) error {
	client, err := c.client()
	if err != nil {
		return err
	}
	if follow {
		if err := c.waitForLog(ctx, client, id.String()); err != nil {
			return err
		}
	}
	log, err := client.RunLog(ctx, id.String(), follow)
	if err != nil {
		return err
	}
	defer log.Close()
	_, err = io.Copy(c.Out, log)
	return err
}

func (c *common) attemptLog(ctx context.Context, id weft.RunID, attempt int64) error {
	client, err := c.client()
	if err != nil {
		return err
	}
	log, err := client.RunAttemptLog(ctx, id.String(), attempt)
	if err != nil {
		return err
	}
	defer log.Close()
	_, err = io.Copy(c.Out, log)
	return err
}
