package store

import (
	"context"
	"fmt"
	"maps"

	"github.com/weft-dev/weft"
)

// nearDepth is the depth up to which SQL walks: it reads few rows then, most of which
// the answer needs anyway.
const nearDepth = 2

// Lineage returns the history around a Data. It includes everything that was committed
// before the question, and so everything up to q.After.
func (s *Store) Lineage(ctx context.Context, q weft.LineageQuery) (weft.Lineage, error) {
	l, err := s.lineage(ctx, q)
	if err != nil {
		return weft.Lineage{}, fmt.Errorf("trace lineage: %w", err)
	}
	return l, nil
}

func (s *Store) lineage(ctx context.Context, q weft.LineageQuery) (weft.Lineage, error) {
	if q.Depth == 0 || q.Depth > nearDepth {
		if ok, err := s.index.current(ctx); err != nil {
			return weft.Lineage{}, err
		} else if ok {
			data, runs := s.index.walk(q)
			return s.lineageOf(ctx, q, data, runs)
		}
	}
	var found footprint
	err := s.read(ctx, func(t *tx) (err error) {
		found, err = t.walk(ctx, q)
		return err
	})
	if err != nil {
		return weft.Lineage{}, err
	}
	return s.lineageOf(ctx, q, found.data, found.runs)
}

func (x *index) walk(q weft.LineageQuery) ([]weft.DataID, []weft.RunID) {
	x.mu.RLock()
	graph := x.graph
	x.mu.RUnlock()
	return graph.Walk(q)
}

// A footprint is where a walk has been.
type footprint struct {
	data    []weft.DataID
	runs    []weft.RunID
	hasData map[weft.DataID]bool
	hasRun  map[weft.RunID]bool
}

func (f *footprint) addData(ids ...weft.DataID) {
	for _, id := range ids {
		if !id.IsZero() && !f.hasData[id] {
			f.hasData[id] = true
			f.data = append(f.data, id)
		}
	}
}

// walk follows the lineage level by level. It finds what weft.LineageGraph.Walk finds.
func (t *tx) walk(ctx context.Context, q weft.LineageQuery) (footprint, error) {
	f := footprint{hasData: map[weft.DataID]bool{}, hasRun: map[weft.RunID]bool{}}
	f.addData(q.Start)
	up := func(ctx context.Context, level []weft.DataID) ([]weft.RunID, error) {
		return t.runsBeside(ctx, "SELECT run FROM data WHERE id IN", level)
	}
	down := func(ctx context.Context, level []weft.DataID) ([]weft.RunID, error) {
		return t.runsBeside(ctx, "SELECT run FROM run_input WHERE data IN", level)
	}
	if q.Upstream {
		if err := t.climb(ctx, &f, q, up, func(ins, _ []weft.DataID) []weft.DataID { return ins }); err != nil {
			return f, err
		}
	}
	if q.Downstream {
		if err := t.climb(ctx, &f, q, down, func(_, outs []weft.DataID) []weft.DataID { return outs }); err != nil {
			return f, err
		}
	}
	return f, nil
}

