package cli

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/weft-dev/weft"
)

type runStopOptions struct {
	*common
	fail bool
}

func newRunStop(c *common) *cobra.Command {
	o := runStopOptions{common: c}
	cmd := &cobra.Command{
		Use:   "stop RUN",
		Short: "End a run now",
		Long: `End a run now. It counts as done, and what it has written so far becomes data like any other;
with --fail it counts as failed, and nothing goes on from it.`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			id, err := one[weft.Run](args, "run")
			if err != nil {
				return err
			}
			return o.do(cmd.Context(), id)
		},
	}
	cmd.Flags().BoolVarP(&o.fail, "fail", "x", false, "let the run fail")
	c.formatFlag(cmd, "o", formatTable, formatJSON)
	return cmd
}

func (o *runStopOptions) do(ctx context.Context, id weft.RunID) error {
	client, err := o.client()
	if err != nil {
		return err
	}
	r, err := client.StopRun(ctx, id.String(), o.fail)
	if err != nil {
		return err
	}
	return o.printRun(r)
}
