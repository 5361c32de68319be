package api

// A PlanSummary stands for a plan inside of other answers.
type PlanSummary struct {
	PlanID      string   `json:"planId" doc:"its id"`
	Image       string   `json:"image,omitempty" doc:"repository:tag; absent for built-in plans"`
	Entrypoint  []string `json:"entrypoint,omitempty" doc:"absent: the image's own"`
	Args        []string `json:"args,omitempty" doc:"absent: the image's own"`
	Name        string   `json:"name,omitempty" doc:"what people call it; knit#uploaded and knit#imported are built in"`
	Revision    int64    `json:"revision,omitempty" doc:"counts the plans that bore the name"`
	Annotations []string `json:"annotations,omitempty" doc:"key=value, sorted"`
}

// A PlanDetail is a plan with the plans that feed it and that it feeds.
type PlanDetail struct {
	PlanSummary
	Inputs         []PlanInput         `json:"inputs" doc:"empty for built-in plans"`
	Outputs        []PlanOutput        `json:"outputs" doc:"what its runs write"`
	Log            *PlanLog            `json:"log,omitempty" doc:"absent when the plan keeps no logs"`
	Active         bool                `json:"active" doc:"whether its runs are started"`
	OnNode         *OnNode             `json:"on_node,omitempty" doc:"absent: anywhere"`
	Resources      map[string]Quantity `json:"resources,omitempty" doc:"limits of each run, by name"`
	ServiceAccount string              `json:"service_account,omitempty" doc:"for runs on Kubernetes"`
	From           string              `json:"from,omitempty" enum:"now" doc:"now: only data that became usable after the plan was registered"`
	Pair           string              `json:"pair,omitempty" doc:"key of a tag whose value all inputs of a run share"`
	State          string              `json:"state,omitempty" enum:"superseded,deleted" doc:"absent while the plan matches data"`
	Applied        *Applied            `json:"applied,omitempty" doc:"what registering did; only in the answer to that"`

	CreatedAt   *Time  `json:"createdAt,omitempty" doc:"when it was registered"`
	AllowRuns   int64  `json:"allowRuns,omitempty" doc:"how many pending runs the plan may make at once, when that is not the system's limit"`
	PendingRuns int64  `json:"pendingRuns,omitempty" doc:"how many runs the plan would make while it is blocked because they are too many"`
	Blocked     string `json:"blocked,omitempty" doc:"why the plan makes no runs, in words"`

	Timeout     string            `json:"timeout,omitempty" doc:"after which an attempt is ended, like 2h; absent: never"`
	Grace       string            `json:"grace,omitempty" doc:"between the request to end and the end of a program, like 30s; absent: 10s"`
	Retry       *Retry            `json:"retry,omitempty" doc:"which failures are tried again by themselves; absent: none"`
	Concurrency int64             `json:"concurrency,omitempty" minimum:"0" doc:"how many runs may be under way at once; absent: any number"`
	Env         map[string]string `json:"env,omitempty" doc:"variables of the program's environment"`
	Secrets     map[string]string `json:"secrets,omitempty" doc:"variables of the program's environment, with the name of the secret that is the value of each"`
}

// A Mountpoint is a path in a container and the tags of what is mounted there.
type Mountpoint struct {
	Path string `json:"path" doc:"absolute, in the container"`
	Tags []Tag  `json:"tags" doc:"sorted"`
}

// A LogPoint has the tags of a log.
type LogPoint struct {
	Tags []Tag `json:"tags" doc:"sorted"`
}

// A PlanInput is an input of a plan and the outputs and logs that feed it.
type PlanInput struct {
	Mountpoint
	Latest    *Latest        `json:"latest,omitempty" doc:"absent: every data that has the tags"`
	Upstreams []PlanUpstream `json:"upstreams" doc:"the outputs and logs whose tags include all of the input's"`
}

// A PlanUpstream is an output, or the log, of a plan that feeds an input.
type PlanUpstream struct {
	Plan       PlanSummary `json:"plan" doc:"that feeds it"`
	Mountpoint *Mountpoint `json:"mountpoint,omitempty" doc:"the output; absent when it is the log"`
	Log        *LogPoint   `json:"log,omitempty" doc:"the log; absent when it is an output"`
}

// A PlanOutput is an output of a plan and the inputs that it feeds.
type PlanOutput struct {
	Mountpoint
	Downstreams []PlanDownstream `json:"downstreams" doc:"the inputs that it feeds"`
}

// A PlanLog is the log of a plan and the inputs that it feeds.
type PlanLog struct {
	LogPoint
	Downstreams []PlanDownstream `json:"downstreams" doc:"the inputs that it feeds"`
}

// A PlanDownstream is an input of a plan that an output or a log feeds.
type PlanDownstream struct {
	Plan       PlanSummary `json:"plan" doc:"that is fed"`
	Mountpoint Mountpoint  `json:"mountpoint" doc:"its input"`
}

// OnNode says by labels (key=value) where runs may, should and must run.
type OnNode struct {
	May    []string `json:"may,omitempty" doc:"machines with these labels are allowed, even if kept from others"`
	Prefer []string `json:"prefer,omitempty" doc:"rather there than elsewhere"`
	Must   []string `json:"must,omitempty" doc:"only there"`
}

