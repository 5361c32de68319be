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

// candidates returns the Data that the nth input of a Plan takes, by id; the first few, if
// limit is not 0. With also they have those tags besides.
func (t *tx) candidates(ctx context.Context, p weft.Plan, nth, limit int, also ...weft.Tag) ([]weft.DataID, error) {
	in := asking(p.Inputs[nth], also)
	if ids := in.Tags.Key(weft.KeyID); len(ids) > 0 {
		found, err := t.candidateByID(ctx, p, nth, also)
		return idsOfData(found), err
	}
	from, args, err := t.candidateQuery(ctx, p, in)
	if err != nil {
		return nil, err
	}
	tail := ""
	if limit > 0 {
		tail = " ORDER BY id LIMIT " + strconv.Itoa(limit)
	}
	var found []weft.DataID
	err = t.rows(ctx, collectIDs(&found), "SELECT id FROM "+from+tail, args...)
	slices.SortFunc(found, compareIDs)
	return found, err
}

// asking is an input that asks for more tags.
func asking(in weft.Input, also []weft.Tag) weft.Input {
	if len(also) > 0 {
		in.Tags = weft.NewTags(append(slices.Clone(in.Tags), also...)...)
	}
	return in
}

func idsOfData(data []weft.Data) []weft.DataID {
	ids := make([]weft.DataID, len(data))
	for i := range data {
		ids[i] = data[i].ID
	}
	return ids
}

// countCandidates returns how many Data the nth input of a Plan takes.
func (t *tx) countCandidates(ctx context.Context, p weft.Plan, nth int) (n int64, err error) {
	in := p.Inputs[nth]
	if ids := in.Tags.Key(weft.KeyID); len(ids) > 0 {
		found, err := t.candidateByID(ctx, p, nth, nil)
		return int64(len(found)), err
	}
	from, args, err := t.candidateQuery(ctx, p, in)
	if err == nil {
		_, err = t.row(ctx, "SELECT count(*) FROM "+from, args, &n)
	}
	return n, err
}

// candidateQuery returns from where the Data that an input takes are selected, as d, and
// the parameters of that. The keys of tags are of one project, so that whoever has one is
// in that project, or shared with it.
func (t *tx) candidateQuery(ctx context.Context, p weft.Plan, in weft.Input) (from string, args []any, err error) {
	keys := keysOf(p.Project, in.Tags.User())
	if len(keys) > 1 {
		if keys, _, err = t.byRarity(ctx, p.Project, in.Tags); err != nil {
			return "", nil, err
		}
	}
	param := func(v any) string {
		args = append(args, v)
		return params(len(args), 1)
	}
	at := ""
	for _, tag := range in.Tags.Key(weft.KeyTimestamp) {
		us, err := timestampTag(tag)
		if err != nil {
			return "", nil, err
		}
		at = param(us)
	}
	switch {
	case len(keys) > 0: // the rarest tag leads; CROSS JOIN has SQLite keep this order
		from = "data_tag t CROSS JOIN data d WHERE d.state = 1 AND d.id = t.data AND t.tag = " + param(keys[0][:])
		for _, key := range keys[1:] {
			from += " AND EXISTS (SELECT 1 FROM data_tag x WHERE x.data = t.data AND x.tag = " + param(key[:]) + ")"
		}
		if at != "" {
			from += " AND d.ts = " + at
		}
	default: // no input is without tags: it asks for a time
		here := param(p.Project)
		from = "data d WHERE d.state = 1 AND d.ts = " + at + " AND d.id IN (SELECT id FROM data WHERE project = " + here +
			" AND state = 1 AND ts = " + at + " UNION ALL SELECT data FROM data_share WHERE project = " + here + ")"
	}
	if p.Since > 0 {
		from += " AND " + epochIn("d", param(p.Project)) + " >= " + param(p.Since)
	}
	return from, args, nil
}

// epochIn is the epoch of a Data, a row named d, in a project that has it or has a share of it.
func epochIn(d, project string) string {
	return "(CASE WHEN " + d + ".project = " + project + " THEN " + d + ".epoch ELSE (SELECT s.epoch FROM data_share s WHERE s.project = " +
		project + " AND s.data = " + d + ".id) END)"
}

// epochNow is the epoch of the rows of data that are being updated.
const epochNow = "(SELECT plan_rev FROM project WHERE project.id = data.project)"

func (t *tx) candidateByID(ctx context.Context, p weft.Plan, nth int, also []weft.Tag) ([]weft.Data, error) {
	id, err := weft.ParseID[weft.Data](p.Inputs[nth].Tags.Key(weft.KeyID)[0].Value())
	if err != nil {
		return nil, nil // no Data has such an id
	}
	found, err := t.usableData(ctx, p.Project, []weft.DataID{id})
	return slices.DeleteFunc(found, func(d weft.Data) bool { return !p.Takes(nth, d) || !d.Tags.HasAll(also) }), err
}

// usableData returns those of the Data that are usable in a project, with what matching
// needs, as they are seen there.
func (t *tx) usableData(ctx context.Context, project weft.ProjectID, ids []weft.DataID) ([]weft.Data, error) {
	found := make([]weft.Data, 0, len(ids))
	decoded := map[string]weft.Tags{}
	var foreign []weft.DataID
	err := t.byIDs(ctx, "SELECT id, project, ts, tags, epoch FROM data WHERE id IN", raw(ids...), " AND state = 1", func(r scanner) error {
		d, err := scanUsable(r, decoded)
		if d.Project != project {
			foreign = append(foreign, d.ID)
		}
		found = append(found, d)
		return err
	})
	if err != nil || len(foreign) == 0 {
		return found, err
	}
	epochs, err := t.sharesIn(ctx, project, foreign, "")
	here := found[:0]
	for _, d := range found {
		if epoch, shared := epochs[d.ID]; shared {
			d.Project, d.Epoch = project, epoch
		}
		if d.Project == project {
			here = append(here, d)
		}
	}
	return here, err
}

// scanUsable reads a usable Data with what matching needs.
func scanUsable(r scanner, decoded map[string]weft.Tags) (weft.Data, error) {
	d := weft.Data{Source: weft.Source{Status: weft.Done}}
	var ts int64
	var text string
	if err := r.Scan(&d.ID, &d.Project, &ts, &text, &d.Epoch); err != nil {
		return d, err
	}
	d.Timestamp = timestampOf(ts)
	tags, ok := decoded[text]
	if !ok {
		var err error
		if tags, err = decodeTags(text); err != nil {
			return d, err
		}
		decoded[text] = tags
	}
	d.Tags = slices.Clip(tags)
	return d, nil
}

func compareIDs[T any](a, b weft.ID[T]) int { return bytes.Compare(a[:], b[:]) }

// timestampTag reads a knit#timestamp as timestamps are stored.
func timestampTag(tag weft.Tag) (int64, error) {
	at, err := weft.ParseTime(tag.Value())
	return storedTimestamp(at), err
}
