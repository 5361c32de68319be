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
	if err == nil {
		err = s.addOrigins(ctx, &l)
	}
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

// lineageOf reads the rows of what was found. What has been removed since it was found is
// left out.
func (s *Store) lineageOf(ctx context.Context, q weft.LineageQuery, data []weft.DataID, runs []weft.RunID) (weft.Lineage, error) {
	l := weft.Lineage{Start: q.Start}
	if len(data) == 0 { // nothing leads to or from it
		data = []weft.DataID{q.Start}
	}
	rows, err := many(ctx, s, "SELECT "+nodeColumns+" FROM data WHERE id", data, nodeScanner, func(d *dataRow) weft.DataID { return d.ID })
	if err != nil {
		return l, err
	}
	if len(rows) == 0 || rows[0].ID != q.Start {
		return l, notFound("data", q.Start)
	}
	runRows, err := s.manyRuns(ctx, runs)
	if err != nil {
		return l, err
	}
	if rows, runRows, err = s.withinBorders(ctx, q, rows, runRows); err != nil {
		return l, err
	}
	others, err := s.manyRuns(ctx, otherMakers(rows, runs))
	if err != nil {
		return l, err
	}
	err = s.read(ctx, func(t *tx) (err error) {
		var makers []weft.Run
		var plans map[weft.PlanID]weft.Plan
		if l.Runs, l.Plans, err = t.bindAll(ctx, runRows); err == nil {
			makers, plans, err = t.bindAll(ctx, others)
		}
		if err == nil {
			maps.Copy(plans, l.Plans)
			l.Data = describe(rows, append(makers, l.Runs...), plans)
		}
		return err
	})
	return l, err
}

func (s *Store) manyRuns(ctx context.Context, ids []weft.RunID) ([]runRow, error) {
	return many(ctx, s, "SELECT "+runColumns+" FROM run WHERE id", ids, func() func(scanner) (runRow, error) { return scanRun },
		func(r *runRow) weft.RunID { return r.ID })
}

// otherMakers returns the Runs that make some of the Data but are not among the runs.
func otherMakers(rows []dataRow, runs []weft.RunID) []weft.RunID {
	known := make(map[weft.RunID]bool, len(runs))
	for _, id := range runs {
		known[id] = true
	}
	var others []weft.RunID
	for i := range rows {
		if id := rows[i].Source.Run; !known[id] && !id.IsZero() {
			known[id] = true
			others = append(others, id)
		}
	}
	return others
}

// describe makes Data of rows, by what the Runs say that make them.
func describe(rows []dataRow, runs []weft.Run, plans map[weft.PlanID]weft.Plan) []weft.Data {
	type maker struct {
		run  *weft.Run
		plan *weft.Plan
	}
	known := make(map[weft.PlanID]*weft.Plan, len(plans))
	for id, p := range plans {
		known[id] = &p
	}
	makers := make(map[weft.RunID]maker, len(runs))
	for i := range runs {
		makers[runs[i].ID] = maker{&runs[i], known[runs[i].Plan]}
	}
	data := make([]weft.Data, 0, len(rows))
	for i := range rows {
		if rows[i].Source.Run.IsZero() { // of another project
			data = append(data, rows[i].Data)
			continue
		}
		if m, ok := makers[rows[i].Source.Run]; ok && m.plan != nil { // else all are just being removed
			rows[i].source(m.run, m.plan)
			data = append(data, rows[i].Data)
		}
	}
	return data
}
