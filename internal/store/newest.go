package store

import (
	"context"
	"slices"

	"github.com/weft-dev/weft"
)

// What is the latest of an input is looked for in one of two ways: among the Data of its
// rarest tag, if they are few; otherwise from the newest Data of the project backwards,
// which meets one that fits before long, as the question is asked when one has just come.

// newest returns the latest of the Data that the nth input of a Plan takes and that have
// some tags besides; and false when there is none.
func (t *tx) newest(ctx context.Context, p weft.Plan, nth int, also ...weft.Tag) (weft.Data, bool, error) {
	in := asking(p.Inputs[nth], also)
	if len(in.Tags.Key(weft.KeyID)) > 0 {
		found, err := t.candidateByID(ctx, p, nth, also)
		return top(found), len(found) > 0, err
	}
	keys, fewest, err := t.byRarity(ctx, p.Project, in.Tags)
	if err != nil {
		return weft.Data{}, false, err
	}
	var ids []weft.DataID
	if len(keys) == 0 || fewest < rareEnough || len(in.Tags.Key(weft.KeyTimestamp)) > 0 {
		from, args, err := t.candidateQuery(ctx, p, in)
		if err != nil {
			return weft.Data{}, false, err
		}
		err = t.rows(ctx, collectIDs(&ids), "SELECT d.id FROM "+from+" ORDER BY d.ts DESC, d.id DESC LIMIT 1", args...)
		if err != nil {
			return weft.Data{}, false, err
		}
	} else if ids, err = t.newestOfMany(ctx, p, keys); err != nil {
		return weft.Data{}, false, err
	}
	found, err := t.usableData(ctx, p.Project, ids)
	return top(found), len(found) > 0, err
}

// newestOfMany returns the latest of the project's own Data that have all of the tags, and
// the latest of those that others share with it.
func (t *tx) newestOfMany(ctx context.Context, p weft.Plan, keys []tagKey) ([]weft.DataID, error) {
	args := []any{p.Project}
	where := ""
	for _, key := range keys {
		args = append(args, key[:])
		where += " AND EXISTS (SELECT 1 FROM data_tag x WHERE x.data = d.id AND x.tag = " + params(len(args), 1) + ")"
	}
	own, theirs := where, where
	if p.Since > 0 {
		args = append(args, p.Since)
		own, theirs = own+" AND d.epoch >= "+params(len(args), 1), theirs+" AND s.epoch >= "+params(len(args), 1)
	}
	var ids []weft.DataID
	err := t.rows(ctx, collectIDs(&ids), "SELECT d.id FROM data d WHERE d.project = $1 AND d.state = 1"+own+" ORDER BY d.ts DESC, d.id DESC LIMIT 1", args...)
	if err != nil {
		return nil, err
	}
	err = t.rows(ctx, collectIDs(&ids), "SELECT d.id FROM data_share s CROSS JOIN data d WHERE s.project = $1 AND d.id = s.data AND d.state = 1"+theirs+
		" ORDER BY d.ts DESC, d.id DESC LIMIT 1", args...)
	return ids, err
}

// top returns the newest.
func top(data []weft.Data) weft.Data {
	var top weft.Data
	for i, d := range data {
		if i == 0 || d.Newer(top) {
			top = d
		}
	}
	return top
}

// takenData is candidates, with what it takes to choose among them.
func (t *tx) takenData(ctx context.Context, p weft.Plan, nth int, also ...weft.Tag) ([]weft.Data, error) {
	in := asking(p.Inputs[nth], also)
	if len(in.Tags.Key(weft.KeyID)) > 0 {
		return t.candidateByID(ctx, p, nth, also)
	}
	from, args, err := t.candidateQuery(ctx, p, in)
	if err != nil {
		return nil, err
	}
	var found []weft.Data
	decoded := map[string]weft.Tags{}
	err = t.rows(ctx, func(r scanner) error {
		d, err := scanUsable(r, decoded)
		found = append(found, d)
		return err
	}, "SELECT d.id, d.project, d.ts, d.tags, d.epoch FROM "+from, args...)
	slices.SortFunc(found, func(a, b weft.Data) int { return compareIDs(a.ID, b.ID) })
	return found, err
}

// NewestOf returns the Data that an input of a Plan which takes the latest only takes
// instead of d, which fits it; zero when it takes d, or does not take the latest only.
func (s *Store) NewestOf(ctx context.Context, p weft.Plan, nth int, d weft.Data) (weft.DataID, error) {
	latest := p.Inputs[nth].Latest
	if latest.IsZero() {
		return weft.DataID{}, nil
	}
	groups := [][]weft.Tag{nil}
	if latest.By != "" {
		groups = nil
		for _, tag := range d.Tags.Key(latest.By) {
			groups = append(groups, []weft.Tag{tag})
		}
	}
	var instead weft.DataID
	err := s.read(ctx, func(t *tx) error {
		instead = weft.DataID{}
		for _, also := range groups {
			e, found, err := t.newest(ctx, p, nth, also...)
			if err != nil {
				return err
			}
			if found && e.ID == d.ID {
				instead = weft.DataID{}
				return nil
			}
			instead = e.ID
		}
		return nil
	})
	return instead, wrapped("find the latest data", err)
}
