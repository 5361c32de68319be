package store

import (
	"context"
	"fmt"
	"iter"
	"maps"
	"slices"

	"github.com/weft-dev/weft"
)

// CreatePlan registers p, which is normalized and valid, and has an id and a time of
// creation. An equal plan is a Conflict that names it, and so is a plan that would close
// a loop. What matches p is looked at later, by Project.
func (s *Store) CreatePlan(ctx context.Context, p weft.Plan, by weft.PrincipalID) (weft.PlanView, error) {
	err := s.changeAlone(ctx, func(ctx context.Context, t *tx) error { return t.createPlan(ctx, p, by) })
	if err != nil {
		return weft.PlanView{}, fmt.Errorf("create plan: %w", err)
	}
	return s.Plan(ctx, p.Project, p.ID)
}

// createPlan must run in a transaction of its own, as it makes the cache of plans current.
func (t *tx) createPlan(ctx context.Context, p weft.Plan, by weft.PrincipalID) error {
	_, err := t.applyPlan(ctx, weft.Apply{Plan: p}, by)
	return err
}

// lockPlans keeps others from changing plans of the project until the transaction ends.
func (t *tx) lockPlans(ctx context.Context, project weft.ProjectID) error {
	var rev int64
	found, err := t.row(ctx, "SELECT plan_rev FROM project WHERE id = $1"+t.s.forUpdate, []any{project}, &rev)
	if err == nil && !found {
		return notFound("project", project)
	}
	return err
}

// nextPlanRev returns the number of the next change of plans of the project.
func (t *tx) nextPlanRev(ctx context.Context, project weft.ProjectID) (int64, error) {
	var rev int64
	found, err := t.row(ctx, "SELECT plan_rev + 1 FROM project WHERE id = $1"+t.s.forUpdate, []any{project}, &rev)
	if err != nil {
		return 0, err
	}
	if !found {
		return 0, notFound("project", project)
	}
	_, err = t.exec(ctx, "UPDATE project SET plan_rev = $1 WHERE id = $2", rev, project)
	return rev, err
}

func (t *tx) insertPlan(ctx context.Context, p weft.Plan, by weft.PrincipalID) error {
	rev, err := t.nextPlanRev(ctx, p.Project)
	if err != nil {
		return err
	}
	body, err := encodePlan(p)
	if err != nil {
		return err
	}
	_, err = t.exec(ctx, `INSERT INTO plan (id, project, identity, name, body, active, rev, changed, allow_runs, created_at, revision, since)
		VALUES ($1, $2, $3, $4, $5, $6, 1, $7, $8, $9, $10, $11)`,
		p.ID, p.Project, p.Identity(), p.Name, body, flag(p.Active), rev, p.AllowRuns, micros(p.CreatedAt), p.Revision, sinceOf(p, rev))
	if err != nil {
		return err
	}
	for nth, in := range p.Inputs {
		key, err := t.rarest(ctx, p.Project, in.Tags)
		if err != nil {
			return err
		}
		if _, err := t.exec(ctx, "INSERT INTO plan_input (tag, plan, nth) VALUES ($1, $2, $3)", key[:], p.ID, nth); err != nil {
			return err
		}
	}
	if len(p.Inputs) > 0 {
		if err := t.addChanges(ctx, change{project: p.Project, plan: p.ID, by: by}); err != nil {
			return err
		}
	}
	return t.addEvents(ctx, weft.Event{Kind: weft.PlanChanged, Project: p.Project, Plan: p.ID, By: by})
}

// Plan returns a Plan and the plans next to it.
func (s *Store) Plan(ctx context.Context, project weft.ProjectID, id weft.PlanID) (weft.PlanView, error) {
	known, err := s.planSet(ctx, project)
	if err != nil {
		return weft.PlanView{}, fmt.Errorf("find plan: %w", err)
	}
	p, ok := known.graph.Plan(id)
	if !ok {
		return weft.PlanView{}, notFound("plan", id)
	}
	return planView(known.graph, p), nil
}

