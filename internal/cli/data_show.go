package cli

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/weft-dev/weft"
)

func newDataShow(c *common) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "show DATA",
		Short: "Show one data: tags, content, what made it, what uses it",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			id, err := one[weft.Data](args, "data")
			if err != nil {
				return err
			}
			return c.dataShow(cmd.Context(), id)
		},
	}
	c.formatFlag(cmd, "o", formatTable, formatJSON)
	return cmd
}

func (c *common) dataShow(ctx context.Context, id weft.DataID) error {
	client, err := c.client()
	if err != nil {
		return err
	}
	d, err := client.Data(ctx, id.String())
	if err != nil {
		return err
	}
	if err := c.printData(d); err != nil {
		return err
	}
	if d.SharedBy != "" { // notes are kept where the data is
		return nil
	}
	return c.showNote(ctx, client, weft.SubjectData, id.String())
}
