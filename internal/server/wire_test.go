package server

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	knitdata "github.com/opst/knitfab-api-types/data"
	knitplans "github.com/opst/knitfab-api-types/plans"
	knitruns "github.com/opst/knitfab-api-types/runs"

	"github.com/weft-dev/weft"
	"github.com/weft-dev/weft/api"
)

func tags(t testing.TB, texts ...string) weft.Tags {
	t.Helper()
	ts, err := weft.ParseTags(texts...)
	if err != nil {
		t.Fatal(err)
	}
	return ts
}

// trainer is a Plan with everything that a Plan can have.
func trainer(t testing.TB) weft.Plan {
	t.Helper()
	p, err := domainPlan(api.PlanSpec{
		Image: "localhost:30503/trainer:v1", Entrypoint: []string{"python", "train.py"}, Args: []string{"--epochs", "3"},
		Inputs:  []api.PlanSpecInput{{Mountpoint: api.Mountpoint{Path: "/in/data/", Tags: []api.Tag{{Key: "type", Value: "dataset"}, {Key: "odd", Value: `"\` + "\n<&>"}}}}},
		Outputs: []api.Mountpoint{{Path: "/out/model", Tags: []api.Tag{{Key: "type", Value: "model"}}}, {Path: "/out/bare"}},
		Log:     &api.LogPoint{Tags: []api.Tag{{Key: "type", Value: "log"}}},
		OnNode:  &api.OnNode{May: []string{"a=b"}, Must: []string{"gpu=yes"}}, Resources: map[string]api.Quantity{"memory": "1024Mi", "cpu": "0.5"},
		ServiceAccount: "sa", Annotations: []string{"who = me"},
	})
	if err != nil {
		t.Fatal(err)
	}
	p.ID, p.CreatedAt = weft.NewID[weft.Plan](), time.Unix(1_800_000_000, 0)
	return p.Normalize()
}

func encode(t testing.TB, v any) string {
	t.Helper()
	var b strings.Builder
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(b.String())
}

// asKnit decodes what we send with the types of knit 1.6.1.
func asKnit[T any](t testing.TB, text string) T {
	t.Helper()
	var v T
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		t.Fatalf("knit cannot read %s: %v", text, err)
	}
	return v
}

func TestKnitReadsPlans(t *testing.T) {
	t.Parallel()
	p, q := trainer(t), trainer(t)
	v := weft.PlanView{
		Plan:        p,
		Upstreams:   []weft.Edge{{From: q.ID, Output: 0, To: p.ID}, {From: q.ID, Output: 2, To: p.ID}},
		Downstreams: []weft.Edge{{From: p.ID, Output: 0, To: q.ID}, {From: p.ID, Output: 2, To: q.ID}},
		Neighbours:  map[weft.PlanID]weft.Plan{q.ID: q},
	}
	text := encode(t, wirePlan(v))
	got := asKnit[knitplans.Detail](t, text)
	switch {
	case got.PlanId != p.ID.String() || got.Image.String() != "localhost:30503/trainer:v1" || !got.Active || got.ServiceAccount != "sa":
		t.Errorf("%+v", got)
	case len(got.Inputs) != 1 || got.Inputs[0].Path != "/in/data" || len(got.Inputs[0].Upstreams) != 2:
		t.Errorf("inputs %+v", got.Inputs)
	case got.Inputs[0].Upstreams[0].Mountpoint == nil || got.Inputs[0].Upstreams[1].Log == nil:
		t.Errorf("upstreams %+v", got.Inputs[0].Upstreams)
	case len(got.Outputs) != 2 || len(got.Outputs[0].Downstreams) != 1 || len(got.Log.Downstreams) != 1:
		t.Errorf("outputs %+v, log %+v", got.Outputs, got.Log)
	case got.Inputs[0].Tags[0].Value != `"\`+"\n<&>":
		t.Errorf("tags %q", got.Inputs[0].Tags)
	}
	cpu, memory := got.Resources["cpu"], got.Resources["memory"]
	if cpu.String() != "500m" || memory.String() != "1Gi" || !strings.Contains(text, `"cpu":"500m"`) {
		t.Errorf("resources %v", got.Resources)
	}
	if got.OnNode == nil || len(got.OnNode.May) != 1 || len(got.OnNode.Must) != 1 || strings.Contains(text, `"prefer"`) {
		t.Errorf("on_node %+v", got.OnNode)
	}
}

func TestBuiltInPlans(t *testing.T) {
	t.Parallel()
	p := weft.Plan{ID: weft.NewID[weft.Plan](), Name: weft.PlanUploaded, Active: true, Outputs: []weft.Output{{Path: "/upload"}}}
	want := `{"planId":"` + p.ID.String() + `","name":"knit#uploaded","inputs":[],"outputs":[{"path":"/upload","tags":[],"downstreams":[]}],"active":true}`
	if got := encode(t, wirePlan(weft.PlanView{Plan: p})); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestKnitReadsRuns(t *testing.T) {
	t.Parallel()
	p := trainer(t)
	at := time.Date(2026, 11, 22, 6, 50, 48, 382_000_000, time.UTC)
	r := weft.NewRun(p, weft.NewID[weft.Run](), weft.Assignment{weft.NewID[weft.Data]()},
		[]weft.DataID{weft.NewID[weft.Data](), weft.NewID[weft.Data](), weft.NewID[weft.Data]()}, weft.Cause{}, at)
	r.Exit = weft.NewExit(255, "(container main) Error")
	text := encode(t, wireRun(weft.RunView{Run: r, Plan: p}))
	got := asKnit[knitruns.Detail](t, text)
	if got.RunId != r.ID.String() || got.Exit.Code != 255 || got.Log.KnitId != r.Log.String() || len(got.Outputs) != 2 ||
		got.Inputs[0].Tags[1].String() != "type:dataset" || !strings.Contains(text, `"updatedAt":"2026-11-22T06:50:48.382+00:00"`) {
		t.Errorf("%s", text)
	}

	r.Outputs[0].Data, r.Outputs[1].Data, r.Log, p.Log = weft.DataID{}, weft.DataID{}, weft.DataID{}, nil
	text = encode(t, wireRun(weft.RunView{Run: r, Plan: p}))
	got = asKnit[knitruns.Detail](t, text)
	if got.Log != nil || got.Outputs[0].KnitId != "" || !strings.Contains(text, `"log":null`) {
		t.Errorf("%s", text)
	}
}

func TestKnitReadsData(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 11, 22, 6, 50, 48, 382_000_000, time.UTC)
	plan := weft.Plan{ID: weft.NewID[weft.Plan](), Name: weft.PlanUploaded, Outputs: []weft.Output{{Path: "/upload"}}}
	run := weft.Run{ID: weft.NewID[weft.Run](), Status: weft.Done, UpdatedAt: at}
	v := weft.DataView{
		Data: weft.Data{ID: weft.NewID[weft.Data](), Tags: tags(t, "type:dataset", "name:d", "project:p1"), Timestamp: at,
			Source: weft.Source{Run: run.ID, Plan: plan.ID, Status: weft.Done, Path: "/upload"}},
		Upstream: weft.RunView{Run: run, Plan: plan},
	}
	id := v.Data.ID.String()
	want := `{"knitId":"` + id + `","tags":["knit#id:` + id + `","knit#timestamp:2026-11-22T06:50:48.382+00:00","name:d","project:p1","type:dataset"],` +
		`"upstream":{"mountpoint":{"path":"/upload","tags":[]},` +
		`"run":{"runId":"` + run.ID.String() + `","status":"done","updatedAt":"2026-11-22T06:50:48.382+00:00","plan":{"planId":"` + plan.ID.String() + `","name":"knit#uploaded"}}},` +
		`"downstreams":[],"nomination":[]}`
	if got := encode(t, wireData(v)); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}

	p := trainer(t)
	v.Data.Source.Log, v.Data.Source.Status, v.Upstream = true, weft.Running, weft.RunView{Run: run, Plan: p}
	v.Downstreams = []weft.Use{{Input: p.Inputs[0], Run: weft.RunView{Run: run, Plan: p}}}
	v.Nominations = []weft.Nomination{{Input: p.Inputs[0], Plan: p}, {Input: p.Inputs[0], Plan: p}}
	got := asKnit[knitdata.Detail](t, encode(t, wireData(v)))
	if got.Upstream.Mountpoint != nil || got.Upstream.Log.Tags[0].String() != "type:log" || len(got.Downstreams) != 1 || len(got.Nomination) != 2 ||
		got.Tags[len(got.Tags)-1].String() != "type:dataset" || got.Tags[2].String() != "knit#transient:processing" {
		t.Errorf("%+v", got)
	}
}

func TestKnitsPlanIsUnderstood(t *testing.T) {
	t.Parallel()
	var spec knitplans.PlanSpec
	if err := spec.Image.Parse("localhost:30503/trainer:v1"); err != nil {
		t.Fatal(err)
	}
	text := encode(t, spec)
	var in api.PlanSpec
	if err := decodeStrict([]byte(text), &in); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	p, err := domainPlan(in)
	if err != nil || !p.Active || p.Inputs != nil || p.Image.Tag != "v1" {
		t.Errorf("%+v %v", p, err)
	}
}

func TestBadPlansAreExplained(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		`{"image":"x"}`: "needs a repository of 2 to 255 characters",
		`{"image":"trainer@sha256:0000000000000000000000000000000000000000000000000000000000000000"}`: "digest",
		`{}`: "the plan has no image",
		`{"image":"trainer:v1","resources":{"cpu":"much"}}`:                    "not a quantity",
		`{"image":"trainer:v1","inputs":[{"path":"/in","tags":["no colon"]}]}`: "has no colon",
		`{"image":"trainer:v1","annotations":["none"]}`:                        "has no =",
		`{"image":"trainer:v1","on_node":{"must":["none"]}}`:                   "has no =",
		`{"image":"trainer:v1","logs":{"tags":[]}}`:                            "the field \"logs\" is unknown\nthere are annotations, image, entrypoint",
		`{"image":"trainer:v1","inputs":"all"}`:                                "the field inputs cannot be string",
		`{"image":`:                                                            "it ends too early",
		`{"image":"trainer:v1"} {}`:                                            "something after the JSON",
		`nonsense`:                                                             "the body is not JSON",
	} {
		var spec api.PlanSpec
		err := decodeStrict([]byte(in), &spec)
		if err == nil {
			_, err = domainPlan(spec)
		}
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", in, err)
		}
	}
}

func FuzzPlanSpec(f *testing.F) {
	f.Add(`{"image":"trainer:v1","inputs":[{"path":"/in","tags":["a:b",{"key":"k","value":"v"}]}],"log":{"tags":null},"resources":{"cpu":1}}`)
	f.Add(`{"image":"x","on_node":{"may":["a=b"]},"annotations":["a=b"],"active":null}`)
	f.Fuzz(func(t *testing.T, text string) {
		var spec api.PlanSpec
		if decodeStrict([]byte(text), &spec) != nil {
			return
		}
		p, err := domainPlan(spec)
		if err == nil {
			err = p.Normalize().Validate()
		}
		if err != nil {
			if weft.KindOf(err) != weft.Invalid {
				t.Errorf("%s: %v is not the client's fault", text, err)
			}
			return
		}
		asKnit[knitplans.Detail](t, encode(t, wirePlan(weft.PlanView{Plan: p.Normalize()})))
	})
}
