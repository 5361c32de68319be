package cli

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/weft-dev/weft"
)

func newFavourite(env Env) *cobra.Command {
	c := newCommon(env)
	cmd := newGroup(env, "favourite", "Mark data, plans and runs for yourself",
		newFavouriteSet(c, "add", "Mark something as your favourite", true), newFavouriteSet(c, "rm", "Take the mark away", false), newFavouriteLs(c))
	cmd.Aliases = []string{"favorite", "fav"}
	c.addTo(cmd)
	return cmd
}

func newFavouriteSet(c *common, use, short string, marked bool) *cobra.Command {
	return &cobra.Command{
		Use:       use + " data|plan|run ID...",
		Short:     short,
		Args:      cobra.MinimumNArgs(2),
		ValidArgs: []string{weft.SubjectData, weft.SubjectPlan, weft.SubjectRun},
		RunE: func(cmd *cobra.Command, args []string) error {
			for _, id := range args[1:] {
				if _, err := weft.ParseSubject(args[0], id); err != nil {
					return err
				}
			}
			client, err := c.client()
			if err != nil {
				return err
			}
			for _, id := range args[1:] {
				if err := client.SetFavourite(cmd.Context(), args[0], id, marked); err != nil {
					return err
				}
			}
			return nil
		},
	}
}

func newFavouriteLs(c *common) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "ls [data|plan|run]",
		Short:   "List your favourites in the project, the latest first",
		Example: `  weft favourite ls data -o json | jq -r '.[].id'`,
		Args:    cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			kind := ""
			if len(args) == 1 {
				kind = args[0]
			}
			client, err := c.client()
			if err != nil {
				return err
			}
			all, err := client.Favourites(cmd.Context(), kind)
			if err != nil {
				return err
			}
			if c.format == formatJSON {
				return writeJSON(c.Out, all)
			}
			t := table{head: []string{"KIND", "ID", "MARKED", "NOTE"}}
			for _, f := range all {
				n, err := client.Note(cmd.Context(), f.Kind, f.ID)
				if err != nil {
					return fmt.Errorf("note about %s %s: %w", f.Kind, f.ID, err)
				}
				t.add(f.Kind, f.ID, localTime(f.At.Time), firstLine(n.Text))
			}
			return t.print(c.Out, c.style(c.Out), c.width())
		},
	}
	c.formatFlag(cmd, "o", formatTable, formatJSON)
	return cmd
}
