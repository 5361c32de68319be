package api

import (
	"encoding/json"
	"fmt"
)

// FromNow is the value of PlanSpec.From that keeps a plan from data that were usable
// before it was registered.
const FromNow = "now"

// Latest has an input take only the newest of the data that fit it: of all or, if By is
// not "", of those that share a value of the tag with that key. On the wire it is true or
// an object with the field by.
type Latest struct {
	By string `json:"by" doc:"key of a tag: the newest per value"`
}

// MarshalJSON writes true or {"by": …}.
func (l Latest) MarshalJSON() ([]byte, error) {
	if l.By == "" {
		return []byte("true"), nil
	}
	return json.Marshal(struct {
		By string `json:"by"`
	}{l.By})
}

// UnmarshalJSON reads true or {"by": …}.
func (l *Latest) UnmarshalJSON(b []byte) error {
	var on bool
	if json.Unmarshal(b, &on) == nil && on {
		*l = Latest{}
		return nil
	}
	var v struct {
		By string `json:"by"`
	}
	if err := json.Unmarshal(b, &v); err != nil || v.By == "" {
		return fmt.Errorf("latest is %s; write true, or {\"by\": KEY}", b)
	}
	l.By = v.By
	return nil
}

// A PlanSpecInput is an input of a plan to be registered.
type PlanSpecInput struct {
	Mountpoint
	Latest *Latest `json:"latest,omitempty" doc:"absent: every data that has the tags"`
}

// Applied tells what applying a plan did, or would do.
type Applied struct {
	Did      string `json:"did" enum:"new,revision,restored,named,updated,unchanged" doc:"restored: an earlier revision is in place again, with the runs that it made; named: an equal plan got the name; updated: nothing changed that makes runs"`
	Name     string `json:"name,omitempty" doc:"of the plan"`
	Revision int64  `json:"revision,omitempty" doc:"its number then"`
	Replaced string `json:"replaced,omitempty" doc:"id of the plan that was the revision before; it matches nothing any more"`
	Resting  int64  `json:"resting,omitempty" doc:"runs of the replaced plan that were not started, and now rest"`
	InFlight int64  `json:"inFlight,omitempty" doc:"runs of the replaced plan that go on to their end"`
}

// A PlanRevision is one entry of the history of a named plan.
type PlanRevision struct {
	Revision int64            `json:"revision" doc:"counts from 1"`
	At       Time             `json:"at" doc:"when it was applied"`
	By       string           `json:"by,omitempty" doc:"id of who applied it"`
	State    string           `json:"state" enum:"live,superseded,deleted" doc:"of the plan"`
	Plan     PlanSummary      `json:"plan" doc:"that the name stood for; a plan that was restored is there twice"`
	Runs     map[string]int64 `json:"runs" doc:"of the plan, by status"`
}

// A PlanHistory is what a name stood for.
type PlanHistory struct {
	Name      string         `json:"name" doc:"that was asked for"`
	Revisions []PlanRevision `json:"revisions" doc:"the first one first"`
}

// A PlanRemoval tells what goes, or would go, when a plan is deleted.
type PlanRemoval struct {
	Plans     []string `json:"plans" doc:"ids; of a named plan all revisions"`
	Unstarted int64    `json:"unstarted" doc:"runs that were never started, and go too"`
	InFlight  int64    `json:"inFlight" doc:"runs that go on to their end"`
}
