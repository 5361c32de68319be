package store

import (
	"context"
	"fmt"

	"github.com/weft-dev/weft"
)

// Import records Runs that were made elsewhere, with their Data, as they are: in any
// status, with ids and times given. It tells nobody, and nothing is made of it until it
// is looked at for another reason. Combinations that exist are left out with their Data.
func (s *Store) Import(ctx context.Context, runs []weft.Run, data []weft.Data) error {
	err := s.write(ctx, func(ctx context.Context, t *tx) error {
		ids := make([]weft.PlanID, 0, 1)
		for _, r := range runs {
			if len(ids) == 0 || ids[len(ids)-1] != r.Plan {
				ids = append(ids, r.Plan)
			}
		}
		plans, err := t.plansByID(ctx, ids)
		if err != nil {
			return err
		}
		made, err := t.insertRunRows(ctx, runs, plans)
		if err != nil {
			return err
		}
		if err := t.insertInputs(ctx, made); err != nil {
			return err
		}
		return t.importData(ctx, data, made, plans)
	})
	return wrapped("import", err)
}

func (t *tx) importData(ctx context.Context, data []weft.Data, made []weft.Run, plans map[weft.PlanID]weft.Plan) error {
	nth := map[weft.DataID]int{}
	for i := range made {
		for n, o := range made[i].Outputs {
			nth[o.Data] = n
		}
		nth[made[i].Log] = len(plans[made[i].Plan].Outputs)
	}
	var rows, tags []any
	for i := range data {
		d := &data[i]
		n, ok := nth[d.ID]
		if !ok {
			continue
		}
		text, err := encodeTags(d.Tags)
		if err != nil {
			return fmt.Errorf("data %s: %w", d.ID, err)
		}
		rows = append(rows, d.ID[:], d.Project[:], d.Source.Run[:], n, stateOf(d.Source.Status), storedTimestamp(d.Timestamp), text,
			digestOrNull(d.Tree), d.Files, d.Bytes, micros(d.CreatedAt))
		for _, key := range keysOf(d.Project, d.Tags) {
			tags = append(tags, key[:], d.ID[:])
		}
	}
	if err := t.insert(ctx, dataInsert, 11, rows, ""); err != nil {
		return err
	}
	return t.insert(ctx, tagInsert, 2, tags, "")
}

// stateOf is the state of the Data that a Run of that status makes.
func stateOf(s weft.Status) int64 {
	switch s {
	case weft.Done:
		return dataUsable
	case weft.Failed, weft.Invalidated:
		return dataFailed
	}
	return dataProcessing
}
