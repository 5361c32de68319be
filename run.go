package weft

import (
	"slices"
	"strconv"
	"time"
	"unicode/utf8"
)

// A Status is where a Run stands in its life.
type Status string

const (
	Deactivated Status = "deactivated" // its Plan is inactive
	Waiting     Status = "waiting"     // to be prepared
	Ready       Status = "ready"       // prepared; waits for room on the machine
	Starting    Status = "starting"    // handed to the executor
	Running     Status = "running"     // its process has run; for an upload: bytes are coming
	Completing  Status = "completing"  // ended well, outputs being sealed
	Aborting    Status = "aborting"    // ended badly, outputs being sealed
	Done        Status = "done"
	Failed      Status = "failed"
	Invalidated Status = "invalidated" // deleted; kept to say "this combination was tried"
)

// Statuses lists every status, in the order of a life.
var Statuses = []Status{Deactivated, Waiting, Ready, Starting, Running, Completing, Aborting, Done, Failed, Invalidated}

// next is the whole state machine: what each status may become. A deleted Run of a
// Plan that is waiting or deactivated goes straight to Invalidated.
var next = map[Status][]Status{
	Deactivated: {Waiting, Aborting, Invalidated},
	Waiting:     {Deactivated, Ready, Aborting, Invalidated},
	Ready:       {Starting, Running, Completing, Aborting},
	Starting:    {Running, Completing, Aborting},
	Running:     {Completing, Aborting},
	Completing:  {Done},
	Aborting:    {Failed},
	Done:        {Waiting, Deactivated, Invalidated}, // retry, retry under an inactive Plan, delete
	Failed:      {Waiting, Deactivated, Invalidated},
	Invalidated: {},
}

// ParseStatus reads the name of a status.
func ParseStatus(s string) (Status, error) {
	if slices.Contains(Statuses, Status(s)) {
		return Status(s), nil
	}
	return "", Errorf(Invalid, "%q is not a status of a run", clip(s))
}

// CanBecome reports whether the state machine allows s to become t.
func (s Status) CanBecome(t Status) bool { return slices.Contains(next[s], t) }

// Ended reports whether a Run of this status will not change by itself any more.
func (s Status) Ended() bool { return s == Done || s == Failed || s == Invalidated }

// Built-in Plans, which stand for what people bring in from outside.
const (
	PlanUploaded = "knit#uploaded" // one output, /upload
	PlanImported = "knit#imported" // one output, /imported
)

// A Run is one execution of a Plan over chosen Data. It is made by projection when
// the Plan's inputs are matched (or by an upload), and is deleted only together with
// its outputs. Two Runs of one Plan never have the same inputs.
type Run struct {
	ID        RunID
	Project   ProjectID
	Plan      PlanID
	Status    Status
	Rev       int64 // bumped by every change: whoever saves must have read the latest
	Attempt   int64 // 1 for the first try; a retry makes the next
	UpdatedAt time.Time
	CreatedAt time.Time
	StartedAt time.Time // of the present attempt; zero before it runs
	EndedAt   time.Time // zero until done or failed
	Exit      *Exit     // nil until known
	Reason    string    // why it waits, in words; "" when nothing holds it
	Inputs    []Bound   // one per input of the Plan, in the Plan's order
	Outputs   []Bound   // one per output of the Plan, in the Plan's order; Data is zero once discarded
	Log       DataID    // zero when the Plan keeps no log, or once discarded
	Image     Digest    // of the image it ran; zero until resolved
	Cause     Cause

	End       End       // why the present attempt ended; "" until known
	StopBy    time.Time // while completing or aborting: until when its program may go on; zero when it may not
	Node      string    // the machine that the present attempt was handed to; "" before that
	Resources Resources // what the present attempt was given; nil before it was started
	Retries   int64     // how often it was tried again by itself since a user had it tried
}

// A Past is an attempt that a Run has behind it: another took its place.
type Past struct {
	Number    int64
	StartedAt time.Time // zero when its program never began
	EndedAt   time.Time
	Status    Status // Done or Failed
	Exit      *Exit
	End       End
	Image     Digest
	Node      string
	Resources Resources
	Outputs   []Bound // ids of Data that were discarded
	Log       DataID  // the same
	LogTree   Digest  // what its log was sealed to, which is kept; zero if there is none
	Cause     Cause   // what made this attempt
}

// Past returns the present attempt of a Run that is about to be tried again.
func (r Run) Past() Past {
	return Past{Number: r.Attempt, StartedAt: r.StartedAt, EndedAt: r.EndedAt, Status: r.Status, Exit: r.Exit, End: r.End, Image: r.Image,
		Node: r.Node, Resources: r.Resources, Outputs: r.Outputs, Log: r.Log, Cause: r.Cause}
}

