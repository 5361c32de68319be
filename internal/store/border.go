package store

import (
	"context"

	"github.com/weft-dev/weft"
)

// withinBorders leaves of a lineage what the asking project may see: its own Runs, what is
// reached by way of them, and of Data of other projects that they are there. It does
// nothing but look where no border is crossed.
func (s *Store) withinBorders(ctx context.Context, q weft.LineageQuery, data []dataRow, runs []runRow) ([]dataRow, []runRow, error) {
	var foreign []weft.DataID
	for i := range data {
		if data[i].Project != q.Project {
			foreign = append(foreign, data[i].ID)
		}
	}
	own := true
	for i := range runs {
		own = own && runs[i].Project == q.Project
	}
	if own && len(foreign) == 0 {
		return data, runs, nil
	}
	var missing []weft.DataID
	err := s.read(ctx, func(t *tx) (err error) {
		missing, err = t.missingShares(ctx, q.Project, foreign, "")
		return err
	})
	if err != nil {
		return nil, nil, err
	}
	hidden := map[weft.DataID]bool{}
	for _, id := range missing {
		hidden[id] = true
	}
	if hidden[q.Start] {
		return nil, nil, notFound("data", q.Start)
	}
	data, runs = walkAgain(q, data, runs)
	for i := range data {
		row := &data[i]
		if row.Project == q.Project {
			continue
		}
		row.abroad()
		if hidden[row.ID] { // what it was used for stays known, what it is now does not
			row.Tags = nil
		}
	}
	return data, runs, nil
}

// walkAgain walks by the project's own Runs only.
func walkAgain(q weft.LineageQuery, data []dataRow, runs []runRow) ([]dataRow, []runRow) {
	g := weft.NewLineageGraph()
	for i := range runs {
		if runs[i].Project == q.Project {
			g.Add(runs[i].ID, idsOf[weft.Data](runs[i].inputs), idsOf[weft.Data](runs[i].outputs))
		}
	}
	seenData, seenRuns := g.Walk(q)
	reachedData, reachedRuns := map[weft.DataID]bool{q.Start: true}, map[weft.RunID]bool{}
	for _, id := range seenData {
		reachedData[id] = true
	}
	for _, id := range seenRuns {
		reachedRuns[id] = true
	}
	var keptData []dataRow
	for i := range data {
		if reachedData[data[i].ID] {
			keptData = append(keptData, data[i])
		}
	}
	var keptRuns []runRow
	for i := range runs {
		if reachedRuns[runs[i].ID] {
			keptRuns = append(keptRuns, runs[i])
		}
	}
	return keptData, keptRuns
}
