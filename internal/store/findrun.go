package store

import (
	"context"
	"fmt"
	"iter"
	"slices"

	"github.com/weft-dev/weft"
)

// FindRuns yields the Runs that q selects.
func (s *Store) FindRuns(ctx context.Context, q weft.RunQuery) iter.Seq2[weft.RunView, error] {
	open := func(t *tx) (*source[weft.Run], error) { return t.openRuns(ctx, q) }
	return paged(ctx, s, q.Page, open, func(t *tx, keys []runPos) ([]weft.RunView, int, error) {
		rows, err := t.runsByID(ctx, rawKeys(keys), "")
		if err != nil {
			return nil, 0, fmt.Errorf("find runs: %w", err)
		}
		rows = arranged(keys, rows, func(r *runRow) weft.RunID { return r.ID })
		runs, plans, err := t.bindAll(ctx, rows)
		views := make([]weft.RunView, len(runs))
		for i, r := range runs {
			views[i] = weft.RunView{Run: r, Plan: plans[r.Plan], Next: runPos{micros(r.UpdatedAt), r.ID}.String()}
		}
		return views, len(keys), err
	})
}

// fewRuns is up to how many Runs of given inputs are sought out and sorted; when there
// are more, the list of all is looked through for them, since they are frequent in it.
const fewRuns = 3000

func (t *tx) openRuns(ctx context.Context, q weft.RunQuery) (*source[weft.Run], error) {
	src := &source[weft.Run]{table: "run", at: "updated_at", newest: q.Page.Newest}
	if len(q.Inputs)+len(q.Outputs) > 0 {
		ids, all, err := t.runsAt(ctx, q)
		if err != nil {
			return nil, fmt.Errorf("find runs: %w", err)
		}
		if all {
			src.fixed, err = t.runKeys(ctx, q, ids)
			slices.SortFunc(src.fixed, src.order)
			return src, wrapped("find runs", err)
		}
		src.keep = func(ctx context.Context, t *tx, keys []runPos) ([]runPos, error) {
			return t.keepUsers(ctx, q.Inputs, keys)
		}
	}
	statuses := q.Statuses
	if len(statuses) == 0 {
		statuses = weft.Statuses
	}
	since, until := boundOf(q.Since), boundOf(q.Until)
	for _, status := range statuses {
		if len(q.Plans) == 0 {
			src.branches = append(src.branches, branch{"project = ? AND status = ?", []any{q.Project, statusCode(status)}, since, until})
		}
		for _, plan := range q.Plans {
			src.branches = append(src.branches, branch{"plan = ? AND project = ? AND status = ?", []any{plan, q.Project, statusCode(status)}, since, until})
		}
	}
	return src, nil
}

// runsAt returns the Runs that have one of the wanted inputs and one of the wanted
// outputs. all is false when there are too many to be sought out.
func (t *tx) runsAt(ctx context.Context, q weft.RunQuery) (ids []weft.RunID, all bool, err error) {
	collect := func(into *[]weft.RunID) func(scanner) error {
		return func(r scanner) error {
			var id weft.RunID
			err := r.Scan(&id)
			*into = append(*into, id)
			return err
		}
	}
	if len(q.Outputs) > 0 {
		if err := t.byIDs(ctx, "SELECT run FROM data WHERE id IN", raw(q.Outputs...), "", collect(&ids)); err != nil {
			return nil, false, err
		}
		if len(q.Inputs) == 0 || len(ids) == 0 {
			return ids, true, nil
		}
		made := ids
		ids = nil
		err := t.byIDs(ctx, "SELECT id, inputs FROM run WHERE id IN", raw(made...), "", func(r scanner) error {
			var id weft.RunID
			var inputs []byte
			err := r.Scan(&id, &inputs)
			for i := range len(inputs) / idLen {
				if slices.Contains(q.Inputs, idAt[weft.Data](inputs, i)) {
					ids = append(ids, id)
					break
				}
			}
			return err
		})
		return ids, true, err
	}
	for _, in := range q.Inputs {
		err := t.rows(ctx, collect(&ids), "SELECT run FROM run_input WHERE data = $1 LIMIT $2", in, fewRuns+1)
		if err != nil || len(ids) > fewRuns {
			return nil, false, err
		}
	}
	return ids, true, nil
}

// runKeys returns the keys of those of the Runs that q selects.
func (t *tx) runKeys(ctx context.Context, q weft.RunQuery, ids []weft.RunID) ([]runPos, error) {
	since, until := boundOf(q.Since), boundOf(q.Until)
	keys := []runPos{}
	err := t.byIDs(ctx, "SELECT id, updated_at, project, plan, status FROM run WHERE id IN", raw(ids...), "", func(r scanner) error {
		var k runPos
		var project weft.ProjectID
		var plan weft.PlanID
		var code int64
		if err := r.Scan(&k.id, &k.at, &project, &plan, &code); err != nil {
			return err
		}
		status, err := statusOf(code)
		if project == q.Project && within(k.at, since, until) &&
			(len(q.Plans) == 0 || slices.Contains(q.Plans, plan)) && (len(q.Statuses) == 0 || slices.Contains(q.Statuses, status)) {
			keys = append(keys, k)
		}
		return err
	})
	return keys, err
}

// keepUsers keeps the Runs that have one of the Data as an input.
func (t *tx) keepUsers(ctx context.Context, inputs []weft.DataID, keys []runPos) ([]runPos, error) {
	var uses []map[string]bool
	for _, in := range inputs {
		found, err := t.existing(ctx, rawKeys(keys), "run_input x WHERE x.data = $1 AND x.run = v.column1", in)
		if err != nil {
			return nil, err
		}
		uses = append(uses, found)
	}
	return slices.DeleteFunc(slices.Clone(keys), func(k runPos) bool {
		return !slices.ContainsFunc(uses, func(found map[string]bool) bool { return found[string(k.id[:])] })
	}), nil
}