// A Bound is a Data at the path where a Run has it mounted.
type Bound struct {
	Path string
	Data DataID
}

// A Cause says what made a Run: a principal who uploaded, or the Data or Plan
// whose change let projection make it.
type Cause struct {
	Kind string      // CauseUpload, CauseImport, CauseProjection, CauseRetry or CauseAgain
	By   PrincipalID // zero when no user did it directly
	Data DataID      // for a projection: the Data that became usable or was tagged; zero if none did
	Plan PlanID      // for a projection: the Plan that was registered or changed; zero if none was
}

const (
	CauseUpload     = "upload"
	CauseImport     = "import"
	CauseProjection = "projection"
	CauseRetry      = "retry" // a user wanted it
	CauseAgain      = "again" // by itself, as the Plan's Policy has it
)

// An Exit tells how a Run's process ended.
type Exit struct {
	Code    uint8
	Message string // at most MaxExitMessage characters
}

// MaxExitMessage bounds the message of an Exit, in characters.
const MaxExitMessage = 1024

// Exit codes of Runs that did not end by themselves, as knit users know them.
const (
	ExitStopped  = 0   // stopped by a user, outputs kept
	ExitTimeout  = 252 // ran longer than its plan allows
	ExitAborted  = 253 // aborted by a user
	ExitVanished = 254 // the container is gone and left no exit code
	ExitStuck    = 255 // the container could not be started
)

// NewExit cuts the message to what can be stored.
func NewExit(code uint8, message string) *Exit {
	if utf8.RuneCountInString(message) > MaxExitMessage {
		r := []rune(message)
		message = string(r[:MaxExitMessage-1]) + "…"
	}
	return &Exit{code, message}
}

// To returns r in another status. It is the only way to change one: it refuses
// what the state machine does not allow, bumps Rev and keeps the times.
// (De)activation leaves UpdatedAt alone, as clients of Knitfab know it.
func (r Run) To(s Status, now time.Time) (Run, error) {
	if !r.Status.CanBecome(s) {
		return r, Errorf(Conflict, "run %s is %s; it cannot become %s", r.ID, r.Status, s)
	}
	toggled := r.Status == Waiting && s == Deactivated || r.Status == Deactivated && s == Waiting
	if !toggled {
		r.UpdatedAt = now
	}
	switch {
	case r.Status == Done || r.Status == Failed: // retry or delete
		r.Exit, r.StartedAt, r.EndedAt, r.Image = nil, time.Time{}, time.Time{}, Digest{}
		r.End, r.StopBy, r.Node, r.Resources = EndUnknown, time.Time{}, "", nil
		if s != Invalidated {
			r.Attempt++
		}
	case s == Done || s == Failed:
		r.EndedAt, r.StopBy = now, time.Time{}
	}
	if s == Running || s == Completing && r.StartedAt.IsZero() {
		r.StartedAt = now
	}
	r.Status, r.Reason = s, ""
	r.Rev++
	return r, nil
}

// An Attempt names one try at a Run. Whatever is made for a Run outside the
// database (a container, an output directory) is named after the attempt, so that
// work of an earlier try that takes effect late can be told and removed.
type Attempt struct {
	Run    RunID
	Number int64
}

// Current returns the attempt that the Run is at.
func (r Run) Current() Attempt { return Attempt{r.ID, r.Attempt} }

// OutputIDs returns the ids of all Data the Run makes, the log's last.
func (r Run) OutputIDs() []DataID {
	ids := make([]DataID, 0, len(r.Outputs)+1)
	for _, o := range r.Outputs {
		if !o.Data.IsZero() {
			ids = append(ids, o.Data)
		}
	}
	if !r.Log.IsZero() {
		ids = append(ids, r.Log)
	}
	return ids
}

// String is the attempt's name in file systems, container engines and logs:
// the Run's id, a dash and the number.
func (a Attempt) String() string { return a.Run.String() + "-" + strconv.FormatInt(a.Number, 10) }

// ParseAttempt reads what String wrote.
func ParseAttempt(s string) (Attempt, error) {
	const idLen = 36
	if len(s) > idLen+1 && s[idLen] == '-' {
		id, err := ParseID[Run](s[:idLen])
		n, err2 := strconv.ParseInt(s[idLen+1:], 10, 64)
		if err == nil && err2 == nil && n > 0 {
			return Attempt{id, n}, nil
		}
	}
	return Attempt{}, Errorf(Invalid, "%q is not the name of an attempt", clip(s))
}