// climb goes in one direction: leads gives the Runs next to the Data of a level, and on
// what of a Run is the next level.
func (t *tx) climb(ctx context.Context, f *footprint, q weft.LineageQuery,
	leads func(context.Context, []weft.DataID) ([]weft.RunID, error), on func(ins, outs []weft.DataID) []weft.DataID) error {
	been := map[weft.RunID]bool{}
	level := []weft.DataID{q.Start}
	for step := 0; len(level) > 0 && (q.Depth == 0 || step < q.Depth); step++ {
		beside, err := leads(ctx, level)
		if err != nil {
			return err
		}
		var runs []weft.RunID
		for _, id := range beside {
			if !been[id] {
				been[id] = true
				runs = append(runs, id)
			}
		}
		level = nil
		err = t.byIDs(ctx, "SELECT id, status, inputs, outputs FROM run WHERE id IN", raw(runs...), "", func(r scanner) error {
			var id weft.RunID
			var status int64
			var inputs, outputs []byte
			if err := r.Scan(&id, &status, &inputs, &outputs); err != nil || status == statusCode(weft.Invalidated) {
				return err
			}
			if !f.hasRun[id] {
				f.hasRun[id] = true
				f.runs = append(f.runs, id)
			}
			ins, outs := idsOf[weft.Data](inputs), idsOf[weft.Data](outputs)
			f.addData(ins...)
			f.addData(outs...)
			level = append(level, on(ins, outs)...)
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func (t *tx) runsBeside(ctx context.Context, query string, data []weft.DataID) ([]weft.RunID, error) {
	var runs []weft.RunID
	err := t.byIDs(ctx, query, raw(data...), "", func(r scanner) error {
		var id weft.RunID
		err := r.Scan(&id)
		runs = append(runs, id)
		return err
	})
	return runs, err
}

// lineageOf reads the rows of what was found, in one state of the database. What has
// been removed since it was found is left out.
func (s *Store) lineageOf(ctx context.Context, q weft.LineageQuery, data []weft.DataID, runs []weft.RunID) (weft.Lineage, error) {
	l := weft.Lineage{Start: q.Start}
	err := s.read(ctx, func(t *tx) error {
		found, err := t.row(ctx, "SELECT 1 FROM data WHERE id = $1 AND project = $2", []any{q.Start[:], q.Project[:]}, new(int))
		if err != nil {
			return err
		}
		if !found {
			return notFound("data", q.Start)
		}
		rows, err := t.runsByID(ctx, raw(runs...), "")
		if err != nil {
			return err
		}
		if l.Runs, l.Plans, err = t.bindAll(ctx, inSequence(runs, rows, func(r *runRow) weft.RunID { return r.ID })); err != nil {
			return err
		}
		if len(data) == 0 { // the index may not know a Data that is quite new
			data = []weft.DataID{q.Start}
		}
		l.Data, err = t.dataOfLineage(ctx, data, l)
		return err
	})
	return l, err
}

// inSequence puts what was read by id into the order of ids, and leaves out what is missing.
func inSequence[T, V any](ids []weft.ID[T], items []V, id func(*V) weft.ID[T]) []V {
	at := make(map[weft.ID[T]]int, len(items))
	for i := range items {
		at[id(&items[i])] = i
	}
	out := make([]V, 0, len(items))
	for _, id := range ids {
		if i, ok := at[id]; ok {
			out = append(out, items[i])
		}
	}
	return out
}

// dataOfLineage reads Data, in the order of their ids. The Runs of the lineage, which
// make most of them, are known already.
func (t *tx) dataOfLineage(ctx context.Context, ids []weft.DataID, l weft.Lineage) ([]weft.Data, error) {
	rows, err := t.dataByID(ctx, raw(ids...))
	if err != nil {
		return nil, err
	}
	rows = inSequence(ids, rows, func(d *dataRow) weft.DataID { return d.ID })
	makers := make(map[weft.RunID]*weft.Run, len(l.Runs))
	for i := range l.Runs {
		makers[l.Runs[i].ID] = &l.Runs[i]
	}
	plans, err := t.otherMakers(ctx, rows, makers, l.Plans)
	if err != nil {
		return nil, err
	}
	data := make([]weft.Data, len(rows))
	for i := range rows {
		if r := makers[rows[i].Source.Run]; r != nil {
			data[i] = rows[i].source(*r, plans[r.Plan])
		}
	}
	return data, nil
}

// otherMakers reads the Runs that make some of the Data but are not in the lineage, and
// returns the Plans of all.
func (t *tx) otherMakers(ctx context.Context, rows []dataRow, makers map[weft.RunID]*weft.Run, plans map[weft.PlanID]weft.Plan) (map[weft.PlanID]weft.Plan, error) {
	var missing []weft.RunID
	for i := range rows {
		if _, ok := makers[rows[i].Source.Run]; !ok {
			missing = append(missing, rows[i].Source.Run)
		}
	}
	if len(missing) == 0 {
		return plans, nil
	}
	found, err := t.runsByID(ctx, raw(missing...), "")
	if err != nil {
		return nil, err
	}
	runs, others, err := t.bindAll(ctx, found)
	for i := range runs {
		makers[runs[i].ID] = &runs[i]
	}
	all := maps.Clone(plans)
	maps.Copy(all, others)
	return all, err
}
