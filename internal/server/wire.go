package server

import (
	"encoding/json"
	"fmt"
	"slices"
	"time"
	"unicode/utf8"

	"github.com/weft-dev/weft"
	"github.com/weft-dev/weft/api"
)

// This file is the whole translation between the domain and the wire.

func wireTags(ts weft.Tags) []api.Tag {
	out := make([]api.Tag, len(ts))
	for i, t := range ts {
		out[i] = api.Tag{Key: t.Key(), Value: t.Value()}
	}
	return out
}

func wireTime(t time.Time) api.Time { return api.Time{Time: t.UTC()} }

// wireMoment is a time that may not be known.
func wireMoment(t time.Time) *api.Time {
	if t.IsZero() {
		return nil
	}
	w := wireTime(t)
	return &w
}

func wireQuantities(rs weft.Resources) map[string]api.Quantity {
	out := make(map[string]api.Quantity, len(rs))
	for name, q := range rs {
		out[name] = api.Quantity(q.String())
	}
	return out
}

func wireStrings[T fmt.Stringer](items []T) []string {
	var out []string // nil, and so left out, when there are none
	for _, item := range items {
		out = append(out, item.String())
	}
	return out
}

// Plans

func wirePlanSummary(p weft.Plan) api.PlanSummary {
	s := api.PlanSummary{
		PlanID: p.ID.String(), Entrypoint: p.Entrypoint, Args: p.Args, Name: p.Name, Revision: p.Revision,
		Annotations: wireStrings(p.Annotations),
	}
	if !p.Image.IsZero() {
		s.Image = p.Image.String()
	}
	if p.ID.IsZero() {
		s.PlanID = ""
	}
	return s
}

func wireMountpoint(path string, tags weft.Tags) api.Mountpoint {
	return api.Mountpoint{Path: path, Tags: wireTags(tags)}
}

func wirePlan(v weft.PlanView) api.PlanDetail {
	p := v.Plan
	d := api.PlanDetail{
		PlanSummary: wirePlanSummary(p), Active: p.Active, ServiceAccount: p.ServiceAccount,
		Inputs: make([]api.PlanInput, len(p.Inputs)), Outputs: make([]api.PlanOutput, len(p.Outputs)),
		Resources: wireQuantities(p.Resources), CreatedAt: wireMoment(p.CreatedAt),
		AllowRuns: p.AllowRuns, PendingRuns: p.PendingRuns, Pair: p.Pair,
	}
	if p.FromNow {
		d.From = api.FromNow
	}
	if !p.Live() {
		d.State = p.State.String()
	}
	for i, in := range p.Inputs {
		d.Inputs[i] = api.PlanInput{Mountpoint: wireMountpoint(in.Path, in.Tags), Latest: wireLatest(in.Latest), Upstreams: []api.PlanUpstream{}}
	}
	for i, out := range p.Outputs {
		d.Outputs[i] = api.PlanOutput{Mountpoint: wireMountpoint(out.Path, out.Tags), Downstreams: []api.PlanDownstream{}}
	}
	if p.Log != nil {
		d.Log = &api.PlanLog{LogPoint: api.LogPoint{Tags: wireTags(p.Log.Tags)}, Downstreams: []api.PlanDownstream{}}
	}
	if !p.OnNode.IsZero() {
		d.OnNode = &api.OnNode{May: wireStrings(p.OnNode.May), Prefer: wireStrings(p.OnNode.Prefer), Must: wireStrings(p.OnNode.Must)}
	}
	wirePolicy(p, &d)
	wirePlanEdges(v, &d)
	return d
}

func wirePlanEdges(v weft.PlanView, d *api.PlanDetail) {
	for _, e := range v.Upstreams {
		from := v.Neighbours[e.From]
		up := api.PlanUpstream{Plan: wirePlanSummary(from)}
		if e.Output < len(from.Outputs) {
			m := wireMountpoint(from.Outputs[e.Output].Path, from.Outputs[e.Output].Tags)
			up.Mountpoint = &m
		} else {
			up.Log = &api.LogPoint{Tags: wireTags(from.Log.Tags)}
		}
		d.Inputs[e.Input].Upstreams = append(d.Inputs[e.Input].Upstreams, up)
	}
	for _, e := range v.Downstreams {
		to := v.Neighbours[e.To]
		down := api.PlanDownstream{Plan: wirePlanSummary(to), Mountpoint: wireMountpoint(to.Inputs[e.Input].Path, to.Inputs[e.Input].Tags)}
		if e.Output < len(d.Outputs) {
			d.Outputs[e.Output].Downstreams = append(d.Outputs[e.Output].Downstreams, down)
		} else {
			d.Log.Downstreams = append(d.Log.Downstreams, down)
		}
	}
}

