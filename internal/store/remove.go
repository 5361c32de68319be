package store

import (
	"context"
	"fmt"
	"slices"

	"github.com/weft-dev/weft"
)

// removeOnce is how many Runs of a cascade are removed by one transaction. They go from
// the leaves on, so that each transaction leaves a whole behind, and whoever begins anew
// after a crash finds only what is left.
const removeOnce = 200

// RemoveCascade removes a Run with all that came from it, or says, with dry, what that
// would be. It refuses while one of the Runs is under way.
func (s *Store) RemoveCascade(ctx context.Context, project weft.ProjectID, id weft.RunID, dry bool, by weft.PrincipalID) (weft.Removal, error) {
	var plan weft.Removal
	err := s.read(ctx, func(t *tx) (err error) {
		plan, err = t.planCascade(ctx, project, id)
		return err
	})
	if err != nil || dry {
		return plan, wrapped("look what came from run", err)
	}
	for chunk := range slices.Chunk(plan.Runs, removeOnce) {
		err := s.change(ctx, func(ctx context.Context, t *tx) error {
			for _, v := range chunk {
				err := t.deleteRun(ctx, project, v.Run.ID, by)
				if weft.KindOf(err) == weft.NotFound && v.Run.ID != id {
					continue // somebody was faster
				}
				if err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return plan, fmt.Errorf("remove runs: %w", err)
		}
	}
	return plan, nil
}

// planCascade finds what would be removed, the leaves first.
func (t *tx) planCascade(ctx context.Context, project weft.ProjectID, id weft.RunID) (weft.Removal, error) {
	var out weft.Removal
	r, _, err := t.run(ctx, project, id, "")
	if err != nil {
		return out, err
	}
	if r.Status == weft.Invalidated {
		return out, notFound("run", id)
	}
	c := cascade{t: t, project: project, seen: map[weft.RunID]bool{}}
	if err := c.visit(ctx, []weft.Run{r}); err != nil {
		return out, err
	}
	if len(c.busy) > 0 {
		b := c.busy[0]
		return out, weft.Errorf(weft.Conflict, "run %s is %s, and uses what would be removed (%d such)", b.ID, b.Status, len(c.busy)).WithSee(b.ID.String()).
			WithAdvice("stop it first, or let that be done by weft run rm --cascade --stop")
	}
	plans, err := t.plansByID(ctx, plansOfRuns(c.order))
	if err != nil {
		return out, err
	}
	var data []weft.DataID
	for _, r := range c.order {
		out.Runs = append(out.Runs, weft.RunView{Run: r, Plan: plans[r.Plan]})
		data = append(data, r.OutputIDs()...)
	}
	out.Data = int64(len(data))
	out.Bytes, out.Freed, err = t.weigh(ctx, data, idsOfRuns(c.order))
	return out, err
}

func idsOfRuns(runs []weft.Run) []weft.RunID {
	ids := make([]weft.RunID, len(runs))
	for i := range runs {
		ids[i] = runs[i].ID
	}
	return ids
}

func plansOfRuns(runs []weft.Run) []weft.PlanID {
	var ids []weft.PlanID
	for _, r := range runs {
		if !slices.Contains(ids, r.Plan) {
			ids = append(ids, r.Plan)
		}
	}
	return ids
}

// A cascade gathers a Run and all that came from it.
type cascade struct {
	t       *tx
	project weft.ProjectID
	seen    map[weft.RunID]bool
	order   []weft.Run // the leaves first
	busy    []weft.Run // those that cannot be removed now
}

// visit goes through the Runs level by level, and then puts them into an order in which
// each comes behind those that use what it made.
func (c *cascade) visit(ctx context.Context, level []weft.Run) error {
	users := map[weft.RunID][]weft.RunID{}
	all := map[weft.RunID]weft.Run{}
	for len(level) > 0 {
		makers := map[weft.DataID]weft.RunID{}
		var outputs []weft.DataID
		for _, r := range level {
			all[r.ID] = r
			if !r.Status.CanBecome(weft.Invalidated) {
				c.busy = append(c.busy, r)
			}
			for _, id := range r.OutputIDs() {
				makers[id] = r.ID
				outputs = append(outputs, id)
			}
		}
		next, err := c.t.usersOf(ctx, outputs)
		if err != nil {
			return err
		}
		level = level[:0:0]
		for _, u := range next {
			if u.Status == weft.Invalidated {
				continue // it goes by itself
			}
			if u.Project != c.project {
				return weft.Errorf(weft.Conflict, "a run of another project uses what would be removed, which was granted to it").
					WithAdvice("ask a manager there to remove run %s", u.ID)
			}
			for _, in := range u.Inputs {
				if maker, ok := makers[in.Data]; ok {
					users[maker] = append(users[maker], u.ID)
				}
			}
			if _, known := all[u.ID]; !known {
				all[u.ID] = u
				level = append(level, u)
			}
		}
	}
	ids := make([]weft.RunID, 0, len(all))
	for id := range all {
		ids = append(ids, id)
	}
	slices.SortFunc(ids, compareIDs)
	for _, id := range ids {
		c.leavesFirst(id, users, all)
	}
	return nil
}

func (c *cascade) leavesFirst(id weft.RunID, users map[weft.RunID][]weft.RunID, all map[weft.RunID]weft.Run) {
	if c.seen[id] {
		return
	}
	c.seen[id] = true
	for _, u := range users[id] {
		c.leavesFirst(u, users, all)
	}
	c.order = append(c.order, all[id])
}

// weigh adds up what Data hold, and what of it nothing else holds: neither other Data nor
// images, nor the logs of earlier attempts of other Runs. Manifests do not count, in either.
func (t *tx) weigh(ctx context.Context, data []weft.DataID, runs []weft.RunID) (bytes, freed int64, err error) {
	ours := map[weft.Digest]int64{} // references to each tree that go
	err = t.byIDs(ctx, "SELECT tree, bytes FROM data WHERE tree IS NOT NULL AND id IN", raw(data...), "", func(r scanner) error {
		var tree weft.Digest
		var n int64
		err := r.Scan(&tree, &n)
		bytes += n
		ours[tree]++
		return err
	})
	if err != nil {
		return 0, 0, err
	}
	err = t.byIDs(ctx, "SELECT log FROM run_attempt WHERE log IS NOT NULL AND run IN", raw(runs...), "", func(r scanner) error {
		var tree weft.Digest
		err := r.Scan(&tree)
		ours[tree]++
		return err
	})
	if err != nil {
		return 0, 0, err
	}
	going, err := t.onlyOurs(ctx, ours, "data WHERE tree", "run_attempt WHERE log")
	if err != nil {
		return 0, 0, err
	}
	blobs := map[weft.Digest]int64{}
	err = t.byDigests(ctx, going, "SELECT blob, count(*) FROM tree_blob WHERE blob <> tree AND tree IN (", ") GROUP BY blob", func(r scanner) error {
		var blob weft.Digest
		var n int64
		err := r.Scan(&blob, &n)
		blobs[blob] += n
		return err
	})
	if err != nil {
		return 0, 0, err
	}
	gone, err := t.onlyOurs(ctx, blobs, "tree_blob WHERE blob", "repo_blob WHERE digest", "image_manifest WHERE digest", "image_ref WHERE digest")
	if err != nil {
		return 0, 0, err
	}
	err = t.byDigests(ctx, gone, "SELECT size FROM blob WHERE digest IN (", ")", func(r scanner) error {
		var n int64
		err := r.Scan(&n)
		freed += n
		return err
	})
	return bytes, freed, err
}

// onlyOurs returns the digests to which the places, tables with a column, refer no more
// often than counted.
func (t *tx) onlyOurs(ctx context.Context, counted map[weft.Digest]int64, places ...string) ([]weft.Digest, error) {
	digests := sortedDigests(counted)
	total := map[weft.Digest]int64{}
	for _, place := range places {
		column := place[len(place)-lastWord(place):]
		err := t.byDigests(ctx, digests, "SELECT "+column+", count(*) FROM "+place+" IN (", ") GROUP BY "+column, func(r scanner) error {
			var d weft.Digest
			var n int64
			err := r.Scan(&d, &n)
			total[d] += n
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	return slices.DeleteFunc(digests, func(d weft.Digest) bool { return total[d] > counted[d] }), nil
}

func lastWord(s string) (n int) {
	for n < len(s) && s[len(s)-1-n] != ' ' {
		n++
	}
	return n
}

// Purge discards the content of Data and leaves everything else: tags, lineage, and that
// they were there. What is being made, or read by a Run under way, is kept, and told.
// With dry it only says what would go.
func (s *Store) Purge(ctx context.Context, project weft.ProjectID, ids []weft.DataID, dry bool, by weft.PrincipalID) (weft.Purge, error) {
	ids = slices.Clone(ids)
	slices.SortFunc(ids, compareIDs)
	ids = slices.Compact(ids)
	var out weft.Purge
	err := s.read(ctx, func(t *tx) (err error) {
		if out, err = t.planPurge(ctx, project, ids, ""); err != nil {
			return err
		}
		going := make([]weft.DataID, len(out.Data))
		for i := range out.Data {
			going[i] = out.Data[i].ID
		}
		out.Bytes, out.Freed, err = t.weigh(ctx, going, nil)
		return err
	})
	if err != nil || dry {
		return out, wrapped("look what would be purged", err)
	}
	for chunk := range slices.Chunk(out.Data, removeOnce) {
		some := make([]weft.DataID, len(chunk))
		for i := range chunk {
			some[i] = chunk[i].ID
		}
		err := s.change(ctx, func(ctx context.Context, t *tx) error { return t.purge(ctx, project, some, by) })
		if err != nil {
			return out, fmt.Errorf("purge data: %w", err)
		}
	}
	return out, nil
}

// planPurge says which of the Data would be purged; lock is what follows the SELECT.
func (t *tx) planPurge(ctx context.Context, project weft.ProjectID, ids []weft.DataID, lock string) (weft.Purge, error) {
	var out weft.Purge
	found := map[weft.DataID]dataRow{}
	scan := dataScanner()
	err := t.byIDs(ctx, "SELECT "+dataColumns+" FROM data WHERE id IN", raw(ids...), lock, func(r scanner) error {
		row, err := scan(r)
		found[row.ID] = row
		return err
	})
	if err != nil {
		return out, err
	}
	busy, waiting, err := t.readersOf(ctx, project, ids)
	if err != nil {
		return out, err
	}
	for _, id := range ids {
		row, ok := found[id]
		switch {
		case !ok || row.Project != project:
			return out, notFound("data", id)
		case row.state == dataPurged:
		case row.state == dataProcessing:
			out.Kept = append(out.Kept, weft.Kept{Data: id, Reason: "it is being made"})
		case busy[id] != "":
			out.Kept = append(out.Kept, weft.Kept{Data: id, Reason: busy[id] + " is reading it"})
		default:
			out.Data = append(out.Data, row.Data)
			out.Waiting = append(out.Waiting, waiting[id]...)
		}
	}
	slices.SortFunc(out.Waiting, compareIDs)
	out.Waiting = slices.Compact(out.Waiting)
	return out, nil
}

// readersOf finds for each of the Data whether a Run under way has it mounted, and which
// Runs of the project are yet to begin. Those of projects that it is shared with are not
// named.
func (t *tx) readersOf(ctx context.Context, project weft.ProjectID, ids []weft.DataID) (busy map[weft.DataID]string, waiting map[weft.DataID][]weft.RunID, err error) {
	busy, waiting = map[weft.DataID]string{}, map[weft.DataID][]weft.RunID{}
	err = t.byIDs(ctx, "SELECT i.data, r.id, r.project, r.status FROM run_input i JOIN run r ON r.id = i.run WHERE i.data IN", raw(ids...), "", func(r scanner) error {
		var id weft.DataID
		var run weft.RunID
		var of weft.ProjectID
		var code int64
		if err := r.Scan(&id, &run, &of, &code); err != nil {
			return err
		}
		status, err := statusOf(code)
		switch status {
		case weft.Starting, weft.Running, weft.Completing, weft.Aborting:
			if busy[id] = "run " + run.String(); of != project {
				busy[id] = "a run of a project that it is shared with"
			}
		case weft.Deactivated, weft.Waiting, weft.Ready:
			if of == project {
				waiting[id] = append(waiting[id], run)
			}
		}
		return err
	})
	return busy, waiting, err
}

// purge discards the content of those of the Data that still may be purged.
func (t *tx) purge(ctx context.Context, project weft.ProjectID, ids []weft.DataID, by weft.PrincipalID) error {
	plan, err := t.planPurge(ctx, project, ids, " ORDER BY id"+t.s.forUpdate)
	if err != nil || len(plan.Data) == 0 {
		return err
	}
	shares, err := t.sharesOf(ctx, ids)
	if err != nil {
		return err
	}
	var events []weft.Event
	var changes []change
	for _, d := range plan.Data {
		_, err := t.exec(ctx, "UPDATE data SET state = $1, purged_at = $2, purged_by = $3, purged_tree = tree, tree = NULL WHERE id = $4",
			dataPurged, micros(t.now), idOrNull(by), d.ID)
		if err != nil {
			return err
		}
		events = append(events, weft.Event{Kind: weft.DataPurged, Project: project, Data: d.ID, Run: d.Source.Run, By: by})
		changes = append(changes, change{project: project, data: d.ID, gone: d.Tags, by: by})
		for _, p := range shares[d.ID] { // there, too, the one before it may be the latest now
			changes = append(changes, change{project: p.ID, data: d.ID, gone: d.Tags, by: by})
		}
	}
	if err := t.addEvents(ctx, events...); err != nil {
		return err
	}
	return t.addChanges(ctx, changes...)
}

// refusePurged tells of the first input of a Run whose content is gone.
func (t *tx) refusePurged(ctx context.Context, r weft.Run) error {
	ids := make([]weft.DataID, len(r.Inputs))
	for i := range r.Inputs {
		ids[i] = r.Inputs[i].Data
	}
	return t.byIDs(ctx, "SELECT id FROM data WHERE id IN", raw(ids...), fmt.Sprintf(" AND state = %d ORDER BY id", dataPurged), func(s scanner) error {
		var id weft.DataID
		if err := s.Scan(&id); err != nil {
			return err
		}
		return weft.Errorf(weft.Conflict, "run %s cannot be tried again: the content of its input %s was purged", r.ID, id)
	})
}
