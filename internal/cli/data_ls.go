package cli

import (
	"context"
	"fmt"
	"iter"
	"path"
	"strings"

	"github.com/spf13/cobra"

	"github.com/weft-dev/weft"
	"github.com/weft-dev/weft/api"
)

func newDataLs(c *common) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "ls DATA [PATH]",
		Short: "List the files of a data",
		Args:  cobra.RangeArgs(1, 2),
		RunE: func(cmd *cobra.Command, args []string) error {
			id, err := one[weft.Data](args, "data")
			if err != nil {
				return err
			}
			dir := ""
			if len(args) > 1 {
				dir = path.Clean(strings.Trim(args[1], "/"))
			}
			return c.dataLs(cmd.Context(), id, dir)
		},
	}
	c.formatFlag(cmd, "o", formatTable, formatJSON)
	return cmd
}

func (c *common) dataLs(ctx context.Context, id weft.DataID, dir string) error {
	client, err := c.client()
	if err != nil {
		return err
	}
	files := below(client.Files(ctx, id.String()), dir)
	if c.format == formatJSON {
		return writeJSONList(c.Out, files)
	}
	st := c.style(c.Out)
	t := table{head: []string{"MODE", "SIZE", "PATH"}, right: map[int]bool{1: true}}
	for f, err := range files {
		if err != nil {
			return err
		}
		t.add(modeText(f), sizeText(f), pathText(f))
	}
	if dir != "" && len(t.rows) == 0 {
		return weft.Errorf(weft.NotFound, "data %s has no %q", id, dir).WithAdvice("see what it has: weft data ls %s", id)
	}
	return t.print(c.Out, st, 0)
}

// below leaves the entries at or under dir.
func below(files iter.Seq2[api.File, error], dir string) iter.Seq2[api.File, error] {
	if dir == "" || dir == "." {
		return files
	}
	return keep(files, func(f api.File) bool {
		p := rawPath(f)
		return p == dir || strings.HasPrefix(p, dir+"/")
	})
}

// rawPath returns the path of a file, byte by byte.
func rawPath(f api.File) string {
	if len(f.RawPath) > 0 {
		return string(f.RawPath)
	}
	return f.Path
}

func modeText(f api.File) string {
	var mode uint32
	if _, err := fmt.Sscanf(f.Mode, "%o", &mode); err != nil && f.Kind != "link" {
		return f.Mode
	}
	text := []byte("-rwxrwxrwx")
	switch f.Kind {
	case "directory":
		text[0] = 'd'
	case "link":
		return "lrwxrwxrwx"
	}
	for i := range 9 {
		if mode&(1<<(8-i)) == 0 {
			text[i+1] = '-'
		}
	}
	return string(text)
}

func sizeText(f api.File) string {
	if f.Kind != "file" {
		return ""
	}
	return byteCount(f.Size)
}

func pathText(f api.File) string {
	switch f.Kind {
	case "directory":
		return rawPath(f) + "/"
	case "link":
		return rawPath(f) + " -> " + f.Target
	}
	return rawPath(f)
}
