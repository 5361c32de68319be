package cli

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/weft-dev/weft"
	"github.com/weft-dev/weft/api"
)

type dataTagOptions struct {
	*common
	add, remove, removeKey []string
	dryRun                 bool
}

func newDataTag(c *common) *cobra.Command {
	o := dataTagOptions{common: c}
	cmd := &cobra.Command{
		Use:   "tag DATA",
		Short: "Add and remove tags of a data",
		Long: `Add and remove tags of a data. What is removed goes first, then what is added comes.
With other tags the data may fit other plans, so that new runs begin; --dry-run tells which.`,
		Example: `  weft data tag 01930e5c-8c54-7a31-9f00-5a3c7e1b2d4f --add quality:checked --remove-key draft`,
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			change, err := o.parse()
			if err != nil {
				return usageError{cmd, err}
			}
			id, err := one[weft.Data](args, "data")
			if err != nil {
				return err
			}
			return o.do(cmd.Context(), id, change)
		},
	}
	cmd.Flags().StringArrayVar(&o.add, "add", nil, "`key:value` to add; repeat for several")
	cmd.Flags().StringArrayVar(&o.remove, "remove", nil, "`key:value` to remove; repeat for several")
	cmd.Flags().StringArrayVar(&o.removeKey, "remove-key", nil, "`key` whose tags are all removed; repeat for several")
	cmd.Flags().BoolVar(&o.dryRun, "dry-run", false, "change nothing; tell which runs would be made")
	c.formatFlag(cmd, "o", formatTable, formatJSON)
	return cmd
}

func (o *dataTagOptions) parse() (api.TagChange, error) {
	add, err := parseTags(o.add)
	if err != nil {
		return api.TagChange{}, err
	}
	remove, err := parseTags(o.remove)
	if err != nil {
		return api.TagChange{}, err
	}
	err = weft.TagChange{Add: add, Remove: remove, RemoveKey: o.removeKey}.Validate()
	return api.TagChange{Add: wireTags(add), Remove: wireTags(remove), RemoveKey: o.removeKey}, err
}

func (o *dataTagOptions) do(ctx context.Context, id weft.DataID, change api.TagChange) error {
	client, err := o.client()
	if err != nil {
		return err
	}
	if o.dryRun {
		would, err := client.WouldTagData(ctx, id.String(), change)
		if err != nil {
			return err
		}
		return o.printDryRun(would)
	}
	d, err := client.TagData(ctx, id.String(), change)
	if err != nil {
		return err
	}
	return o.printData(d)
}
