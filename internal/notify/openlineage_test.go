package notify_test

import (
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
)

// checkRunEvent checks an event against what OpenLineage's schema 2-0-2 asks of a RunEvent:
// written down here as far as Weft sends it.
func checkRunEvent(t *testing.T, e map[string]any) {
	t.Helper()
	if s := text(t, e, "eventType"); !slices.Contains([]string{"START", "RUNNING", "COMPLETE", "ABORT", "FAIL", "OTHER"}, s) {
		t.Errorf("eventType is %q", s)
	}
	moment(t, e, "eventTime")
	uri(t, e, "producer")
	if s := uri(t, e, "schemaURL"); s != "https://openlineage.io/spec/2-0-2/OpenLineage.json#/$defs/RunEvent" {
		t.Errorf("schemaURL is %s", s)
	}
	run := object(t, e, "run")
	if _, err := uuid.Parse(text(t, run, "runId")); err != nil {
		t.Errorf("runId: %v", err)
	}
	checkFacets(t, run, map[string]func(map[string]any){
		"nominalTime": func(f map[string]any) { moment(t, f, "nominalStartTime") },
		"errorMessage": func(f map[string]any) {
			text(t, f, "message")
			text(t, f, "programmingLanguage")
		},
		"parent": func(f map[string]any) {
			if _, err := uuid.Parse(text(t, object(t, f, "run"), "runId")); err != nil {
				t.Errorf("parent: %v", err)
			}
			named(t, object(t, f, "job"))
		},
	})
	job := object(t, e, "job")
	named(t, job)
	checkFacets(t, job, map[string]func(map[string]any){"jobType": func(f map[string]any) {
		text(t, f, "processingType")
		text(t, f, "integration")
	}})
	for _, side := range []string{"inputs", "outputs"} {
		list, ok := e[side].([]any)
		if !ok {
			t.Errorf("%s is %v", side, e[side])
		}
		for _, item := range list {
			d, _ := item.(map[string]any)
			named(t, d)
			checkFacets(t, d, map[string]func(map[string]any){
				"dataSource": func(f map[string]any) { text(t, f, "name"); uri(t, f, "uri") },
				"version":    func(f map[string]any) { text(t, f, "datasetVersion") },
				"tags": func(f map[string]any) {
					for _, tag := range f["tags"].([]any) {
						text(t, tag.(map[string]any), "key")
						text(t, tag.(map[string]any), "value")
					}
				},
			})
		}
	}
}

// checkFacets checks that each facet is known, says who made it and by which schema, and
// has what that asks for.
func checkFacets(t *testing.T, of map[string]any, known map[string]func(map[string]any)) {
	t.Helper()
	facets, _ := of["facets"].(map[string]any)
	for name, v := range facets {
		f, ok := v.(map[string]any)
		check := known[name]
		if !ok || check == nil {
			t.Errorf("facet %s is %v", name, v)
			continue
		}
		uri(t, f, "_producer")
		if s := uri(t, f, "_schemaURL"); !strings.HasPrefix(s, "https://openlineage.io/spec/facets/") || !strings.Contains(s, "#/$defs/") {
			t.Errorf("facet %s has the schema %s", name, s)
		}
		check(f)
	}
}

func text(t *testing.T, of map[string]any, name string) string {
	t.Helper()
	s, ok := of[name].(string)
	if !ok || s == "" {
		t.Errorf("%s is %v", name, of[name])
	}
	return s
}

func uri(t *testing.T, of map[string]any, name string) string {
	t.Helper()
	s := text(t, of, name)
	if u, err := url.Parse(s); err != nil || !u.IsAbs() {
		t.Errorf("%s is %q, which is no URI", name, s)
	}
	return s
}

func moment(t *testing.T, of map[string]any, name string) {
	t.Helper()
	if _, err := time.Parse(time.RFC3339Nano, text(t, of, name)); err != nil {
		t.Errorf("%s: %v", name, err)
	}
}

func object(t *testing.T, of map[string]any, name string) map[string]any {
	t.Helper()
	o, ok := of[name].(map[string]any)
	if !ok {
		t.Errorf("%s is %v", name, of[name])
	}
	return o
}

func named(t *testing.T, of map[string]any) {
	t.Helper()
	text(t, of, "namespace")
	text(t, of, "name")
}
