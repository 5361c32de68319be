package store

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/weft-dev/weft"
)

// StopRun has a Run end at a user's wish; see weft.Run.Stop.
func (s *Store) StopRun(ctx context.Context, project weft.ProjectID, id weft.RunID, how weft.Stop, by weft.PrincipalID) (weft.RunView, error) {
	err := s.change(ctx, func(ctx context.Context, t *tx) error {
		r, p, err := t.run(ctx, project, id, t.s.forUpdate)
		if err != nil {
			return err
		}
		if p.Name == weft.PlanImported {
			how.Fail = true // what is in its place so far is not known to be whole
		}
		next, err := r.Stop(how, p.Policy, t.now)
		if err != nil {
			return err
		}
		return t.changeRun(ctx, r, next, by, time.Time{})
	})
	if err != nil {
		return weft.RunView{}, fmt.Errorf("stop run: %w", err)
	}
	return s.Run(ctx, project, id)
}

// RetryRun has a Run that ended tried again. What it made is discarded, and new Data
// take its place; so nothing may use it.
func (s *Store) RetryRun(ctx context.Context, project weft.ProjectID, id weft.RunID, by weft.PrincipalID) (weft.RunView, error) {
	err := s.change(ctx, func(ctx context.Context, t *tx) error { return t.retryRun(ctx, project, id, by) })
	if err != nil {
		return weft.RunView{}, fmt.Errorf("retry run: %w", err)
	}
	return s.Run(ctx, project, id)
}

func (t *tx) retryRun(ctx context.Context, project weft.ProjectID, id weft.RunID, by weft.PrincipalID) error {
	r, p, err := t.run(ctx, project, id, t.s.forUpdate)
	switch {
	case err != nil:
		return err
	case r.Status == weft.Invalidated:
		return notFound("run", id)
	case p.BuiltIn():
		return weft.Errorf(weft.Conflict, "run %s is of the built-in plan %s; it cannot be retried", id, p.Name)
	case r.Status != weft.Done && r.Status != weft.Failed:
		return weft.Errorf(weft.Conflict, "run %s is %s; only a run that is done or failed can be retried", id, r.Status)
	}
	if err := t.refusePurged(ctx, r); err != nil {
		return err
	}
	again := r
	again.Cause.Kind, again.Cause.By = weft.CauseRetry, by
	return t.anotherAttempt(ctx, r, again, "", by, time.Time{})
}

// DeleteRun discards what a Run made. The Run stays, as a mark that its inputs were
// tried, until one of them is discarded; a Run without inputs goes at once.
func (s *Store) DeleteRun(ctx context.Context, project weft.ProjectID, id weft.RunID, by weft.PrincipalID) error {
	err := s.change(ctx, func(ctx context.Context, t *tx) error { return t.deleteRun(ctx, project, id, by) })
	return wrapped("delete run", err)
}

func (t *tx) deleteRun(ctx context.Context, project weft.ProjectID, id weft.RunID, by weft.PrincipalID) error {
	r, _, err := t.run(ctx, project, id, t.s.forUpdate)
	switch {
	case err != nil:
		return err
	case r.Status == weft.Invalidated:
		return notFound("run", id)
	case !r.Status.CanBecome(weft.Invalidated):
		return weft.Errorf(weft.Conflict, "run %s is %s; it cannot be deleted", id, r.Status).WithAdvice("stop it first")
	}
	next, err := r.To(weft.Invalidated, t.now)
	if err != nil {
		return err
	}
	if _, err := t.exec(ctx, "UPDATE run_attempt SET log = NULL WHERE run = $1 AND log IS NOT NULL", id); err != nil {
		return err
	}
	if err := t.discardOutputs(ctx, r, by); err != nil {
		return err
	}
	if len(r.Inputs) == 0 {
		return t.removeRuns(ctx, []weft.Run{r}, by)
	}
	for i := range next.Outputs {
		next.Outputs[i].Data = weft.DataID{}
	}
	next.Log = weft.DataID{}
	return t.changeRun(ctx, r, next, by, time.Time{})
}

// changeRun records another status of a Run that is locked, and what came with it. It is
// not to be claimed before dueAt; zero is at once.
func (t *tx) changeRun(ctx context.Context, r, next weft.Run, by weft.PrincipalID, dueAt time.Time) error {
	plans, err := t.plansByID(ctx, []weft.PlanID{r.Plan})
	if err != nil {
		return err
	}
	due := any(nil)
	if next.Status != weft.Deactivated && !next.Status.Ended() {
		due = micros(t.now)
	}
	if !dueAt.IsZero() {
		due = micros(dueAt)
	}
	code, message := any(nil), any(nil)
	if next.Exit != nil {
		code, message = int64(next.Exit.Code), textOrNull(next.Exit.Message)
	}
	resources, err := encodeResources(next.Resources)
	if err != nil {
		return err
	}
	_, err = t.exec(ctx, `UPDATE run SET status = $2, rev = $3, attempt = $4, updated_at = $5, started_at = $6, ended_at = $7, due_at = $8,
		holder = NULL, exit_code = $9, exit_message = $10, reason = $11, image = $12, cause = $13, cause_by = $14, outputs = $15,
		cause_of = $16, ended_by = $17, stop_by = $18, node = $19, resources = $20, retries = $21 WHERE id = $1`,
		next.ID, statusCode(next.Status), next.Rev, next.Attempt, micros(next.UpdatedAt), orNull(next.StartedAt), orNull(next.EndedAt), due,
		code, message, textOrNull(next.Reason), next.Image, max(0, slices.Index(causes[:], next.Cause.Kind)), next.Cause.By, outputsOf(next, plans[r.Plan]),
		causeOf(&next), textOrNull(string(next.End)), orNull(next.StopBy), textOrNull(next.Node), resources, next.Retries)
	if err != nil {
		return err
	}
	err = t.moveInputs(ctx, []move{{r.ID, inputsOf(r), usedAt(r.Status, micros(r.UpdatedAt)), usedAt(next.Status, micros(next.UpdatedAt))}})
	if err != nil {
		return err
	}
	return t.addEvents(ctx, weft.Event{Kind: weft.RunChanged, Project: r.Project, Run: r.ID, Plan: r.Plan, From: r.Status, To: next.Status, By: by, Attempt: next.Attempt})
}

