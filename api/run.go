package api

// A RunSummary stands for a run inside of other answers.
type RunSummary struct {
	RunID     string      `json:"runId"`
	Status    string      `json:"status" enum:"deactivated,waiting,ready,starting,running,completing,aborting,done,failed,invalidated"`
	UpdatedAt Time        `json:"updatedAt"`
	Exit      *Exit       `json:"exit,omitempty" doc:"absent until known"`
	Plan      PlanSummary `json:"plan"`
	Reason    string      `json:"reason,omitempty" doc:"why the run waits, in words"`
}

// An Exit tells how the program of a run ended.
type Exit struct {
	Code    uint8  `json:"code"`
	Message string `json:"message"`
}

// A RunDetail is a run with its inputs, outputs and log.
type RunDetail struct {
	RunSummary
	Inputs  []Assignment `json:"inputs"`
	Outputs []Assignment `json:"outputs"`
	Log     *RunLog      `json:"log" doc:"null when the plan keeps no logs"`

	CreatedAt   *Time  `json:"createdAt,omitempty"`
	StartedAt   *Time  `json:"startedAt,omitempty"`
	EndedAt     *Time  `json:"endedAt,omitempty"`
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
