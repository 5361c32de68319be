package store

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/weft-dev/weft"
)

// A share of a Data is a row of data_share, and one in data_tag for each tag of the Data
// with the key that the tag has in the project it is shared with. Keys of different projects
// never meet, so whatever looks for Data by a key finds the project's own and those it has
// a share of, and nothing else.

// ShareData lets another project read usable Data of this one, and run its Plans on them.
// To share once more what is shared is no error.
func (s *Store) ShareData(ctx context.Context, project weft.ProjectID, id weft.DataID, to weft.Project, by weft.PrincipalID) error {
	err := s.change(ctx, func(ctx context.Context, t *tx) error { return t.shareData(ctx, project, id, to, by) })
	return wrapped("share data", err)
}

func (t *tx) shareData(ctx context.Context, project weft.ProjectID, id weft.DataID, to weft.Project, by weft.PrincipalID) error {
	t.subject, t.detail = id.String(), "with project "+to.Name
	tags, state, err := t.lockOwn(ctx, project, id)
	switch {
	case err != nil:
		return err
	case project == to.ID:
		return weft.Errorf(weft.Invalid, "data %s is in project %s already", id, to.Name)
	case state != dataUsable:
		return weft.Errorf(weft.Conflict, "data %s cannot be used (yet), and so not be shared", id).WithAdvice("wait until the run that makes it is done")
	}
	n, err := t.exec(ctx, `INSERT INTO data_share (project, data, epoch, at, by)
		SELECT id, CAST($2 AS `+t.s.blob+`), plan_rev, CAST($3 AS `+t.s.int+`), CAST($4 AS `+t.s.blob+`) FROM project WHERE id = $1
		ON CONFLICT (project, data) DO NOTHING`, to.ID, id, micros(t.now), idOrNull(by))
	if err != nil || n == 0 {
		return err
	}
	if err := t.addTags(ctx, to.ID, id, tags); err != nil {
		return err
	}
	if err := t.addChanges(ctx, change{project: to.ID, data: id, by: by}); err != nil {
		return err
	}
	return t.addEvents(ctx, weft.Event{Kind: weft.DataShared, Project: to.ID, Data: id, By: by})
}

// lockOwn reads a Data of the project, and keeps it from being changed.
func (t *tx) lockOwn(ctx context.Context, project weft.ProjectID, id weft.DataID) (tags weft.Tags, state int, err error) {
	var text string
	found, err := t.row(ctx, "SELECT tags, state FROM data WHERE id = $1 AND project = $2"+t.s.forUpdate, []any{id, project}, &text, &state)
	if err == nil && !found {
		err = t.notOwn(ctx, project, id)
	}
	if err == nil {
		tags, err = decodeTags(text)
	}
	return tags, state, err
}

// notOwn says why a Data cannot be changed in a project that does not have it.
func (t *tx) notOwn(ctx context.Context, project weft.ProjectID, id weft.DataID) error {
	shared, err := t.sharesIn(ctx, project, []weft.DataID{id}, "")
	if err != nil || len(shared) == 0 {
		return errorsJoin(err, notFound("data", id))
	}
	return weft.Errorf(weft.Forbidden, "data %s is of another project, which shares it: it can be read here, and not be changed", id).
		WithAdvice("ask that project to change it")
}

// UnshareData ends what ShareData began. What was made of the Data in the other project
// stays, with its lineage. Runs there that were not started yet fail, and tell why; those
// that were go on.
func (s *Store) UnshareData(ctx context.Context, project weft.ProjectID, id weft.DataID, from weft.Project, by weft.PrincipalID) error {
	err := s.change(ctx, func(ctx context.Context, t *tx) error { return t.unshareData(ctx, project, id, from, by) })
	return wrapped("unshare data", err)
}

