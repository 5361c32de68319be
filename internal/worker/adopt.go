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

// Adopt follows the container in dir, whose supervisor is gone, to its end in place
// of it. Alive is the lock, which the caller holds. When ctx ends first, the
// container goes on, and can be adopted again.
func Adopt(ctx context.Context, dir string, alive *os.File) error {
	t, err := Read[Task](dir, FileTask)
	if err != nil {
		return err
	}
	stdio, err := os.OpenFile(filepath.Join(dir, fileStdio), os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return fmt.Errorf("adopt container: %w", err)
	}
	f, err := newFollower(dir, t, alive, stdio)
	if err != nil {
		return fmt.Errorf("adopt container: %w", err)
	}
	if f == nil {
		return errors.New("adopt container: there is none")
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

// GiveUp records that the attempt in dir came to no end that is known.
func GiveUp(dir string, t Task, alive *os.File, message string) error {
	return finish(dir, t, Exit{Unknown: true, Message: message, Ended: time.Now()}, alive)
}
