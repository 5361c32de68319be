package store

import (
	"context"
	"fmt"

	"github.com/weft-dev/weft"
)

// ApplyPlan registers a Plan as a file says it. Without a name that is CreatePlan. With one
// it becomes the next revision of what the name stands for: the former one matches nothing
// any more, its Runs that wait rest, and those in flight go on to their end. A Plan equal to
// what is there makes no revision; one equal to an earlier revision puts that in place
// again, with the Runs that it made.
func (s *Store) ApplyPlan(ctx context.Context, a weft.Apply, by weft.PrincipalID) (weft.Application, error) {
	var done weft.Application
	err := s.changeAlone(ctx, func(ctx context.Context, t *tx) (err error) {
		done, err = t.applyPlan(ctx, a, by)
		return err
	})
	if err == nil {
		done.Plan, err = s.Plan(ctx, a.Plan.Project, done.Plan.Plan.ID)
	}
	if err != nil {
		return weft.Application{}, fmt.Errorf("apply plan: %w", err)
	}
	return done, nil
}

// WouldApplyPlan tells what ApplyPlan would do, how many Runs would be made on Data that are
// there, and the first few of them.
func (s *Store) WouldApplyPlan(ctx context.Context, a weft.Apply, limit int) (would weft.Application, total int64, first []weft.Assignment, err error) {
	err = s.read(ctx, func(t *tx) error {
		v, err := t.judge(ctx, a)
		if err != nil {
			return err
		}
		would = weft.Application{Did: v.did, Plan: weft.PlanView{Plan: v.plan}}
		if v.former != nil {
			would.Replaced = v.former.ID
			if would.Resting, would.InFlight, err = t.unfinished(ctx, v.former.ID); err != nil {
				return err
			}
		}
		if v.did == weft.AppliedUnchanged || v.did == weft.AppliedUpdated || v.did == weft.AppliedNamed {
			return nil
		}
		if v.plan.FromNow { // nothing that is there comes later
			return nil
		}
		v.plan.Since = 0
		total, first, err = t.dryRun(ctx, &delta{plan: v.plan, full: true}, limit)
		return err
	})
	if err != nil {
		return weft.Application{}, 0, nil, fmt.Errorf("dry run: %w", err)
	}
	return would, total, first, nil
}

// A verdict is what is to be done to apply a Plan.
type verdict struct {
	did    weft.Applied
	plan   weft.Plan
	former *weft.Plan // to be superseded
}

// judge decides what is to be done. It must run before the transaction writes, as it makes
// the cache of plans current.
func (t *tx) judge(ctx context.Context, a weft.Apply) (verdict, error) {
	p := a.Plan
	known, err := t.planSet(ctx, p.Project)
	if err != nil {
		return verdict{}, err
	}
	var former *weft.Plan
	if p.Name != "" {
		if q, ok := known.graph.Named(p.Name); ok {
			former = &q
		}
	}
	var equal weft.PlanID
	found, err := t.row(ctx, "SELECT id FROM plan WHERE project = $1 AND identity = $2", []any{p.Project, p.Identity()}, &equal)
	if err != nil {
		return verdict{}, err
	}
	v := verdict{weft.AppliedNew, p, former}
	if former != nil {
		v.did, v.plan = weft.AppliedRevision, a.Over(*former)
	}
	if found {
		q, err := t.plan(ctx, p.Project, equal, "")
		if err != nil {
			return v, err
		}
		if v, err = v.overEqual(a, q); err != nil {
			return v, err
		}
	}
	if v.former != nil && v.former.ID == v.plan.ID {
		v.former = nil
	}
	without := weft.PlanID{}
	if v.former != nil {
		without = v.former.ID
	}
	if v.did == weft.AppliedNew || v.did == weft.AppliedRevision || v.did == weft.AppliedRestored {
		err = known.graph.Closes(v.plan, without)
	}
	return v, err
}

// overEqual decides where a Plan equal to the one to be applied is registered.
func (v verdict) overEqual(a weft.Apply, q weft.Plan) (verdict, error) {
	name := a.Plan.Name
	next := a.Over(q)
	next.Name, next.Revision = q.Name, q.Revision
	switch {
	case name == "" || q.Name != "" && q.Name != name:
		return v, weft.EqualPlan(a.Plan, q)
	case !q.Live(), q.Name == "" && v.former != nil:
		if v.former != nil {
			next = a.Over(*v.former)
			next.ID, next.CreatedAt, next.Rev, next.Since, next.PendingRuns = q.ID, q.CreatedAt, q.Rev, q.Since, 0
		}
		next.Name, next.State = name, weft.PlanLive
		v.did = weft.AppliedRestored
	case q.Name == "":
		next.Name, v.did = name, weft.AppliedNamed
	case same(next, q):
		v.did = weft.AppliedUnchanged
	default:
		v.did = weft.AppliedUpdated
	}
	v.plan = next
	return v, nil
}

// same reports whether two equal Plans do not differ in what can be changed, either.
func same(p, q weft.Plan) bool {
	a, errA := encodePlan(p)
	b, errB := encodePlan(q)
	return errA == nil && errB == nil && a == b && p.Active == q.Active && p.AllowRuns == q.AllowRuns
}

