package runc

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/weft-dev/weft"
	"github.com/weft-dev/weft/internal/executor"
	"github.com/weft-dev/weft/internal/worker"
)

// Start prepares the attempt's directory and starts a supervisor on it, which makes
// the container. What cannot be made ends with an exit code, as in Docker.
func (e *Executor) Start(ctx context.Context, job executor.Job) error {
	if e.look(job.Attempt).State != executor.Gone {
		return ctx.Err()
	}
	image, err := e.options.Images.Unpack(ctx, job.Image)
	if err != nil {
		return fmt.Errorf("unpack image %s: %w", job.ImageName, err)
	}
	task, err := e.task(ctx, job, image)
	if err != nil {
		return err
	}
	defer e.lock(job.Attempt)()
	return e.launch(job.Attempt, task)
}

// launch takes charge of the attempt, writes its task unless there is one, and
// starts the supervisor.
func (e *Executor) launch(a weft.Attempt, task worker.Task) error {
	dir := e.dir(a)
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, os.ErrExist) {
		return startError(err)
	}
	alive, err := worker.Lock(dir)
	if err != nil {
		return startError(err)
	}
	if alive == nil {
		return nil // somebody is at it
	}
	defer alive.Close()
	if e.look(a).State != executor.Gone {
		return nil
	}
	for _, d := range append([]string{filepath.Dir(task.Log)}, task.Outputs...) {
		if err := os.MkdirAll(d, 0o755); err != nil {
			return startError(err)
		}
	}
	if err := makeLog(task.Log); err != nil { // so that it can be followed from now on
		return startError(err)
	}
	if err := worker.Write(dir, worker.FileTask, task, false); err != nil {
		return startError(err)
	}
	hold, err := worker.NewHold(dir, task)
	if err != nil {
		return startError(errors.Join(err, os.Remove(filepath.Join(dir, worker.FileTask))))
	}
	cmd, err := e.supervise(dir, alive)
	if err != nil {
		return startError(errors.Join(err, hold.Close(), os.Remove(filepath.Join(dir, worker.FileTask))))
	}
	e.tend(a, hold, cmd)
	return nil
}

func makeLog(name string) error {
	log, err := os.OpenFile(name, os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	return log.Close()
}

func startError(err error) error {
	return weft.Errorf(kindOf(err), "cannot start a container: %w", err)
}

// kindOf is the kind of a failure of this machine: it may be over later.
func kindOf(err error) weft.Kind {
	if errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT) {
		return weft.NoSpace
	}
	return weft.Unavailable
}

const logOfSupervisor = "supervisor.log"

// supervise starts a supervisor: in a session of its own, so that no terminal and no
// process group takes it along; in a mount namespace of its own, so that the
// container's mounts can never be left over; and without the server's environment.
func (e *Executor) supervise(dir string, alive *os.File) (*exec.Cmd, error) {
	out, err := os.OpenFile(filepath.Join(dir, logOfSupervisor), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	defer out.Close()
	command := append(append([]string{}, e.options.Worker...), dir)
	cmd := exec.Command(command[0], command[1:]...)
	cmd.Env = []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "GOMAXPROCS=2", "GOGC=50"}
	cmd.Dir = dir
	cmd.Stdout, cmd.Stderr = out, out
	cmd.ExtraFiles = []*os.File{alive}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Cloneflags: syscall.CLONE_NEWNS}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start supervisor: %w", err)
	}
	return cmd, nil
}
