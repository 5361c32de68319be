package cli

import (
	"context"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/weft-dev/weft"
)

func newDataDiff(c *common) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "diff DATA DATA",
		Short: "Tell what differs between two data, file by file",
		Long: `Tells which files the second data has more, has otherwise and lacks. Nothing is fetched
but the lists of files: equal digests are equal files. The exit code is 14 when there are
differences.`,
		Args: cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			a, err := one[weft.Data](args, "data")
			if err != nil {
				return err
			}
			b, err := one[weft.Data](args[1:], "data")
			if err != nil {
				return err
			}
			return c.dataDiff(cmd.Context(), a, b)
		},
	}
	c.formatFlag(cmd, "o", formatTable, formatJSON)
	return cmd
}

// A difference is one path that two data do not have in common.
type difference struct {
	Path   string `json:"path"`
	Change string `json:"change"` // "added", "removed" or "changed"
	Was    int64  `json:"was"`    // bytes in the first
	Is     int64  `json:"is"`     // bytes in the second
}

func (c *common) dataDiff(ctx context.Context, a, b weft.DataID) error {
	client, err := c.client()
	if err != nil {
		return err
	}
	before, err := fetchManifest(ctx, client, a.String())
	if err != nil {
		return err
	}
	after, err := fetchManifest(ctx, client, b.String())
	if err != nil {
		return err
	}
	found := differences(before.Entries, after.Entries)
	if c.format == formatJSON {
		err = writeJSON(c.Out, found)
	} else {
		t := table{head: []string{"CHANGE", "WAS", "IS", "PATH"}, right: map[int]bool{1: true, 2: true}}
		for _, d := range found {
			t.add(d.Change, sizeOr(d.Was, d.Change != "added"), sizeOr(d.Is, d.Change != "removed"), d.Path)
		}
		err = t.print(c.Out, c.style(c.Out), 0)
	}
	if err == nil && len(found) > 0 {
		return exitError{code: exitDiffers}
	}
	return err
}

func sizeOr(n int64, there bool) string {
	if !there {
		return ""
	}
	return strconv.FormatInt(n, 10)
}

// differences compares two lists of entries that are sorted by path.
func differences(a, b []weft.Entry) []difference {
	found := []difference{}
	for len(a) > 0 || len(b) > 0 {
		switch {
		case len(b) == 0 || len(a) > 0 && a[0].Path < b[0].Path:
			found = append(found, difference{a[0].Path, "removed", a[0].Size, 0})
			a = a[1:]
		case len(a) == 0 || b[0].Path < a[0].Path:
			found = append(found, difference{b[0].Path, "added", 0, b[0].Size})
			b = b[1:]
		default:
			if a[0] != b[0] {
				found = append(found, difference{a[0].Path, "changed", a[0].Size, b[0].Size})
			}
			a, b = a[1:], b[1:]
		}
	}
	return found
}
