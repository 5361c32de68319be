package engine

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/weft-dev/weft"
	"github.com/weft-dev/weft/internal/executor"
)

// errOvertaken says that a Run could not be recorded as it has been changed since it
// was read: by a user, or by whoever took over a lease that ended.
var errOvertaken = errors.New("the run has changed meanwhile")

// startTries is how often a container that does not start, for a reason that nobody
// foresaw, is tried again, which takes some minutes. Meanwhile it holds its room.
const startTries = 8

// tellAfter is how long a start takes before its user is told what it waits for.
const tellAfter = time.Second

// dispatch gives a claimed Run to whoever handles its status.
func (e *Engine) dispatch(ctx context.Context, r weft.Run) {
	if e.asks.meet(r) && r.Status != weft.Starting && r.Status != weft.Running {
		return // while its container lives it is looked at nevertheless: once that ends, its room is free
	}
	switch r.Status {
	case weft.Waiting, weft.Ready:
		if !e.fleet.busy(r) {
			e.queue.arrive(r)
			e.admit.set()
		}
	case weft.Starting, weft.Running, weft.Completing, weft.Aborting:
		e.launch(ctx, r, nil)
	}
}

// launch works on r in a goroutine of its own, unless that is being done already.
// The plan may be nil if it was not read yet.
func (e *Engine) launch(ctx context.Context, r weft.Run, p *weft.Plan) {
	fctx, ok := e.fleet.enter(ctx, r)
	if !ok {
		return
	}
	e.metrics.flights.Inc()
	e.flying.Go(func() {
		e.advance(fctx, r, p)
		last, next, hinted := e.fleet.leave(r.ID)
		e.metrics.flights.Dec()
		if ctx.Err() != nil {
			return
		}
		switch {
		case next != nil:
			e.dispatch(ctx, *next)
		case hinted && (last.Status == weft.Starting || last.Status == weft.Running || last.StopBy.After(time.Now())):
			e.hints.add(last.Current())
		}
		e.resumeAsked(ctx, r.ID) // its hooks may have agreed before it had landed
		e.admit.set()
	})
}

// advance takes a Run as far as it goes now: act, record, and again.
func (e *Engine) advance(ctx context.Context, r weft.Run, p *weft.Plan) {
	var given *gifts
	for {
		next, err := e.act(ctx, r, p, &given)
		if err != nil {
			e.trouble(ctx, next, err)
			return
		}
		if next.Rev == r.Rev || next.Status == r.Status || next.Status == weft.Running || next.Status.Ended() {
			return
		}
		r = next
	}
}

// Gifts are the variables that hooks gave a Run, where this flight asked them itself.
type gifts struct{ env map[string]string }

// act does what the status of a Run asks for, records what came of it, and returns the
// Run as it is recorded, even with an error.
func (e *Engine) act(ctx context.Context, r weft.Run, p *weft.Plan, given **gifts) (weft.Run, error) {
	switch r.Status {
	case weft.Ready:
		return e.resolve(ctx, r, p, given)
	case weft.Starting:
		return e.start(ctx, r, p, *given)
	case weft.Running:
		return e.look(ctx, r, p)
	case weft.Completing, weft.Aborting:
		return e.finish(ctx, r, p)
	}
	return r, nil
}

// resolve is for a Run that was let in: it pins the image by digest.
func (e *Engine) resolve(ctx context.Context, r weft.Run, p *weft.Plan, given **gifts) (weft.Run, error) {
	if p == nil {
		return r, nil
	}
	env, err := e.cleared(r, weft.Starting)
	if err != nil {
		return r, err
	}
	var digest weft.Digest
	r, err = e.telling(ctx, r, "gets image "+p.Image.String(), func() (err error) {
		digest, err = e.images.Do(ctx, imageKey{r.Project, p.Image})
		return err
	})
	now := time.Now().UTC()
	if permanent(err) {
		next, err := stuck(r, err, now)
		if err != nil {
			return r, err
		}
		return e.record(ctx, r, weft.Save{Run: next, Keep: true})
	}
	if err != nil {
		return r, fmt.Errorf("resolve image: %w", err)
	}
	next, err := r.To(weft.Starting, now)
	if err != nil {
		return r, fmt.Errorf("start: %w", err)
	}
	next.Image, next.Node, next.Resources = digest, e.Node, p.Resources
	sealed, err := e.sealEnv(next.Current(), env)
	if err != nil {
		return r, err
	}
	*given = &gifts{env}
	return e.record(ctx, r, weft.Save{Run: next, Keep: true, Env: sealed})
}

