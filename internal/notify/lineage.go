package notify

import (
	"context"
	"strconv"
	"time"

	"github.com/google/uuid"

	"github.com/weft-dev/weft"
)

// A Lineage is a receiver of OpenLineage RunEvents (specification 2-0-2).
type Lineage struct {
	Hook
	Namespace string // of jobs and datasets; the project's name is added
}

// The identifiers of OpenLineage's own schemas.
const (
	olProducer = "https://github.com/weft-dev/weft"
	olSpec     = "https://openlineage.io/spec/2-0-2/OpenLineage.json#/$defs/"
	olFacets   = "https://openlineage.io/spec/facets/"
)

type (
	olEvent struct {
		EventType string      `json:"eventType"`
		EventTime string      `json:"eventTime"`
		Run       olRun       `json:"run"`
		Job       olJob       `json:"job"`
		Inputs    []olDataset `json:"inputs"`
		Outputs   []olDataset `json:"outputs"`
		Producer  string      `json:"producer"`
		SchemaURL string      `json:"schemaURL"`
	}
	olRun struct {
		RunID  string         `json:"runId"`
		Facets map[string]any `json:"facets"`
	}
	olJob struct {
		Namespace string         `json:"namespace"`
		Name      string         `json:"name"`
		Facets    map[string]any `json:"facets,omitempty"`
	}
	olDataset struct {
		Namespace string         `json:"namespace"`
		Name      string         `json:"name"`
		Facets    map[string]any `json:"facets"`
	}
)

// facet makes one of OpenLineage's facets: its fields, and what every facet has.
func facet(schema string, fields map[string]any) map[string]any {
	fields["_producer"], fields["_schemaURL"] = olProducer, schema
	return fields
}

// olType says which RunEvent a change of status is; "" is none.
func olType(r weft.Run, to weft.Status) string {
	switch to {
	case weft.Starting:
		return "START"
	case weft.Running:
		return "RUNNING"
	case weft.Done:
		return "COMPLETE"
	case weft.Failed:
		if r.End == weft.EndAborted {
			return "ABORT"
		}
		return "FAIL"
	}
	return ""
}

// olRunID is the Run's own id for its first attempt, and one made of the id and the number
// for each later one: in OpenLineage, what has failed is not started again.
func olRunID(a weft.Attempt) string {
	if a.Number <= 1 {
		return a.Run.String()
	}
	return uuid.NewSHA1(uuid.UUID(a.Run), []byte("attempt "+strconv.FormatInt(a.Number, 10))).String()
}

// lineageParcel makes what a receiver of lineage is sent of an event.
func (a *After) lineageParcel(ctx context.Context, l Lineage, e weft.Event) (*parcel, error) {
	if !isMove(e) || olType(weft.Run{}, e.To) == "" || !l.wants(ctx, a.views, e.Project, e.Plan, e.To) {
		return nil, nil
	}
	v, err := a.then(ctx, e)
	if err != nil {
		return nil, err
	}
	project, err := a.views.ProjectName(ctx, e.Project)
	if weft.KindOf(err) == weft.NotFound {
		return nil, nil // it is gone, and nobody can be told where
	}
	if err != nil {
		return nil, err
	}
	trees, err := a.views.Trees(ctx, dataOf(v.Run))
	if err != nil {
		return nil, err
	}
	body, err := marshal(l.event(v, e, l.Namespace+"/"+project, trees))
	if err != nil {
		return nil, err
	}
	return &parcel{id: eventID("openlineage", l.Name, e.Cursor), body: body}, nil
}

// dataOf lists the Data of a Run.
func dataOf(r weft.Run) []weft.DataID {
	ids := r.OutputIDs()
	for _, in := range r.Inputs {
		ids = append(ids, in.Data)
	}
	return ids
}

