package store

import (
	"context"
	"fmt"
	"slices"

	"github.com/weft-dev/weft"
)

// Projection makes the Runs that changes have made possible. It reads only what was
// committed: data, tags and inputs. A change is looked at after it was committed; so of
// two simultaneous changes that together make a combination possible, the one that is
// looked at later finds both. What is found twice is absorbed by the unique key of a
// Plan's combinations.
//
// One step takes some changes by a lease, which spares a crash of any consequence but
// delay; gathers what they may have made possible, per Plan, as deltas; and makes the
// Runs in transactions of runsOnce, the last of which forgets the changes. A step that
// breaks off is begun anew by whoever takes the changes next. A Plan that would get more
// Runs than it may is blocked instead: it is told how many, and all are made once
// the limit is raised.
const runsOnce = 500

// Project does one step of projection: it looks at up to limit changes, and says how
// many Runs it made and whether there is more to look at.
func (s *Store) Project(ctx context.Context, limit int) (made int, more bool, err error) {
	limit = min(max(limit, 1), maxChanges)
	changes, err := s.takeChanges(ctx, limit)
	if err != nil || len(changes) == 0 {
		return 0, false, wrapped("take changes", err)
	}
	var deltas []*delta
	err = s.read(ctx, func(t *tx) (err error) {
		deltas, err = t.deltas(ctx, changes)
		return err
	})
	if err != nil {
		return 0, false, fmt.Errorf("find assignments: %w", err)
	}
	w := &projector{s: s, changes: changes, plans: map[weft.PlanID]weft.Plan{}}
	if err := w.discard(ctx); err != nil {
		return 0, false, err
	}
	for _, d := range deltas {
		if err := w.project(ctx, d); err != nil {
			return w.made, false, fmt.Errorf("make runs of plan %s: %w", d.plan.ID, err)
		}
	}
	if err := w.flush(ctx, true); err != nil {
		return w.made, false, fmt.Errorf("make runs: %w", err)
	}
	return w.made, len(changes) == limit, nil
}

func wrapped(what string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", what, err)
}

// takeChanges leases changes. It looks first, so that nothing is written in vain.
func (s *Store) takeChanges(ctx context.Context, limit int) ([]change, error) {
	var found bool
	err := s.read(ctx, func(t *tx) (err error) {
		found, err = t.row(ctx, "SELECT seq FROM change WHERE due_at <= $1 LIMIT 1", []any{micros(t.now)}, new(int64))
		return err
	})
	if err != nil || !found {
		return nil, err
	}
	var changes []change
	err = s.write(ctx, func(ctx context.Context, t *tx) (err error) {
		changes, err = t.leaseChanges(ctx, limit)
		return err
	})
	return changes, err
}

// A projector makes the Runs of one step.
type projector struct {
	s       *Store
	changes []change
	plans   map[weft.PlanID]weft.Plan
	waiting []assigned
	made    int
	by      map[weft.DataID]weft.PrincipalID // who has changed the Data; made by cause
}

// An assigned is a Run to be made.
type assigned struct {
	plan  weft.PlanID
	a     weft.Assignment
	cause weft.Cause
}