// start hands the attempt to the executor, which may have it already, and looks at
// once what became of it.
func (e *Engine) start(ctx context.Context, r weft.Run, p *weft.Plan, given *gifts) (weft.Run, error) {
	job, err := e.job(ctx, r, p)
	if permanent(err) {
		next, err := stuck(r, err, time.Now().UTC())
		if err != nil {
			return r, err
		}
		return e.record(ctx, r, weft.Save{Run: next, Keep: true})
	}
	if err != nil {
		return r, err
	}
	if given == nil {
		env, err := e.envOf(ctx, r)
		if err != nil {
			return r, err
		}
		given = &gifts{env}
	}
	job.Env = withEnv(job.Env, given.env)
	r, err = e.telling(ctx, r, "its container is being made", func() error { return e.startJob(ctx, job) })
	if err != nil {
		hopeless := weft.KindOf(err) == weft.Internal && e.tries.of(r.ID) >= startTries
		if !permanent(err) && !hopeless {
			return r, fmt.Errorf("start container: %w", err)
		}
		next, err := stuck(r, err, time.Now().UTC())
		if err != nil {
			return r, err
		}
		return e.record(ctx, r, weft.Save{Run: next, Keep: true})
	}
	e.metrics.started.Inc()
	return e.look(ctx, r, p)
}

// telling does something that may be slow. If it is, the Run gets the reason why it
// waits, and is returned with it.
func (e *Engine) telling(ctx context.Context, r weft.Run, reason string, act func() error) (weft.Run, error) {
	told := make(chan weft.Run, 1)
	timer := time.AfterFunc(tellAfter, func() {
		next := because(r, reason)
		if next.Rev != r.Rev { // if this fails, but took effect, the next record is refused, and the Run looked at again
			next, _ = e.record(ctx, r, weft.Save{Run: next, Keep: true})
		}
		told <- next
	})
	err := act()
	if !timer.Stop() {
		r = <-told
	}
	return r, err
}

