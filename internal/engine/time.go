package engine

import (
	"context"
	"fmt"
	"time"

	"github.com/weft-dev/weft"
	"github.com/weft-dev/weft/internal/executor"
)

// What a Plan's policy has happen at a certain time is derived from what the store says
// of the Run whenever the Run is looked at, and the Run is due then: a timer only sees
// to it that this engine does not come late.

// planOf returns the Run's Plan, which is read unless it is there.
func (e *Engine) planOf(ctx context.Context, r weft.Run, p *weft.Plan) (*weft.Plan, error) {
	if p != nil {
		return p, nil
	}
	read, err := e.plans.Do(ctx, r.Plan)
	if err != nil {
		return nil, err
	}
	if read.ID.IsZero() {
		return nil, fmt.Errorf("plan %s does not exist", r.Plan)
	}
	return &read, nil
}

// alarm has the Run looked at when the time comes, if that is before it is looked at
// anyway.
func (e *Engine) alarm(r weft.Run, at time.Time) {
	if d := time.Until(at); d <= runningAgain {
		time.AfterFunc(d, func() { e.hints.add(r.Current()) })
	}
}

// limitTime ends a running Run that has run for as long as its Plan allows, and otherwise
// says when it is to be looked at again, which is at the latest at the time given.
func (e *Engine) limitTime(ctx context.Context, r weft.Run, p *weft.Plan, now, latest time.Time) (weft.Run, time.Time, error) {
	p, err := e.planOf(ctx, r, p)
	if err != nil {
		return r, latest, err
	}
	at := r.Deadline(p.Policy)
	switch {
	case at.IsZero():
		return r, latest, nil
	case at.After(now):
		e.alarm(r, at)
		if at.Before(latest) {
			latest = at
		}
		return r, latest, nil
	}
	next, err := r.Expire(p.Policy, now)
	return next, latest, err
}

// askToEnd asks the program of a Run that is ending to do so, and reports whether there is
// to be waited for that. The Run is then due at the end of its grace.
func (e *Engine) askToEnd(ctx context.Context, r weft.Run) (waiting bool, err error) {
	left := time.Until(r.StopBy)
	if r.StopBy.IsZero() || left <= 0 {
		return false, nil
	}
	seen, err := e.Executor.Observe(ctx, r.Current())
	if err != nil {
		return false, fmt.Errorf("observe container: %w", err)
	}
	if seen.State != executor.Pending && seen.State != executor.Running {
		return false, nil
	}
	if err := e.Executor.Stop(ctx, r.Current(), left); err != nil {
		return false, fmt.Errorf("ask program to end: %w", err)
	}
	held := r
	held.Rev++
	if _, err := e.record(ctx, r, weft.Save{Run: held, Due: r.StopBy}); err != nil {
		return false, err
	}
	e.alarm(r, r.StopBy)
	return true, nil
}

// tryAgain has a Run that failed tried again by itself, if its Plan wants that.
func (e *Engine) tryAgain(ctx context.Context, s *weft.Save, p *weft.Plan) error {
	if s.Run.Status != weft.Failed {
		return nil
	}
	p, err := e.planOf(ctx, s.Run, p)
	if err != nil {
		return err
	}
	now := time.Now().UTC()
	due, again := p.Policy.Again(s.Run, now)
	if !again {
		return nil
	}
	s.Again = due
	s.Why = fmt.Sprintf("is tried again at %s (%d of %d): attempt %d ended with %s", due.Format("2006-01-02 15:04:05 UTC"),
		s.Run.Retries+1, p.Policy.Retry.Limit, s.Run.Attempt, exitInWords(s.Run.Exit))
	time.AfterFunc(due.Sub(now), e.admit.set)
	return nil
}

func exitInWords(x *weft.Exit) string {
	switch {
	case x == nil:
		return "no exit code"
	case x.Message == "":
		return fmt.Sprintf("exit %d", x.Code)
	}
	return fmt.Sprintf("exit %d: %s", x.Code, x.Message)
}
