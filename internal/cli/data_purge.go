package cli

import (
	"context"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/weft-dev/weft"
	"github.com/weft-dev/weft/api"
)

type dataPurgeOptions struct {
	*common
	tags        []string
	olderThan   string
	dryRun, yes bool
}

func newDataPurge(c *common) *cobra.Command {
	o := dataPurgeOptions{common: c}
	cmd := &cobra.Command{
		Use:   "purge [DATA...]",
		Short: "Discard the content of data; tags and lineage stay",
		Long: `Discard the content of data for good, to make room. The data stay, with their tags, and with
what came from what; they count for no new run, and runs that wait for one of them fail.
What is being made, or read by a run under way, is kept.

Named are single data, or all with certain tags, or all whose run ended longer ago, or both.
How many bytes they hold is told beforehand, and how many of them come free: content that
other data or images have too stays.`,
		Example: `  weft data purge DATA --dry-run
  weft data purge --tag type:log --older-than 90d --yes`,
		Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			r, err := o.parse(args)
			if err != nil {
				return usageError{cmd, err}
			}
			return o.do(cmd.Context(), r)
		},
	}
	cmd.Flags().StringSliceVarP(&o.tags, "tag", "t", nil, "`key:value` that the data have; repeat for several, all of which they have")
	cmd.Flags().StringVar(&o.olderThan, "older-than", "", "`age`, like 36h or 90d, since the run that made the data ended")
	cmd.Flags().BoolVar(&o.dryRun, "dry-run", false, "discard nothing; tell what would go")
	confirmFlag(cmd, &o.yes)
	c.formatFlag(cmd, "o", formatTable, formatJSON)
	return cmd
}

func (o *dataPurgeOptions) parse(args []string) (api.PurgeRequest, error) {
	r := api.PurgeRequest{KnitIDs: args, OlderThan: o.olderThan}
	for i := range args {
		if _, err := one[weft.Data](args[i:], "data"); err != nil {
			return r, err
		}
	}
	for _, text := range o.tags {
		t, err := weft.ParseTag(text)
		if err != nil {
			return r, err
		}
		r.Tags = append(r.Tags, api.Tag{Key: t.Key(), Value: t.Value()})
	}
	if o.olderThan != "" {
		if _, err := weft.ParseSpan(o.olderThan); err != nil {
			return r, err
		}
	}
	if len(args)+len(o.tags) == 0 && o.olderThan == "" {
		return r, fmt.Errorf("say what to purge: data, --tag or --older-than")
	}
	return r, nil
}

func (o *dataPurgeOptions) do(ctx context.Context, r api.PurgeRequest) error {
	client, err := o.client()
	if err != nil {
		return err
	}
	would, err := client.Purge(ctx, r, true)
	if err != nil || o.dryRun {
		if err == nil {
			err = o.print(would)
		}
		return err
	}
	if len(would.Data) > 0 {
		if err := o.confirm(o.yes, purgeWords("would discard", would)+"."); err != nil {
			return err
		}
		ids := make([]string, len(would.Data)) // these, and not what has become old enough meanwhile
		for i := range would.Data {
			ids[i] = would.Data[i].KnitID
		}
		kept := would.Kept
		if would, err = client.Purge(ctx, api.PurgeRequest{KnitIDs: ids}, false); err != nil {
			return err
		}
		would.Kept = append(would.Kept, kept...)
	}
	fmt.Fprintln(o.Err, purgeWords("discarded", would))
	return o.print(would)
}

func purgeWords(did string, p api.Purge) string {
	text := fmt.Sprintf("%s the content of %d data: %s, of which %s come free", did, len(p.Data), byteCount(p.Bytes), byteCount(p.Freed))
	if n := len(p.Waiting); n > 0 {
		text += fmt.Sprintf("; %s for it and will fail", waits(n))
	}
	if n := len(p.Kept); n > 0 {
		text += fmt.Sprintf("; %d data are kept", n)
	}
	return text
}

func waits(n int) string {
	if n == 1 {
		return "1 run waits"
	}
	return fmt.Sprintf("%d runs wait", n)
}

func (o *dataPurgeOptions) print(p api.Purge) error {
	if o.format == formatJSON {
		return writeJSON(o.Out, p)
	}
	return o.table(o.Out, p)
}

func (o *dataPurgeOptions) table(w io.Writer, p api.Purge) error {
	st := o.style(w)
	t := table{head: []string{"DATA", "BYTES", "TAGS", "INFO"}}
	for _, d := range p.Data {
		t.add(d.KnitID, byteCount(d.Bytes), o.paintTags(style{}, userTags(d.Tags)), "")
	}
	for _, k := range p.Kept {
		t.add(k.KnitID, "", "", "kept: "+printable(k.Reason))
	}
	if err := t.print(w, st, o.width()); err != nil {
		return err
	}
	if o.dryRun {
		_, err := fmt.Fprintln(w, purgeWords("would discard", p))
		return err
	}
	return nil
}
