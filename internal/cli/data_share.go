package cli

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/weft-dev/weft"
	"github.com/weft-dev/weft/api"
)

type dataShareOptions struct {
	*common
	project string
}

func newDataShare(c *common) *cobra.Command {
	o := dataShareOptions{common: c}
	cmd := &cobra.Command{
		Use:   "share DATA... --to PROJECT",
		Short: "Let another project read data, and run its plans on them",
		Long: `Let another project read data. They match there by their tags as they are here, and can be
neither changed nor tagged there. It takes the role manager in this project, and member in the other.`,
		Example: `  weft data share 01930e5c-8c54-7a31-9f00-5a3c7e1b2d4f --to vision`,
		Args:    cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return o.each(cmd, args, "to", "is shared with project "+o.project, (*api.Client).ShareData)
		},
	}
	cmd.Flags().StringVar(&o.project, "to", "", "`name` of the project")
	return cmd
}

func newDataUnshare(c *common) *cobra.Command {
	o := dataShareOptions{common: c}
	cmd := &cobra.Command{
		Use:   "unshare DATA... --from PROJECT",
		Short: "Let another project read data no longer",
		Long: `Let another project read data no longer. Runs there that were not started fail, and tell why;
those that were go on. What was made of the data there stays, with its lineage.`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return o.each(cmd, args, "from", "is not shared with project "+o.project+" any more", (*api.Client).UnshareData)
		},
	}
	cmd.Flags().StringVar(&o.project, "from", "", "`name` of the project")
	return cmd
}

// each does something to every data, and says so.
func (o *dataShareOptions) each(cmd *cobra.Command, args []string, flag, done string,
	act func(*api.Client, context.Context, string, string) (api.DataDetail, error)) error {
	if o.project == "" {
		return usageError{cmd, fmt.Errorf("say which project: --%s PROJECT", flag)}
	}
	ids := make([]weft.DataID, len(args))
	for i := range args {
		var err error
		if ids[i], err = one[weft.Data](args[i:], "data"); err != nil {
			return err
		}
	}
	client, err := o.client()
	if err != nil {
		return err
	}
	for _, id := range ids {
		if _, err := act(client, cmd.Context(), id.String(), o.project); err != nil {
			return fmt.Errorf("data %s: %w", id, err)
		}
		fmt.Fprintf(o.Err, "data %s %s\n", id, done)
	}
	return nil
}

type dataSharesOptions struct{ *common }

func newDataShares(c *common) *cobra.Command {
	o := dataSharesOptions{c}
	cmd := &cobra.Command{
		Use:   "shares [DATA]",
		Short: "List what is shared with other projects, and by them",
		Args:  cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			id := ""
			if len(args) > 0 {
				data, err := one[weft.Data](args, "data")
				if err != nil {
					return err
				}
				id = data.String()
			}
			return o.do(cmd.Context(), id)
		},
	}
	c.formatFlag(cmd, "o", formatTable, formatJSON)
	return cmd
}

func (o *dataSharesOptions) do(ctx context.Context, id string) error {
	client, err := o.client()
	if err != nil {
		return err
	}
	grants, err := client.Grants(ctx, id)
	if err != nil {
		return err
	}
	if o.format == formatJSON {
		return writeJSON(o.Out, grants)
	}
	t := table{head: []string{"DATA", "FROM", "TO", "SINCE"}}
	for _, g := range grants {
		t.add(g.KnitID, printable(g.From), printable(g.To), localTime(g.At.Time))
	}
	return t.print(o.Out, o.style(o.Out), o.width())
}
