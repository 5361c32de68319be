package docker

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"

	"github.com/weft-dev/weft"
	"github.com/weft-dev/weft/internal/worker"
)

// resume watches every container that a former Executor has left, and that runs.
func (e *Executor) resume(ctx context.Context) error {
	found, err := e.containers(ctx)
	if err != nil {
		return err
	}
	for a, state := range found {
		if state == container.StateCreated || state == container.StateExited || state == container.StateDead {
			continue
		}
		if err := e.tend(a); err != nil {
			e.options.Log.Error("take up attempt", "attempt", a, "error", err)
		}
	}
	return nil
}

func (e *Executor) tending(a weft.Attempt) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.tended[a]
}

// tend hints at what happens to the attempt until its container has ended: when the
// wrapper writes something, which one sees at once, and when the engine says so, which is
// sure.
func (e *Executor) tend(a weft.Attempt) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.tended[a] || e.ctx.Err() != nil {
		return nil
	}
	stop, err := e.growth.Watch(e.run(a), func() { e.hints.Send(a) })
	if errors.Is(err, os.ErrNotExist) { // somebody removes it at this moment
		return nil
	}
	if err != nil {
		// Then only the engine tells, somewhat later.
		e.options.Log.Warn("watch the directory of an attempt", "attempt", a, "error", err)
		stop = func() {}
	}
	e.tended[a] = true
	e.group.Go(func() {
		e.await(a)
		stop()
		e.mu.Lock()
		delete(e.tended, a)
		e.mu.Unlock()
		e.hints.Send(a)
	})
	e.hints.Send(a)
	return nil
}

// Between tries to reach an engine that is not there.
const (
	firstPause = 500 * time.Millisecond
	lastPause  = 10 * time.Second
)

// await returns when the container has ended or the Executor is closed. An engine that is
// restarted is asked again.
func (e *Executor) await(a weft.Attempt) {
	for pause := firstPause; ; pause = min(2*pause, lastPause) {
		began := time.Now()
		err := e.wait(e.ctx, a)
		if err == nil || errdefs.IsNotFound(err) || e.ctx.Err() != nil {
			return
		}
		e.options.Log.Warn("the container engine broke off and is asked again", "attempt", a, "error", err, "after", pause)
		e.hints.Send(a)
		if time.Since(began) > lastPause {
			pause = firstPause
		}
		select {
		case <-time.After(pause):
		case <-e.ctx.Done():
			return
		}
	}
}

// wait waits for the end of the container.
func (e *Executor) wait(ctx context.Context, a weft.Attempt) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel() // also of the request
	result := e.engine.ContainerWait(ctx, containerName(a), client.ContainerWaitOptions{Condition: container.WaitConditionNotRunning})
	select {
	case <-result.Result:
		return nil
	case err := <-result.Error:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// patience is how long a wrapper may take to kill its program before the engine does.
const patience = 10 * time.Second

// Remove has the program killed, what it wrote handed over, and the container removed.
func (e *Executor) Remove(ctx context.Context, a weft.Attempt) error {
	done, err := e.turns.take(ctx, a)
	if err != nil {
		return err
	}
	defer done()
	state, err := e.inspect(ctx, a)
	if err != nil {
		return err
	}
	if _, err := os.Lstat(e.dir(a)); errors.Is(err, os.ErrNotExist) && state == nil {
		return nil
	}
	if state != nil && state.Status != container.StateCreated {
		if err := e.end(ctx, a, state); err != nil {
			return err
		}
	}
	if err := e.settle(ctx, a, state); err != nil {
		return err
	}
	_, err = e.engine.ContainerRemove(ctx, containerName(a), client.ContainerRemoveOptions{Force: true, RemoveVolumes: true})
	if err != nil && !errdefs.IsNotFound(err) {
		return e.trouble("remove the container", err)
	}
	if err := os.RemoveAll(e.dir(a)); err != nil {
		return weft.Errorf(weft.Unavailable, "cannot remove the container of run %s: %w", a.Run, err)
	}
	return nil
}

// end kills what runs: by the wrapper, which then hands over at once, or by the engine if
// it does not come to it.
func (e *Executor) end(ctx context.Context, a weft.Attempt, s *container.State) error {
	if s.Status == container.StateExited || s.Status == container.StateDead {
		return nil
	}
	if s.Status == container.StatePaused {
		if _, err := e.engine.ContainerUnpause(ctx, containerName(a), client.ContainerUnpauseOptions{}); err != nil && !answered(err) {
			return e.trouble("wake the container", err)
		}
	}
	err := e.stop(ctx, a, worker.Stop{Asked: time.Now()})
	if weft.KindOf(err) == weft.NoSpace || errors.Is(err, os.ErrNotExist) { // no room, or place, for a request: then without asking
		err = nil
	} else if err == nil {
		short, cancel := context.WithTimeout(ctx, patience)
		err = e.wait(short, a)
		cancel()
		if err == nil || errdefs.IsNotFound(err) {
			return nil
		}
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	_, err = e.engine.ContainerKill(ctx, containerName(a), client.ContainerKillOptions{Signal: "SIGKILL"})
	if err != nil && !idle(err) {
		return e.trouble("kill the container", err)
	}
	if err := e.wait(ctx, a); err != nil && !errdefs.IsNotFound(err) {
		return e.trouble("wait for the container", err)
	}
	return nil
}

// settle has what the program wrote handed over, if that was not done: by starting the
// container again, whose wrapper then does nothing else.
func (e *Executor) settle(ctx context.Context, a weft.Attempt, state *container.State) error {
	there := state != nil
	if !e.started(a) && (!there || state.Status == container.StateCreated) || e.handed(a) {
		return nil
	}
	r, err := worker.Read[record](e.dir(a), fileJob)
	if err != nil {
		return weft.Errorf(weft.Unavailable, "cannot remove the container of run %s: %w", a.Run, err)
	}
	if there && !e.ended(a) { // starting it makes the engine forget how it ended
		if _, err := e.look(ctx, a); err != nil {
			return err
		}
	}
	if !there {
		if _, err := e.image(ctx, r.Image); err != nil {
			return err
		}
		if err := e.create(ctx, r); err != nil {
			return err
		}
	}
	if err := makeFile(filepath.Join(e.run(a), worker.FileStarted)); err != nil && !errors.Is(err, os.ErrPermission) {
		return startError(err) // without the mark the program would run again
	}
	if _, err := e.engine.ContainerStart(ctx, containerName(a), client.ContainerStartOptions{}); err != nil {
		return e.trouble("have the outputs handed over", err)
	}
	if err := e.wait(ctx, a); err != nil {
		return e.trouble("have the outputs handed over", err)
	}
	if !e.handed(a) {
		words, err := e.lastWords(a)
		if err != nil {
			words = "it does not say why"
		}
		return weft.Errorf(weft.Unavailable, "the outputs of run %s could not be handed over by its container: %s", a.Run, words)
	}
	return nil
}

// lastWords are what the wrapper said when it could not do its work.
func (e *Executor) lastWords(a weft.Attempt) (string, error) {
	file, err := openRegular(filepath.Join(e.run(a), worker.FileWords))
	if err != nil {
		return "", err
	}
	defer file.Close()
	const most = 500
	text, err := io.ReadAll(io.LimitReader(file, most))
	return string(bytes.TrimSpace(text)), err
}
