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

// A Hold on a running container keeps what a successor of its supervisor needs, should
// the container end between the two: the kernel's memory of how it ended, and what is
// in the pipe.
type Hold struct {
	state   *state
	process *os.File // nil: it has ended
	stdio   *os.File
}

// NewHold returns nil if no container was set going in dir.
func NewHold(dir string, t Task) (*Hold, error) {
	s, err := t.readState()
	if s == nil || err != nil {
		return nil, err
	}
	stdio, err := os.OpenFile(filepath.Join(dir, fileStdio), os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, fmt.Errorf("hold container: %w", err)
	}
	process, err := s.open()
	if err != nil {
		return nil, errors.Join(fmt.Errorf("hold container: %w", err), stdio.Close())
	}
	return &Hold{s, process, stdio}, nil
}

// Close lets go.
func (h *Hold) Close() error {
	if h == nil {
		return nil
	}
	err := h.stdio.Close()
	if h.process != nil {
		err = errors.Join(err, h.process.Close())
	}
	return err
}

// Adopt follows the container in dir, whose supervisor is gone, to its end in place
// of it. Alive is the lock, which the caller holds; h is closed in any case. When ctx
// ends first, the container goes on, and can be adopted again.
func Adopt(ctx context.Context, dir string, alive *os.File, h *Hold) error {
	t, err := Read[Task](dir, FileTask)
	if err != nil {
		return errors.Join(err, h.Close())
	}
	f, err := newFollower(dir, t, alive, h)
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
	return finish(dir, t, exit, alive)
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
