package store

import (
	"context"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/weft-dev/weft"
)

// WouldRunPlan tells how many Runs registering p would make, or that a registered p would
// get beside those it has, and the first few of them.
func (s *Store) WouldRunPlan(ctx context.Context, p weft.Plan, limit int) (total int64, first []weft.Assignment, err error) {
	err = s.read(ctx, func(t *tx) error {
		d := &delta{plan: p, full: true}
		total, first, err = t.dryRun(ctx, d, limit)
		return err
	})
	if err != nil {
		return 0, nil, fmt.Errorf("dry run: %w", err)
	}
	return total, first, nil
}

// WouldRunData tells which Runs a Data would get if it were usable and its user's tags
// were these: an existing one or, if id is zero, a new one.
func (s *Store) WouldRunData(ctx context.Context, project weft.ProjectID, id weft.DataID, tags weft.Tags, limit int) ([]weft.PlanRuns, error) {
	var plans []weft.PlanRuns
	err := s.read(ctx, func(t *tx) error {
		plans = nil
		d := weft.Data{ID: id, Project: project, Tags: tags.User(), Source: weft.Source{Status: weft.Done}, Timestamp: noSooner, Epoch: math.MaxInt64}
		var was *weft.Data
		if !id.IsZero() {
			rows, err := t.dataByID(ctx, [][]byte{id[:]})
			if err != nil {
				return err
			}
			if len(rows) == 0 || rows[0].Project != project {
				return t.notOwn(ctx, project, id)
			}
			if rows[0].state == dataFailed || rows[0].state == dataPurged {
				return nil // whatever its tags: nothing runs on what failed
			}
			if rows[0].state == dataUsable {
				d.Timestamp, d.Epoch = rows[0].Timestamp, rows[0].Epoch
				now := d
				now.Tags = rows[0].Tags
				was = &now
			}
		}
		deltas, err := t.deltasOf(ctx, d, was)
		if err != nil {
			return err
		}
		for _, dl := range deltas {
			total, first, err := t.dryRun(ctx, dl, limit)
			if err != nil {
				return err
			}
			if total > 0 {
				plans = append(plans, weft.PlanRuns{Plan: dl.plan, Total: total, First: first})
			}
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("dry run: %w", err)
	}
	return plans, nil
}

// noSooner is the timestamp of a Data that has none yet, in dry runs: it will be the newest.
var noSooner = time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC)

// deltasOf returns what one Data would make possible, by plan; was is how it is, if it is
// usable already, as it may hide others that a choosy plan would take.
func (t *tx) deltasOf(ctx context.Context, data weft.Data, was *weft.Data) ([]*delta, error) {
	set, err := t.planSet(ctx, data.Project)
	if err != nil {
		return nil, err
	}
	byPlan := map[weft.PlanID]*delta{}
	var all []*delta
	inputs := set.fits(data)
	if was != nil {
		for _, in := range set.fits(*was) {
			if p, _ := set.graph.Plan(in.plan); p.Choosy() {
				inputs = append(inputs, in)
			}
		}
	}
	for _, in := range inputs {
		p, _ := set.graph.Plan(in.plan)
		d := byPlan[p.ID]
		if d == nil {
			d = &delta{plan: p, full: p.Choosy(), fresh: make([][]weft.DataID, len(p.Inputs)), supposed: &data}
			byPlan[p.ID] = d
			all = append(all, d)
		}
		d.fresh[in.nth] = []weft.DataID{data.ID}
	}
	slices.SortFunc(all, func(a, b *delta) int { return compareIDs(a.plan.ID, b.plan.ID) })
	return all, nil
}

// dryRun counts the combinations of a delta that have no Run yet, and lists the first.
// Data that the delta supposes to be there, or to have other tags, take part.
func (t *tx) dryRun(ctx context.Context, d *delta, limit int) (int64, []weft.Assignment, error) {
	if d.full && !d.plan.Choosy() {
		untried, err := d.untried(ctx, t)
		if err != nil {
			return 0, nil, err
		}
		if untried {
			return t.dryRunAll(ctx, d, limit)
		}
	}
	if err := d.load(ctx, t, 0); err != nil {
		return 0, nil, err
	}
	d.suppose()
	total := d.count()
	if total == 0 {
		return 0, nil, nil
	}
	existing, err := d.existing(ctx, t)
	if err != nil || total == existing {
		return 0, nil, err
	}
	first, err := t.firstMissing(ctx, d, limit)
	return total - existing, first, err
}

// dryRunAll is dryRun for all combinations of a Plan that has no Runs: of each input's
// Data the first few are enough for the first few combinations.
func (t *tx) dryRunAll(ctx context.Context, d *delta, limit int) (int64, []weft.Assignment, error) {
	total, err := d.countAll(ctx, t)
	if err != nil || total == 0 || limit <= 0 {
		return total, nil, err
	}
	if err := d.load(ctx, t, limit); err != nil {
		return 0, nil, err
	}
	var first []weft.Assignment
	for a := range d.assignments() {
		if first = append(first, a); len(first) == limit {
			break
		}
	}
	return total, first, nil
}

// suppose lets a Data fit what it would fit with the tags that it is to have, and only
// that, though it is not there yet or has other tags still.
func (d *delta) suppose() {
	if d.supposed == nil || d.plan.Choosy() { // there it took part in choosing
		return
	}
	id := d.supposed.ID
	for i := range d.plan.Inputs {
		at, found := slices.BinarySearchFunc(d.fits[i], id, compareIDs)
		switch fits := d.plan.Takes(i, *d.supposed); {
		case fits && !found:
			d.fits[i] = slices.Insert(slices.Clone(d.fits[i]), at, id)
		case !fits && found:
			d.fits[i] = slices.Delete(slices.Clone(d.fits[i]), at, at+1)
		}
	}
}

// firstMissing returns the first few combinations of a delta that have no Run yet.
func (t *tx) firstMissing(ctx context.Context, d *delta, limit int) ([]weft.Assignment, error) {
	const chunk = 256
	var missing, some []weft.Assignment
	look := func() error {
		found, err := t.made(ctx, d.plan.ID, some)
		for _, a := range some {
			if len(missing) < limit && !found[combinationKey(a)] {
				missing = append(missing, a)
			}
		}
		some = some[:0]
		return err
	}
	if limit <= 0 {
		return nil, nil
	}
	for a := range d.assignments() {
		if some = append(some, a); len(some) == chunk {
			if err := look(); err != nil {
				return nil, err
			}
			if len(missing) >= limit {
				break
			}
		}
	}
	return missing, look()
}

// made says, by combinationKey, which of the assignments have a Run.
func (t *tx) made(ctx context.Context, plan weft.PlanID, list []weft.Assignment) (map[string]bool, error) {
	keys := make([][]byte, len(list))
	for i, a := range list {
		keys[i] = []byte(combinationKey(a))
	}
	return t.existing(ctx, keys, "run x WHERE x.plan = $1 AND x.combination = v.column1", plan)
}

func combinationKey(a weft.Assignment) string { return string(combination(a.Key())) }
