package store

import (
	"context"
	"crypto/sha256"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/weft-dev/weft"
)

// unendedCodes are the statuses of Runs that have not ended, for a list in SQL.
var unendedCodes = func() string {
	var codes []string
	for _, status := range weft.Statuses {
		if !status.Ended() {
			codes = append(codes, strconv.FormatInt(statusCode(status), 10))
		}
	}
	return strings.Join(codes, ", ")
}()

// DeletePlan has a Plan match nothing any more, and takes it out of the graph of plans; with
// a named one all its revisions go. Runs that ended, their Data and their lineage stay, and
// those in flight go on to their end. Runs that were never started are deleted soon after,
// by Project. An equal Plan may be registered again.
func (s *Store) DeletePlan(ctx context.Context, project weft.ProjectID, id weft.PlanID, by weft.PrincipalID) (weft.PlanRemoval, error) {
	var gone weft.PlanRemoval
	err := s.change(ctx, func(ctx context.Context, t *tx) (err error) {
		if err := t.lockPlans(ctx, project); err != nil {
			return err
		}
		if gone, err = t.planRemoval(ctx, project, id); err != nil {
			return err
		}
		t.subject, t.detail = id.String(), gone.Plans[0].Name
		for _, p := range gone.Plans {
			if err := t.deletePlan(ctx, p, by); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return weft.PlanRemoval{}, fmt.Errorf("delete plan: %w", err)
	}
	return gone, nil
}

// WouldDeletePlan tells what DeletePlan would do.
func (s *Store) WouldDeletePlan(ctx context.Context, project weft.ProjectID, id weft.PlanID) (weft.PlanRemoval, error) {
	var gone weft.PlanRemoval
	err := s.read(ctx, func(t *tx) (err error) {
		gone, err = t.planRemoval(ctx, project, id)
		return err
	})
	if err != nil {
		return weft.PlanRemoval{}, fmt.Errorf("dry run: %w", err)
	}
	return gone, nil
}

// planRemoval finds out what goes with a Plan.
func (t *tx) planRemoval(ctx context.Context, project weft.ProjectID, id weft.PlanID) (weft.PlanRemoval, error) {
	var gone weft.PlanRemoval
	p, err := t.plan(ctx, project, id, "")
	switch {
	case err != nil:
		return gone, err
	case p.State == weft.PlanDeleted:
		return gone, notFound("plan", id)
	case p.BuiltIn():
		return gone, weft.Errorf(weft.Conflict, "plan %s is built in; it cannot be deleted", p.Name)
	case p.State == weft.PlanSuperseded:
		return gone, weft.Errorf(weft.Conflict, "plan %s is revision %d of the plan %s; revisions are deleted together", id, p.Revision, p.Name).
			WithAdvice("delete it with: weft plan rm %s", p.Name)
	}
	gone.Plans = []weft.Plan{p}
	if p.Name != "" {
		gone.Plans = nil
		err = t.rows(ctx, func(r scanner) error {
			q, err := scanPlan(r)
			gone.Plans = append(gone.Plans, q)
			return err
		}, "SELECT "+planColumns+" FROM plan WHERE project = $1 AND name = $2 AND state <> 2 ORDER BY id", project, p.Name)
	}
	for _, q := range gone.Plans {
		if err != nil {
			break
		}
		var resting, flying int64
		resting, flying, err = t.unfinished(ctx, q.ID)
		gone.Unstarted += resting
		gone.InFlight += flying
	}
	return gone, err
}

func (t *tx) deletePlan(ctx context.Context, p weft.Plan, by weft.PrincipalID) error {
	if err := t.retire(ctx, p, weft.PlanDeleted, by); err != nil {
		return err
	}
	// Its identity is free: what stands there cannot be the digest of any plan.
	identity := sha256.Sum256(slices.Concat([]byte("deleted"), p.ID[:]))
	if _, err := t.exec(ctx, "UPDATE plan SET identity = $1, active = 0 WHERE id = $2", identity[:], p.ID); err != nil {
		return err
	}
	if p.Name != "" {
		if _, err := t.exec(ctx, "DELETE FROM plan_revision WHERE project = $1 AND name = $2", p.Project, p.Name); err != nil {
			return err
		}
	}
	return t.addChanges(ctx, changeOf(p))
}

// discardOnce is how many Runs of a deleted Plan go in one transaction.
const discardOnce = 100

// discardRuns deletes the Runs of a deleted Plan that were never started.
func (s *Store) discardRuns(ctx context.Context, p weft.Plan, extend func(context.Context, *tx) error) error {
	for n := discardOnce; n == discardOnce; {
		err := s.write(ctx, func(ctx context.Context, t *tx) error {
			var ids []weft.RunID
			err := t.rows(ctx, collectIDs(&ids), "SELECT id FROM run WHERE plan = $1 AND status = $2 LIMIT $3", p.ID, statusCode(weft.Deactivated), discardOnce)
			if err != nil {
				return err
			}
			n = len(ids)
			for _, id := range ids {
				if err := t.deleteRun(ctx, p.Project, id, weft.PrincipalID{}); err != nil {
					return err
				}
			}
			return extend(ctx, t)
		})
		if err != nil {
			return fmt.Errorf("discard runs of plan %s: %w", p.ID, err)
		}
	}
	return nil
}

// PlanHistory returns what a name stood for, the first revision first.
func (s *Store) PlanHistory(ctx context.Context, project weft.ProjectID, name string) ([]weft.PlanRevision, error) {
	var history []weft.PlanRevision
	err := s.read(ctx, func(t *tx) error {
		history = nil
		var ids []weft.PlanID
		err := t.rows(ctx, func(r scanner) error {
			var h weft.PlanRevision
			var at int64
			err := r.Scan(&h.Number, &h.Plan.ID, &at, &h.By)
			h.At = fromMicros(at)
			history, ids = append(history, h), append(ids, h.Plan.ID)
			return err
		}, "SELECT revision, plan, at, by FROM plan_revision WHERE project = $1 AND name = $2 ORDER BY revision", project, name)
		if err != nil {
			return err
		}
		plans, err := t.plansByID(ctx, ids)
		if err != nil {
			return err
		}
		for i := range history {
			history[i].Plan = plans[history[i].Plan.ID]
			if history[i].Runs, err = t.runsByStatus(ctx, history[i].Plan.ID); err != nil {
				return err
			}
		}
		return nil
	})
	if err == nil && len(history) == 0 {
		err = weft.Errorf(weft.NotFound, "there is no plan named %q", name).WithAdvice("list plans with: weft plan find")
	}
	return history, wrapped("plan history", err)
}

func (t *tx) runsByStatus(ctx context.Context, plan weft.PlanID) (map[weft.Status]int64, error) {
	counts := map[weft.Status]int64{}
	err := t.rows(ctx, func(r scanner) error {
		var code, n int64
		if err := r.Scan(&code, &n); err != nil {
			return err
		}
		status, err := statusOf(code)
		counts[status] = n
		return err
	}, "SELECT status, count(*) FROM run WHERE plan = $1 GROUP BY status", plan)
	return counts, err
}

// PlanNamed returns the ids of the Plans that a text stands for, the present one first: the
// id of a Plan, or a name with all its revisions, or one of these as name@number.
func (s *Store) PlanNamed(ctx context.Context, project weft.ProjectID, text string) ([]weft.PlanID, error) {
	if id, err := weft.ParseID[weft.Plan](text); err == nil {
		return []weft.PlanID{id}, nil
	}
	name, number, one := strings.Cut(text, "@")
	query, args := "SELECT plan FROM plan_revision WHERE project = $1 AND name = $2", []any{project, name}
	if one {
		n, err := strconv.ParseInt(number, 10, 64)
		if err != nil {
			return nil, noPlanNamed(text)
		}
		query += " AND revision = $3"
		args = append(args, n)
	}
	var ids []weft.PlanID
	err := s.read(ctx, func(t *tx) error {
		ids = nil
		return t.rows(ctx, collectIDs(&ids), query+" ORDER BY revision DESC", args...)
	})
	if err == nil && len(ids) == 0 {
		err = noPlanNamed(text)
	}
	var once []weft.PlanID
	for _, id := range ids {
		if !slices.Contains(once, id) {
			once = append(once, id)
		}
	}
	return once, wrapped("find plan", err)
}

func noPlanNamed(text string) error {
	return weft.Errorf(weft.NotFound, "plan %q is not found: it is neither the id nor the name of one", text).WithAdvice("list plans with: weft plan find")
}