// A PlanSpec is a plan to be registered. Every list may be null.
type PlanSpec struct {
	Annotations    []string            `json:"annotations,omitempty" doc:"key=value, for people"`
	Image          string              `json:"image" doc:"repository:tag; without a registry: the server's own, or else Docker Hub"`
	Entrypoint     []string            `json:"entrypoint,omitempty" doc:"absent: the image's own"`
	Args           []string            `json:"args,omitempty" doc:"absent: the image's own"`
	Inputs         []PlanSpecInput     `json:"inputs" doc:"at least one, each with at least one tag"`
	Outputs        []Mountpoint        `json:"outputs" doc:"may be empty or null"`
	Log            *LogPoint           `json:"log,omitempty" doc:"absent: no log is kept"`
	OnNode         *OnNode             `json:"on_node,omitempty" doc:"absent: anywhere"`
	Resources      map[string]Quantity `json:"resources,omitempty" doc:"limits of each run, by name; cpu: 1 and memory: 1Gi are added if they are not there"`
	ServiceAccount string              `json:"service_account,omitempty" doc:"for runs on Kubernetes"`
	Active         *bool               `json:"active,omitempty" doc:"absent: true"`
	AllowRuns      int64               `json:"allow_runs,omitempty" minimum:"0" doc:"how many pending runs the plan may make at once; 0 is the system's limit"`

	Timeout     string            `json:"timeout,omitempty" doc:"after which an attempt is ended, like 2h; absent: never"`
	Grace       string            `json:"grace,omitempty" doc:"between the request to end and the end of a program, like 30s; absent: 10s"`
	Retry       *Retry            `json:"retry,omitempty" doc:"which failures are tried again by themselves; absent: none"`
	Concurrency int64             `json:"concurrency,omitempty" minimum:"0" doc:"how many runs may be under way at once; absent: any number"`
	Env         map[string]string `json:"env,omitempty" doc:"variables of the program's environment"`
	Secrets     map[string]string `json:"secrets,omitempty" doc:"variables of the program's environment, with the name of the secret that is the value of each"`

	Name string `json:"name,omitempty" doc:"a plan of that name is replaced: this is its next revision"`
	From string `json:"from,omitempty" enum:"now" doc:"now: only data that become usable after the plan was registered"`
	Pair string `json:"pair,omitempty" doc:"key of a tag whose value all inputs of a run are to share"`
}

// A ResourceChange sets, then unsets resources of a plan.
type ResourceChange struct {
	Set   map[string]Quantity `json:"set,omitempty" doc:"by name"`
	Unset []string            `json:"unset,omitempty" doc:"names; the resource has no limit then"`
}

// An AnnotationChange removes, then adds annotations (key=value) of a plan.
type AnnotationChange struct {
	Add       []string `json:"add,omitempty" doc:"to have"`
	Remove    []string `json:"remove,omitempty" doc:"not to have"`
	RemoveKey []string `json:"remove_key,omitempty" doc:"keys of which none is to be left"`
}

// A ServiceAccount is the new service account of a plan.
type ServiceAccount struct {
	ServiceAccount string `json:"service_account" doc:"its name"`
}

// A RunLimit is how many pending runs a plan may make at once; 0 is the system's
// limit.
type RunLimit struct {
	AllowRuns int64 `json:"allowRuns" minimum:"0" doc:"0 is the system's limit"`
}

// A DryRun tells which runs a change would make, had it been made.
type DryRun struct {
	Total int64      `json:"total" doc:"number of runs, over all plans"`
	Plans []PlanRuns `json:"plans" doc:"only those that would make any"`

	Applies *Applied `json:"applies,omitempty" doc:"what registering the plan would do"`
}

// PlanRuns tells which runs of one plan a change would make.
type PlanRuns struct {
	Plan    PlanSummary    `json:"plan" doc:"its planId is empty when it is not registered yet"`
	Total   int64          `json:"total" doc:"number of runs"`
	Blocked string         `json:"blocked,omitempty" doc:"why none of them would be made at once, in words"`
	Runs    [][]Assignment `json:"runs" doc:"the inputs of the first few; an empty knitId stands for the data that is not there yet"`
}

// Why explains what keeps a data from being used by a plan, or that nothing does.
type Why struct {
	PlanID  string     `json:"planId" doc:"that was asked about"`
	KnitID  string     `json:"knitId" doc:"that was asked about"`
	Fits    bool       `json:"fits" doc:"the data can be used for at least one input"`
	Reason  string     `json:"reason" doc:"the whole answer, in words"`
	Inputs  []WhyInput `json:"inputs" doc:"all inputs of the plan"`
	Runs    []string   `json:"runs" doc:"the ids of the first runs of the plan that use the data"`
	Missing string     `json:"missing,omitempty" doc:"the key of the tag by which inputs are paired, if the data has none"`
}

// A WhyInput tells whether a data fits one input.
type WhyInput struct {
	Mountpoint
	Fits       bool   `json:"fits" doc:"the data has all of the tags, and is usable"`
	Missing    []Tag  `json:"missing" doc:"the tags of the input that the data lacks"`
	MissingKey string `json:"missingKey,omitempty" doc:"the key of a tag that the data lacks, by whose values the input takes the latest"`
	Earlier    bool   `json:"earlier,omitempty" doc:"the data was usable before the plan was registered, which takes later ones only"`
	Newer      string `json:"newer,omitempty" doc:"id of the data that is taken instead, as the input takes the latest only"`
	Fillable   bool   `json:"fillable" doc:"some data, this or another, fits the input"`
}

// A PlanGraph is a plan with the plans around it.
type PlanGraph struct {
	Start string       `json:"start" doc:"id of the plan that was asked for"`
	Plans []PlanDetail `json:"plans" doc:"without their upstreams and downstreams"`
	Edges []PlanEdge   `json:"edges" doc:"from outputs and logs to inputs"`
}

// A PlanEdge leads from an output or the log of a plan to an input of another.
type PlanEdge struct {
	From   string `json:"from" doc:"id of a plan"`
	Output string `json:"output,omitempty" doc:"path of the output; absent for the log"`
	Log    bool   `json:"log,omitempty" doc:"true: from the log"`
	To     string `json:"to" doc:"id of a plan"`
	Input  string `json:"input" doc:"path of the input"`
}
