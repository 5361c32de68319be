package store

import (
	"context"
	"slices"

	"github.com/weft-dev/weft"
)

// LoadIndex loads the index in memory, so that a test need not wait for it.
func (s *Store) LoadIndex(ctx context.Context) error { return s.index.load(ctx) }

// WalkBySQL returns what the level-by-level walk finds.
func (s *Store) WalkBySQL(ctx context.Context, q weft.LineageQuery) (data []weft.DataID, runs []weft.RunID, err error) {
	err = s.read(ctx, func(t *tx) error {
		f, err := t.walk(ctx, q)
		data, runs = f.data, f.runs
		return err
	})
	return data, runs, err
}

// WalkInMemory returns what the index finds, and false when it is not loaded.
func (s *Store) WalkInMemory(ctx context.Context, q weft.LineageQuery) (data []weft.DataID, runs []weft.RunID, ok bool, err error) {
	if ok, err = s.index.current(ctx); ok && err == nil {
		data, runs = s.index.walk(q)
	}
	return data, runs, ok, err
}

// IndexSize returns what the index holds.
func (s *Store) IndexSize() (runs, data, tagged, stale int) {
	s.index.mu.RLock()
	defer s.index.mu.RUnlock()
	runs, data = s.index.graph.Len()
	return runs, data, s.index.tags.size, s.index.tags.stale
}

// SeemTagged returns how many Data the index takes to have the tags; -1 when it is not loaded.
func (s *Store) SeemTagged(ctx context.Context, project weft.ProjectID, tags weft.Tags) (int, error) {
	keys, err := s.index.tagged(ctx, keysOf(project, tags))
	if keys == nil {
		return -1, err
	}
	return len(keys), err
}

// InsertRuns makes Runs of one Plan, all at once, and has them all done.
func (s *Store) InsertRuns(ctx context.Context, p weft.Plan, runs []weft.Run) error {
	for chunk := range slices.Chunk(runs, 1000) {
		err := s.write(ctx, func(ctx context.Context, t *tx) error {
			_, err := t.insertRuns(ctx, chunk, map[weft.PlanID]weft.Plan{p.ID: p})
			return err
		})
		if err != nil {
			return err
		}
	}
	return s.write(ctx, func(ctx context.Context, t *tx) error {
		if _, err := t.exec(ctx, "UPDATE run SET status = $1, due_at = NULL", statusCode(weft.Done)); err != nil {
			return err
		}
		_, err := t.exec(ctx, "UPDATE data SET state = $1, ts = created_at", dataUsable)
		return err
	})
}

// TakeChanges leases changes as Project does, and does nothing with them.
func (s *Store) TakeChanges(ctx context.Context, limit int) error {
	_, err := s.takeChanges(ctx, limit)
	return err
}

// ManyData reads Data as a large lineage does, and returns the ids of those that are there.
func (s *Store) ManyData(ctx context.Context, ids []weft.DataID) ([]weft.DataID, error) {
	rows, err := many(ctx, s, "SELECT "+dataColumns+" FROM data WHERE id", ids, dataScanner, func(d *dataRow) weft.DataID { return d.ID })
	var found []weft.DataID
	for i := range rows {
		found = append(found, rows[i].ID)
	}
	return found, err
}

// Touched waits until it is stored which credentials are in use.
func (s *Store) Touched() { s.access.touches.Wait() }

// Exec runs a statement.
func (s *Store) Exec(ctx context.Context, statement string) error {
	return s.write(ctx, func(ctx context.Context, t *tx) error {
		_, err := t.exec(ctx, statement)
		return err
	})
}
