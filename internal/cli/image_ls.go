package cli

import (
	"context"
	"strings"

	"github.com/spf13/cobra"

	"github.com/weft-dev/weft/api"
)

func newImageLs(c *common) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "ls [TEXT]",
		Short: "List the images in the server's registry",
		Long:  `List the images in the server's registry, as plans name them; with TEXT only those whose name contains it.`,
		Args:  cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.imageLs(cmd.Context(), strings.Join(args, ""))
		},
	}
	c.formatFlag(cmd, "o", formatTable, formatJSON)
	return cmd
}

func (c *common) imageLs(ctx context.Context, part string) error {
	client, err := c.client()
	if err != nil {
		return err
	}
	images := keep(client.Images(ctx), func(i api.Image) bool { return strings.Contains(i.Image, part) })
	if c.format == formatJSON {
		return writeJSONList(c.Out, images)
	}
	st := c.style(c.Out)
	t := table{head: []string{"IMAGE", "SIZE", "DIGEST"}, right: map[int]bool{1: true}}
	for i, err := range images {
		if err != nil {
			return err
		}
		t.add(i.Image, byteCount(i.Size), i.Digest)
	}
	return t.print(c.Out, st, c.width())
}
