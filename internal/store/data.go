package store

import (
	"context"
	"fmt"
	"iter"
	"slices"

	"github.com/weft-dev/weft"
)

// Data returns a Data and its neighbours.
func (s *Store) Data(ctx context.Context, project weft.ProjectID, id weft.DataID) (weft.DataView, error) {
	var v weft.DataView
	err := s.read(ctx, func(t *tx) error {
		rows, err := t.dataByID(ctx, [][]byte{id[:]})
		if err != nil {
			return err
		}
		if len(rows) == 0 {
			return notFound("data", id)
		}
		if missing, err := t.missingShares(ctx, project, []weft.DataID{id}, ""); err != nil || len(missing) > 0 {
			return errorsJoin(err, notFound("data", id))
		}
		views, err := t.views(ctx, project, rows)
		if err != nil {
			return err
		}
		v = views[0]
		if v.Upstream.Plan.Name == weft.PlanImported {
			origins, err := t.origins(ctx, [][]byte{id[:]})
			if o, ok := origins[id]; ok {
				v.Origin = &o
			}
			return err
		}
		return nil
	})
	if err != nil {
		return weft.DataView{}, fmt.Errorf("find data: %w", err)
	}
	return v, nil
}

// FindData yields the Data that q selects.
func (s *Store) FindData(ctx context.Context, q weft.DataQuery) iter.Seq2[weft.DataView, error] {
	var seem []dataPos
	open := func(t *tx) (*source[weft.Data], error) { return t.openData(ctx, q, seem) }
	list := paged(ctx, s, q.Page, open, func(t *tx, keys []dataPos) ([]weft.DataView, int, error) {
		rows, err := t.dataByID(ctx, rawKeys(keys))
		if err != nil {
			return nil, 0, fmt.Errorf("find data: %w", err)
		}
		rows = arranged(keys, rows, func(d *dataRow) weft.DataID { return d.ID })
		views, err := t.views(ctx, q.Project, rows)
		if err != nil {
			return nil, 0, fmt.Errorf("find data: %w", err)
		}
		if len(views) < len(rows) { // up to the first that was left out
			last := rows[len(views)].ID
			return views, slices.IndexFunc(keys, func(k dataPos) bool { return k.id == last }), nil
		}
		return views, len(keys), nil
	})
	return func(yield func(weft.DataView, error) bool) {
		var err error
		if seem, err = s.index.tagged(ctx, keysOf(q.Project, q.Tags.User())); err != nil {
			yield(weft.DataView{}, fmt.Errorf("find data: %w", err))
			return
		}
		list(yield)
	}
}

// A dataFilter is the conditions of a query, apart from the user's tags.
type dataFilter struct {
	id           *weft.DataID
	states       []int
	ts           *int64
	since, until int64
	nothing      bool // the conditions contradict each other
}

// filterOf reads the conditions that system tags and times make.
func filterOf(q weft.DataQuery) (dataFilter, error) {
	f := dataFilter{states: []int{dataProcessing, dataUsable, dataFailed, dataPurged}, since: boundOf(q.Since), until: boundOf(q.Until)}
	only := func(states ...int) {
		f.states = slices.DeleteFunc(f.states, func(s int) bool { return !slices.Contains(states, s) })
	}
	for _, tag := range q.Tags.System() {
		switch tag.Key() {
		case weft.KeyID:
			id, err := weft.ParseID[weft.Data](tag.Value())
			if err != nil || f.id != nil && *f.id != id {
				f.nothing = true
			}
			f.id = &id
		case weft.KeyTimestamp:
			ts, err := timestampTag(tag)
			if err != nil {
				return f, err
			}
			if f.ts != nil && *f.ts != ts {
				f.nothing = true
			}
			f.ts = &ts
			only(dataUsable, dataFailed, dataPurged)
		case weft.KeyTransient:
			state := dataProcessing
			if tag.Value() == weft.TransientFailed {
				state = dataFailed
			}
			only(state)
		default:
			f.nothing = true
		}
	}
	f.nothing = f.nothing || len(f.states) == 0
	return f, nil
}

