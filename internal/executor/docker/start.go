package docker

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/client"

	"github.com/weft-dev/weft"
	"github.com/weft-dev/weft/internal/executor"
	"github.com/weft-dev/weft/internal/worker"
)

// codeNotPrepared is the exit code of a program whose container could not be started, as
// Docker has it.
const codeNotPrepared = 125

// Start gives the engine the image if it lacks it, and has it make and start the
// container.
func (e *Executor) Start(ctx context.Context, job executor.Job) error {
	if seen, err := e.look(ctx, job.Attempt); err != nil || seen.State != executor.Gone && seen.State != executor.Pending {
		return err
	}
	image, err := e.image(ctx, job.Image)
	if err != nil {
		return fmt.Errorf("load image %s: %w", job.ImageName, err)
	}
	r, in, err := e.record(ctx, job, image)
	if err != nil {
		return err
	}
	done, err := e.turns.take(ctx, job.Attempt)
	if err != nil {
		return err
	}
	defer done()
	if seen, err := e.look(ctx, job.Attempt); err != nil || seen.State != executor.Gone && seen.State != executor.Pending {
		return err
	}
	if err := e.prepare(job.Attempt, r, in); err != nil {
		return startError(err)
	}
	if err := e.create(ctx, r); err != nil {
		return err
	}
	return e.begin(ctx, job.Attempt)
}

// prepare makes everything that is mounted. Doing it again changes nothing.
func (e *Executor) prepare(a weft.Attempt, r record, in worker.Inside) error {
	for _, dir := range append([]string{e.run(a), filepath.Dir(r.Log)}, r.Outputs...) {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
	}
	// The program need not see what is not its own.
	if err := errors.Join(os.Chmod(e.dir(a), 0o700), os.Chmod(e.run(a), 0o700), makeFile(r.Log)); err != nil {
		return err
	}
	return errors.Join(worker.Write(e.run(a), worker.FileInside, in, false), worker.Write(e.dir(a), fileJob, r, false))
}

func startError(err error) error {
	kind := weft.Unavailable // it may be over later
	if isFull(err) {
		kind = weft.NoSpace
	}
	return weft.Errorf(kind, "cannot start a container: %w", err)
}

// create makes the container, unless it is there.
func (e *Executor) create(ctx context.Context, r record) error {
	for again := true; ; again = false {
		err := e.make(ctx, r)
		switch {
		case err == nil || taken(err): // its name is the attempt's
			return nil
		case errdefs.IsNotFound(err) && again: // somebody removed the image
			if _, err := e.image(ctx, r.Image); err != nil {
				return err
			}
		case errdefs.IsInvalidArgument(err):
			return weft.Errorf(weft.Invalid, "the container engine refuses the container: %w", err)
		default:
			return e.trouble("make a container", err)
		}
	}
}

// make asks the engine for the container.
func (e *Executor) make(ctx context.Context, r record) error {
	if r.Native {
		return e.createNative(ctx, r)
	}
	_, err := e.engine.ContainerCreate(ctx, r.Create)
	return err
}

// begin starts the container that was made. What the engine cannot start ends with an
// exit code, as with the runc driver.
func (e *Executor) begin(ctx context.Context, a weft.Attempt) error {
	_, err := e.engine.ContainerStart(ctx, containerName(a), client.ContainerStartOptions{})
	switch {
	case err == nil:
		return e.tend(a)
	case errdefs.IsNotFound(err) || errdefs.IsConflict(err) || isFull(err) || !answered(err):
		return e.trouble("start the container", err)
	case e.started(a):
		return nil // it was started after all, and has ended
	}
	exit := worker.Exit{Code: codeNotPrepared, Message: "cannot start: " + err.Error(), Ended: time.Now()}
	if err := e.conclude(a, exit); err != nil {
		return startError(err)
	}
	e.hints.Send(a)
	return nil
}

// Stop leaves the request where the wrapper finds it, who carries it out even if this
// process ends, and has the engine wake it.
func (e *Executor) Stop(ctx context.Context, a weft.Attempt, grace time.Duration) error {
	done, err := e.turns.take(ctx, a)
	if err != nil {
		return err
	}
	defer done()
	seen, err := e.look(ctx, a)
	if err != nil || seen.State != executor.Pending && seen.State != executor.Running {
		return err
	}
	return e.stop(ctx, a, worker.Stop{Asked: time.Now(), Grace: grace})
}

func (e *Executor) stop(ctx context.Context, a weft.Attempt, s worker.Stop) error {
	if _, err := worker.LeaveStop(e.run(a), s); err != nil {
		if isFull(err) {
			return weft.Errorf(weft.NoSpace, "cannot stop run %s: %w", a.Run, err)
		}
		return weft.Errorf(weft.Unavailable, "cannot stop run %s: %w", a.Run, err)
	}
	_, err := e.engine.ContainerKill(ctx, containerName(a), client.ContainerKillOptions{Signal: "SIGTERM"})
	if idle(err) { // it does not run: it will find the request, or has ended
		return nil
	}
	return e.trouble("stop the container", err)
}

// Logs reads the log file, and with follow waits for more of it.
func (e *Executor) Logs(ctx context.Context, a weft.Attempt, follow bool) (io.ReadCloser, error) {
	r, err := worker.Read[record](e.dir(a), fileJob)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, weft.Errorf(weft.NotFound, "run %s has no log", a.Run)
	}
	if err != nil {
		return nil, err
	}
	file, err := openRegular(r.Log)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, weft.Errorf(weft.NotFound, "run %s has no log yet", a.Run)
	}
	if err != nil {
		return nil, fmt.Errorf("open log: %w", err)
	}
	if !follow {
		return file, nil
	}
	return e.growth.Follow(ctx, file, &e.hints, a, func() bool { return e.ended(a) || !e.tending(a) })
}
