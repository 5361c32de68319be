package weft

import "time"

// A Page bounds a list: at most Limit items (0: all) after the position After, which
// is the opaque text that the item before gave ("": from the beginning).
type Page struct {
	Limit  int
	After  string
	Newest bool // newest first instead of oldest first
}

// A DataQuery selects Data of one project. Conditions combine by and; zero ones do
// not count. A Data's time is its timestamp or, before it has one, when its Run
// changed last. Lists are in order of timestamp (none last) and then id.
type DataQuery struct {
	Project ProjectID
	Tags    Tags      // has all of them; system tags allowed
	Since   time.Time // time ≥ Since
	Until   time.Time // time < Until
	Page    Page
}

// A PlanQuery selects Plans of one project, built-in ones included, in order of id.
type PlanQuery struct {
	Project    ProjectID
	Name       string // exact
	Superseded bool   // former revisions, too
	Active     *bool
	Repository string // with the registry; exact
	Tag        string // of the image; exact; "" is any
	InTags     Tags   // one input has all of them
	OutTags    Tags   // one output, or the log, has all of them
	Page       Page
}

// A RunQuery selects Runs of one project, in order of UpdatedAt and then id.
type RunQuery struct {
	Project  ProjectID
	Plans    []PlanID // any of
	Inputs   []DataID // has any of them as input
	Outputs  []DataID // has any of them as output or log
	Statuses []Status // any of
	Since    time.Time
	Until    time.Time
	Page     Page
}

// A RunView is a Run with what a reader needs beside it.
type RunView struct {
	Run  Run
	Plan Plan
	Next string // position for Page.After

	Past []Past // attempts before the present one, the first first; of a single Run only
	By   string // name of whoever caused it; of a single Run only
}

// A DataView is a Data with its neighbours: what made it, what uses it and what
// could.
type DataView struct {
	Data        Data
	Origin      *Origin // of an imported Data, when it alone was asked for
	Upstream    RunView // without its own position
	Downstreams []Use
	Nominations []Nomination
	From        *Project  // that shares it with the one that looks; nil where it is its own
	To          []Project // that it is shared with, where it is its own
	Next        string    // position for Page.After
}

// A Use is one input of a Run, not invalidated, that a Data fills.
type Use struct {
	Input Input
	Run   RunView
}

// A Nomination is one input of a Plan that a Data fits.
type Nomination struct {
	Input Input
	Plan  Plan
}

// A PlanView is a Plan with the plans that feed it and that it feeds.
type PlanView struct {
	Plan        Plan
	Upstreams   []Edge // into its inputs
	Downstreams []Edge // out of its outputs and log
	Neighbours  map[PlanID]Plan
	Next        string // position for Page.After
}