// discard deletes what waits of Plans that were deleted.
func (w *projector) discard(ctx context.Context) error {
	var ids []weft.PlanID
	for _, c := range w.changes {
		if !c.plan.IsZero() {
			ids = append(ids, c.plan)
		}
	}
	if len(ids) == 0 {
		return nil
	}
	plans, err := w.s.Plans(ctx, ids)
	if err != nil {
		return err
	}
	for _, p := range plans {
		if p.State == weft.PlanDeleted {
			err := w.s.discardRuns(ctx, p, func(ctx context.Context, t *tx) error { return t.extendChanges(ctx, w.changes) })
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// project makes the Runs of one delta or, when they are too many, blocks the Plan.
func (w *projector) project(ctx context.Context, d *delta) error {
	tooMany, err := w.tooMany(ctx, d)
	if err != nil {
		return err
	}
	if tooMany > 0 || d.plan.PendingRuns > 0 {
		if err := w.s.setPending(ctx, d.plan, tooMany); err != nil {
			return err
		}
	}
	if tooMany > 0 {
		return nil
	}
	w.plans[d.plan.ID] = d.plan
	for a := range d.assignments() {
		if w.waiting = append(w.waiting, assigned{d.plan.ID, a, w.cause(d, a)}); len(w.waiting) < runsOnce {
			continue
		}
		if err := w.flush(ctx, false); err != nil {
			return err
		}
		if err := w.note(ctx, d, a); err != nil {
			return err
		}
	}
	return nil
}

// tooMany loads a delta, and returns how many Runs it would make if that is more than the
// Plan may; otherwise 0.
func (w *projector) tooMany(ctx context.Context, d *delta) (pending int64, err error) {
	limit := d.plan.AllowRuns
	if limit == 0 {
		limit = w.s.runLimit
	}
	err = w.s.read(ctx, func(t *tx) (err error) {
		if d.full && !d.plan.Choosy() {
			if pending, err = d.countAll(ctx, t); err != nil {
				return err
			}
			if pending > limit {
				if untried, err := d.untried(ctx, t); untried || err != nil {
					return err
				}
			}
		}
		if err := d.load(ctx, t, 0); err != nil {
			return err
		}
		if pending = d.count(); pending <= limit {
			return nil
		}
		existing, err := d.existing(ctx, t)
		pending -= existing
		return err
	})
	if err != nil || pending <= limit {
		return 0, err
	}
	return pending, nil
}

// setPending notes how many Runs a Plan would make that is blocked, or that it is not.
func (s *Store) setPending(ctx context.Context, p weft.Plan, pending int64) error {
	return s.write(ctx, func(ctx context.Context, t *tx) error {
		if err := t.lockPlans(ctx, p.Project); err != nil {
			return err
		}
		now, err := t.plan(ctx, p.Project, p.ID, t.s.forUpdate)
		if err != nil || now.PendingRuns == pending || !now.Live() {
			return err
		}
		now.PendingRuns = pending
		if err := t.updatePlan(ctx, now); err != nil {
			return err
		}
		return t.addEvents(ctx, weft.Event{Kind: weft.PlanChanged, Project: p.Project, Plan: p.ID})
	})
}

// note records how far a large delta went, so that it is not begun anew after a crash.
func (w *projector) note(ctx context.Context, d *delta, a weft.Assignment) error {
	if d.seq == 0 {
		return nil
	}
	return w.s.write(ctx, func(ctx context.Context, t *tx) error {
		_, err := t.exec(ctx, "UPDATE change SET after = $1 WHERE seq = $2", a.Key(), d.seq)
		return err
	})
}

// flush makes the Runs that wait to be made; the last flush of a step also forgets the
// changes, all others extend the lease.
func (w *projector) flush(ctx context.Context, last bool) error {
	made := 0
	err := w.s.write(ctx, func(ctx context.Context, t *tx) (err error) {
		if made, err = t.makeRuns(ctx, w.waiting, w.plans); err != nil {
			return err
		}
		if last {
			return t.dropChanges(ctx, w.changes)
		}
		return t.extendChanges(ctx, w.changes)
	})
	if err != nil {
		return err
	}
	w.made += made
	w.waiting = w.waiting[:0]
	return nil
}

// makeRuns makes Runs whose inputs still are usable Data, and that do not exist yet.
func (t *tx) makeRuns(ctx context.Context, list []assigned, plans map[weft.PlanID]weft.Plan) (int, error) {
	if len(list) == 0 {
		return 0, nil
	}
	active, err := t.holdPlans(ctx, list)
	if err != nil {
		return 0, err
	}
	usable, err := t.holdData(ctx, list, plans)
	if err != nil {
		return 0, err
	}
	runs := make([]weft.Run, 0, len(list))
	for _, l := range list {
		p := plans[l.plan]
		live := false
		if p.Active, live = active[p.ID]; !live || slices.ContainsFunc(l.a, func(id weft.DataID) bool { return !usable.in(p.Project, id) }) {
			continue
		}
		outputs := make([]weft.DataID, len(p.Outputs)+1)
		for i := range outputs {
			outputs[i] = weft.NewID[weft.Data]()
		}
		runs = append(runs, weft.NewRun(p, weft.NewID[weft.Run](), l.a, outputs, l.cause, t.now))
	}
	return t.insertRuns(ctx, runs, plans)
}

// holdPlans keeps the plans from being (de)activated until the transaction ends, and
// says of those that are live which are active.
func (t *tx) holdPlans(ctx context.Context, list []assigned) (map[weft.PlanID]bool, error) {
	var ids []weft.PlanID
	for i, l := range list {
		if i == 0 || l.plan != list[i-1].plan {
			ids = append(ids, l.plan)
		}
	}
	active := map[weft.PlanID]bool{}
	err := t.byIDs(ctx, "SELECT id, active FROM plan WHERE id IN", raw(ids...), " AND state = 0 ORDER BY id"+t.s.forShare, func(r scanner) error {
		var id weft.PlanID
		var is int64
		err := r.Scan(&id, &is)
		active[id] = is != 0
		return err
	})
	return active, err
}

// usableIn says where Data can be used that are held: in the project that has it, and in
// those that have a share of it.
type usableIn struct {
	own    map[weft.DataID]weft.ProjectID
	shared map[weft.ProjectID]map[weft.DataID]int64
}

func (u usableIn) in(project weft.ProjectID, id weft.DataID) bool {
	own, usable := u.own[id]
	if own == project || !usable {
		return usable
	}
	_, shared := u.shared[project][id]
	return shared
}

// holdData keeps Data from being deleted, and shares of them from being taken back, until
// the transaction ends, and says which of them are usable.
func (t *tx) holdData(ctx context.Context, list []assigned, plans map[weft.PlanID]weft.Plan) (usableIn, error) {
	u := usableIn{own: map[weft.DataID]weft.ProjectID{}, shared: map[weft.ProjectID]map[weft.DataID]int64{}}
	seen := map[weft.DataID]bool{}
	var ids []weft.DataID
	for _, l := range list {
		for _, id := range l.a {
			if !seen[id] {
				seen[id] = true
				ids = append(ids, id)
			}
		}
	}
	slices.SortFunc(ids, compareIDs)
	err := t.byIDs(ctx, "SELECT id, project FROM data WHERE id IN", raw(ids...), " AND state = 1 ORDER BY id"+t.s.forKeep, func(r scanner) error {
		var id weft.DataID
		var project weft.ProjectID
		err := r.Scan(&id, &project)
		u.own[id] = project
		return err
	})
	if err != nil {
		return u, err
	}
	foreign := map[weft.ProjectID][]weft.DataID{}
	for _, l := range list {
		project := plans[l.plan].Project
		for _, id := range l.a {
			if own, usable := u.own[id]; usable && own != project && !slices.Contains(foreign[project], id) {
				foreign[project] = append(foreign[project], id)
			}
		}
	}
	for project, ids := range foreign {
		if u.shared[project], err = t.sharesIn(ctx, project, ids, t.s.forKeep); err != nil {
			return u, err
		}
	}
	return u, nil
}
