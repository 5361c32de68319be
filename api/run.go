package api

// A RunSummary stands for a run inside of other answers.
type RunSummary struct {
	RunID     string      `json:"runId" doc:"its id"`
	Status    string      `json:"status" enum:"deactivated,waiting,ready,starting,running,completing,aborting,done,failed,invalidated"`
	UpdatedAt Time        `json:"updatedAt" doc:"of its last change of status"`
	Exit      *Exit       `json:"exit,omitempty" doc:"absent until known"`
	Plan      PlanSummary `json:"plan" doc:"that it executes"`
	Reason    string      `json:"reason,omitempty" doc:"why the run waits, in words"`
}

// An Exit tells how the program of a run ended.
type Exit struct {
	Code    uint8  `json:"code" doc:"of the program; 253: stopped as failed"`
	Message string `json:"message" doc:"what more is known, in words"`
}

// A RunDetail is a run with its inputs, outputs and log.
type RunDetail struct {
	RunSummary
	Inputs  []Assignment `json:"inputs" doc:"what it reads"`
	Outputs []Assignment `json:"outputs" doc:"what it writes; the log is not among them"`
	Log     *RunLog      `json:"log" doc:"null when the plan keeps no logs"`

	CreatedAt   *Time  `json:"createdAt,omitempty" doc:"when it was made"`
	StartedAt   *Time  `json:"startedAt,omitempty" doc:"when this attempt's program began"`
	EndedAt     *Time  `json:"endedAt,omitempty" doc:"when it became done or failed"`
	ImageDigest string `json:"imageDigest,omitempty" doc:"of the image that the run ran"`
	Attempt     int64  `json:"attempt,omitempty" doc:"1 for the first try; a retry makes the next"`
	Cause       string `json:"cause,omitempty" doc:"what made the run: upload, import, projection, retry (by a user) or again (by itself)"`

	Record *RunRecord `json:"record,omitempty" doc:"of a single run only"`
}

// An Assignment is a data at the place where a run has it mounted; the tags are
// those of the plan.
type Assignment struct {
	Mountpoint
	KnitID string `json:"knitId" doc:"empty when the data was discarded"`
}

// A RunLog is the log of a run; the tags are those of the plan.
type RunLog struct {
	LogPoint
	KnitID string `json:"knitId" doc:"empty when the data was discarded"`
}

// A RunRecord is what is recorded of a run beyond what lists tell.
type RunRecord struct {
	Why       string              `json:"why,omitempty" enum:"exit,signal,oom,limit,lost,timeout,start,stopped,aborted" doc:"why this attempt ended; absent until known"`
	Node      string              `json:"node,omitempty" doc:"the machine that this attempt was handed to"`
	Resources map[string]Quantity `json:"resources,omitempty" doc:"what this attempt was given"`
	Retries   int64               `json:"retries,omitempty" doc:"how often it was tried again by itself since a user had it tried"`
	StopBy    *Time               `json:"stopBy,omitempty" doc:"until when its program may go on, while it is being stopped"`
	Env       []string            `json:"env,omitempty" doc:"names of the variables that the plan sets; values are not told"`
	CausedBy  *RunCause           `json:"causedBy,omitempty" doc:"who or what made this attempt"`
	Attempts  []RunAttempt        `json:"attempts,omitempty" doc:"those before this one, the first first; what they made is gone, but for their logs"`
}

// A RunCause tells who or what made an attempt of a run.
type RunCause struct {
	Kind   string `json:"kind" enum:"upload,import,projection,retry,again" doc:"projection: a change let tags match; retry: a user wanted it; again: by itself, as the plan has it"`
	UserID string `json:"userId,omitempty" doc:"who did it, or changed what made the run possible; absent when no user did"`
	User   string `json:"user,omitempty" doc:"the name of that user; of the present attempt only"`
	KnitID string `json:"knitId,omitempty" doc:"the data that became usable or was tagged"`
	PlanID string `json:"planId,omitempty" doc:"the plan that was registered or changed"`
}

// A RunAttempt is an attempt that another took the place of.
type RunAttempt struct {
	Number      int64               `json:"number" doc:"1 for the first"`
	Status      string              `json:"status" enum:"done,failed" doc:"how it ended"`
	Exit        *Exit               `json:"exit,omitempty" doc:"how its program ended"`
	Why         string              `json:"why,omitempty" doc:"why it ended"`
	StartedAt   *Time               `json:"startedAt,omitempty" doc:"when its program began; absent if it never did"`
	EndedAt     *Time               `json:"endedAt,omitempty" doc:"when it became done or failed"`
	Node        string              `json:"node,omitempty" doc:"the machine"`
	ImageDigest string              `json:"imageDigest,omitempty" doc:"of the image that it ran"`
	Resources   map[string]Quantity `json:"resources,omitempty" doc:"what it was given"`
	Outputs     []Assignment        `json:"outputs" doc:"ids that are no more: the data were discarded"`
	Log         string              `json:"log,omitempty" doc:"the same, of its log"`
	HasLog      bool                `json:"hasLog" doc:"its log can be read: /api/runs/{id}/log?attempt=NUMBER"`
	CausedBy    *RunCause           `json:"causedBy,omitempty" doc:"who or what made it"`
}