// openData decides how to find the Data of a query: among those that seem to have its
// tags, by id, by a tag that few have, or by looking through the list of all.
func (t *tx) openData(ctx context.Context, q weft.DataQuery, seem []dataPos) (*source[weft.Data], error) {
	src := &source[weft.Data]{table: "data", at: "ts", id: "id", newest: q.Page.Newest}
	f, err := filterOf(q)
	if err != nil || f.nothing {
		return src, err
	}
	if seem != nil && f.id == nil {
		src.seem = inTurn(seem, src.order, q.Page.Limit > 0)
		src.keep = func(ctx context.Context, t *tx, found []dataPos) ([]dataPos, error) {
			ids := make([]weft.DataID, len(found))
			for i := range found {
				ids[i] = found[i].id
			}
			right, err := t.dataKeys(ctx, q, f, ids)
			return arranged(found, right, func(k *dataPos) weft.DataID { return k.id }), err
		}
		return src, nil
	}
	var ids []weft.DataID
	keys, fewest, err := t.byRarity(ctx, q.Project, q.Tags)
	switch {
	case err != nil:
		return nil, fmt.Errorf("find data: %w", err)
	case f.id != nil:
		ids = []weft.DataID{*f.id}
	case len(keys) > 0 && fewest < rareEnough:
		if ids, err = t.dataTagged(ctx, keys[0]); err != nil {
			return nil, fmt.Errorf("find data: %w", err)
		}
	default:
		src.branches = f.branches(q.Project)
		var shared []weft.DataID
		if err := t.rows(ctx, collectIDs(&shared), "SELECT data FROM data_share WHERE project = $1", q.Project); err != nil {
			return nil, fmt.Errorf("find data: %w", err)
		}
		if len(shared) > 0 {
			if src.fixed, err = t.dataKeys(ctx, q, f, shared); err != nil {
				return nil, fmt.Errorf("find data: %w", err)
			}
			slices.SortFunc(src.fixed, src.order)
		}
		if len(keys) > 0 {
			src.keep = func(ctx context.Context, t *tx, found []dataPos) ([]dataPos, error) {
				return t.keepTagged(ctx, keys, found)
			}
		}
		return src, nil
	}
	src.fixed, err = t.dataKeys(ctx, q, f, ids)
	slices.SortFunc(src.fixed, src.order)
	return src, wrapped("find data", err)
}

// branches are the conditions of the filter, per state. A Data that has no timestamp yet
// counts by when its Run changed last.
func (f *dataFilter) branches(project weft.ProjectID) []branch {
	var bs []branch
	for _, state := range f.states {
		b := branch{where: "project = ? AND state = ?", args: []any{project, state}}
		switch {
		case f.ts != nil:
			b.where += " AND ts = ?"
			b.args = append(b.args, *f.ts)
			fallthrough
		case state != dataProcessing:
			b.since, b.until = f.since, f.until
		case f.since != 0 || f.until != 0:
			cond := ""
			if f.since != 0 {
				cond, b.args = cond+" AND r.updated_at >= ?", append(b.args, f.since)
			}
			if f.until != 0 {
				cond, b.args = cond+" AND r.updated_at < ?", append(b.args, f.until)
			}
			b.where += " AND EXISTS (SELECT 1 FROM run r WHERE r.id = data.run" + cond + ")"
		}
		bs = append(bs, b)
	}
	return bs
}

func (t *tx) dataTagged(ctx context.Context, key tagKey) ([]weft.DataID, error) {
	var ids []weft.DataID
	err := t.rows(ctx, func(r scanner) error {
		var id weft.DataID
		err := r.Scan(&id)
		ids = append(ids, id)
		return err
	}, "SELECT data FROM data_tag WHERE tag = $1", key[:])
	return ids, err
}

// keepTagged keeps the Data that have all the tags.
func (t *tx) keepTagged(ctx context.Context, tags []tagKey, keys []dataPos) ([]dataPos, error) {
	for _, tag := range tags {
		has, err := t.existing(ctx, rawKeys(keys), "data_tag x WHERE x.tag = $1 AND x.data = v.column1", tag[:])
		if err != nil {
			return nil, err
		}
		keys = slices.DeleteFunc(slices.Clone(keys), func(k dataPos) bool { return !has[string(k.id[:])] })
	}
	return keys, nil
}

// dataKeys returns the keys of those of the Data that q selects.
func (t *tx) dataKeys(ctx context.Context, q weft.DataQuery, f dataFilter, ids []weft.DataID) ([]dataPos, error) {
	keys := []dataPos{}
	user := q.Tags.User()
	var foreign []weft.DataID
	head := "SELECT d.id, d.project, d.state, d.ts, d.tags, r.updated_at FROM data d JOIN run r ON r.id = d.run WHERE d.id IN"
	err := t.byIDs(ctx, head, raw(ids...), "", func(r scanner) error {
		var k dataPos
		var project weft.ProjectID
		var state int
		var text string
		var at int64
		if err := r.Scan(&k.id, &project, &state, &k.at, &text, &at); err != nil {
			return err
		}
		tags, err := decodeTags(text)
		if state != dataProcessing {
			at = k.at
		}
		if project != q.Project {
			foreign = append(foreign, k.id)
		}
		if slices.Contains(f.states, state) && within(at, f.since, f.until) && tags.HasAll(user) && (f.ts == nil || *f.ts == k.at) {
			keys = append(keys, k)
		}
		return err
	})
	if err != nil || len(foreign) == 0 {
		return keys, err
	}
	shared, err := t.sharesIn(ctx, q.Project, foreign, "")
	hidden := map[weft.DataID]bool{}
	for _, id := range foreign {
		if _, ok := shared[id]; !ok {
			hidden[id] = true
		}
	}
	return slices.DeleteFunc(keys, func(k dataPos) bool { return hidden[k.id] }), err
}
