package cli

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/weft-dev/weft"
	"github.com/weft-dev/weft/api"
)

func newDataVerify(c *common) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "verify DATA...",
		Short: "Have the server compare every file with its digest",
		Args:  cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			ids := make([]weft.DataID, len(args))
			for i := range args {
				var err error
				if ids[i], err = one[weft.Data](args[i:], "data"); err != nil {
					return err
				}
			}
			return c.dataVerify(cmd.Context(), ids)
		},
	}
	c.formatFlag(cmd, "o", formatTable, formatJSON)
	return cmd
}

// A verified is what was found about one data.
type verified struct {
	KnitID   string        `json:"knitId"`
	Files    int64         `json:"files"`
	Bytes    int64         `json:"bytes"`
	Problems []api.Problem `json:"problems"`
}

func (c *common) dataVerify(ctx context.Context, ids []weft.DataID) error {
	client, err := c.client()
	if err != nil {
		return err
	}
	results, damaged := []verified{}, 0
	for _, id := range ids {
		v, err := c.verifyOne(ctx, client, id.String())
		if err != nil {
			return fmt.Errorf("data %s: %w", id, err)
		}
		if len(v.Problems) > 0 {
			damaged++
		}
		results = append(results, v)
	}
	if err := c.printVerified(results); err != nil {
		return err
	}
	if damaged > 0 {
		return weft.Errorf(weft.Internal, "%d of %s damaged", damaged, count(int64(len(ids)), "data")).
			WithAdvice("restore the files from a backup, or make the data again")
	}
	return nil
}

func (c *common) verifyOne(ctx context.Context, client *api.Client, id string) (verified, error) {
	v := verified{KnitID: id, Problems: []api.Problem{}}
	bar := c.progress("verify")
	defer bar.end()
	for step, err := range client.Verify(ctx, id) {
		if err != nil {
			return v, err
		}
		bar.total(step.Total)
		bar.at(step.Bytes)
		if step.Done {
			v.Files, v.Bytes, v.Problems = step.Files, step.Bytes, append(v.Problems, step.Problems...)
		}
	}
	return v, nil
}

func (c *common) printVerified(results []verified) error {
	if c.format == formatJSON {
		return writeJSON(c.Out, results)
	}
	st := c.style(c.Out)
	var b strings.Builder
	for _, v := range results {
		word := st.paint("32", "intact")
		if len(v.Problems) > 0 {
			word = st.paint("31", "damaged")
		}
		fmt.Fprintf(&b, "%s  %s  %s, %s\n", v.KnitID, word, count(v.Files, "file"), byteCount(v.Bytes))
		for _, p := range v.Problems {
			fmt.Fprintf(&b, "  %s: %s\n", printable(p.Path), p.Message)
		}
	}
	_, err := fmt.Fprint(c.Out, b.String())
	return err
}
