package store

import (
	"context"
	"fmt"
	"time"

	"github.com/weft-dev/weft"
)

// States of a Data, as stored.
const (
	dataProcessing = 0
	dataUsable     = 1
	dataFailed     = 2
	dataPurged     = 3 // was usable or failed; its content is gone
)

// PushData records an upload or an import whose content is sealed: the Run, which is
// done already, and the Data. Its pin is released, as the Data holds the tree from now on.
func (s *Store) PushData(ctx context.Context, p weft.Push) (weft.DataView, error) {
	before := weft.DataID{}
	err := s.change(ctx, func(ctx context.Context, t *tx) (err error) {
		if before, err = t.pushedBefore(ctx, p); err != nil || !before.IsZero() {
			return err
		}
		return t.push(ctx, p)
	})
	if err != nil {
		return weft.DataView{}, fmt.Errorf("push data: %w", err)
	}
	if !before.IsZero() {
		p.Data = before
	}
	return s.Data(ctx, p.Project, p.Data)
}

// keysKept is how long a push can be repeated under its key.
const keysKept = 24 * time.Hour

// pushedBefore returns the Data that a push with the same key has made already, and
// otherwise notes the key. The content of a repeated push is let go.
func (t *tx) pushedBefore(ctx context.Context, p weft.Push) (weft.DataID, error) {
	var before weft.DataID
	if p.Key == "" {
		return before, nil
	}
	if _, err := t.exec(ctx, "DELETE FROM push_key WHERE created_at < $1", micros(t.now.Add(-keysKept))); err != nil {
		return before, err
	}
	n, err := t.exec(ctx, `INSERT INTO push_key (project, key, data, digest, created_at) VALUES ($1, $2, $3, $4, $5) ON CONFLICT (project, key) DO NOTHING`,
		p.Project, p.Key, p.Data, p.Tree.Digest, micros(t.now))
	if err != nil || n > 0 {
		return before, err
	}
	var digest weft.Digest
	if _, err := t.row(ctx, "SELECT data, digest FROM push_key WHERE project = $1 AND key = $2"+t.s.forUpdate, []any{p.Project, p.Key}, &before, &digest); err != nil {
		return before, err
	}
	if digest != p.Tree.Digest {
		return weft.DataID{}, weft.Errorf(weft.Conflict, "the key %q was used for another content, which became data %s", p.Key, before).WithSee(before.String()).
			WithAdvice("use a new key for each push")
	}
	found, err := t.row(ctx, "SELECT run FROM data WHERE id = $1", []any{before}, new(weft.RunID))
	if err != nil {
		return before, err
	}
	if !found { // it was removed since
		_, err := t.exec(ctx, "UPDATE push_key SET data = $1 WHERE project = $2 AND key = $3", p.Data, p.Project, p.Key)
		return weft.DataID{}, err
	}
	return before, t.unpin(ctx, p)
}

func (t *tx) push(ctx context.Context, p weft.Push) error {
	t.subject = p.Data.String()
	if sys := p.Tags.System(); len(sys) > 0 {
		return weft.Errorf(weft.Invalid, "tag %s is set by the system", sys[0])
	}
	plan, err := t.builtIn(ctx, p.Project, p.Plan)
	if err != nil {
		return err
	}
	if err := t.unpin(ctx, p); err != nil {
		return err
	}
	cause := weft.Cause{Kind: weft.CauseUpload, By: p.By}
	if p.Plan == weft.PlanImported {
		cause.Kind = weft.CauseImport
	}
	r := weft.NewRun(plan, p.Run, nil, []weft.DataID{p.Data}, cause, p.At)
	r.StartedAt = p.At
	for _, status := range []weft.Status{weft.Completing, weft.Done} {
		if r, err = r.To(status, p.At); err != nil {
			return err
		}
	}
	if _, err := t.insertRuns(ctx, []weft.Run{r}, map[weft.PlanID]weft.Plan{plan.ID: plan}); err != nil {
		return err
	}
	return t.fillData(ctx, p)
}

// fillData makes a Data usable, with what was pushed.
func (t *tx) fillData(ctx context.Context, p weft.Push) error {
	tags, err := encodeTags(p.Tags)
	if err != nil {
		return err
	}
	_, err = t.exec(ctx, "UPDATE data SET state = $1, ts = $2, tags = $3, tree = $4, files = $5, bytes = $6, epoch = "+epochNow+" WHERE id = $7",
		dataUsable, storedTimestamp(p.At), tags, p.Tree.Digest, p.Tree.Files, p.Tree.Bytes, p.Data)
	if err != nil {
		return err
	}
	if err := t.addOrigin(ctx, p); err != nil {
		return err
	}
	if err := t.addTags(ctx, p.Project, p.Data, p.Tags); err != nil {
		return err
	}
	return t.addChanges(ctx, change{project: p.Project, data: p.Data, by: p.By})
}

