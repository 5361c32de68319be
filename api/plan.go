package api

// A PlanSummary stands for a plan inside of other answers.
type PlanSummary struct {
	PlanID      string   `json:"planId"`
	Image       string   `json:"image,omitempty" doc:"repository:tag; absent for built-in plans"`
	Entrypoint  []string `json:"entrypoint,omitempty"`
	Args        []string `json:"args,omitempty"`
	Name        string   `json:"name,omitempty" doc:"of built-in plans only: knit#uploaded or knit#imported"`
	Annotations []string `json:"annotations,omitempty" doc:"key=value, sorted"`
}

// A PlanDetail is a plan with the plans that feed it and that it feeds.
type PlanDetail struct {
	PlanSummary
	Inputs         []PlanInput         `json:"inputs"`
	Outputs        []PlanOutput        `json:"outputs"`
	Log            *PlanLog            `json:"log,omitempty" doc:"absent when the plan keeps no logs"`
	Active         bool                `json:"active"`
	OnNode         *OnNode             `json:"on_node,omitempty"`
	Resources      map[string]Quantity `json:"resources,omitempty"`
	ServiceAccount string              `json:"service_account,omitempty"`

	CreatedAt   *Time  `json:"createdAt,omitempty"`
	AllowRuns   int64  `json:"allowRuns,omitempty" doc:"how many pending runs the plan may make at once, when that is not the system's limit"`
	PendingRuns int64  `json:"pendingRuns,omitempty" doc:"how many runs the plan would make while it is blocked because they are too many"`
	Blocked     string `json:"blocked,omitempty" doc:"why the plan makes no runs, in words"`
}

// A Mountpoint is a path in a container and the tags of what is mounted there.
type Mountpoint struct {
	Path string `json:"path"`
	Tags []Tag  `json:"tags"`
}

// A LogPoint has the tags of a log.
type LogPoint struct {
	Tags []Tag `json:"tags"`
}

// A PlanInput is an input of a plan and the outputs and logs that feed it.
type PlanInput struct {
	Mountpoint
	Upstreams []PlanUpstream `json:"upstreams"`
}

// A PlanUpstream is an output, or the log, of a plan that feeds an input.
type PlanUpstream struct {
	Plan       PlanSummary `json:"plan"`
	Mountpoint *Mountpoint `json:"mountpoint,omitempty"`
	Log        *LogPoint   `json:"log,omitempty"`
}

// A PlanOutput is an output of a plan and the inputs that it feeds.
type PlanOutput struct {
	Mountpoint
	Downstreams []PlanDownstream `json:"downstreams"`
}

// A PlanLog is the log of a plan and the inputs that it feeds.
type PlanLog struct {
	LogPoint
	Downstreams []PlanDownstream `json:"downstreams"`
}

// A PlanDownstream is an input of a plan that an output or a log feeds.
type PlanDownstream struct {
	Plan       PlanSummary `json:"plan"`
	Mountpoint Mountpoint  `json:"mountpoint"`
}

// OnNode says by labels (key=value) where runs may, should and must run.
type OnNode struct {
	May    []string `json:"may,omitempty"`
	Prefer []string `json:"prefer,omitempty"`
	Must   []string `json:"must,omitempty"`
}

// A PlanSpec is a plan to be registered. Every list may be null.
type PlanSpec struct {
	Annotations    []string            `json:"annotations,omitempty"`
	Image          string              `json:"image"`
	Entrypoint     []string            `json:"entrypoint,omitempty"`
	Args           []string            `json:"args,omitempty"`
	Inputs         []Mountpoint        `json:"inputs"`
	Outputs        []Mountpoint        `json:"outputs"`
	Log            *LogPoint           `json:"log,omitempty"`
	OnNode         *OnNode             `json:"on_node,omitempty"`
	Resources      map[string]Quantity `json:"resources,omitempty"`
	ServiceAccount string              `json:"service_account,omitempty"`
	Active         *bool               `json:"active,omitempty"`
	AllowRuns      int64               `json:"allow_runs,omitempty" minimum:"0"`
}

// A ResourceChange sets, then unsets resources of a plan.
type ResourceChange struct {
	Set   map[string]Quantity `json:"set,omitempty"`
	Unset []string            `json:"unset,omitempty"`
}

// An AnnotationChange removes, then adds annotations (key=value) of a plan.
type AnnotationChange struct {
	Add       []string `json:"add,omitempty"`
	Remove    []string `json:"remove,omitempty"`
	RemoveKey []string `json:"remove_key,omitempty"`
}

// A ServiceAccount is the new service account of a plan.
type ServiceAccount struct {
	ServiceAccount string `json:"service_account"`
}

// A RunLimit is how many pending runs a plan may make at once; 0 is the system's
// limit.
type RunLimit struct {
	AllowRuns int64 `json:"allowRuns" minimum:"0"`
}

// A DryRun tells which runs a change would make, had it been made.
type DryRun struct {
	Total int64      `json:"total" doc:"number of runs, over all plans"`
	Plans []PlanRuns `json:"plans"`
}

// PlanRuns tells which runs of one plan a change would make.
type PlanRuns struct {
	Plan    PlanSummary    `json:"plan" doc:"its planId is empty when it is not registered yet"`
	Total   int64          `json:"total"`
	Blocked string         `json:"blocked,omitempty" doc:"why none of them would be made at once, in words"`
	Runs    [][]Assignment `json:"runs" doc:"the inputs of the first few; an empty knitId stands for the data that is not there yet"`
}

// Why explains what keeps a data from being used by a plan, or that nothing does.
type Why struct {
	PlanID string     `json:"planId"`
	KnitID string     `json:"knitId"`
	Fits   bool       `json:"fits" doc:"the data can be used for at least one input"`
	Reason string     `json:"reason" doc:"the whole answer, in words"`
	Inputs []WhyInput `json:"inputs"`
	Runs   []string   `json:"runs" doc:"the ids of the first runs of the plan that use the data"`
}

// A WhyInput tells whether a data fits one input.
type WhyInput struct {
	Mountpoint
	Fits     bool  `json:"fits"`
	Missing  []Tag `json:"missing" doc:"the tags of the input that the data lacks"`
	Fillable bool  `json:"fillable" doc:"some data, this or another, fits the input"`
}

// A PlanGraph is a plan with the plans around it.
type PlanGraph struct {
	Start string       `json:"start"`
	Plans []PlanDetail `json:"plans" doc:"without their upstreams and downstreams"`
	Edges []PlanEdge   `json:"edges"`
}

// A PlanEdge leads from an output or the log of a plan to an input of another.
type PlanEdge struct {
	From   string `json:"from"`
	Output string `json:"output,omitempty" doc:"path of the output; absent for the log"`
	Log    bool   `json:"log,omitempty"`
	To     string `json:"to"`
	Input  string `json:"input" doc:"path of the input"`
}