func planView(g *weft.PlanGraph, p weft.Plan) weft.PlanView {
	v := weft.PlanView{Plan: p, Neighbours: map[weft.PlanID]weft.Plan{}, Next: p.ID.String()}
	if p.Live() {
		v.Upstreams, v.Downstreams = g.Upstream(p), g.Downstream(p)
	}
	for _, e := range slices.Concat(v.Upstreams, v.Downstreams) {
		for _, id := range []weft.PlanID{e.From, e.To} {
			if n, ok := g.Plan(id); ok {
				v.Neighbours[id] = n
			}
		}
	}
	return v
}

// FindPlans yields the Plans that q selects. They are few enough to be held in memory.
func (s *Store) FindPlans(ctx context.Context, q weft.PlanQuery) iter.Seq2[weft.PlanView, error] {
	return func(yield func(weft.PlanView, error) bool) {
		known, err := s.planSet(ctx, q.Project)
		if err != nil {
			yield(weft.PlanView{}, fmt.Errorf("find plans: %w", err))
			return
		}
		plans, err := pageOfPlans(known.graph.Known(), q.Page)
		if err != nil {
			yield(weft.PlanView{}, err)
			return
		}
		left := q.Page.Limit
		for _, p := range plans {
			if !selects(q, p) {
				continue
			}
			if !yield(planView(known.graph, p), nil) {
				return
			}
			if left--; left == 0 {
				return
			}
		}
	}
}

// pageOfPlans puts plans, given by id, into the page's order and cuts off what is before it.
func pageOfPlans(plans []weft.Plan, page weft.Page) ([]weft.Plan, error) {
	if page.Newest {
		slices.Reverse(plans)
	}
	if page.After == "" {
		return plans, nil
	}
	after, err := weft.ParseID[weft.Plan](page.After)
	if err != nil {
		return nil, badPosition(page.After)
	}
	i := slices.IndexFunc(plans, func(p weft.Plan) bool {
		c := slices.Compare(p.ID[:], after[:])
		return c > 0 && !page.Newest || c < 0 && page.Newest
	})
	if i < 0 {
		return nil, nil
	}
	return plans[i:], nil
}

func selects(q weft.PlanQuery, p weft.Plan) bool {
	switch {
	case p.State == weft.PlanDeleted, !p.Live() && !q.Superseded,
		q.Name != "" && p.Name != q.Name,
		q.Active != nil && p.Active != *q.Active,
		q.Repository != "" && p.Image.Repository != q.Repository,
		q.Tag != "" && p.Image.Tag != q.Tag,
		len(q.InTags) > 0 && !slices.ContainsFunc(p.Inputs, func(in weft.Input) bool { return in.Tags.HasAll(q.InTags) }),
		len(q.OutTags) > 0 && !slices.ContainsFunc(p.OutputTags(), func(ts weft.Tags) bool { return ts.HasAll(q.OutTags) }):
		return false
	}
	return true
}

// ChangePlan has change alter what may be altered of a Plan: Active, Resources, Policy,
// ServiceAccount, Annotations and AllowRuns. Its runs that wait follow Active.
func (s *Store) ChangePlan(ctx context.Context, project weft.ProjectID, id weft.PlanID, by weft.PrincipalID, change func(*weft.Plan) error) (weft.PlanView, error) {
	err := s.change(ctx, func(ctx context.Context, t *tx) error { return t.changePlan(ctx, project, id, by, change) })
	if err != nil {
		return weft.PlanView{}, fmt.Errorf("change plan: %w", err)
	}
	return s.Plan(ctx, project, id)
}

