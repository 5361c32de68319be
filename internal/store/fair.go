package store

import (
	"context"
	"fmt"
	"strings"

	"github.com/weft-dev/weft"
)

// OldestWaiting returns one waiting Run that can be claimed of each Plan, the oldest it
// has, but for the Plans to be skipped, and at most limit in all. So an engine whose
// machine is taken finds the Plans that ask for less, behind any number of Runs that
// wait for more.
func (s *Store) OldestWaiting(ctx context.Context, limit int, skip []weft.PlanID) ([]weft.RunID, error) {
	args := []any{statusCode(weft.Waiting), micros(now()), limit}
	where := ""
	for i := range skip {
		args = append(args, skip[i][:])
		where += fmt.Sprintf(", $%d", len(args))
	}
	if where != "" {
		where = " AND id NOT IN (" + strings.TrimPrefix(where, ", ") + ")"
	}
	var ids []weft.RunID
	err := s.read(ctx, func(t *tx) error {
		return t.rows(ctx, func(r scanner) error {
			var id weft.RunID
			err := r.Scan(&id)
			ids = append(ids, id)
			return err
		}, `SELECT id FROM (SELECT (SELECT run.id FROM run WHERE run.plan = plan.id AND status = $1 AND due_at <= $2
			ORDER BY updated_at, run.id LIMIT 1) AS id FROM plan WHERE active = 1`+where+`) AS oldest WHERE id IS NOT NULL LIMIT $3`, args...)
	})
	if err != nil {
		return nil, fmt.Errorf("find waiting runs: %w", err)
	}
	return ids, nil
}