func (e *Engine) startJob(ctx context.Context, job executor.Job) error {
	select {
	case e.starts <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { <-e.starts }()
	return e.Executor.Start(ctx, job)
}

// job gathers everything that the executor needs to know.
func (e *Engine) job(ctx context.Context, r weft.Run, p *weft.Plan) (executor.Job, error) {
	p, err := e.planOf(ctx, r, p)
	if err != nil {
		return executor.Job{}, err
	}
	ids := make([]weft.DataID, len(r.Inputs))
	for i, in := range r.Inputs {
		ids[i] = in.Data
	}
	trees, err := e.trees.Do(ctx, ids)
	if err != nil {
		return executor.Job{}, err
	}
	devices, err := e.ledger.assume(r.ID, p, time.Now())
	if err != nil {
		return executor.Job{}, err
	}
	env, err := e.environment(ctx, r, p)
	if err != nil {
		return executor.Job{}, err
	}
	job := executor.Job{
		Attempt: r.Current(), Project: r.Project, Plan: r.Plan, Image: r.Image, ImageName: p.Image.String(),
		Entrypoint: p.Entrypoint, Args: p.Args, Env: env, Resources: p.Resources, Devices: devices, OnNode: p.OnNode,
		ServiceAccount: p.ServiceAccount, Log: r.Log, LogLimit: e.LogLimit, OutputLimit: e.OutputLimit,
	}
	for _, in := range r.Inputs {
		tree, ok := trees[in.Data]
		if !ok {
			return executor.Job{}, weft.Errorf(weft.NotFound, "input %s: the content of data %s is gone: it was purged", in.Path, in.Data)
		}
		job.Inputs = append(job.Inputs, executor.Input{Path: in.Path, Data: in.Data, Tree: tree})
	}
	for _, out := range r.Outputs {
		job.Outputs = append(job.Outputs, executor.Output{Path: out.Path, Data: out.Data})
	}
	return job, nil
}

// look observes the attempt and records what that means for the Run.
func (e *Engine) look(ctx context.Context, r weft.Run, p *weft.Plan) (weft.Run, error) {
	seen, err := e.Executor.Observe(ctx, r.Current())
	if err != nil {
		return r, fmt.Errorf("observe container: %w", err)
	}
	now := time.Now().UTC()
	next, err := decide(r, seen, now)
	if err != nil {
		return next, err
	}
	again := now.Add(runningAgain) // the executor's hint comes first
	if next.Status == weft.Running {
		if next, again, err = e.limitTime(ctx, next, p, now, again); err != nil {
			return r, err
		}
	}
	if next.Rev == r.Rev {
		return next, nil
	}
	save := weft.Save{Run: next, Keep: true}
	if next.Status == weft.Running || next.Status == weft.Starting {
		save.Keep, save.Due = false, again
	}
	e.tries.forget(r.ID)
	next, err = e.record(ctx, r, save)
	if errors.Is(err, errParked) && (seen.State == executor.Exited || seen.State == executor.Gone || seen.State == executor.Lost) {
		e.ledger.release(r.ID) // nothing of it runs any more, however long its hook takes
		e.admit.set()
	}
	return next, err
}

// finish gives a program that is to end its grace, makes sure that nothing of the attempt
// writes any more, seals what it left, and records the Run as ended. It closes before it removes: as long as the executor
// has the attempt, it will not start it again.
func (e *Engine) finish(ctx context.Context, r weft.Run, p *weft.Plan) (weft.Run, error) {
	if waiting, err := e.askToEnd(ctx, r); waiting || err != nil {
		return r, err
	}
	if err := e.Content.Close(ctx, r.Current()); err != nil {
		return r, fmt.Errorf("close outputs: %w", err)
	}
	if err := e.Executor.Remove(ctx, r.Current()); err != nil {
		return r, fmt.Errorf("remove container: %w", err)
	}
	e.ledger.release(r.ID)
	e.admit.set()
	end := weft.Done
	if r.Status == weft.Aborting {
		end = weft.Failed
	}
	if _, err := e.cleared(r, end); err != nil {
		return r, err
	}
	trees, problems, err := e.seal(ctx, r)
	if err != nil {
		return r, fmt.Errorf("seal outputs: %w", err)
	}
	next, err := r.To(end, time.Now().UTC())
	if err != nil {
		return r, fmt.Errorf("finish: %w", err)
	}
	next.Exit = withProblems(next.Exit, problems)
	save := weft.Save{Run: next, Trees: trees}
	if err := e.tryAgain(ctx, &save, p); err != nil {
		return r, err
	}
	if next, err = e.record(ctx, r, save); err != nil {
		return r, err
	}
	e.tries.forget(r.ID)
	e.metrics.ended.WithLabelValues(string(end)).Inc()
	if err := e.Content.Discard(ctx, r.Current()); err != nil && ctx.Err() == nil {
		e.Log.Warn("the work directory of a run is left for the reconciler", "run", r.ID, "attempt", r.Attempt, "error", err)
	}
	return next, nil
}

func (e *Engine) seal(ctx context.Context, r weft.Run) (map[weft.DataID]weft.Tree, []string, error) {
	select {
	case e.seals <- struct{}{}:
	case <-ctx.Done():
		return nil, nil, ctx.Err()
	}
	defer func() { <-e.seals }()
	trees, problems, err := e.Content.Seal(ctx, r)
	if err != nil {
		return nil, nil, err
	}
	for _, id := range r.OutputIDs() {
		if trees[id].Digest.IsZero() {
			return nil, nil, fmt.Errorf("data %s was not sealed", id)
		}
	}
	return trees, problems, nil
}

// withProblems tells in the exit message what of the outputs could not be kept.
func withProblems(x *weft.Exit, problems []string) *weft.Exit {
	if len(problems) == 0 {
		return x
	}
	text := strings.Join(problems, "; ")
	if x == nil {
		return weft.NewExit(0, text)
	}
	if x.Message != "" {
		text = x.Message + "; " + text
	}
	return weft.NewExit(x.Code, text)
}

// record saves what became of a Run, together with whatever else is to be saved, and
// returns it as it is recorded then. Another status is not recorded until hooks agree.
func (e *Engine) record(ctx context.Context, was weft.Run, s weft.Save) (weft.Run, error) {
	if _, err := e.cleared(was, s.Run.Status); err != nil {
		return was, err
	}
	s.Rev = was.Rev
	failed, err := e.saver.Do(ctx, s)
	switch {
	case err != nil:
		return was, fmt.Errorf("save run: %w", err)
	case weft.KindOf(failed) == weft.Conflict:
		return was, errOvertaken
	case failed != nil:
		return was, fmt.Errorf("save run: %w", failed)
	}
	e.fleet.note(s.Run)
	if s.Run.Status != was.Status {
		e.asks.forget(was.ID)
	}
	return s.Run, nil
}

// trouble is for an act that failed and may succeed later. The Run stays what it is,
// with the reason, and is taken up again after a while. If not even that can be
// recorded, it is looked at again all the same.
func (e *Engine) trouble(ctx context.Context, r weft.Run, err error) {
	if ctx.Err() != nil {
		return
	}
	if errors.Is(err, errParked) {
		e.parked(r)
		return
	}
	delay := backoff(e.tries.fail(r.ID))
	if errors.Is(err, errOvertaken) {
		e.metrics.overtaken.Inc()
		delay = 0
	} else {
		e.Log.Warn("a run is held up", "run", r.ID, "attempt", r.Attempt, "status", r.Status, "error", err, "again", delay)
		e.metrics.troubles.Inc()
		held := r
		held.Reason = "is tried again: " + inWords(err)
		held.Rev++
		_, serr := e.record(ctx, r, weft.Save{Run: held, Due: time.Now().UTC().Add(delay)})
		if serr == nil && r.Status == weft.Ready {
			e.ledger.release(r.ID)
		}
	}
	time.AfterFunc(delay, func() { e.hints.add(r.Current()) })
}
