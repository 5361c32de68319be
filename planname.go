package weft

import (
	"regexp"
	"strings"
	"time"
)

// A PlanState says whether a Plan still takes part.
type PlanState int

const (
	PlanLive       PlanState = iota // matches, and feeds others
	PlanSuperseded                  // a later revision took its place
	PlanDeleted                     // kept only for the Runs that it made
)

func (s PlanState) String() string { return [...]string{"live", "superseded", "deleted"}[s] }

// Live reports whether p matches Data and takes part in the graph of plans.
func (p Plan) Live() bool { return p.State == PlanLive }

// BuiltIn reports whether p stands for what people bring in from outside.
func (p Plan) BuiltIn() bool { return strings.HasPrefix(p.Name, SystemPrefix) }

var planName = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?$`)

// ValidatePlanName refuses what cannot be the name of a user's Plan; "" is none. A name
// must not be mistaken for an id, and goes into paths as it is.
func ValidatePlanName(name string) error {
	if name == "" {
		return nil
	}
	if _, err := ParseID[Plan](name); err == nil || !planName.MatchString(name) {
		return Errorf(Invalid, "plan name %q is not one", clip(name)).
			WithAdvice("use 1 to 63 letters, digits, -, _ and ., with a letter or digit at both ends; not the form of an id")
	}
	return nil
}

// An Applied says what it meant to apply a Plan.
type Applied string

const (
	AppliedNew       Applied = "new"       // registered
	AppliedRevision  Applied = "revision"  // registered in place of an earlier revision
	AppliedRestored  Applied = "restored"  // an earlier revision is in place again; its Runs count as made
	AppliedNamed     Applied = "named"     // an equal Plan that had no name got it
	AppliedUpdated   Applied = "updated"   // the same revision, of which something was changed that makes nothing run again
	AppliedUnchanged Applied = "unchanged" // nothing had to be done
)

// An Apply is a Plan to be registered, as a file says it.
type Apply struct {
	Plan Plan // normalized and valid, with id, project and time of creation

	// What the file says nothing of stays as the former revision has it.
	KeepActive, KeepResources, KeepPolicy, KeepServiceAccount, KeepAnnotations, KeepAllowRuns bool
}

// Over returns the Plan to be registered in place of was, or, when both are equal, was
// with what is to be changed of it.
func (a Apply) Over(was Plan) Plan {
	p := a.Plan
	if p.Identity() == was.Identity() {
		id, created, rev, since, state, n, pending := was.ID, was.CreatedAt, was.Rev, was.Since, was.State, was.Revision, was.PendingRuns
		p.ID, p.CreatedAt, p.Rev, p.Since, p.State, p.Revision, p.PendingRuns = id, created, rev, since, state, n, pending
	}
	if a.KeepActive {
		p.Active = was.Active
	}
	if a.KeepResources {
		p.Resources = was.Resources
	}
	if a.KeepPolicy {
		p.Policy = was.Policy
	}
	if a.KeepServiceAccount {
		p.ServiceAccount = was.ServiceAccount
	}
	if a.KeepAnnotations {
		p.Annotations = was.Annotations
	}
	if a.KeepAllowRuns {
		p.AllowRuns = was.AllowRuns
	}
	return p
}

// An Application tells what applying a Plan did, or would do.
type Application struct {
	Did      Applied
	Plan     PlanView // as it is then
	Replaced PlanID   // the revision that was in place before; zero when none was
	Resting  int64    // of Replaced: Runs that waited and now rest
	InFlight int64    // of Replaced: Runs that go on to their end
}

// A PlanRevision is one entry of the history of a named Plan.
type PlanRevision struct {
	Number int64
	At     time.Time
	By     PrincipalID
	Plan   Plan
	Runs   map[Status]int64 // that the Plan made, by status
}

// A PlanRemoval tells what goes when a Plan is deleted.
type PlanRemoval struct {
	Plans     []Plan // the Plan, or all revisions of its name
	Unstarted int64  // Runs that go with them, as they were never started
	InFlight  int64  // Runs that go on to their end
}
