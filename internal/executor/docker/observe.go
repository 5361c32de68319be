package docker

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"
	"golang.org/x/sys/unix"

	"github.com/weft-dev/weft"
	"github.com/weft-dev/weft/internal/executor"
	"github.com/weft-dev/weft/internal/worker"
)

func isFull(err error) bool { return errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT) }

// Observe reads what the wrapper has recorded, and asks the engine where it has not.
func (e *Executor) Observe(ctx context.Context, a weft.Attempt) (executor.Seen, error) {
	return e.look(ctx, a)
}

func (e *Executor) look(ctx context.Context, a weft.Attempt) (executor.Seen, error) {
	r, err := worker.Read[record](e.dir(a), fileJob)
	if err != nil { // its Start did not come so far
		return executor.Seen{}, ctx.Err()
	}
	if seen, ok := e.recorded(a, r); ok {
		return seen, ctx.Err()
	}
	state, err := e.inspect(ctx, a)
	if err != nil {
		return executor.Seen{}, err
	}
	switch {
	case state == nil && !e.started(a):
		return executor.Seen{}, nil
	case state != nil && state.Status == container.StateCreated:
		return executor.Seen{State: executor.Pending, Reason: "the container is being made", Devices: r.Devices}, nil
	case state != nil && state.Status != container.StateExited && state.Status != container.StateDead && state.Status != container.StateRemoving:
		seen := executor.Seen{State: executor.Running, Devices: r.Devices, Started: instant(state.StartedAt)}
		if running, err := worker.Read[worker.Running](e.run(a), worker.FileRunning); err == nil {
			seen.Started = running.Started
		}
		// A start that a former Executor asked for may have come to pass only now.
		return seen, e.tend(a)
	}
	if seen, ok := e.recorded(a, r); ok { // meanwhile
		return seen, nil
	}
	exit := e.unrecorded(a, state)
	if err := e.conclude(a, exit); err != nil {
		e.options.Log.Error("record the end of a container", "attempt", a, "error", err)
	}
	return seenOf(exit, r), nil
}

// recorded returns the end that was recorded, if there is one.
func (e *Executor) recorded(a weft.Attempt, r record) (executor.Seen, bool) {
	x, err := worker.Read[worker.Exit](e.run(a), worker.FileExit)
	return seenOf(x, r), err == nil
}

func seenOf(x worker.Exit, r record) executor.Seen {
	seen := executor.Seen{
		State: executor.Exited, Code: x.Code, Signal: x.Signal, OOM: x.OOM, Message: x.Message, Devices: r.Devices,
		Started: x.Started, Ended: x.Ended,
	}
	if x.Unknown {
		seen.State = executor.Lost
	}
	return seen
}

// inspect returns how the engine sees the container; nil if it has none.
func (e *Executor) inspect(ctx context.Context, a weft.Attempt) (*container.State, error) {
	got, err := e.engine.ContainerInspect(ctx, containerName(a), client.ContainerInspectOptions{})
	if errdefs.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, e.trouble("look at the container", err)
	}
	if got.Container.State == nil {
		return nil, weft.Errorf(weft.Unavailable, "the container engine does not tell the state of a container")
	}
	return got.Container.State, nil
}

const codeKilled = 128 + int(unix.SIGKILL)

// unrecorded is the end of a container whose wrapper did not record one: it was killed
// together with the program, or had no room on the disk, or there is no container.
func (e *Executor) unrecorded(a weft.Attempt, s *container.State) worker.Exit {
	x := worker.Exit{Ended: time.Now()}
	if running, err := worker.Read[worker.Running](e.run(a), worker.FileRunning); err == nil {
		x.Started = running.Started
	}
	if s == nil {
		x.Unknown, x.Message = true, "the container is not in the engine any more: somebody removed it there; how it ended is not known"
		return x
	}
	if ended := instant(s.FinishedAt); !ended.IsZero() {
		x.Ended = ended
	}
	x.Code, x.OOM = s.ExitCode, s.OOMKilled
	switch {
	case x.OOM || x.Code == codeKilled:
		x.Code, x.Signal = codeKilled, int(unix.SIGKILL)
		if !x.OOM {
			x.Message = "its container was killed from outside, or the container engine was ended"
		}
	case x.Code < 0 || x.Code >= 255: // what engines say of containers that a loss of power has ended
		x.Unknown, x.Message = true, "the container ended together with its engine; how is not known"
	}
	if words, err := e.lastWords(a); err == nil && words != "" {
		x.Message = words
	}
	return x
}

// instant reads a time of the engine's; it is zero if there is none.
func instant(text string) time.Time {
	t, err := time.Parse(time.RFC3339Nano, text)
	if err != nil || t.Year() < 1970 {
		return time.Time{}
	}
	return t
}

// Watch hints at what changes, and at first at everything that is not known to run.
func (e *Executor) Watch(ctx context.Context, changed chan<- weft.Attempt) error {
	return e.hints.Watch(ctx, func() []weft.Attempt {
		as, err := e.attempts()
		if err != nil {
			e.options.Log.Error("list attempts", "error", err)
		}
		return slices.DeleteFunc(as, func(a weft.Attempt) bool { return e.tending(a) && !e.ended(a) })
	}, changed)
}

// List returns every attempt that has a directory or a container.
func (e *Executor) List(ctx context.Context) ([]weft.Attempt, error) {
	as, err := e.attempts()
	if err != nil {
		return nil, err
	}
	cs, err := e.containers(ctx)
	for a := range cs {
		if !slices.Contains(as, a) {
			as = append(as, a)
		}
	}
	return as, err
}

// containers returns those that the engine has of this server, with their states.
func (e *Executor) containers(ctx context.Context) (map[weft.Attempt]container.ContainerState, error) {
	list, err := e.engine.ContainerList(ctx, client.ContainerListOptions{
		All: true, Filters: client.Filters{}.Add("label", labelServer+"="+e.id),
	})
	if err != nil {
		return nil, e.trouble("list containers", err)
	}
	found := make(map[weft.Attempt]container.ContainerState, len(list.Items))
	for _, c := range list.Items {
		if a, err := weft.ParseAttempt(c.Labels[labelAttempt]); err == nil && c.Labels[labelServer] == e.id {
			found[a] = c.State
		}
	}
	return found, nil
}
