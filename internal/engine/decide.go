package engine

import (
	"errors"
	"fmt"
	"strings"
	"syscall"
	"time"

	"github.com/weft-dev/weft"
	"github.com/weft-dev/weft/internal/executor"
)

// decide says what becomes of a Run that is starting or running, from what the
// executor sees of its attempt. A starting Run was handed to the executor before it
// was looked at, so that nothing seen means that it is lost. The Run is returned as
// it was when nothing changes.
func decide(r weft.Run, seen executor.Seen, now time.Time) (weft.Run, error) {
	if r.Status != weft.Starting && r.Status != weft.Running {
		return r, nil
	}
	switch seen.State {
	case executor.Pending:
		if r.Status == weft.Starting {
			return because(r, seen.Reason), nil
		}
		return r, nil
	case executor.Running:
		if r.Status == weft.Running {
			return r, nil
		}
		return began(r, weft.Running, seen, now)
	case executor.Exited:
		return exited(r, seen, now)
	}
	r, err := began(r, weft.Aborting, seen, now)
	r.Exit, r.End = weft.NewExit(weft.ExitVanished, vanished(seen)), weft.EndLost
	return r, err
}

// because returns r with another reason for waiting. That is a change as any
// other, so it gets a new Rev.
func because(r weft.Run, reason string) weft.Run {
	if r.Reason != reason {
		r.Reason = reason
		r.Rev++
	}
	return r
}

// began moves r on and keeps the time at which its process began, where it did.
func began(r weft.Run, s weft.Status, seen executor.Seen, now time.Time) (weft.Run, error) {
	before := r.StartedAt
	r, err := r.To(s, now)
	if err != nil {
		return r, fmt.Errorf("decide: %w", err)
	}
	switch {
	case !before.IsZero():
		r.StartedAt = before
	case !seen.Started.IsZero():
		r.StartedAt = seen.Started.UTC()
	}
	return r, nil
}

// exited is for a process that has ended: with code 0 and by itself is well, all
// else is not.
func exited(r weft.Run, seen executor.Seen, now time.Time) (weft.Run, error) {
	next := weft.Aborting
	if seen.Code == 0 && seen.Signal == 0 {
		next = weft.Completing
	}
	r, err := began(r, next, seen, now)
	code := seen.Code
	if code == 0 && seen.Signal != 0 {
		code = 128 + seen.Signal
	}
	r.Exit, r.End = weft.NewExit(uint8(code), exitMessage(seen)), endOf(seen)
	return r, err
}

// endOf says why an attempt ended that left an exit code.
func endOf(seen executor.Seen) weft.End {
	switch {
	case seen.Code == 0 && seen.Signal == 0:
		return weft.EndExit
	case seen.Started.IsZero():
		return weft.EndNotBegun
	case seen.OOM:
		return weft.EndOOM
	case seen.Signal != 0 && seen.Message != "": // an executor says why it killed what it killed
		return weft.EndLimit
	case seen.Signal != 0:
		return weft.EndSignal
	}
	return weft.EndExit
}

// exitMessage says in words what the exit code alone does not.
func exitMessage(seen executor.Seen) string {
	var parts []string
	if seen.Message != "" {
		parts = append(parts, seen.Message)
	}
	switch {
	case seen.OOM && seen.Code == 0 && seen.Signal == 0:
		parts = append(parts, "one of its processes was killed for want of memory")
	case seen.OOM:
		parts = append(parts, "out of memory: the kernel killed it at its limit; raise the plan's resource memory and retry")
	case seen.Signal != 0 && seen.Message == "":
		parts = append(parts, fmt.Sprintf("killed by signal %d (%s)", seen.Signal, syscall.Signal(seen.Signal)))
	}
	return strings.Join(parts, "; ")
}

func vanished(seen executor.Seen) string {
	if seen.Message != "" {
		return seen.Message
	}
	return "the container is gone and left no exit code"
}

// permanent reports whether trying again cannot help: what was asked for is wrong
// or missing, and only a person can change that.
func permanent(err error) bool {
	switch weft.KindOf(err) {
	case weft.Invalid, weft.NotFound, weft.Conflict, weft.Forbidden, weft.Unauthenticated, weft.TooLarge:
		return true
	}
	return false
}

// stuck is what becomes of a Run that can never start, for a reason that its user
// is told.
func stuck(r weft.Run, err error, now time.Time) (weft.Run, error) {
	next, terr := r.To(weft.Aborting, now)
	if terr != nil {
		return r, fmt.Errorf("give up: %w", terr)
	}
	next.Exit, next.End = weft.NewExit(weft.ExitStuck, inWords(err)), weft.EndNotBegun
	return next, nil
}

// inWords is what a user is told of an error: what was wrong, and not what the engine was
// about to do, which stands in the server's log with what is behind an internal error.
func inWords(err error) string {
	if k := weft.KindOf(err); k == weft.Internal || k == weft.Canceled {
		return "the server could not do it, and its log says why"
	}
	var e *weft.Error
	if !errors.As(err, &e) { // what the kind is of, unless it is none of ours
		return err.Error()
	}
	if e.Advice == "" {
		return e.Message
	}
	return e.Message + "; " + e.Advice
}

const (
	firstDelay = time.Second
	lastDelay  = time.Minute
)

// backoff is how long to wait after the n-th failure in a row.
func backoff(n int) time.Duration {
	d := firstDelay
	for ; n > 1 && d < lastDelay; n-- {
		d *= 2
	}
	return min(d, lastDelay)
}