// domainPlan reads a plan to be registered, in the order in which Knitfab finds fault.
func domainPlan(spec api.PlanSpec) (weft.Plan, error) {
	p := weft.Plan{
		Entrypoint: spec.Entrypoint, Args: spec.Args, ServiceAccount: spec.ServiceAccount,
		Active: spec.Active == nil || *spec.Active, AllowRuns: spec.AllowRuns, Name: spec.Name, Pair: spec.Pair, FromNow: spec.From == api.FromNow,
	}
	var err error
	if err := checkChoice(spec); err != nil {
		return p, err
	}
	if spec.Image == "" {
		return p, weft.Errorf(weft.Invalid, "the plan has no image").WithAdvice("set image: repository:tag")
	}
	if p.Image, err = weft.ParseImage(spec.Image); err != nil {
		return p, err
	}
	if p.Resources, err = domainResources(spec.Resources); err != nil {
		return p, err
	}
	for _, m := range spec.Inputs {
		tags, err := domainTags(m.Tags)
		if err != nil {
			return p, err
		}
		p.Inputs = append(p.Inputs, weft.Input{Path: m.Path, Tags: tags, Latest: domainLatest(m.Latest)})
	}
	for _, m := range spec.Outputs {
		tags, err := domainTags(m.Tags)
		if err != nil {
			return p, err
		}
		p.Outputs = append(p.Outputs, weft.Output{Path: m.Path, Tags: tags})
	}
	if spec.Log != nil {
		tags, err := domainTags(spec.Log.Tags)
		if err != nil {
			return p, err
		}
		p.Log = &weft.Log{Tags: tags}
	}
	if p.Annotations, err = domainAnnotations(spec.Annotations); err != nil {
		return p, err
	}
	if spec.AllowRuns < 0 {
		return p, weft.Errorf(weft.Invalid, "allow_runs is negative")
	}
	if err := domainPolicy(spec, &p); err != nil {
		return p, err
	}
	p.OnNode, err = domainOnNode(spec.OnNode)
	return p, err
}

func domainResources(in map[string]api.Quantity) (weft.Resources, error) {
	texts := make(map[string]string, len(in))
	for name, q := range in {
		texts[name] = string(q)
	}
	return weft.ParseResources(texts)
}

func domainTags(in []api.Tag) (weft.Tags, error) {
	tags := make([]weft.Tag, len(in))
	for i, t := range in {
		var err error
		if tags[i], err = weft.NewTag(t.Key, t.Value); err != nil {
			return nil, err
		}
	}
	return weft.NewTags(tags...), nil
}

func domainTagChange(in api.TagChange) (weft.TagChange, error) {
	add, err := domainTags(in.Add)
	if err != nil {
		return weft.TagChange{}, err
	}
	remove, err := domainTags(in.Remove)
	if err != nil {
		return weft.TagChange{}, err
	}
	c := weft.TagChange{Add: add, Remove: remove, RemoveKey: in.RemoveKey}
	return c, c.Validate()
}

func domainAnnotations(in []string) (weft.Annotations, error) {
	as := make([]weft.Annotation, len(in))
	for i, text := range in {
		var err error
		if as[i], err = weft.ParseAnnotation(text); err != nil {
			return nil, err
		}
	}
	return weft.NewAnnotations(as...), nil
}

func domainAnnotationChange(in api.AnnotationChange) (weft.AnnotationChange, error) {
	add, err := domainAnnotations(in.Add)
	if err != nil {
		return weft.AnnotationChange{}, err
	}
	remove, err := domainAnnotations(in.Remove)
	return weft.AnnotationChange{Add: add, Remove: remove, RemoveKey: in.RemoveKey}, err
}

