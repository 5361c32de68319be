package weft

import "time"

// A Save records what became of a claimed Run. It takes effect only if the Run's Rev
// in the store still is the one that was read: Rev is the fencing token, so the
// holder of an expired lease cannot overwrite what another has done since.
type Save struct {
	Run   Run             // as it is to be; made from what was read by Run.To, any number of times
	Rev   int64           // as it was read
	Trees map[DataID]Tree // for Done and Failed: what the outputs and the log were sealed to
	Keep  bool            // go on holding the lease
	Due   time.Time       // not to be claimed before; zero is at once
	Env   []byte          // for Starting: variables that hooks gave the attempt, sealed

	// Again, when it is not zero, has a Run that failed tried again by itself: in the
	// same transaction it becomes waiting, to be claimed from then on, with Why.
	Again time.Time
	Why   string
}

// A Push is what becomes of an upload or an import whose content is sealed: the Run
// of a built-in Plan, done already, and the Data it made. As all of it is recorded
// at once, an upload that breaks off leaves nothing behind.
type Push struct {
	Project ProjectID
	By      PrincipalID
	Plan    string // PlanUploaded or PlanImported
	Run     RunID
	Data    DataID
	Tags    Tags
	Tree    Tree
	Pin     string // holds the tree until this is recorded
	Origin  Origin // of an import: where it came from, but for At and By
	Key     string // a push with the same key and content, in the project, is the same push; "" for none
	At      time.Time
}

// PlanRuns tells which Runs of a Plan a change would make: how many, and the first
// few. A zero id in an assignment stands for the Data that is not there yet.
type PlanRuns struct {
	Plan  Plan
	Total int64
	First []Assignment
}
