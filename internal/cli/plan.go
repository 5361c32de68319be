package cli

import (
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/weft-dev/weft"
	"github.com/weft-dev/weft/api"
)

func newPlan(env Env) *cobra.Command {
	c := newCommon(env)
	cmd := newGroup(env, "plan", "Register plans and see how they feed each other",
		newPlanApply(c), newPlanFind(c), newPlanShow(c), newPlanActive(c), newPlanResource(c),
		newPlanAnnotate(c), newPlanServiceAccount(c), newPlanGraph(c), newPlanTemplate(c), newPlanWhy(c), newPlanPolicy(c),
		newNote(c, weft.SubjectPlan), newPlanHistory(c), newPlanRm(c))
	c.addTo(cmd)
	return cmd
}

// printPlan prints one plan.
func (c *common) printPlan(p api.PlanDetail) error {
	if c.format == formatJSON {
		return writeJSON(c.Out, p)
	}
	return c.showPlan(c.Out, p)
}

// changePlan makes one change to a plan and prints how it is then.
func (c *common) changePlan(ctx context.Context, id string, change func(*api.Client, string) (api.PlanDetail, error)) error {
	plan, err := onePlan([]string{id})
	if err != nil {
		return err
	}
	client, err := c.client()
	if err != nil {
		return err
	}
	p, err := change(client, plan)
	if err != nil {
		return err
	}
	return c.printPlan(p)
}

// showPlan prints one plan for people.
func (c *common) showPlan(w io.Writer, p api.PlanDetail) error {
	st := c.style(w)
	var f facts
	f.add("plan", st.bold(p.PlanID))
	f.add("name", revisionName(p.PlanSummary))
	f.add("image", printable(p.Image))
	f.add("state", planState(st, p))
	if p.From != "" {
		f.add("from", p.From+": only data that became usable after it was registered")
	}
	if p.Pair != "" {
		f.add("pairs by", printable(p.Pair))
	}
	f.add("entrypoint", words(p.Entrypoint))
	f.add("args", words(p.Args))
	c.addMountpoints(&f, st, p)
	if p.OnNode != nil {
		f.add("may run on", strings.Join(p.OnNode.May, "  "))
		f.add("prefers", strings.Join(p.OnNode.Prefer, "  "))
		f.add("must run on", strings.Join(p.OnNode.Must, "  "))
	}
	for _, name := range slices.Sorted(maps.Keys(p.Resources)) {
		f.add("resource", name+" "+string(p.Resources[name]))
	}
	f.add("service account", p.ServiceAccount)
	policyFacts(&f, p)
	for _, a := range p.Annotations {
		f.add("annotation", printable(a))
	}
	if p.CreatedAt != nil {
		f.add("registered", localTime(p.CreatedAt.Time))
	}
	if p.AllowRuns > 0 {
		f.add("run limit", fmt.Sprint(p.AllowRuns))
	}
	return f.print(w, st)
}

// addMountpoints tells what a plan reads and writes, and with which plans it shares it.
func (c *common) addMountpoints(f *facts, st style, p api.PlanDetail) {
	for _, in := range p.Inputs {
		f.add("input", strings.TrimSpace(c.mountpoint(st, in.Mountpoint)+latestWords(in.Latest)))
		for _, u := range in.Upstreams {
			path := logLabel
			if u.Mountpoint != nil {
				path = printable(u.Mountpoint.Path)
			}
			f.add("input", fmt.Sprintf("  ← %s of plan %s (%s)", path, u.Plan.PlanID, planName(u.Plan)))
		}
	}
	for _, out := range p.Outputs {
		f.add("output", c.mountpoint(st, out.Mountpoint))
		c.addDownstreams(f, "output", out.Downstreams)
	}
	if p.Log != nil {
		f.add("log", strings.TrimSpace("kept  "+c.paintTags(st, userTags(p.Log.Tags))))
		c.addDownstreams(f, "log", p.Log.Downstreams)
	}
}

func (c *common) addDownstreams(f *facts, name string, ds []api.PlanDownstream) {
	for _, d := range ds {
		f.add(name, fmt.Sprintf("  → %s of plan %s (%s)", printable(d.Mountpoint.Path), d.Plan.PlanID, planName(d.Plan)))
	}
}

func (c *common) mountpoint(st style, m api.Mountpoint) string {
	var tags []string
	for _, t := range m.Tags {
		tags = append(tags, t.String())
	}
	return strings.TrimSpace(printable(m.Path) + "  " + c.paintTags(st, tags))
}

func planState(st style, p api.PlanDetail) string {
	switch {
	case p.State != "":
		return st.dim(p.State)
	case p.Blocked != "":
		return st.paint("33", printable(p.Blocked))
	case p.Active:
		return st.paint("32", "active")
	}
	return st.dim("inactive")
}

// words writes a command line so that it can be read back.
func words(ws []string) string {
	quoted := make([]string, len(ws))
	for i, w := range ws {
		quoted[i] = w
		if w == "" || strings.ContainsAny(w, " \t\n\"'\\$`&|;<>*?()[]{}#~!") {
			quoted[i] = "'" + strings.ReplaceAll(w, "'", `'\''`) + "'"
		}
		quoted[i] = printable(quoted[i])
	}
	return strings.Join(quoted, " ")
}