func (t *tx) applyPlan(ctx context.Context, a weft.Apply, by weft.PrincipalID) (weft.Application, error) {
	if err := t.lockPlans(ctx, a.Plan.Project); err != nil {
		return weft.Application{}, err
	}
	v, err := t.judge(ctx, a)
	if err != nil {
		return weft.Application{}, err
	}
	t.subject, t.detail = v.plan.ID.String(), appliedDetail(v)
	done := weft.Application{Did: v.did, Plan: weft.PlanView{Plan: v.plan}}
	if v.former != nil {
		done.Replaced = v.former.ID
		if done.Resting, done.InFlight, err = t.unfinished(ctx, v.former.ID); err != nil {
			return done, err
		}
		if err := t.retire(ctx, *v.former, weft.PlanSuperseded, by); err != nil {
			return done, err
		}
	}
	switch v.did {
	case weft.AppliedUnchanged:
		return done, nil
	case weft.AppliedUpdated:
		return done, t.changePlan(ctx, v.plan.Project, v.plan.ID, by, func(p *weft.Plan) error { *p = v.plan; return nil })
	case weft.AppliedNamed:
		if err := t.restore(ctx, v.plan, by, false); err != nil {
			return done, err
		}
		return done, t.changePlan(ctx, v.plan.Project, v.plan.ID, by, func(p *weft.Plan) error {
			name, n := p.Name, p.Revision
			*p = v.plan
			p.Name, p.Revision = name, n
			return nil
		})
	case weft.AppliedRestored:
		return done, t.restore(ctx, v.plan, by, true)
	}
	if v.plan.Name != "" {
		if v.plan.Revision, err = t.nextRevision(ctx, v.plan, by); err != nil {
			return done, err
		}
	}
	return done, t.insertPlan(ctx, v.plan, by)
}

// appliedDetail is what the audit log says of applying a named Plan.
func appliedDetail(v verdict) string {
	if v.plan.Name == "" {
		return ""
	}
	return v.plan.Name + ": " + string(v.did)
}

// nextRevision notes that a name stands for a Plan from now on.
func (t *tx) nextRevision(ctx context.Context, p weft.Plan, by weft.PrincipalID) (n int64, err error) {
	_, err = t.row(ctx, "SELECT max(revision) FROM plan_revision WHERE project = $1 AND name = $2 HAVING max(revision) IS NOT NULL", []any{p.Project, p.Name}, &n)
	if err != nil {
		return 0, err
	}
	n++
	_, err = t.exec(ctx, "INSERT INTO plan_revision (project, name, revision, plan, at, by) VALUES ($1, $2, $3, $4, $5, $6)",
		p.Project, p.Name, n, p.ID, micros(t.now), idOrNull(by))
	return n, err
}

// restore puts a registered Plan in place as the next revision of its name; again, if it
// was retired: what rests of its Runs waits again, and all of its combinations are looked at.
func (t *tx) restore(ctx context.Context, p weft.Plan, by weft.PrincipalID, again bool) error {
	n, err := t.nextRevision(ctx, p, by)
	if err != nil {
		return err
	}
	rev, err := t.nextPlanRev(ctx, p.Project)
	if err != nil {
		return err
	}
	since := p.Since
	if again {
		since = sinceOf(p, rev)
	}
	body, err := encodePlan(p)
	if err != nil {
		return err
	}
	_, err = t.exec(ctx, `UPDATE plan SET name = $1, revision = $2, state = 0, since = $3, body = $4, active = $5, allow_runs = $6,
		rev = rev + 1, changed = $7 WHERE id = $8`, p.Name, n, since, body, flag(p.Active), p.AllowRuns, rev, p.ID)
	if err != nil || !again {
		return err
	}
	if err := t.toggleRuns(ctx, p, by); err != nil {
		return err
	}
	if err := t.addChanges(ctx, changeOf(p)); err != nil {
		return err
	}
	return t.addEvents(ctx, weft.Event{Kind: weft.PlanChanged, Project: p.Project, Plan: p.ID, By: by})
}

// sinceOf is from where on a Plan takes Data that is registered by a change of that number.
func sinceOf(p weft.Plan, rev int64) int64 {
	if p.FromNow {
		return rev
	}
	return 0
}

// retire has a Plan match nothing any more. Its Runs that wait rest.
func (t *tx) retire(ctx context.Context, p weft.Plan, to weft.PlanState, by weft.PrincipalID) error {
	now, err := t.plan(ctx, p.Project, p.ID, t.s.forUpdate) // whoever makes Runs of it has ended
	if err != nil {
		return err
	}
	rev, err := t.nextPlanRev(ctx, p.Project)
	if err != nil {
		return err
	}
	_, err = t.exec(ctx, "UPDATE plan SET state = $1, pending_runs = 0, rev = rev + 1, changed = $2 WHERE id = $3", int64(to), rev, p.ID)
	if err != nil {
		return err
	}
	now.Active = false
	if err := t.toggleRuns(ctx, now, by); err != nil {
		return err
	}
	return t.addEvents(ctx, weft.Event{Kind: weft.PlanChanged, Project: p.Project, Plan: p.ID, By: by})
}

// unfinished counts the Runs of a Plan that were not started, and those in flight.
func (t *tx) unfinished(ctx context.Context, id weft.PlanID) (resting, flying int64, err error) {
	err = t.rows(ctx, func(r scanner) error {
		var code, n int64
		if err := r.Scan(&code, &n); err != nil {
			return err
		}
		switch status, err := statusOf(code); {
		case err != nil:
			return err
		case status == weft.Waiting || status == weft.Deactivated:
			resting += n
		case !status.Ended():
			flying += n
		}
		return nil
	}, "SELECT status, count(*) FROM run WHERE plan = $1 AND status IN ("+unendedCodes+") GROUP BY status", id)
	return resting, flying, err
}
