package store

import (
	"context"

	"github.com/weft-dev/weft"
)

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

// dropShares takes Data that are about to be deleted from all projects that have a share
// of them; tags are what the Data have.
func (t *tx) dropShares(ctx context.Context, ids []weft.DataID, tags map[weft.DataID]weft.Tags) error {
	type share struct {
		project weft.ProjectID
		data    weft.DataID
	}
	var shares []share
	err := t.byIDs(ctx, "SELECT project, data FROM data_share WHERE data IN", raw(ids...), "", func(r scanner) error {
		var s share
		err := r.Scan(&s.project, &s.data)
		shares = append(shares, s)
		return err
	})
	if err != nil {
		return err
	}
	for _, s := range shares {
		if err := t.dropShare(ctx, s.project, s.data, tags[s.data]); err != nil {
			return err
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
