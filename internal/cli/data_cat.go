package cli

import (
	"context"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/weft-dev/weft"
)

func newDataCat(c *common) *cobra.Command {
	return &cobra.Command{
		Use:   "cat DATA PATH...",
		Short: "Print files of a data",
		Args:  cobra.MinimumNArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			id, err := one[weft.Data](args, "data")
			if err != nil {
				return err
			}
			return c.dataCat(cmd.Context(), id, args[1:])
		},
	}
}

func (c *common) dataCat(ctx context.Context, id weft.DataID, paths []string) error {
	client, err := c.client()
	if err != nil {
		return err
	}
	for _, p := range paths {
		f, err := client.File(ctx, id.String(), strings.Trim(p, "/"), 0)
		if err != nil {
			return err
		}
		_, err = io.Copy(c.Out, f)
		f.Close() // it was only read
		if err != nil {
			return err
		}
	}
	return nil
}
