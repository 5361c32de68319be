package weft

import "time"

// A Stop says how a user wants a Run to end.
type Stop struct {
	Fail bool // as a failure; else with what its outputs hold so far as its result
	Now  bool // without grace
}

// Stop returns r as it is when a user stops it. A program that is there is asked to end,
// and has the Policy's grace for it, during which the Run is completing or aborting.
// Stopping again with Now ends a grace that is under way.
func (r Run) Stop(how Stop, p Policy, now time.Time) (Run, error) {
	switch {
	case r.Status.Ended():
		return r, Errorf(Conflict, "run %s is %s already; there is nothing to stop", r.ID, r.Status)
	case r.Status == Completing || r.Status == Aborting:
		return r.hurry(how, now)
	case !how.Fail && (r.Status == Waiting || r.Status == Deactivated):
		return r, Errorf(Conflict, "run %s is %s; it has not begun, and there is nothing to keep", r.ID, r.Status).
			WithAdvice("stop it as failed (weft run stop --fail), or deactivate its plan")
	}
	to, end, exit := Completing, EndStopped, NewExit(ExitStopped, "stopped by user")
	if how.Fail {
		to, end, exit = Aborting, EndAborted, NewExit(ExitAborted, "aborted by user")
	}
	alive := r.Status == Starting || r.Status == Running
	next, err := r.To(to, now)
	if err != nil {
		return r, err
	}
	next.Exit, next.End = exit, end
	if alive && !how.Now {
		next = next.until(p, now)
	}
	return next, nil
}

// hurry is Stop for a Run that is ending already.
func (r Run) hurry(how Stop, now time.Time) (Run, error) {
	switch {
	case !r.StopBy.After(now):
		return r, Errorf(Conflict, "run %s is %s: it has ended, and its outputs are being sealed", r.ID, r.Status)
	case !how.Now:
		return r, Errorf(Conflict, "run %s is being stopped already, and has until %s", r.ID, clock(r.StopBy)).
			WithAdvice("end it at once with weft run stop --now")
	case how.Fail && r.Status == Completing:
		return r, Errorf(Conflict, "run %s is being stopped with its outputs kept; that cannot be changed to a failure", r.ID).
			WithAdvice("leave out --fail, and retry or remove the run afterwards")
	}
	r.StopBy, r.Reason = now, ""
	r.Rev++
	return r, nil
}

// until gives a Run that is ending its grace.
func (r Run) until(p Policy, now time.Time) Run {
	if grace := p.GraceOr(); grace > 0 {
		r.StopBy = now.Add(grace)
		r.Reason = "stopping: has until " + clock(r.StopBy)
	}
	return r
}

// Expire returns r as it is when its attempt has run longer than its Policy allows.
func (r Run) Expire(p Policy, now time.Time) (Run, error) {
	next, err := r.To(Aborting, now)
	if err != nil {
		return r, err
	}
	next.End = EndTimeout
	next.Exit = NewExit(ExitTimeout, "timed out: it ran for "+p.Timeout.String()+", which is the plan's timeout")
	return next.until(p, now), nil
}

// Deadline is when the present attempt has run for as long as its Policy allows; zero when
// there is no such time, or it has not begun.
func (r Run) Deadline(p Policy) time.Time {
	if p.Timeout == 0 || r.StartedAt.IsZero() {
		return time.Time{}
	}
	return r.StartedAt.Add(p.Timeout)
}

// clock writes a time of day for people, who may be anywhere.
func clock(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05 UTC") }
