package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/weft-dev/weft"
	"github.com/weft-dev/weft/api"
)

type runWaitOptions struct {
	*common
	plans   []string
	data    []string
	atLeast int
	timeout time.Duration
}

func newRunWait(c *common) *cobra.Command {
	o := runWaitOptions{common: c}
	cmd := &cobra.Command{
		Use:   "wait [RUN...]",
		Short: "Wait until runs have ended",
		Long: `Wait until runs have ended, and list them. The exit code is 11 if one of them failed, and 12
if --timeout was over first.

--plan waits for all runs of a plan, and for the first one if there is none yet. --data waits
for everything that comes from a data: the runs that use it, those that use what they
make, and so on, until nothing is left that could run. Runs of inactive plans are not waited for.`,
		Example: `  weft run wait RUN --timeout 10m
  weft run wait --data "$(weft data push train/ --tag type:dataset | jq -r .knitId)"`,
		RunE: func(cmd *cobra.Command, args []string) error {
			w, err := o.parse(args)
			if err != nil {
				return usageError{cmd, err}
			}
			return o.do(cmd.Context(), w)
		},
	}
	cmd.Flags().StringSliceVarP(&o.plans, "plan", "p", nil, "`id` of a plan whose runs are waited for; repeat for several")
	cmd.Flags().StringSliceVarP(&o.data, "data", "d", nil, "`id` of a data of which everything is waited for; repeat for several")
	cmd.Flags().IntVar(&o.atLeast, "at-least", 1, "with --plan: wait until there are at least so `many` runs")
	cmd.Flags().DurationVar(&o.timeout, "timeout", 0, "give up after that `long`, like 10m (default: never)")
	c.formatFlag(cmd, "o", formatTable, formatJSON)
	return cmd
}

// A waiting is what is waited for.
type waiting struct {
	runs, plans, data []string
	atLeast           int
}

func (o *runWaitOptions) parse(args []string) (waiting, error) {
	w := waiting{runs: args, plans: o.plans, data: o.data, atLeast: o.atLeast}
	switch {
	case len(args)+len(o.plans)+len(o.data) == 0:
		return w, fmt.Errorf("say what to wait for: runs, --plan or --data")
	case o.timeout < 0:
		return w, fmt.Errorf("--timeout %s is negative", o.timeout)
	}
	return w, nil
}

func (o *runWaitOptions) do(ctx context.Context, w waiting) error {
	client, err := o.client()
	if err != nil {
		return err
	}
	if o.timeout > 0 {
		var stop context.CancelFunc
		ctx, stop = context.WithTimeoutCause(ctx, o.timeout, errTimeUp)
		defer stop()
	}
	var runs []api.RunDetail
	line := o.statusLine()
	err = eachChange(ctx, client, func() (bool, error) {
		seen, open, err := w.look(ctx, client)
		runs = seen
		line.show(waitWords(seen))
		return err == nil && !open, err
	})
	line.end()
	if errors.Is(context.Cause(ctx), errTimeUp) {
		return exitError{exitTimeout, weft.Errorf(weft.Unavailable, "the runs had not ended after %s", o.timeout)}
	}
	if err != nil {
		return err
	}
	return o.result(runs)
}

var errTimeUp = errors.New("the time is up")

// result lists the runs and tells by the error whether one failed.
func (o *runWaitOptions) result(runs []api.RunDetail) error {
	failed := 0
	for _, r := range runs {
		if r.Status == string(weft.Failed) {
			failed++
		}
	}
	find := runFindOptions{common: o.common}
	list := func(yield func(api.RunDetail, error) bool) {
		for _, r := range runs {
			if !yield(r, nil) {
				return
			}
		}
	}
	if err := find.print(list); err != nil {
		return err
	}
	if failed > 0 {
		return exitError{exitRunFailed, fmt.Errorf("%d of %s failed", failed, count(int64(len(runs)), "run"))}
	}
	return nil
}

// eachChange calls look once the server's event stream stands, and again whenever
// something has changed since it began, until it is satisfied or fails.
func eachChange(ctx context.Context, client *api.Client, look func() (bool, error)) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	changed, ended := make(chan struct{}, 1), make(chan error, 1)
	go func() {
		for _, err := range client.Events(ctx, api.EventQuery{}) {
			if err != nil {
				ended <- err
				return
			}
			select {
			case changed <- struct{}{}:
			default: // look has not begun since; it will see this too
			}
		}
		ended <- nil
	}()
	for {
		select {
		case <-changed:
			if done, err := look(); done || err != nil {
				return err
			}
		case err := <-ended:
			return err
		}
	}
}