func (t *tx) unshareData(ctx context.Context, project weft.ProjectID, id weft.DataID, from weft.Project, by weft.PrincipalID) error {
	t.subject, t.detail = id.String(), "with project "+from.Name
	tags, _, err := t.lockOwn(ctx, project, id)
	if err != nil {
		return err
	}
	shared, err := t.sharesIn(ctx, from.ID, []weft.DataID{id}, t.s.forUpdate) // whoever makes Runs of it has ended
	if err != nil {
		return err
	}
	if len(shared) == 0 {
		return weft.Errorf(weft.NotFound, "data %s is not shared with project %s", id, from.Name)
	}
	if err := t.dropShare(ctx, from.ID, id, tags); err != nil {
		return err
	}
	if err := t.addEvents(ctx, weft.Event{Kind: weft.DataUnshared, Project: from.ID, Data: id, By: by}); err != nil {
		return err
	}
	return t.failUnstarted(ctx, from.ID, id, by)
}

// failUnstarted fails the Runs of a project that have a Data as an input and did not start.
func (t *tx) failUnstarted(ctx context.Context, project weft.ProjectID, id weft.DataID, by weft.PrincipalID) error {
	users, err := t.usersOf(ctx, []weft.DataID{id})
	if err != nil {
		return err
	}
	for _, u := range users {
		if u.Project != project || u.Status != weft.Waiting && u.Status != weft.Deactivated && u.Status != weft.Ready {
			continue
		}
		r, _, err := t.run(ctx, project, u.ID, t.s.forUpdate)
		if err != nil {
			return err
		}
		if r.Status != u.Status { // it started while it was waited for
			continue
		}
		next, err := r.To(weft.Aborting, t.now)
		if err != nil {
			return err
		}
		next.End, next.Exit = weft.EndAborted, weft.NewExit(weft.ExitUnshared, fmt.Sprintf("data %s is not shared with this project any more", id))
		if err := t.changeRun(ctx, r, next, by, time.Time{}); err != nil {
			return err
		}
	}
	return nil
}

// sharesIn returns which of the Data another project shares with this one, and the epochs
// that they have here; lock is what follows the SELECT.
func (t *tx) sharesIn(ctx context.Context, project weft.ProjectID, ids []weft.DataID, lock string) (map[weft.DataID]int64, error) {
	epochs := map[weft.DataID]int64{}
	err := t.byIDs(ctx, "SELECT data, epoch FROM data_share WHERE project = $1 AND data IN", raw(ids...), lock, func(r scanner) error {
		var id weft.DataID
		var epoch int64
		err := r.Scan(&id, &epoch)
		epochs[id] = epoch
		return err
	}, project)
	return epochs, err
}

// sharesOf returns the projects that have a share of each of the Data.
func (t *tx) sharesOf(ctx context.Context, ids []weft.DataID) (map[weft.DataID][]weft.Project, error) {
	shares := map[weft.DataID][]weft.Project{}
	err := t.byIDs(ctx, "SELECT s.data, p.id, p.name FROM data_share s JOIN project p ON p.id = s.project WHERE s.data IN", raw(ids...), " ORDER BY p.name", func(r scanner) error {
		var id weft.DataID
		var p weft.Project
		err := r.Scan(&id, &p.ID, &p.Name)
		if !slices.Contains(shares[id], p) { // a list of ids is filled up by repeating one
			shares[id] = append(shares[id], p)
		}
		return err
	})
	return shares, err
}

// missingShares returns those of the Data that are of another project and not shared with
// this one; lock is what follows the SELECT of shares.
func (t *tx) missingShares(ctx context.Context, project weft.ProjectID, ids []weft.DataID, lock string) ([]weft.DataID, error) {
	var foreign []weft.DataID
	err := t.byIDs(ctx, "SELECT id, project FROM data WHERE id IN", raw(ids...), "", func(r scanner) error {
		var id weft.DataID
		var of weft.ProjectID
		err := r.Scan(&id, &of)
		if of != project {
			foreign = append(foreign, id)
		}
		return err
	})
	if err != nil || len(foreign) == 0 {
		return nil, err
	}
	shared, err := t.sharesIn(ctx, project, foreign, lock)
	return slices.DeleteFunc(foreign, func(id weft.DataID) bool { _, ok := shared[id]; return ok }), err
}

