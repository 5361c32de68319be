package store

import (
	"bytes"
	"context"
	"slices"
	"strconv"

	"github.com/weft-dev/weft"
)

// rareEnough is up to where the Data of a tag are counted when the rarest is sought.
const rareEnough = 1000

// rarity counts the Data, and then the inputs, that a tag has; up to rareEnough each.
func (t *tx) rarity(ctx context.Context, key tagKey) (data, inputs int64, err error) {
	_, err = t.row(ctx, `SELECT (SELECT count(*) FROM (SELECT 1 FROM data_tag WHERE tag = $1 LIMIT $2) AS a),
		(SELECT count(*) FROM (SELECT 1 FROM plan_input WHERE tag = $1 LIMIT $2) AS b)`, []any{key[:], rareEnough}, &data, &inputs)
	return data, inputs, err
}

// rarest returns the key of the tag that fewest Data have: an input is listed under it.
// Among tags that are equally rare it is the one under which fewest inputs are listed.
func (t *tx) rarest(ctx context.Context, project weft.ProjectID, tags weft.Tags) (tagKey, error) {
	if sys := tags.System(); len(sys) > 0 { // at most a handful of Data have one of these
		return keyOf(project, sys[0]), nil
	}
	var best tagKey
	bestData, bestInputs := int64(-1), int64(0)
	for _, tag := range tags {
		key := keyOf(project, tag)
		data, inputs, err := t.rarity(ctx, key)
		if err != nil {
			return best, err
		}
		if bestData < 0 || data < bestData || data == bestData && inputs < bestInputs {
			best, bestData, bestInputs = key, data, inputs
		}
	}
	return best, nil
}

// byRarity returns the keys of the user's tags among tags, the rarest first.
func (t *tx) byRarity(ctx context.Context, project weft.ProjectID, tags weft.Tags) ([]tagKey, int64, error) {
	type counted struct {
		key tagKey
		n   int64
	}
	var all []counted
	for _, key := range keysOf(project, tags.User()) {
		n, _, err := t.rarity(ctx, key)
		if err != nil {
			return nil, 0, err
		}
		all = append(all, counted{key, n})
	}
	if len(all) == 0 {
		return nil, 0, nil
	}
	slices.SortStableFunc(all, func(a, b counted) int { return int(a.n - b.n) })
	keys := make([]tagKey, len(all))
	for i, c := range all {
		keys[i] = c.key
	}
	return keys, all[0].n, nil
}

// candidates returns the Data that fit an input, by id; the first few, if limit is not 0.
func (t *tx) candidates(ctx context.Context, project weft.ProjectID, in weft.Input, limit int) ([]weft.DataID, error) {
	if ids := in.Tags.Key(weft.KeyID); len(ids) > 0 {
		return t.candidateByID(ctx, project, in, ids[0].Value())
	}
	from, args, err := t.candidateQuery(ctx, project, in)
	if err != nil {
		return nil, err
	}
	tail := ""
	if limit > 0 {
		tail = " ORDER BY id LIMIT " + strconv.Itoa(limit)
	}
	var found []weft.DataID
	err = t.rows(ctx, func(r scanner) error {
		var id weft.DataID
		err := r.Scan(&id)
		found = append(found, id)
		return err
	}, "SELECT id FROM "+from+tail, args...)
	slices.SortFunc(found, compareIDs)
	return found, err
}

// countCandidates returns how many Data fit an input.
func (t *tx) countCandidates(ctx context.Context, project weft.ProjectID, in weft.Input) (n int64, err error) {
	if ids := in.Tags.Key(weft.KeyID); len(ids) > 0 {
		found, err := t.candidateByID(ctx, project, in, ids[0].Value())
		return int64(len(found)), err
	}
	from, args, err := t.candidateQuery(ctx, project, in)
	if err == nil {
		_, err = t.row(ctx, "SELECT count(*) FROM "+from, args, &n)
	}
	return n, err
}

// candidateQuery returns from where the Data that fit an input are selected, and the
// parameters of that.
func (t *tx) candidateQuery(ctx context.Context, project weft.ProjectID, in weft.Input) (from string, args []any, err error) {
	keys := keysOf(project, in.Tags.User())
	if len(keys) > 1 {
		if keys, _, err = t.byRarity(ctx, project, in.Tags); err != nil {
			return "", nil, err
		}
	}
	args = []any{project}
	param := func(v any) string {
		args = append(args, v)
		return params(len(args), 1)
	}
	from = "data d WHERE d.project = $1 AND d.state = 1"
	if len(keys) > 0 { // the rarest tag leads; CROSS JOIN has SQLite keep this order
		from = "data_tag t CROSS JOIN data d WHERE d.project = $1 AND d.state = 1 AND d.id = t.data AND t.tag = " + param(keys[0][:])
		for _, key := range keys[1:] {
			from += " AND EXISTS (SELECT 1 FROM data_tag x WHERE x.data = t.data AND x.tag = " + param(key[:]) + ")"
		}
	}
	for _, at := range in.Tags.Key(weft.KeyTimestamp) {
		us, err := timestampTag(at)
		if err != nil {
			return "", nil, err
		}
		from += " AND d.ts = " + param(us)
	}
	return from, args, nil
}

func (t *tx) candidateByID(ctx context.Context, project weft.ProjectID, in weft.Input, text string) ([]weft.DataID, error) {
	id, err := weft.ParseID[weft.Data](text)
	if err != nil {
		return nil, nil // no Data has such an id
	}
	usable, err := t.usableData(ctx, []weft.DataID{id})
	if err != nil || len(usable) == 0 || usable[0].Project != project || !in.Fits(usable[0]) {
		return nil, err
	}
	return []weft.DataID{id}, nil
}

// usableData returns those of the Data that are usable, with what matching needs.
func (t *tx) usableData(ctx context.Context, ids []weft.DataID) ([]weft.Data, error) {
	found := make([]weft.Data, 0, len(ids))
	err := t.byIDs(ctx, "SELECT id, project, ts, tags FROM data WHERE id IN", raw(ids...), " AND state = 1", func(r scanner) error {
		d := weft.Data{Source: weft.Source{Status: weft.Done}}
		var ts int64
		var tags string
		err := r.Scan(&d.ID, &d.Project, &ts, &tags)
		if err == nil {
			d.Timestamp = timestampOf(ts)
			d.Tags, err = decodeTags(tags)
		}
		found = append(found, d)
		return err
	})
	return found, err
}

func compareIDs[T any](a, b weft.ID[T]) int { return bytes.Compare(a[:], b[:]) }

// timestampTag reads a knit#timestamp as timestamps are stored.
func timestampTag(tag weft.Tag) (int64, error) {
	at, err := weft.ParseTime(tag.Value())
	return storedTimestamp(at), err
}
