package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/weft-dev/weft"
	"github.com/weft-dev/weft/api"
)

type dataPullOptions struct {
	*common
	extract bool
}

func newDataPull(c *common) *cobra.Command {
	o := dataPullOptions{common: c}
	cmd := &cobra.Command{
		Use:   "pull DATA [DEST]",
		Short: "Fetch a data, as files or as an archive",
		Long: `Fetch a data. With --extract its files come into DEST/DATA, each compared with its digest; a
pull that breaks off is taken up again by the same command. Without, it comes as the archive
DEST/DATA.tar.gz, or to standard output if DEST is -.

Files that are there already are replaced; a link where a file should go is an error. Where it
went is said on standard error.`,
		Example: `  weft data pull -x DATA results/
  weft data pull DATA - | tar tz`,
		Args: cobra.RangeArgs(1, 2),
		RunE: func(cmd *cobra.Command, args []string) error {
			dest := "."
			if len(args) > 1 {
				dest = args[1]
			}
			if dest == "-" && o.extract {
				return usagef(cmd, "files cannot be extracted to standard output; leave out --extract")
			}
			id, err := one[weft.Data](args, "data")
			if err != nil {
				return err
			}
			return o.do(cmd.Context(), id, dest)
		},
	}
	cmd.Flags().BoolVarP(&o.extract, "extract", "x", false, "write files instead of an archive")
	return cmd
}

func (o *dataPullOptions) do(ctx context.Context, id weft.DataID, dest string) error {
	client, err := o.client()
	if err != nil {
		return err
	}
	if dest == "-" {
		archive, err := client.PullArchive(ctx, id.String())
		if err != nil {
			return err
		}
		defer archive.Close()
		_, err = io.Copy(o.Out, archive)
		return err
	}
	dir := o.path(dest)
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return fileError(err)
	}
	bar := o.progress("pull")
	defer bar.end()
	target := filepath.Join(dir, id.String())
	if o.extract {
		err = pullFiles(ctx, client, id.String(), target, bar)
	} else {
		target += ".tar.gz"
		err = pullArchive(ctx, client, id.String(), target, bar)
	}
	bar.end()
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(o.Err, "pulled to", printable(target))
	return err
}

// partSuffix marks what is not whole yet.
const partSuffix = ".part"

// pullArchive writes the archive under a name that shows that it is not whole until
// it is.
func pullArchive(ctx context.Context, client *api.Client, id, target string, bar *progress) error {
	if info, err := os.Lstat(target); err == nil && !info.Mode().IsRegular() {
		return weft.Errorf(weft.Conflict, "%s exists and is not a file", target).WithAdvice("remove it, or pull to another place")
	}
	archive, err := client.PullArchive(ctx, id)
	if err != nil {
		return err
	}
	defer archive.Close()
	part := target + partSuffix
	if err := os.Remove(part); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fileError(err)
	}
	f, err := os.OpenFile(part, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o666)
	if err != nil {
		return fileError(err)
	}
	_, err = io.Copy(f, bar.reader(archive))
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(part, target)
	}
	if err != nil {
		return errors.Join(err, os.Remove(part))
	}
	return nil
}