// retagShares has the tags of a Data change where it is shared, too.
func (t *tx) retagShares(ctx context.Context, id weft.DataID, added, gone weft.Tags, by weft.PrincipalID) error {
	shares, err := t.sharesOf(ctx, []weft.DataID{id})
	if err != nil {
		return err
	}
	for _, p := range shares[id] {
		ch := change{project: p.ID, data: id, gone: gone, by: by}
		for _, key := range keysOf(p.ID, gone) {
			if _, err := t.exec(ctx, "DELETE FROM data_tag WHERE tag = $1 AND data = $2", key[:], id); err != nil {
				return err
			}
		}
		for _, key := range keysOf(p.ID, added) {
			ch.tags = append(ch.tags, key[:]...)
		}
		if err := t.addTags(ctx, p.ID, id, added); err != nil {
			return err
		}
		if err := t.addChanges(ctx, ch); err != nil {
			return err
		}
		if err := t.addEvents(ctx, weft.Event{Kind: weft.DataTagged, Project: p.ID, Data: id, By: by}); err != nil {
			return err
		}
	}
	return nil
}

// dropShares takes Data that are about to be deleted from all projects that have a share
// of them; tags are what the Data have.
func (t *tx) dropShares(ctx context.Context, ids []weft.DataID, tags map[weft.DataID]weft.Tags) error {
	shares, err := t.sharesOf(ctx, ids)
	if err != nil {
		return err
	}
	for id, projects := range shares {
		for _, p := range projects {
			if err := t.dropShare(ctx, p.ID, id, tags[id]); err != nil {
				return err
			}
			if err := t.addEvents(ctx, weft.Event{Kind: weft.DataUnshared, Project: p.ID, Data: id}); err != nil {
				return err
			}
		}
	}
	return nil
}

// dropShare takes a Data, which has some tags, from a project that has a share of it.
func (t *tx) dropShare(ctx context.Context, project weft.ProjectID, id weft.DataID, tags weft.Tags) error {
	if _, err := t.exec(ctx, "DELETE FROM data_share WHERE project = $1 AND data = $2", project, id); err != nil {
		return err
	}
	for _, key := range keysOf(project, tags) {
		if _, err := t.exec(ctx, "DELETE FROM data_tag WHERE tag = $1 AND data = $2", key[:], id); err != nil {
			return err
		}
	}
	if len(tags) == 0 {
		return nil
	}
	return t.addChanges(ctx, change{project: project, data: id, gone: tags})
}

// Grants returns what a project shares with others, and what others share with it, by time.
// With a Data that is not zero only what is about that.
func (s *Store) Grants(ctx context.Context, project weft.ProjectID, id weft.DataID) ([]weft.Grant, error) {
	var grants []weft.Grant
	err := s.read(ctx, func(t *tx) error {
		grants = nil
		where, args := "(d.project = $1 OR s.project = $1)", []any{project}
		if !id.IsZero() {
			where += " AND s.data = $2"
			args = append(args, id)
		}
		return t.rows(ctx, func(r scanner) error {
			var g weft.Grant
			var at int64
			err := r.Scan(&g.Data, &g.From.ID, &g.From.Name, &g.To.ID, &g.To.Name, &at, &g.By)
			g.At = fromMicros(at)
			grants = append(grants, g)
			return err
		}, `SELECT s.data, f.id, f.name, p.id, p.name, s.at, s.by FROM data_share s JOIN data d ON d.id = s.data
			JOIN project f ON f.id = d.project JOIN project p ON p.id = s.project WHERE `+where+" ORDER BY s.at, s.data, p.name", args...)
	})
	if err != nil {
		return nil, fmt.Errorf("list grants: %w", err)
	}
	return grants, nil
}
