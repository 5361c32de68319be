package cli

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/weft-dev/weft"
	"github.com/weft-dev/weft/api"
)

type runStopOptions struct {
	*common
	how api.Stop
}

func newRunStop(c *common) *cobra.Command {
	o := runStopOptions{common: c}
	cmd := &cobra.Command{
		Use:   "stop RUN",
		Short: "End a run",
		Long: `End a run. Its program gets SIGTERM (or the image's STOPSIGNAL), and is killed when the plan's
grace is over, which is 10s unless the plan says otherwise; until then weft run show tells
how long it has. The run counts as done, and what it has written until its end becomes data
like any other; with --fail it counts as failed, and nothing goes on from it.

--now kills the program at once, also when it was stopped before and has some grace left.`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			id, err := one[weft.Run](args, "run")
			if err != nil {
				return err
			}
			return o.do(cmd.Context(), id)
		},
	}
	cmd.Flags().BoolVarP(&o.how.Fail, "fail", "x", false, "let the run fail")
	cmd.Flags().BoolVar(&o.how.Now, "now", false, "kill its program at once, without grace")
	c.formatFlag(cmd, "o", formatTable, formatJSON)
	return cmd
}

func (o *runStopOptions) do(ctx context.Context, id weft.RunID) error {
	client, err := o.client()
	if err != nil {
		return err
	}
	r, err := client.StopRun(ctx, id.String(), o.how)
	if err != nil {
		return err
	}
	return o.printRun(r)
}
