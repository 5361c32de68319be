package cli

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/weft-dev/weft"
)

func newImageRm(c *common) *cobra.Command {
	return &cobra.Command{
		Use:   "rm IMAGE...",
		Short: "Remove images from the server's registry",
		Long: `Remove images, named as plans name them. What only they used is freed after a while. Plans that
name them stay, but their next runs fail.`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			images := make([]weft.Image, len(args))
			for i, a := range args {
				var err error
				if images[i], err = weft.ParseImage(a); err != nil {
					return usageError{cmd, err}
				}
			}
			return c.imageRm(cmd.Context(), images)
		},
	}
}

func (c *common) imageRm(ctx context.Context, images []weft.Image) error {
	client, err := c.client()
	if err != nil {
		return err
	}
	for _, i := range images {
		if err := client.DeleteImage(ctx, i.String()); err != nil {
			return fmt.Errorf("image %s: %w", i, err)
		}
		fmt.Fprintf(c.Err, "image %s is removed\n", i)
	}
	return nil
}