func domainOnNode(in *api.OnNode) (weft.OnNode, error) {
	var out weft.OnNode
	if in == nil {
		return out, nil
	}
	for _, mode := range []struct {
		texts []string
		to    *[]weft.Label
	}{{in.May, &out.May}, {in.Prefer, &out.Prefer}, {in.Must, &out.Must}} {
		for _, text := range mode.texts {
			l, err := weft.ParseLabel(text)
			if err != nil {
				return out, err
			}
			*mode.to = append(*mode.to, l)
		}
	}
	return out, nil
}

// Runs

func wireRunSummary(v weft.RunView) api.RunSummary {
	s := api.RunSummary{
		RunID: wireRunID(v.Run.ID), Status: string(v.Run.Status), UpdatedAt: wireTime(v.Run.UpdatedAt),
		Plan: wirePlanSummary(v.Plan), Reason: v.Run.Reason,
	}
	if v.Run.Exit != nil {
		s.Exit = &api.Exit{Code: v.Run.Exit.Code, Message: v.Run.Exit.Message}
	}
	return s
}

func wireRun(v weft.RunView) api.RunDetail {
	r := v.Run
	d := api.RunDetail{
		RunSummary: wireRunSummary(v),
		Inputs:     make([]api.Assignment, len(r.Inputs)), Outputs: make([]api.Assignment, len(r.Outputs)),
		CreatedAt: wireMoment(r.CreatedAt), StartedAt: wireMoment(r.StartedAt), EndedAt: wireMoment(r.EndedAt),
		Attempt: r.Attempt, Cause: r.Cause.Kind,
	}
	if !r.Image.IsZero() {
		d.ImageDigest = r.Image.String()
	}
	for i, in := range r.Inputs {
		d.Inputs[i] = api.Assignment{Mountpoint: wireMountpoint(in.Path, v.Plan.Inputs[i].Tags), KnitID: wireDataID(in.Data)}
	}
	for i, out := range r.Outputs {
		d.Outputs[i] = api.Assignment{Mountpoint: wireMountpoint(out.Path, v.Plan.Outputs[i].Tags), KnitID: wireDataID(out.Data)}
	}
	if v.Plan.Log != nil {
		d.Log = &api.RunLog{LogPoint: api.LogPoint{Tags: wireTags(v.Plan.Log.Tags)}, KnitID: wireDataID(r.Log)}
	}
	return d
}

// wireRunID writes "" for a Run that is not to be seen.
func wireRunID(id weft.RunID) string {
	if id.IsZero() {
		return ""
	}
	return id.String()
}

// wireDataID writes "" for a Data that was discarded.
func wireDataID(id weft.DataID) string {
	if id.IsZero() {
		return ""
	}
	return id.String()
}

// Data

func wireData(v weft.DataView) api.DataDetail {
	d := api.DataDetail{
		KnitID: v.Data.ID.String(), Tags: wireTags(v.Data.AllTags()), Upstream: wireSource(v),
		Downstreams: make([]api.DataUse, len(v.Downstreams)), Nomination: make([]api.DataNominee, len(v.Nominations)),
		Files: v.Data.Files, Bytes: v.Data.Bytes, Purged: wireMoment(v.Data.Purged),
	}
	if !v.Data.Tree.IsZero() {
		d.Digest = v.Data.Tree.String()
	}
	if v.Origin != nil {
		d.Origin = wireOrigin(*v.Origin)
	}
	if v.From != nil {
		d.SharedBy = v.From.Name
	}
	for _, p := range v.To {
		d.SharedWith = append(d.SharedWith, p.Name)
	}
	for i, use := range v.Downstreams {
		d.Downstreams[i] = api.DataUse{Mountpoint: wireMountpoint(use.Input.Path, use.Input.Tags), Run: wireRunSummary(use.Run)}
	}
	for i, n := range v.Nominations {
		d.Nomination[i] = api.DataNominee{Mountpoint: wireMountpoint(n.Input.Path, n.Input.Tags), Plan: wirePlanSummary(n.Plan)}
	}
	return d
}

