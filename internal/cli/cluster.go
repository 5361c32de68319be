package cli

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/weft-dev/weft"
	"github.com/weft-dev/weft/api"
)

func newCluster(env Env) *cobra.Command {
	c := newCommon(env)
	cmd := newGroup(env, "cluster", "Tell what the server offers to plans", newClusterInfo(c))
	c.addTo(cmd)
	return cmd
}

func newClusterInfo(c *common) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "info",
		Short: "Show the registry's address, resources, labels and storage",
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return c.clusterInfo(cmd.Context()) },
	}
	c.formatFlag(cmd, "o", formatTable, formatJSON)
	return cmd
}

func (c *common) clusterInfo(ctx context.Context) error {
	client, err := c.client()
	if err != nil {
		return err
	}
	info, err := client.Cluster(ctx)
	if err != nil {
		return err
	}
	if c.format == formatJSON {
		return writeJSON(c.Out, info)
	}
	return c.showCluster(info, client.Base())
}

func (c *common) showCluster(info api.Cluster, base string) error {
	st := c.style(c.Out)
	var f facts
	f.add("server", base+", weft "+info.Version)
	f.add("images", fmt.Sprintf("name them %s/NAME:TAG in plans", info.Registry))
	for _, a := range info.Pushes {
		f.add("registry", a+" for docker and skopeo")
	}
	for _, name := range slices.Sorted(maps.Keys(info.Resources)) {
		f.add("resource", fmt.Sprintf("%s, up to %s per run", name, largest(info.Resources[name])))
	}
	for _, l := range info.Labels {
		f.add("label", printable(l))
	}
	f.add("containers", fmt.Sprintf("by %s: %s", info.Executor.Kind, info.Executor.About))
	f.add("containers", "because "+info.Executor.Why)
	f.add("storage", fmt.Sprintf("%s free of %s; %s stay in reserve", byteCount(info.Storage.FreeBytes), byteCount(info.Storage.TotalBytes), byteCount(info.Storage.ReserveBytes)))
	f.add("content", fmt.Sprintf("%s in %s", byteCount(info.Storage.BlobBytes), count(info.Storage.Blobs, "distinct file")))
	for _, x := range info.ExtraAPIs {
		f.add("extra API", fmt.Sprintf("%s, %s; takes %s", x.Path, x.State, x.Takes))
	}
	var runs []string
	for _, s := range weft.Statuses {
		if n := info.Runs[string(s)]; n > 0 {
			runs = append(runs, st.status(s, fmt.Sprintf("%d %s", n, s)))
		}
	}
	f.add("runs", strings.Join(runs, ", "))
	f.add("run limit", fmt.Sprintf("%d pending runs per plan", info.RunLimit))
	return f.print(c.Out, st)
}

// largest writes an amount of memory in Gi, rounded down to what a plan can ask for;
// anything else, and less than that, as it is.
func largest(q api.Quantity) string {
	rs, err := weft.ParseResources(map[string]string{"amount": string(q)})
	if amount := rs["amount"]; err == nil && strings.HasSuffix(string(q), "i") && amount.Value() >= 1<<30 {
		tenths := amount.Value() * 10 >> 30
		return fmt.Sprintf("%d.%dGi", tenths/10, tenths%10)
	}
	return string(q)
}
