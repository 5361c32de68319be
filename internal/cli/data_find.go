package cli

import (
	"context"
	"iter"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/weft-dev/weft"
	"github.com/weft-dev/weft/api"
)

type dataFindOptions struct {
	*common
	tags      []string
	transient three
	span      span
	page      page
	kept      kept
}

func newDataFind(c *common) *cobra.Command {
	o := dataFindOptions{common: c}
	cmd := &cobra.Command{
		Use:   "find",
		Short: "List the data that have all of some tags",
		Example: `  weft data find --tag type:dataset --tag project:digits
  weft data find --since 2026-11-22 --duration 24h -o json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			q, err := o.parse()
			if err != nil {
				return usageError{cmd, err}
			}
			return o.do(cmd.Context(), q)
		},
	}
	cmd.Flags().StringArrayVarP(&o.tags, "tag", "t", nil, "`key:value` to have, system tags too; repeat for several")
	cmd.Flags().Var(&o.transient, "transient", "whether data whose run has not ended well are listed: only (yes), not (no), or both")
	o.span.addTo(cmd)
	o.page.addTo(cmd)
	o.kept.addTo(cmd)
	c.formatFlag(cmd, "o", formatTable, formatJSON)
	return cmd
}

func (o *dataFindOptions) parse() (api.DataQuery, error) {
	tags, err := parseTags(o.tags)
	if err != nil {
		return api.DataQuery{}, err
	}
	since, err := o.span.parse()
	if err != nil {
		return api.DataQuery{}, err
	}
	p, err := o.page.parse()
	if o.transient.only() != nil {
		p.Limit = 0 // as the server does not know of this condition
	}
	return api.DataQuery{Tags: tags.Strings(), Since: since, Duration: o.span.duration, Page: p}, err
}

func (o *dataFindOptions) do(ctx context.Context, q api.DataQuery) error {
	client, err := o.client()
	if err != nil {
		return err
	}
	if q.More, err = o.kept.more(ctx, client, weft.SubjectData); err != nil {
		return err
	}
	if err := o.kept.keep(ctx, client, weft.SubjectData, q.Values()); err != nil {
		return err
	}
	found := o.filtered(client.FindData(ctx, q))
	if o.format == formatJSON {
		return writeJSONList(o.Out, found)
	}
	st := o.style(o.Out)
	t := table{head: []string{"DATA", "TIME", "FILES", "SIZE", "FROM", "TAGS"}, right: map[int]bool{2: true, 3: true}}
	for d, err := range found {
		if err != nil {
			return err
		}
		files, size := "", ""
		if d.Digest != "" {
			files, size = strconv.FormatInt(d.Files, 10), byteCount(d.Bytes)
		}
		t.add(d.KnitID, dataTime(d), files, size, planName(d.Upstream.Run.Plan), strings.Join(userTags(d.Tags), "  "))
	}
	t.paint = func(_, col int, cell string) string {
		if col == 5 {
			return st.tag(cell)
		}
		return cell
	}
	return t.print(o.Out, st, o.width())
}

// filtered applies --transient, and with it the limit.
func (o *dataFindOptions) filtered(all iter.Seq2[api.DataDetail, error]) iter.Seq2[api.DataDetail, error] {
	only := o.transient.only()
	if only == nil {
		return all
	}
	return func(yield func(api.DataDetail, error) bool) {
		left := o.page.limit
		for d, err := range all {
			transient := tagValue(d.Tags, weft.KeyTransient) != ""
			if err == nil && transient != *only {
				continue
			}
			if !yield(d, err) {
				return
			}
			if left--; left == 0 {
				return
			}
		}
	}
}