// unpin takes the tree over from the pin that held it. A pin that has run out holds
// nothing any more: the content may be gone.
func (t *tx) unpin(ctx context.Context, p weft.Push) error {
	if p.Pin == "" {
		return nil
	}
	found, err := t.row(ctx, "SELECT until FROM blob_pin WHERE pin = $1 AND digest = $2 AND tree = 1"+t.s.forUpdate,
		[]any{p.Pin, p.Tree.Digest}, new(int64))
	if err != nil {
		return err
	}
	if !found {
		return weft.Errorf(weft.Conflict, "the content was not held for so long").WithAdvice("send it again")
	}
	_, err = t.exec(ctx, "DELETE FROM blob_pin WHERE pin = $1", p.Pin)
	return err
}

// builtIn returns a built-in Plan of the project.
func (t *tx) builtIn(ctx context.Context, project weft.ProjectID, name string) (weft.Plan, error) {
	var p weft.Plan
	found := false
	err := t.rows(ctx, func(r scanner) (err error) {
		found = true
		p, err = scanPlan(r)
		return err
	}, "SELECT "+planColumns+" FROM plan WHERE project = $1 AND identity = $2", project, builtInPlan(name).Identity())
	if err == nil && !found {
		err = weft.Errorf(weft.NotFound, "plan %q is not found", name)
	}
	return p, err
}

func (t *tx) addTags(ctx context.Context, project weft.ProjectID, id weft.DataID, tags weft.Tags) error {
	var args []any
	for _, key := range keysOf(project, tags) {
		args = append(args, key[:], id[:])
	}
	return t.insert(ctx, tagInsert, 2, args, " ON CONFLICT DO NOTHING")
}

// TagData changes the user's tags of a Data.
func (s *Store) TagData(ctx context.Context, project weft.ProjectID, id weft.DataID, c weft.TagChange, by weft.PrincipalID) (weft.DataView, error) {
	err := c.Validate()
	if err == nil {
		err = s.change(ctx, func(ctx context.Context, t *tx) error { return t.tagData(ctx, project, id, c, by) })
	}
	if err != nil {
		return weft.DataView{}, fmt.Errorf("tag data: %w", err)
	}
	return s.Data(ctx, project, id)
}

func (t *tx) tagData(ctx context.Context, project weft.ProjectID, id weft.DataID, c weft.TagChange, by weft.PrincipalID) error {
	was, state, err := t.lockOwn(ctx, project, id)
	if err != nil {
		return err
	}
	now := c.Apply(was)
	added, gone := notIn(now, was), notIn(was, now)
	if len(added)+len(gone) == 0 {
		return nil
	}
	text, err := encodeTags(now)
	if err != nil {
		return err
	}
	if _, err := t.exec(ctx, "UPDATE data SET tags = $1 WHERE id = $2", text, id); err != nil {
		return err
	}
	for _, key := range keysOf(project, gone) {
		if _, err := t.exec(ctx, "DELETE FROM data_tag WHERE tag = $1 AND data = $2", key[:], id); err != nil {
			return err
		}
	}
	if err := t.addTags(ctx, project, id, added); err != nil {
		return err
	}
	if state == dataUsable {
		ch := change{project: project, data: id, gone: gone, by: by}
		for _, key := range keysOf(project, added) {
			ch.tags = append(ch.tags, key[:]...)
		}
		if err := t.addChanges(ctx, ch); err != nil {
			return err
		}
	}
	if err := t.retagShares(ctx, id, added, gone, by); err != nil {
		return err
	}
	return t.addEvents(ctx, weft.Event{Kind: weft.DataTagged, Project: project, Data: id, By: by})
}

// notIn returns the tags that are in one set and not in the other.
func notIn(ts, others weft.Tags) weft.Tags {
	var out weft.Tags
	for _, t := range ts {
		if !others.Has(t) {
			out = append(out, t)
		}
	}
	return out
}

// Trees returns the trees of Data that are sealed.
func (s *Store) Trees(ctx context.Context, ids []weft.DataID) (map[weft.DataID]weft.Digest, error) {
	trees := map[weft.DataID]weft.Digest{}
	err := s.read(ctx, func(t *tx) error {
		return t.byIDs(ctx, "SELECT id, tree FROM data WHERE tree IS NOT NULL AND id IN", raw(ids...), "", func(r scanner) error {
			var id weft.DataID
			var tree weft.Digest
			err := r.Scan(&id, &tree)
			trees[id] = tree
			return err
		})
	})
	if err != nil {
		return nil, fmt.Errorf("find trees: %w", err)
	}
	return trees, nil
}