func wireSource(v weft.DataView) api.DataSource {
	src := api.DataSource{Run: wireRunSummary(v.Upstream)}
	plan := v.Upstream.Plan
	if v.Data.Source.Log {
		src.Log = &api.LogPoint{Tags: []api.Tag{}}
		if plan.Log != nil {
			src.Log.Tags = wireTags(plan.Log.Tags)
		}
		return src
	}
	m := wireMountpoint(v.Data.Source.Path, nil)
	if i := slices.IndexFunc(plan.Outputs, func(o weft.Output) bool { return o.Path == v.Data.Source.Path }); i >= 0 {
		m.Tags = wireTags(plan.Outputs[i].Tags)
	}
	src.Mountpoint = &m
	return src
}

func wireFile(e weft.Entry) api.File {
	f := api.File{Path: e.Path, Kind: "file", Mode: fmt.Sprintf("%04o", e.Mode), Size: e.Size}
	switch e.Kind {
	case weft.File:
		f.Digest = e.Digest.String()
	case weft.Folder:
		f.Kind = "directory"
	case weft.Symlink:
		f.Kind, f.Mode, f.Target = "link", "", e.Target
	}
	if !utf8.ValidString(e.Path) {
		f.RawPath = []byte(e.Path)
	}
	return f
}

func domainBlobs(in []api.BlobRef) ([]weft.Blob, error) {
	blobs := make([]weft.Blob, len(in))
	for i, b := range in {
		d, err := weft.ParseDigest(b.Digest)
		if err != nil {
			return nil, err
		}
		if b.Size < 0 {
			return nil, weft.Errorf(weft.Invalid, "content %s has a negative size", d)
		}
		blobs[i] = weft.Blob{Digest: d, Size: b.Size}
	}
	return blobs, nil
}

// Dry runs

func wireDryRun(plans []weft.PlanRuns, limit int64) api.DryRun {
	d := api.DryRun{Plans: make([]api.PlanRuns, len(plans))}
	for i, pr := range plans {
		d.Plans[i] = api.PlanRuns{Plan: wirePlanSummary(pr.Plan), Total: pr.Total, Blocked: blocked(pr.Plan, pr.Total, limit), Runs: wireAssignments(pr)}
		d.Total += pr.Total
	}
	return d
}

func wireAssignments(pr weft.PlanRuns) [][]api.Assignment {
	runs := make([][]api.Assignment, len(pr.First))
	for i, a := range pr.First {
		runs[i] = make([]api.Assignment, len(a))
		for j, id := range a {
			runs[i][j] = api.Assignment{Mountpoint: wireMountpoint(pr.Plan.Inputs[j].Path, pr.Plan.Inputs[j].Tags), KnitID: wireDataID(id)}
		}
	}
	return runs
}

// blocked says in words why a plan that would make that many runs makes none; "" when
// nothing keeps it from making them.
func blocked(p weft.Plan, pending, limit int64) string {
	if p.AllowRuns > 0 {
		limit = p.AllowRuns
	}
	if pending <= limit {
		return ""
	}
	return fmt.Sprintf("would make %d runs, more than the limit of %d; allow them with allow_runs, or choose narrower tags", pending, limit)
}

// Events

func wireEvent(e weft.Event) api.Event {
	w := api.Event{Cursor: wireCursor(e.Cursor), At: wireTime(e.At), Kind: string(e.Kind), From: string(e.From), To: string(e.To)}
	if !e.Run.IsZero() {
		w.RunID = e.Run.String()
	}
	if !e.Plan.IsZero() {
		w.PlanID = e.Plan.String()
	}
	w.KnitID = wireDataID(e.Data)
	if !e.By.IsZero() {
		w.By = e.By.String()
	}
	return w
}

func wireCursor(c weft.Cursor) string { return fmt.Sprintf("%d.%d", c.Xid, c.Seq) }

func domainCursor(text string) (weft.Cursor, error) {
	var c weft.Cursor
	if n, err := fmt.Sscanf(text, "%d.%d", &c.Xid, &c.Seq); n != 2 || err != nil || wireCursor(c) != text {
		return c, weft.Errorf(weft.Invalid, "%q is not a position in the sequence of events", text).
			WithAdvice("send the cursor of the last event that you saw, or nothing")
	}
	return c, nil
}

// quoted is text as a JSON string.
func quoted(text string) string {
	b, _ := json.Marshal(text) // a string never fails
	return string(b)
}
