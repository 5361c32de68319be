package cli

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/weft-dev/weft"
)

type runShowOptions struct {
	*common
	log, follow bool
}

func newRunShow(c *common) *cobra.Command {
	o := runShowOptions{common: c}
	cmd := &cobra.Command{
		Use:   "show RUN",
		Short: "Show one run: status, inputs, outputs",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			id, err := one[weft.Run](args, "run")
			if err != nil {
				return err
			}
			if o.log {
				return o.runLog(cmd.Context(), id, o.follow)
			}
			return o.do(cmd.Context(), id)
		},
	}
	cmd.Flags().BoolVar(&o.log, "log", false, "print the log of the run instead, as weft run log does")
	cmd.Flags().BoolVarP(&o.follow, "follow", "f", false, "with --log: go on until the run ends")
	c.formatFlag(cmd, "o", formatTable, formatJSON)
	return cmd
}

func (o *runShowOptions) do(ctx context.Context, id weft.RunID) error {
	client, err := o.client()
	if err != nil {
		return err
	}
	r, err := client.Run(ctx, id.String())
	if err != nil {
		return err
	}
	if err := o.printRun(r); err != nil {
		return err
	}
	return o.showNote(ctx, client, weft.SubjectRun, id.String())
}
