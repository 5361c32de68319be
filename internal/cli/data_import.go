package cli

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/weft-dev/weft"
	"github.com/weft-dev/weft/api"
)

type dataImportOptions struct {
	*common
	tags        []string
	credentials string
	detach      bool
}

func newDataImport(c *common) *cobra.Command {
	o := dataImportOptions{common: c}
	cmd := &cobra.Command{
		Use:   "import SOURCE",
		Short: "Have the server bring in data that are somewhere already",
		Long: `Have the server bring in a directory or an archive (.tar, .tar.gz, .tar.zst, .zip) that is on the
server below a directory that its settings allow, all objects of a bucket below a prefix, or what is
behind a URL: an archive, which is unpacked, or a file. Where it came from is kept with the data, and
shown by data show and data lineage.

The server does it by itself: this command only watches, and may be ended. Credentials are never
given here: name those of the server's settings, or a secret of the project.`,
		Example: `  weft data import /srv/datasets/digits --tag type:dataset
  weft data import s3://measurements/2026/ --credentials lab --tag type:raw
  weft data import https://example.com/mnist.tar.gz --tag type:dataset`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			tags, err := parseUserTags(o.tags)
			if err != nil {
				return usageError{cmd, err}
			}
			return o.do(cmd.Context(), args[0], tags)
		},
	}
	cmd.Flags().StringArrayVarP(&o.tags, "tag", "t", nil, "`key:value` to give; repeat for several")
	cmd.Flags().StringVar(&o.credentials, "credentials", "", "`name` of the credentials for the source")
	cmd.Flags().BoolVarP(&o.detach, "detach", "d", false, "do not wait until it is done")
	c.formatFlag(cmd, "o", formatTable, formatJSON)
	return cmd
}

func (o *dataImportOptions) do(ctx context.Context, source string, tags weft.Tags) error {
	if !strings.Contains(source, "://") {
		source = filepath.Clean(source)
	}
	if _, err := weft.ParseImportSource(source); err != nil {
		return err
	}
	client, err := o.client()
	if err != nil {
		return err
	}
	i, err := client.ImportData(ctx, api.ImportRequest{Source: source, Credentials: o.credentials, Tags: wireTags(tags)})
	if err != nil {
		return err
	}
	if o.detach {
		return o.printImport(i)
	}
	i, err = o.watchImport(ctx, client, i)
	if err != nil {
		return err
	}
	if i.State != string(weft.ImportDone) {
		return weft.Errorf(weft.Invalid, "import %s failed: %s", i.ImportID, i.Problem)
	}
	d, err := client.Data(ctx, i.KnitID)
	if err != nil {
		return err
	}
	return o.printData(d)
}

func (c *common) printImport(i api.Import) error {
	if c.format == formatJSON {
		return writeJSON(c.Out, i)
	}
	_, err := fmt.Fprintf(c.Out, "import %s was begun; weft data imports shows how far it is\n", i.ImportID)
	return err
}

// lookEvery is how often the server is asked how far an import is.
const lookEvery = 500 * time.Millisecond

// watchImport shows how far an import is until it is over.
func (o *dataImportOptions) watchImport(ctx context.Context, client *api.Client, i api.Import) (api.Import, error) {
	bar := o.progress("import")
	defer bar.end()
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for i.State == string(weft.ImportQueued) || i.State == string(weft.ImportRunning) {
		select {
		case <-ctx.Done():
			fmt.Fprintf(o.Err, "the server goes on with import %s; weft data imports shows how far it is\n", i.ImportID)
			return i, ctx.Err()
		case <-tick.C:
		}
		var err error
		if i, err = client.Import(ctx, i.ImportID); err != nil {
			return i, err
		}
		if i.Total > 0 {
			bar.total(i.Total)
		}
		bar.at(i.Bytes)
	}
	return i, nil
}

type dataImportsOptions struct {
	*common
	cancel string
}

func newDataImports(c *common) *cobra.Command {
	o := dataImportsOptions{common: c}
	cmd := &cobra.Command{
		Use:   "imports",
		Short: "List the latest imports and how far they are, or give one up",
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return o.do(cmd.Context()) },
	}
	cmd.Flags().StringVar(&o.cancel, "cancel", "", "give up the import of this `id`")
	c.formatFlag(cmd, "o", formatTable, formatJSON)
	return cmd
}

func (o *dataImportsOptions) do(ctx context.Context) error {
	client, err := o.client()
	if err != nil {
		return err
	}
	if o.cancel != "" {
		return client.CancelImport(ctx, o.cancel)
	}
	list, err := client.Imports(ctx)
	if err != nil {
		return err
	}
	if o.format == formatJSON {
		return writeJSON(o.Out, list)
	}
	t := table{head: []string{"IMPORT", "STATE", "FILES", "SIZE", "SOURCE"}, right: map[int]bool{2: true, 3: true}}
	for _, i := range list {
		t.add(i.ImportID, importWords(i), fmt.Sprint(i.Files), byteCount(i.Bytes), i.Source)
	}
	return t.print(o.Out, o.style(o.Out), o.width())
}

func importWords(i api.Import) string {
	if i.Problem != "" {
		return i.State + ": " + printable(i.Problem)
	}
	return i.State
}

// originWords tells where data came from.
func originWords(o api.Origin) string {
	words := printable(o.URL)
	if o.Version != "" {
		words += ", version " + printable(o.Version)
	}
	words += ", " + localTime(o.At.Time)
	if o.By != "" {
		words += ", by " + printable(o.By)
	}
	return words
}
