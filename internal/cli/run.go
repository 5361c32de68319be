package cli

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/weft-dev/weft"
	"github.com/weft-dev/weft/api"
)

func newRun(env Env) *cobra.Command {
	c := newCommon(env)
	cmd := newGroup(env, "run", "Follow, stop, retry and remove runs",
		newRunFind(c), newRunShow(c), newRunLog(c), newRunStop(c), newRunRetry(c), newRunCopy(c), newRunRm(c), newRunWait(c), newNote(c, weft.SubjectRun))
	c.addTo(cmd)
	return cmd
}

// printRun prints one run.
func (c *common) printRun(r api.RunDetail) error {
	if c.format == formatJSON {
		return writeJSON(c.Out, r)
	}
	return c.showRun(c.Out, r)
}

// showRun prints one run for people.
func (c *common) showRun(w io.Writer, r api.RunDetail) error {
	st := c.style(w)
	status := weft.Status(r.Status)
	var f facts
	f.add("run", st.bold(r.RunID))
	f.add("status", st.status(status, statusWords(r.RunSummary)))
	f.add("because", printable(r.Reason))
	f.add("plan", fmt.Sprintf("%s (%s)", r.Plan.PlanID, planName(r.Plan)))
	f.add("image", r.ImageDigest)
	for _, in := range r.Inputs {
		f.add("input", strings.TrimRight(fmt.Sprintf("%s  ← %s  %s", printable(in.Path), in.KnitID, c.paintTags(st, userTags(in.Tags))), " "))
	}
	for _, out := range r.Outputs {
		f.add("output", strings.TrimRight(fmt.Sprintf("%s  → %s  %s", printable(out.Path), discarded(out.KnitID), c.paintTags(st, userTags(out.Tags))), " "))
	}
	if r.Log != nil {
		f.add("log", discarded(r.Log.KnitID))
	}
	if r.Attempt > 1 {
		f.add("attempt", fmt.Sprint(r.Attempt))
	}
	if r.CreatedAt != nil {
		f.add("made", localTime(r.CreatedAt.Time))
	}
	if r.StartedAt != nil {
		f.add("started", localTime(r.StartedAt.Time))
	}
	if r.EndedAt != nil {
		f.add("ended", localTime(r.EndedAt.Time)+ranFor(r))
	}
	f.add("changed", localTime(r.UpdatedAt.Time))
	recordFacts(&f, r.Record)
	return f.print(w, st)
}

func discarded(id string) string {
	if id == "" {
		return "discarded"
	}
	return id
}

func ranFor(r api.RunDetail) string {
	if r.StartedAt == nil || r.EndedAt == nil {
		return ""
	}
	return ", after " + took(r.EndedAt.Sub(r.StartedAt.Time))
}
