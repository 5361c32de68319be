package cli

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/weft-dev/weft"
	"github.com/weft-dev/weft/api"
)

type dataPushOptions struct {
	*common
	tags        []string
	name        bool
	dereference bool
	dryRun      bool
}

func newDataPush(c *common) *cobra.Command {
	o := dataPushOptions{common: c}
	cmd := &cobra.Command{
		Use:   "push SOURCE...",
		Short: "Push directories or files, each as one data",
		Long: `Push directories, each as one data, with the tags given and those of the knitenv file. A file
becomes a data of that one file. Only what the server does not have yet is sent, and a push
that breaks off leaves nothing behind.

Files, directories, links and modes are kept; devices and pipes are left out, with a warning.`,
		Example: `  weft data push train/ --tag type:dataset --tag mode:train --name`,
		Args:    cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			tags, err := o.parse()
			if err != nil {
				return usageError{cmd, err}
			}
			return o.do(cmd.Context(), args, tags)
		},
	}
	cmd.Flags().StringArrayVarP(&o.tags, "tag", "t", nil, "`key:value` to give; repeat for several")
	cmd.Flags().BoolVarP(&o.name, "name", "n", false, "also give the tag name:SOURCE, with its last element")
	cmd.Flags().BoolVarP(&o.dereference, "dereference", "L", false, "push what links lead to instead of the links")
	cmd.Flags().BoolVar(&o.dryRun, "dry-run", false, "push nothing; tell which runs would be made")
	c.formatFlag(cmd, "o", formatTable, formatJSON)
	return cmd
}

func (o *dataPushOptions) parse() (weft.Tags, error) { return parseUserTags(o.tags) }

// A parcel is a source with the tags it gets.
type parcel struct {
	src  *source
	tags weft.Tags
}

func (o *dataPushOptions) do(ctx context.Context, paths []string, tags weft.Tags) error {
	env, err := o.project()
	if err != nil {
		return err
	}
	more, err := env.userTags()
	if err != nil {
		return fmt.Errorf("%s: %w", o.knitenvPath(), err)
	}
	tags = weft.NewTags(append(more, tags...)...)
	client, err := o.client()
	if err != nil {
		return err
	}
	parcels := make([]parcel, len(paths)) // all are looked at before the first is sent
	for i, path := range paths {
		if parcels[i], err = o.pack(path, tags); err != nil {
			return err
		}
	}
	for _, p := range parcels {
		if err := o.pushOne(ctx, client, p); err != nil {
			return err
		}
	}
	return nil
}

func (o *dataPushOptions) pack(path string, tags weft.Tags) (parcel, error) {
	full := o.path(path)
	if o.name {
		t, err := nameTag(full)
		if err != nil {
			return parcel{}, err
		}
		tags = weft.NewTags(append(tags, t)...)
	}
	src, err := walk(full, o.dereference)
	if err != nil {
		return parcel{}, err
	}
	for _, s := range src.skipped {
		fmt.Fprintf(o.Err, "left out, as it is neither a file nor a directory nor a link: %s\n", printable(s))
	}
	return parcel{src, tags}, nil
}

func (o *dataPushOptions) pushOne(ctx context.Context, client *api.Client, p parcel) error {
	if o.dryRun {
		would, err := client.WouldPushData(ctx, wireTags(p.tags))
		if err != nil {
			return err
		}
		return o.printDryRun(would)
	}
	bar := o.progress("push")
	bar.total(p.src.bytes)
	d, err := push(ctx, client, p.src, p.tags, largeFile, bar)
	bar.end()
	if err != nil {
		return err
	}
	return o.printData(d)
}
