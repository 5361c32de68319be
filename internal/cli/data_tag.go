package cli

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/weft-dev/weft"
	"github.com/weft-dev/weft/api"
)

type dataTagOptions struct {
	*common
	add, remove, removeKey []string
	where                  []string
	dryRun                 bool
}

func newDataTag(c *common) *cobra.Command {
	o := dataTagOptions{common: c}
	cmd := &cobra.Command{
		Use:   "tag [DATA...]",
		Short: "Add and remove tags of data",
		Long: `Add and remove tags of data: those that are named, or with --where all that have some
tags. What is removed goes first, then what is added comes. With other tags the data may
fit other plans, so that new runs begin; --dry-run tells which.`,
		Example: `  weft data tag 01930e5c-8c54-7a31-9f00-5a3c7e1b2d4f --add quality:checked --remove-key draft
  weft data tag --where project:digits --where draft:yes --remove draft:yes --dry-run`,
		Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			change, err := o.parse()
			if err != nil {
				return usageError{cmd, err}
			}
			if (len(args) == 0) == (len(o.where) == 0) {
				return usagef(cmd, "name data, or select them by --where")
			}
			if len(o.where) > 0 {
				return o.doAll(cmd.Context(), change)
			}
			for i := range args {
				if _, err := one[weft.Data](args[i:], "data"); err != nil {
					return err
				}
			}
			for i := range args {
				id, err := one[weft.Data](args[i:], "data")
				if err == nil {
					err = o.do(cmd.Context(), id, change)
				}
				if err != nil {
					return err
				}
			}
			return nil
		},
	}
	cmd.Flags().StringArrayVar(&o.where, "where", nil, "`key:value` that data have, all of which are tagged; repeat for several")
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

// doAll tags all data that have some tags, and prints one after the other. What was
// tagged when it breaks off stays so: the same command goes on.
func (o *dataTagOptions) doAll(ctx context.Context, change api.TagChange) error {
	where, err := parseTags(o.where)
	if err != nil {
		return err
	}
	client, err := o.client()
	if err != nil {
		return err
	}
	var ids []weft.DataID // all of them first: what is tagged may no longer be found
	for d, err := range client.FindData(ctx, api.DataQuery{Tags: where.Strings()}) {
		if err != nil {
			return err
		}
		id, err := weft.ParseID[weft.Data](d.KnitID)
		if err != nil {
			return err
		}
		ids = append(ids, id)
	}
	for i, id := range ids {
		if err := o.do(ctx, id, change); err != nil {
			return fmt.Errorf("%d of %d data are tagged; data %s: %w", i, len(ids), id, err)
		}
	}
	if !o.dryRun {
		_, err = fmt.Fprintf(o.Err, "%d data were tagged\n", len(ids))
	}
	return err
}