// event is pure.
func (l Lineage) event(v weft.RunView, e weft.Event, namespace string, trees map[weft.DataID]weft.Digest) olEvent {
	r := v.Run
	ev := olEvent{
		EventType: olType(r, e.To), EventTime: olTime(e.At), Producer: olProducer, SchemaURL: olSpec + "RunEvent",
		Run: olRun{RunID: olRunID(r.Current()), Facets: map[string]any{}},
		Job: olJob{Namespace: namespace, Name: jobName(v.Plan), Facets: map[string]any{
			"jobType": facet(olFacets+"2-0-3/JobTypeJobFacet.json#/$defs/JobTypeJobFacet",
				map[string]any{"processingType": "BATCH", "integration": "WEFT", "jobType": "RUN"}),
		}},
		Inputs: []olDataset{}, Outputs: []olDataset{},
	}
	if !r.CreatedAt.IsZero() {
		ev.Run.Facets["nominalTime"] = facet(olFacets+"1-0-1/NominalTimeRunFacet.json#/$defs/NominalTimeRunFacet",
			map[string]any{"nominalStartTime": olTime(r.CreatedAt)})
	}
	if r.Attempt > 1 {
		ev.Run.Facets["parent"] = facet(olFacets+"1-0-1/ParentRunFacet.json#/$defs/ParentRunFacet", map[string]any{
			"run": map[string]any{"runId": r.ID.String()},
			"job": map[string]any{"namespace": namespace, "name": ev.Job.Name},
		})
	}
	if ev.EventType == "FAIL" || ev.EventType == "ABORT" {
		ev.Run.Facets["errorMessage"] = facet(olFacets+"1-0-1/ErrorMessageRunFacet.json#/$defs/ErrorMessageRunFacet",
			map[string]any{"message": failure(r), "programmingLanguage": "container"})
	}
	dataset := func(b weft.Bound, tags weft.Tags) olDataset {
		return l.dataset(b, tags, namespace, trees[b.Data])
	}
	for i, in := range r.Inputs {
		ev.Inputs = append(ev.Inputs, dataset(in, v.Plan.Inputs[i].Tags))
	}
	for i, out := range r.Outputs {
		if !out.Data.IsZero() {
			ev.Outputs = append(ev.Outputs, dataset(out, v.Plan.Outputs[i].Tags))
		}
	}
	if v.Plan.Log != nil && !r.Log.IsZero() {
		ev.Outputs = append(ev.Outputs, dataset(weft.Bound{Path: "log", Data: r.Log}, v.Plan.Log.Tags))
	}
	return ev
}

// dataset describes a Data. As Data never change, each is a dataset of its own, whose
// version is its content's digest; it has no schema that Weft knows.
func (l Lineage) dataset(b weft.Bound, tags weft.Tags, namespace string, tree weft.Digest) olDataset {
	d := olDataset{Namespace: namespace, Name: b.Data.String(), Facets: map[string]any{
		"dataSource": facet(olFacets+"1-0-1/DatasourceDatasetFacet.json#/$defs/DatasourceDatasetFacet",
			map[string]any{"name": namespace, "uri": "weft:" + b.Data.String()}),
	}}
	if !tree.IsZero() {
		d.Facets["version"] = facet(olFacets+"1-0-1/DatasetVersionDatasetFacet.json#/$defs/DatasetVersionDatasetFacet",
			map[string]any{"datasetVersion": tree.String()})
	}
	if len(tags) > 0 {
		list := make([]map[string]any, len(tags))
		for i, t := range tags {
			list[i] = map[string]any{"key": t.Key(), "value": t.Value(), "source": "WEFT"}
		}
		d.Facets["tags"] = facet(olFacets+"1-0-0/TagsDatasetFacet.json#/$defs/TagsDatasetFacet", map[string]any{"tags": list})
	}
	return d
}

func olTime(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z07:00") }

// jobName is what people call a Plan.
func jobName(p weft.Plan) string {
	if p.Name != "" {
		return p.Name
	}
	return p.ID.String()
}

// failure says why a Run failed.
func failure(r weft.Run) string {
	if r.Exit == nil {
		return "it failed"
	}
	text := "exit code " + strconv.Itoa(int(r.Exit.Code))
	if r.Exit.Message != "" {
		text += ": " + r.Exit.Message
	}
	return text
}
