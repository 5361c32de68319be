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

// inFlight stands for the time of a Run that changes often; see the table run_input.
const inFlight = noTime

// usedAt is the time under which the inputs of a Run list it.
func usedAt(status weft.Status, updated int64) int64 {
	switch status {
	case weft.Waiting, weft.Deactivated, weft.Done, weft.Failed, weft.Invalidated:
		return updated
	}
	return inFlight
}

func (t *tx) openRuns(ctx context.Context, q weft.RunQuery) (*source[weft.Run], error) {
	src := &source[weft.Run]{table: "run", at: "updated_at", id: "id", newest: q.Page.Newest}
	var err error
	switch {
	case len(q.Outputs) > 0:
		err = t.fixMakers(ctx, src, q)
	case len(q.Inputs) > 0:
		err = t.addUsers(ctx, src, q)
	default:
		addRuns(src, q)
	}
	return src, wrapped("find runs", err)
}

// addRuns has the list taken from the Runs, by status.
func addRuns(src *source[weft.Run], q weft.RunQuery) {
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
}

// addUsers has the list taken from the uses of the wanted inputs. Those in flight, which
// the index has in no order, are sought out.
func (t *tx) addUsers(ctx context.Context, src *source[weft.Run], q weft.RunQuery) error {
	src.table, src.at, src.id = "run_input", "at", "run"
	since, until := boundOf(q.Since), boundOf(q.Until)
	if until == 0 {
		until = inFlight
	}
	var flying []weft.RunID
	border := false
	for _, in := range slices.Compact(slices.SortedFunc(slices.Values(q.Inputs), compareIDs)) {
		crosses, err := t.row(ctx, "SELECT 1 FROM data d WHERE d.id = $1 AND (d.project <> $2 OR EXISTS (SELECT 1 FROM data_share s WHERE s.data = d.id))",
			[]any{in, q.Project}, new(int))
		if err != nil {
			return err
		}
		border = border || crosses
		src.branches = append(src.branches, branch{"data = ?", []any{in}, since, until})
		err = t.rows(ctx, collectIDs(&flying), "SELECT run FROM run_input WHERE data = $1 AND at = $2", in, int64(inFlight))
		if err != nil {
			return err
		}
	}
	var err error
	src.fixed, err = t.runKeys(ctx, q, flying)
	slices.SortFunc(src.fixed, src.order)
	if len(q.Plans)+len(q.Statuses) > 0 || border { // runs of other projects may use it, too
		src.keep = func(ctx context.Context, t *tx, keys []runPos) ([]runPos, error) { return t.keepSelected(ctx, q, keys) }
	}
	return err
}

func collectIDs[T any](into *[]weft.ID[T]) func(scanner) error {
	return func(r scanner) error {
		var id weft.ID[T]
		err := r.Scan(&id)
		*into = append(*into, id)
		return err
	}
}

// fixMakers has the list consist of the Runs that made one of the wanted outputs, and
// that have one of the wanted inputs.
func (t *tx) fixMakers(ctx context.Context, src *source[weft.Run], q weft.RunQuery) error {
	var ids []weft.RunID
	if err := t.byIDs(ctx, "SELECT run FROM data WHERE id IN", raw(q.Outputs...), "", collectIDs(&ids)); err != nil {
		return err
	}
	if len(q.Inputs) > 0 {
		makers := ids
		ids = nil
		err := t.byIDs(ctx, "SELECT id, inputs FROM run WHERE id IN", raw(makers...), "", func(r scanner) error {
			var id weft.RunID
			var inputs []byte
			err := r.Scan(&id, &inputs)
			if slices.ContainsFunc(idsOf[weft.Data](inputs), func(in weft.DataID) bool { return slices.Contains(q.Inputs, in) }) {
				ids = append(ids, id)
			}
			return err
		})
		if err != nil {
			return err
		}
	}
	var err error
	src.fixed, err = t.runKeys(ctx, q, ids)
	slices.SortFunc(src.fixed, src.order)
	return err
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

// keepSelected keeps the Runs that q selects.
func (t *tx) keepSelected(ctx context.Context, q weft.RunQuery, keys []runPos) ([]runPos, error) {
	ids := make([]weft.RunID, len(keys))
	for i, k := range keys {
		ids[i] = k.id
	}
	selected, err := t.runKeys(ctx, q, ids)
	if err != nil {
		return nil, err
	}
	slices.SortFunc(selected, func(a, b runPos) int { return compareIDs(a.id, b.id) })
	return slices.DeleteFunc(slices.Clone(keys), func(k runPos) bool {
		_, found := slices.BinarySearchFunc(selected, k, func(a, b runPos) int { return compareIDs(a.id, b.id) })
		return !found
	}), nil
}