// discardOutputs deletes the Data that a Run made, unless a Run uses one of them that is
// not itself deleted. Deleted Runs that used them are removed for good.
func (t *tx) discardOutputs(ctx context.Context, r weft.Run, by weft.PrincipalID) error {
	ids := r.OutputIDs()
	if len(ids) == 0 {
		return nil
	}
	tags, err := t.lockData(ctx, ids)
	if err != nil {
		return err
	}
	users, err := t.usersOf(ctx, ids)
	if err != nil {
		return err
	}
	for _, u := range users {
		if u.Status != weft.Invalidated && u.Project != r.Project {
			return weft.Errorf(weft.Conflict, "what run %s made is shared, and used by a run of another project", r.ID).
				WithAdvice("it has to stay for that run's lineage; take the share back with: weft data unshare")
		}
		if u.Status != weft.Invalidated {
			return weft.Errorf(weft.Conflict, "run %s uses what run %s made, and is %s", u.ID, r.ID, u.Status).WithSee(u.ID.String()).
				WithAdvice("delete that run first")
		}
	}
	if err := t.removeRuns(ctx, users, by); err != nil {
		return err
	}
	events := make([]weft.Event, len(ids))
	var changes []change
	for i, id := range ids {
		if r.Status == weft.Done && len(tags[id]) > 0 { // it may have hidden others
			changes = append(changes, change{project: r.Project, data: id, gone: tags[id]})
		}
		events[i] = weft.Event{Kind: weft.DataRemoved, Project: r.Project, Run: r.ID, Plan: r.Plan, Data: id, By: by}
		for _, key := range keysOf(r.Project, tags[id]) {
			if _, err := t.exec(ctx, "DELETE FROM data_tag WHERE tag = $1 AND data = $2", key[:], id); err != nil {
				return err
			}
		}
	}
	if err := t.dropShares(ctx, ids, tags); err != nil {
		return err
	}
	if err := t.addChanges(ctx, changes...); err != nil {
		return err
	}
	for _, table := range []string{"data WHERE id", "data_origin WHERE data"} {
		if err := t.execByIDs(ctx, "DELETE FROM "+table+" IN", raw(ids...), ""); err != nil {
			return err
		}
	}
	return t.addEvents(ctx, events...)
}

// lockData keeps projection from making use of the Data, and returns their tags.
func (t *tx) lockData(ctx context.Context, ids []weft.DataID) (map[weft.DataID]weft.Tags, error) {
	tags := map[weft.DataID]weft.Tags{}
	err := t.byIDs(ctx, "SELECT id, tags FROM data WHERE id IN", raw(ids...), " ORDER BY id"+t.s.forUpdate, func(r scanner) error {
		var id weft.DataID
		var text string
		err := r.Scan(&id, &text)
		if err == nil {
			tags[id], err = decodeTags(text)
		}
		return err
	})
	return tags, err
}

// usersOf returns the Runs that have one of the Data as an input.
func (t *tx) usersOf(ctx context.Context, ids []weft.DataID) ([]weft.Run, error) {
	var users []weft.RunID
	err := t.byIDs(ctx, "SELECT run FROM run_input WHERE data IN", raw(ids...), "", func(r scanner) error {
		var id weft.RunID
		err := r.Scan(&id)
		users = append(users, id)
		return err
	})
	if err != nil || len(users) == 0 {
		return nil, err
	}
	rows, err := t.runsByID(ctx, raw(users...), "")
	if err != nil {
		return nil, err
	}
	runs, _, err := t.bindAll(ctx, rows)
	return runs, err
}

// removeRuns removes Runs, which have no Data any more, for good.
func (t *tx) removeRuns(ctx context.Context, runs []weft.Run, by weft.PrincipalID) error {
	if len(runs) == 0 {
		return nil
	}
	ids := make([]weft.RunID, len(runs))
	events := make([]weft.Event, len(runs))
	for i, r := range runs {
		ids[i] = r.ID
		events[i] = weft.Event{Kind: weft.RunRemoved, Project: r.Project, Run: r.ID, Plan: r.Plan, From: r.Status, By: by}
		for _, in := range r.Inputs {
			_, err := t.exec(ctx, "DELETE FROM run_input WHERE data = $1 AND at = $2 AND run = $3", in.Data, usedAt(r.Status, micros(r.UpdatedAt)), r.ID)
			if err != nil {
				return err
			}
		}
	}
	if err := t.execByIDs(ctx, "DELETE FROM run_attempt WHERE run IN", raw(ids...), ""); err != nil {
		return err
	}
	if err := t.execByIDs(ctx, "DELETE FROM run WHERE id IN", raw(ids...), ""); err != nil {
		return err
	}
	return t.addEvents(ctx, events...)
}