func (t *tx) changePlan(ctx context.Context, project weft.ProjectID, id weft.PlanID, by weft.PrincipalID, alter func(*weft.Plan) error) error {
	if err := t.lockPlans(ctx, project); err != nil {
		return err
	}
	was, err := t.plan(ctx, project, id, t.s.forUpdate)
	if err != nil {
		return err
	}
	switch was.State {
	case weft.PlanDeleted:
		return weft.Errorf(weft.Conflict, "plan %s was deleted", id)
	case weft.PlanSuperseded:
		return weft.Errorf(weft.Conflict, "plan %s is revision %d of the plan %s, and was replaced by a later one", id, was.Revision, was.Name).
			WithAdvice("change the present one with its name, or apply the file of this revision again to put it in place")
	}
	p := was
	p.Resources = maps.Clone(was.Resources) // of plans that others read at the same time
	if err := alter(&p); err != nil {
		return err
	}
	p.Annotations = weft.NewAnnotations(p.Annotations...)
	if p.Identity() != was.Identity() || p.Name != was.Name || p.AllowRuns < 0 {
		return weft.Errorf(weft.Invalid, "of a plan only active, resources, policy, service account, annotations and allowed runs can be changed")
	}
	if p.Active != was.Active {
		if p.BuiltIn() {
			return notFound("plan", id)
		}
		if err := t.toggleRuns(ctx, p, by); err != nil {
			return err
		}
	}
	if p.AllowRuns != was.AllowRuns && was.PendingRuns > 0 {
		ch := changeOf(p)
		ch.by = by
		if err := t.addChanges(ctx, ch); err != nil {
			return err
		}
	}
	if err := t.updatePlan(ctx, p); err != nil {
		return err
	}
	return t.addEvents(ctx, weft.Event{Kind: weft.PlanChanged, Project: project, Plan: id, By: by})
}

func (t *tx) updatePlan(ctx context.Context, p weft.Plan) error {
	rev, err := t.nextPlanRev(ctx, p.Project)
	if err != nil {
		return err
	}
	body, err := encodePlan(p)
	if err != nil {
		return err
	}
	_, err = t.exec(ctx, "UPDATE plan SET body = $1, active = $2, allow_runs = $3, pending_runs = $4, rev = rev + 1, changed = $5 WHERE id = $6",
		body, flag(p.Active), p.AllowRuns, p.PendingRuns, rev, p.ID)
	return err
}

// toggleRuns lets the runs of a Plan that wait rest, or those that rest wait.
func (t *tx) toggleRuns(ctx context.Context, p weft.Plan, by weft.PrincipalID) error {
	from, to, due := weft.Waiting, weft.Deactivated, any(nil)
	if p.Active {
		from, to, due = weft.Deactivated, weft.Waiting, micros(t.now)
	}
	var events []weft.Event
	err := t.writeRows(ctx, func(r scanner) error {
		e := weft.Event{Kind: weft.RunChanged, Project: p.Project, Plan: p.ID, From: from, To: to, By: by}
		err := r.Scan(&e.Run)
		events = append(events, e)
		return err
	}, "UPDATE run SET status = $1, due_at = $2, rev = rev + 1 WHERE plan = $3 AND status = $4 RETURNING id",
		statusCode(to), due, p.ID, statusCode(from))
	if err != nil {
		return err
	}
	return t.addEvents(ctx, events...)
}

// Plans returns plans by id, of any project; ids that are unknown are left out.
func (s *Store) Plans(ctx context.Context, ids []weft.PlanID) (map[weft.PlanID]weft.Plan, error) {
	var plans map[weft.PlanID]weft.Plan
	err := s.read(ctx, func(t *tx) (err error) {
		plans, err = t.plansByID(ctx, ids)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("find plans: %w", err)
	}
	return plans, nil
}

// PlanGraph returns the graph of the project's plans. It is shared: it goes on being
// kept current, and must not be added to.
func (s *Store) PlanGraph(ctx context.Context, project weft.ProjectID) (*weft.PlanGraph, error) {
	known, err := s.planSet(ctx, project)
	if err != nil {
		return nil, fmt.Errorf("plan graph: %w", err)
	}
	return known.graph, nil
}

// flag is a truth value as it is stored.
func flag(b bool) int64 {
	if b {
		return 1
	}
	return 0
}
