package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/spf13/cobra"

	"github.com/weft-dev/weft"
	"github.com/weft-dev/weft/api"
)

type runRmOptions struct {
	*common
	cascade, stop, dryRun, yes bool
}

func newRunRm(c *common) *cobra.Command {
	o := runRmOptions{common: c}
	cmd := &cobra.Command{
		Use:   "rm RUN...",
		Short: "Remove runs together with what they made",
		Long: `Remove runs that ended, together with the data they made. These must not be used by another
run, unless --cascade removes all that came from them too. The same combination of inputs is
not run again.

With --cascade it is told, and asked, beforehand what goes and how much room comes free. It is
refused while one of the runs is under way; --stop ends those first, as failed and at once.`,
		Example: `  weft run rm RUN --cascade --dry-run`,
		Args:    cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			ids := make([]weft.RunID, len(args))
			for i := range args {
				var err error
				if ids[i], err = one[weft.Run](args[i:], "run"); err != nil {
					return err
				}
			}
			if (o.dryRun || o.stop) && !o.cascade {
				return usagef(cmd, "--dry-run and --stop go with --cascade")
			}
			return o.do(cmd.Context(), ids)
		},
	}
	cmd.Flags().BoolVar(&o.cascade, "cascade", false, "remove also all runs that use what they made, and so on")
	cmd.Flags().BoolVar(&o.stop, "stop", false, "with --cascade: stop those that are under way")
	cmd.Flags().BoolVar(&o.dryRun, "dry-run", false, "with --cascade: remove nothing; tell what would go")
	confirmFlag(cmd, &o.yes)
	c.formatFlag(cmd, "o", formatTable, formatJSON)
	return cmd
}

func (o *runRmOptions) do(ctx context.Context, ids []weft.RunID) error {
	client, err := o.client()
	if err != nil {
		return err
	}
	for _, id := range ids {
		if o.cascade {
			err = o.all(ctx, client, id.String())
		} else if err = client.DeleteRun(ctx, id.String()); err == nil {
			fmt.Fprintf(o.Err, "run %s is removed\n", id)
		}
		if err != nil {
			return fmt.Errorf("run %s: %w", id, err)
		}
	}
	return nil
}

// all removes a run and all that came from it.
func (o *runRmOptions) all(ctx context.Context, client *api.Client, id string) error {
	would, err := client.RemoveCascade(ctx, id, true)
	for asked := false; err != nil; {
		busy := underWay(err)
		if busy == "" || !o.stop || o.dryRun {
			return err
		}
		if !asked {
			if err := o.confirm(o.yes, "would stop what uses the data of run "+id+", and remove all that came from it."); err != nil {
				return err
			}
			asked, o.yes = true, true
		}
		if err := o.end(ctx, client, busy); err != nil {
			return err
		}
		would, err = client.RemoveCascade(ctx, id, true)
	}
	if o.dryRun {
		return o.print(would)
	}
	if len(would.Runs) > 1 {
		if err := o.confirm(o.yes, removalWords("would remove", would)+"."); err != nil {
			return err
		}
	}
	gone, err := client.RemoveCascade(ctx, id, false)
	if err != nil {
		return err
	}
	fmt.Fprintln(o.Err, removalWords("removed", gone))
	if o.format == formatJSON {
		return writeJSON(o.Out, gone)
	}
	return nil
}

// underWay returns the run that an error says is under way; "" if it says no such thing.
func underWay(err error) string {
	var sent *api.Error
	if errors.As(err, &sent) && sent.Kind == api.KindConflict {
		return sent.See
	}
	return ""
}

// end stops a run and waits until it has ended.
func (o *runRmOptions) end(ctx context.Context, client *api.Client, id string) error {
	_, err := client.StopRun(ctx, id, api.Stop{Fail: true, Now: true})
	var sent *api.Error
	if err != nil && !(errors.As(err, &sent) && sent.Kind == api.KindConflict) { // it has ended meanwhile, or is about to
		return err
	}
	fmt.Fprintf(o.Err, "run %s is stopped\n", id)
	return eachChange(ctx, client, func() (bool, error) {
		r, err := client.Run(ctx, id)
		return err == nil && !slices.Contains([]weft.Status{weft.Ready, weft.Starting, weft.Running, weft.Completing, weft.Aborting}, weft.Status(r.Status)), err
	})
}

func removalWords(did string, r api.Removal) string {
	return fmt.Sprintf("%s %s and %d data: %s, of which %s come free", did, count(int64(len(r.Runs)), "run"), r.Data, byteCount(r.Bytes), byteCount(r.Freed))
}

func (o *runRmOptions) print(r api.Removal) error {
	if o.format == formatJSON {
		return writeJSON(o.Out, r)
	}
	return o.table(o.Out, r)
}

func (o *runRmOptions) table(w io.Writer, r api.Removal) error {
	st := o.style(w)
	t := table{head: []string{"RUN", "STATUS", "CHANGED", "PLAN"}}
	for _, v := range r.Runs {
		t.add(v.RunID, v.Status, localTime(v.UpdatedAt.Time), planName(v.Plan))
	}
	if err := t.print(w, st, o.width()); err != nil {
		return err
	}
	_, err := fmt.Fprintln(w, removalWords("would remove", r))
	return err
}