// look returns the runs that are waited for, and whether some are still to come.
func (w waiting) look(ctx context.Context, client *api.Client) (runs []api.RunDetail, open bool, err error) {
	for _, id := range w.runs {
		r, err := client.Run(ctx, id)
		if err != nil {
			return nil, false, fmt.Errorf("run %s: %w", id, err)
		}
		runs, open = append(runs, r), open || !weft.Status(r.Status).Ended()
	}
	for _, id := range w.plans {
		if _, err := client.Plan(ctx, id); err != nil { // an unknown plan would be waited for without end
			return nil, false, fmt.Errorf("plan %s: %w", id, err)
		}
		n := 0
		for r, err := range client.FindRuns(ctx, api.RunQuery{Plans: []string{id}}) {
			if err != nil {
				return nil, false, err
			}
			runs, open = append(runs, r), open || pending(r)
			n++
		}
		open = open || n < w.atLeast
	}
	for _, id := range w.data {
		below, more, err := w.lookBelow(ctx, client, id)
		if err != nil {
			return nil, false, fmt.Errorf("data %s: %w", id, err)
		}
		runs, open = append(runs, below...), open || more
	}
	slices.SortStableFunc(runs, func(a, b api.RunDetail) int { return strings.Compare(a.RunID, b.RunID) })
	return slices.CompactFunc(runs, func(a, b api.RunDetail) bool { return a.RunID == b.RunID }), open, nil
}

// lookBelow looks at everything that comes from a data. Runs that the server has yet
// to make are found by asking what its tags, unchanged, would lead to. One that is made
// just after the first look and before that question is seen by the second look.
func (w waiting) lookBelow(ctx context.Context, client *api.Client, id string) (runs []api.RunDetail, open bool, err error) {
	runs, below, open, err := runsBelow(ctx, client, id)
	if err != nil || open {
		return runs, open, err
	}
	for d := range below {
		would, err := client.WouldTagData(ctx, d, api.TagChange{})
		if err != nil {
			return nil, false, err
		}
		for _, p := range would.Plans {
			open = open || p.Total > 0 && p.Blocked == ""
		}
	}
	if open {
		return runs, true, nil
	}
	again, _, open, err := runsBelow(ctx, client, id)
	return again, open || len(again) > len(runs), err
}

// runsBelow returns the runs and the data that come from a data, itself included, and
// whether one of the runs has not ended.
func runsBelow(ctx context.Context, client *api.Client, id string) (runs []api.RunDetail, below map[string]bool, open bool, err error) {
	history, err := client.Lineage(ctx, id, api.LineageQuery{Downstream: true})
	if err != nil {
		return nil, nil, false, err
	}
	below = map[string]bool{id: true}
	for again := true; again; { // runs come in no promised order
		again = false
		for _, r := range history.Runs {
			uses := slices.ContainsFunc(r.Inputs, func(in api.Assignment) bool { return below[in.KnitID] })
			if !uses || slices.ContainsFunc(runs, func(s api.RunDetail) bool { return s.RunID == r.RunID }) {
				continue
			}
			runs, open, again = append(runs, r), open || pending(r), true
			for _, out := range outputsOf(r) {
				below[out] = true
			}
		}
	}
	return runs, below, open, nil
}

// pending reports whether a run will go on by itself.
func pending(r api.RunDetail) bool {
	s := weft.Status(r.Status)
	return !s.Ended() && s != weft.Deactivated
}

func outputsOf(r api.RunDetail) []string {
	var ids []string
	for _, o := range r.Outputs {
		if o.KnitID != "" {
			ids = append(ids, o.KnitID)
		}
	}
	if r.Log != nil && r.Log.KnitID != "" {
		ids = append(ids, r.Log.KnitID)
	}
	return ids
}

// waitForLog waits until a run has something to say, and tells what it waits for.
func (c *common) waitForLog(ctx context.Context, client *api.Client, id string) error {
	said := ""
	return eachChange(ctx, client, func() (bool, error) {
		r, err := client.Run(ctx, id)
		if err != nil {
			return false, err
		}
		switch weft.Status(r.Status) {
		case weft.Waiting, weft.Deactivated, weft.Ready, weft.Starting:
			words := r.Status
			if r.Reason != "" {
				words += ": " + printable(r.Reason)
			}
			if words != said {
				fmt.Fprintf(c.Err, "the run is %s\n", words)
				said = words
			}
			return false, nil
		}
		return true, nil
	})
}
