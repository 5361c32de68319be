package worker

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// A Hold on an attempt keeps what a successor of its supervisor needs, should the
// program end between the two: what is in the pipe, and the kernel's memory of how
// it ended.
type Hold struct {
	task    Task
	stdio   *os.File
	state   *state   // nil: no container was set going
	process *os.File // nil: none, or it has ended

	late bool // it was taken when there may have been a container already
	lost bool // the container had ended by then: what was in the pipe is gone
}

// NewHold is to be taken before the container is made.
func NewHold(dir string, t Task) (*Hold, error) {
	name := filepath.Join(dir, fileStdio)
	if err := makeFIFO(name); err != nil {
		return nil, err
	}
	stdio, err := os.OpenFile(name, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, fmt.Errorf("hold container: %w", err)
	}
	return &Hold{task: t, stdio: stdio}, nil
}

// NewLateHold is for an attempt whose container may have been made before, as when the
// server was restarted. If the container has ended already, and its supervisor is not
// there to tell, nobody knows whether all it printed is in the log.
func NewLateHold(dir string, t Task) (*Hold, error) {
	h, err := NewHold(dir, t)
	if err == nil {
		h.late = true
	}
	return h, err
}

// Started reports whether a container was made and set going, and if so holds it.
// Before runc is known to be gone, false may change at any time.
func (h *Hold) Started() (bool, error) {
	if h.state != nil {
		return true, nil
	}
	s, err := h.task.readState()
	if s == nil || err != nil {
		return false, err
	}
	if h.process, err = s.open(); err != nil {
		return false, err
	}
	h.state = s
	h.lost = h.late && (h.process == nil || ended(h.process))
	return true, nil
}

// Close lets go.
func (h *Hold) Close() error {
	if h.process != nil {
		return errors.Join(h.stdio.Close(), h.process.Close())
	}
	return h.stdio.Close()
}

// Adopt follows the container in dir, whose supervisor is gone, to its end in place
// of it. Alive is the lock, which the caller holds; h knows that it was started. When
// ctx ends first, the container goes on, and can be adopted again.
func Adopt(ctx context.Context, dir string, alive *os.File, h *Hold) error {
	f, err := newFollower(dir, alive, h)
	if err != nil {
		return fmt.Errorf("adopt container: %w", err)
	}
	defer f.close()
	if known, err := Read[Running](dir, FileRunning); err == nil {
		f.running.Started = known.Started
	} else if err := Write(dir, FileRunning, f.running, false); err != nil {
		return err
	}
	exit, err := f.follow(ctx)
	if err != nil {
		return fmt.Errorf("adopt container: %w", err)
	}
	return f.finish(exit)
}

// BecomeReaper makes this process the parent of containers whose supervisor, a child
// of its own, is gone. Their exit codes can then be told by any kernel.
func BecomeReaper() error {
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("become sub-reaper: %w", err)
	}
	return nil
}

// GiveUp records that the attempt in dir came to no end that is known.
func GiveUp(dir string, t Task, alive *os.File, message string) error {
	return finish(dir, t, Exit{Unknown: true, Message: message, Ended: time.Now()}, alive)
}
