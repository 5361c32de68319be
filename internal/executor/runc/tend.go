package runc

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"github.com/weft-dev/weft"
	"github.com/weft-dev/weft/internal/executor"
	"github.com/weft-dev/weft/internal/worker"
)

// maxSupervisors is how many supervisors may die on one attempt before it starts.
const maxSupervisors = 5

// A tender sees to it that somebody accompanies an attempt to its end.
type tender struct {
	over    chan struct{}      // closed when nobody works on the attempt any more
	patient context.Context    // ends when settling is not to be tried again
	hurry   context.CancelFunc // ends it
}

// tend begins to tend a. Cmd is the supervisor if it is a child of this process.
func (e *Executor) tend(a weft.Attempt, hold *worker.Hold, cmd *exec.Cmd) {
	t := &tender{over: make(chan struct{})}
	t.patient, t.hurry = context.WithCancel(e.ctx)
	e.mu.Lock()
	e.tenders[a] = t
	e.mu.Unlock()
	e.group.Go(func() {
		defer func() {
			t.hurry()
			_ = hold.Close() // it was only read from
			e.mu.Lock()
			delete(e.tenders, a)
			e.mu.Unlock()
			close(t.over)
			e.hints.Send(a)
		}()
		pause, supervisors := firstPause, 1
		for e.listen(a, hold) {
			if cmd != nil {
				// How it ended is in its files; it only must not stay a zombie.
				_ = cmd.Wait()
			}
			var again bool
			var err error
			if cmd, again, err = e.settle(a, hold, supervisors); err != nil {
				e.options.Log.Error("settle attempt", "attempt", a, "error", err)
				if pause = t.wait(pause); pause == 0 {
					return
				}
			} else if !again {
				return
			}
			if cmd != nil {
				supervisors++
			}
		}
	})
}

// Between tries to settle an attempt when that fails, as when the disk is full.
const (
	firstPause = 100 * time.Millisecond
	lastPause  = time.Minute
)

// wait returns the next pause, or 0 when there is to be no further try.
func (t *tender) wait(pause time.Duration) time.Duration {
	select {
	case <-time.After(pause):
		return min(2*pause, lastPause)
	case <-t.patient.Done():
		return 0
	}
}

// listen passes on the supervisor's hints until it is gone, and takes hold of the
// container as soon as there is one. It returns false when the Executor is closed
// before that.
func (e *Executor) listen(a weft.Attempt, hold *worker.Hold) bool {
	alive, err := os.OpenFile(filepath.Join(e.dir(a), worker.FileAlive), os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return e.ctx.Err() == nil // without the FIFO, nobody is there
	}
	defer alive.Close()
	stop := context.AfterFunc(e.ctx, func() { alive.SetReadDeadline(time.Now()) })
	defer stop()
	for buf := make([]byte, 16); ; {
		if e.look(a).State == executor.Running {
			if _, err := hold.Started(); err != nil {
				e.options.Log.Warn("take hold of container", "attempt", a, "error", err)
			}
		}
		n, err := alive.Read(buf)
		if n > 0 {
			e.hints.Send(a)
		}
		if err != nil {
			return errors.Is(err, io.EOF) && e.ctx.Err() == nil
		}
	}
}

// settle decides what becomes of an attempt that has no supervisor: it is over, gets
// a new one, or is followed to its end here. Again is false when it is over.
func (e *Executor) settle(a weft.Attempt, hold *worker.Hold, supervisors int) (cmd *exec.Cmd, again bool, err error) {
	cmd, adopt, again, err := e.succeed(a, hold, supervisors)
	if err != nil || adopt == nil {
		return cmd, again, err
	}
	defer adopt.Close()
	e.options.Log.Warn("the supervisor is gone; the container is followed here", "attempt", a)
	err = worker.Adopt(e.ctx, e.dir(a), adopt, hold)
	if e.ctx.Err() != nil {
		err = nil // the next server goes on
	}
	return nil, false, err
}

// succeed is the decision of settle. It returns the lock if the container is to be
// adopted.
func (e *Executor) succeed(a weft.Attempt, hold *worker.Hold, supervisors int) (cmd *exec.Cmd, adopt *os.File, again bool, err error) {
	defer e.lock(a)()
	dir := e.dir(a)
	if s := e.look(a).State; s != executor.Pending && s != executor.Running {
		return nil, nil, false, nil
	}
	task, err := worker.Read[worker.Task](dir, worker.FileTask)
	if err != nil {
		return nil, nil, false, err
	}
	alive, err := worker.Lock(dir)
	if err != nil {
		return nil, nil, false, err
	}
	if alive == nil {
		return nil, nil, true, nil
	}
	started, err := hold.Started()
	if err == nil && started {
		return nil, alive, false, nil
	}
	defer alive.Close()
	if err != nil {
		return nil, nil, false, err
	}
	if supervisors >= maxSupervisors {
		return nil, nil, false, worker.GiveUp(dir, task, alive, "its supervisor died again and again: "+lastWords(dir))
	}
	if err := task.Delete(); err != nil {
		return nil, nil, false, err
	}
	cmd, err = e.supervise(dir, alive)
	return cmd, nil, err == nil, err
}

// lastWords are what the last supervisor left in its log.
func lastWords(dir string) string {
	const most = 500
	b, err := os.ReadFile(filepath.Join(dir, logOfSupervisor))
	if err != nil {
		return err.Error()
	}
	return string(bytes.TrimSpace(b[max(0, len(b)-most):]))
}

// Remove has the supervisor kill what runs, waits until it is gone, and removes the
// directory.
func (e *Executor) Remove(ctx context.Context, a weft.Attempt) error {
	for {
		over, err := e.remove(a)
		if err != nil || over == nil {
			return errors.Join(err, ctx.Err())
		}
		select {
		case <-over:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// remove returns what to wait for before it is called again, or nil when there is
// nothing more to do.
func (e *Executor) remove(a weft.Attempt) (over <-chan struct{}, err error) {
	defer e.lock(a)()
	dir := e.dir(a)
	if _, err := os.Lstat(dir); errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	task, err := worker.Read[worker.Task](dir, worker.FileTask)
	made := err == nil // else Start did not come so far
	e.mu.Lock()
	t := e.tenders[a]
	e.mu.Unlock()
	if t != nil {
		t.hurry()
		err := worker.RequestStop(dir, worker.Stop{Asked: time.Now()})
		if err != nil && made { // no room for a request: then without asking
			err = task.Delete()
		}
		return t.over, err
	}
	if made {
		if err := task.Delete(); err != nil {
			return nil, weft.Errorf(weft.Unavailable, "cannot remove the container of run %s: %w", a.Run, err)
		}
	}
	if err := os.RemoveAll(dir); err != nil {
		return nil, weft.Errorf(weft.Unavailable, "cannot remove the container of run %s: %w", a.Run, err)
	}
	return nil, nil
}
