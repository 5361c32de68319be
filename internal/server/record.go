package server

import (
	"github.com/weft-dev/weft"
	"github.com/weft-dev/weft/api"
)

// showRun is wireRun with what is told of a single run only.
func showRun(v weft.RunView) api.RunDetail {
	d := wireRun(v)
	if v.Plan.Image.IsZero() { // an upload or import: nothing was run
		d.Record = &api.RunRecord{CausedBy: wireCause(v.Run.Cause, v.By)}
		return d
	}
	r := v.Run
	d.Record = &api.RunRecord{
		Why: string(r.End), Node: r.Node, Retries: r.Retries, StopBy: wireMoment(r.StopBy), CausedBy: wireCause(r.Cause, v.By),
	}
	if r.Resources != nil {
		d.Record.Resources = wireQuantities(r.Resources)
	}
	for _, e := range v.Plan.Env {
		d.Record.Env = append(d.Record.Env, e.Name)
	}
	for _, p := range v.Past {
		d.Record.Attempts = append(d.Record.Attempts, wirePast(v.Plan, p))
	}
	return d
}

func wireCause(c weft.Cause, name string) *api.RunCause {
	w := &api.RunCause{Kind: c.Kind, User: name}
	if !c.By.IsZero() {
		w.UserID = c.By.String()
	}
	if !c.Data.IsZero() {
		w.KnitID = c.Data.String()
	}
	if !c.Plan.IsZero() {
		w.PlanID = c.Plan.String()
	}
	return w
}

func wirePast(plan weft.Plan, p weft.Past) api.RunAttempt {
	a := api.RunAttempt{
		Number: p.Number, Status: string(p.Status), Why: string(p.End), StartedAt: wireMoment(p.StartedAt), EndedAt: wireMoment(p.EndedAt),
		Node: p.Node, CausedBy: wireCause(p.Cause, ""), Outputs: []api.Assignment{}, HasLog: !p.LogTree.IsZero(),
	}
	if p.Exit != nil {
		a.Exit = &api.Exit{Code: p.Exit.Code, Message: p.Exit.Message}
	}
	if !p.Image.IsZero() {
		a.ImageDigest = p.Image.String()
	}
	if p.Resources != nil {
		a.Resources = wireQuantities(p.Resources)
	}
	for i, o := range p.Outputs {
		var tags weft.Tags
		if i < len(plan.Outputs) {
			tags = plan.Outputs[i].Tags
		}
		a.Outputs = append(a.Outputs, api.Assignment{Mountpoint: wireMountpoint(o.Path, tags), KnitID: wireDataID(o.Data)})
	}
	a.Log = wireDataID(p.Log)
	return a
}
