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
	Cause       string `json:"cause,omitempty" doc:"what made the run: upload, import, projection or retry"`
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
