package store

import (
	"context"
	"slices"

	"github.com/weft-dev/weft"
)

// A gathering is the deltas of some changes, per Plan.
type gathering struct {
	byPlan map[weft.PlanID]*delta
	all    []*delta
}

// deltas gathers what the changes may have made possible.
func (t *tx) deltas(ctx context.Context, changes []change) ([]*delta, error) {
	g := &gathering{byPlan: map[weft.PlanID]*delta{}}
	ids := map[weft.ProjectID][]weft.DataID{}
	var projects []weft.ProjectID
	for _, c := range changes {
		if !c.data.IsZero() {
			if ids[c.project] == nil {
				projects = append(projects, c.project)
			}
			ids[c.project] = append(ids[c.project], c.data)
			continue
		}
		plans, err := t.plansByID(ctx, []weft.PlanID{c.plan})
		if err != nil {
			return nil, err
		}
		if p, ok := plans[c.plan]; ok && p.Live() {
			g.addPlan(p, c)
		}
	}
	for _, project := range projects {
		if err := g.addProject(ctx, t, project, ids[project], changes); err != nil {
			return nil, err
		}
	}
	return g.all, nil
}

// addProject adds what changes of Data may have made possible in one project.
func (g *gathering) addProject(ctx context.Context, t *tx, project weft.ProjectID, ids []weft.DataID, changes []change) error {
	usable, err := t.usableData(ctx, project, ids)
	if err != nil {
		return err
	}
	set, err := t.planSet(ctx, project)
	if err != nil {
		return err
	}
	slices.SortFunc(usable, func(a, b weft.Data) int { return compareIDs(a.ID, b.ID) })
	added := addedTags(changes, project)
	has := map[weft.DataID]weft.Tags{}
	for _, d := range usable {
		has[d.ID] = d.Tags
		g.addData(d, set, added[d.ID])
	}
	for _, c := range changes {
		if c.project == project && len(c.gone) > 0 {
			g.reopen(set, has[c.data], c.gone)
		}
	}
	return nil
}

// addPlan adds all combinations of a Plan, from where an earlier attempt got to.
func (g *gathering) addPlan(p weft.Plan, c change) {
	d := &delta{plan: p, full: true, after: c.after, seq: c.seq}
	if p.Choosy() {
		d.after, d.seq = nil, 0 // its combinations are in no order to go on in
	}
	g.all = append(g.all, d)
	if d.after == nil {
		g.byPlan[p.ID] = d
	}
}

// of returns the delta of a Plan. A blocked plan is counted and, when that helps, made as a
// whole.
func (g *gathering) of(p weft.Plan) *delta {
	d := g.byPlan[p.ID]
	if d == nil {
		d = &delta{plan: p, full: p.PendingRuns > 0}
		if p.Choosy() {
			d.arrived = make([]arrival, len(p.Inputs))
		} else {
			d.fresh = make([][]weft.DataID, len(p.Inputs))
		}
		g.byPlan[p.ID] = d
		g.all = append(g.all, d)
	}
	return d
}

// addData adds the combinations with a Data at the inputs that it fits, if added is not
// nil only at those that ask for one of the tags in it.
func (g *gathering) addData(data weft.Data, set *planSet, added map[tagKey]bool) {
	for _, in := range set.fits(data) {
		p, _ := set.graph.Plan(in.plan)
		if !asksFor(p, in.nth, data, added) {
			continue
		}
		switch d := g.of(p); {
		case d.full:
		case p.Choosy():
			d.arrived[in.nth].data = append(d.arrived[in.nth].data, data)
		default:
			d.fresh[in.nth] = append(d.fresh[in.nth], data.ID)
		}
	}
}

// reopen has inputs that take the latest look again which that is, where a Data that has
// some tags and lost others may have been it.
func (g *gathering) reopen(set *planSet, has, lost weft.Tags) {
	had := weft.NewTags(slices.Concat(has, lost)...)
	set.mu.RLock()
	defer set.mu.RUnlock()
	for _, in := range set.latest {
		p, _ := set.graph.Plan(in.plan)
		if !hid(p.Inputs[in.nth], had, lost) {
			continue
		}
		if d := g.of(p); !d.full {
			a := &d.arrived[in.nth]
			a.opened, a.reopened = true, weft.NewTags(slices.Concat(a.reopened, had)...)
		}
	}
}

// addedTags says per Data of a project which tags it got; nil where it became usable as a
// whole.
func addedTags(changes []change, project weft.ProjectID) map[weft.DataID]map[tagKey]bool {
	added := map[weft.DataID]map[tagKey]bool{}
	for _, c := range changes {
		if c.data.IsZero() || c.project != project {
			continue
		}
		keys, seen := added[c.data]
		switch {
		case c.tags == nil && len(c.gone) == 0 || seen && keys == nil:
			added[c.data] = nil
			continue
		case !seen:
			keys = map[tagKey]bool{}
			added[c.data] = keys
		}
		for chunk := range slices.Chunk(c.tags, len(tagKey{})) {
			keys[tagKey(chunk)] = true
		}
	}
	return added
}

// asksFor reports whether any of the tags added to a Data is one that the input asks for,
// or one by whose value the plan chooses.
func asksFor(p weft.Plan, nth int, d weft.Data, added map[tagKey]bool) bool {
	if added == nil {
		return true
	}
	if slices.ContainsFunc(keysOf(p.Project, p.Inputs[nth].Tags), func(k tagKey) bool { return added[k] }) {
		return true
	}
	return p.Choosy() && slices.ContainsFunc(d.Tags, func(tag weft.Tag) bool {
		return (tag.Key() == p.Pair || tag.Key() == p.Inputs[nth].Latest.By) && added[keyOf(p.Project, tag)]
	})
}
