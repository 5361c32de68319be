package weft

import "time"

// PlanShared is the name under which what made a Data is shown to projects that only have
// a share of it: the Plan, the Run and where it was mounted are not theirs to see.
const PlanShared = "knit#shared"

// A Grant lets a project read a Data of another. There it matches by its tags, which only
// its own project can change.
type Grant struct {
	Data DataID
	From Project // that has the Data
	To   Project
	At   time.Time
	By   PrincipalID
}

// ExitUnshared is the exit code of Runs that were not started when one of their inputs
// ceased to be shared with their project.
const ExitUnshared = ExitAborted
