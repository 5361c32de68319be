package store

import (
	"context"
	"database/sql"
	"slices"
	"strconv"

	"github.com/weft-dev/weft"
)

// Neighbours of what a list shows are loaded for a whole chunk of it at once.

// A dataRow is a Data as it is read, before what its Run says was added.
type dataRow struct {
	weft.Data
	nth   int
	state int
	ts    int64
}

const dataColumns = "id, project, run, nth, state, ts, tags, tree, files, bytes, created_at, epoch, purged_at"

// dataScanner returns a function that reads rows of dataColumns. Many Data have the same
// tags, which it decodes once.
func dataScanner() func(scanner) (dataRow, error) { return taggedBy(scanData) }

// nodeColumns are what a lineage tells of a Data: a large one has very many.
const nodeColumns = "id, project, run, nth, state, ts, tags"

// nodeScanner is dataScanner for rows of nodeColumns.
func nodeScanner() func(scanner) (dataRow, error) {
	return taggedBy(func(r scanner) (row dataRow, tags string, err error) {
		err = r.Scan(&row.ID, &row.Project, &row.Source.Run, &row.nth, &row.state, &row.ts, &tags)
		row.Timestamp = timestampOf(row.ts)
		return row, tags, err
	})
}

func taggedBy(scan func(scanner) (dataRow, string, error)) func(scanner) (dataRow, error) {
	decoded := map[string]weft.Tags{}
	return func(r scanner) (dataRow, error) {
		row, text, err := scan(r)
		if err != nil {
			return row, err
		}
		tags, ok := decoded[text]
		if !ok {
			tags, err = decodeTags(text)
			decoded[text] = tags
		}
		row.Tags = slices.Clip(tags)
		return row, err
	}
}

func scanData(r scanner) (row dataRow, tags string, err error) {
	var created int64
	var purged sql.NullInt64
	err = r.Scan(&row.ID, &row.Project, &row.Source.Run, &row.nth, &row.state, &row.ts, &tags, &row.Tree, &row.Files, &row.Bytes, &created, &row.Epoch, &purged)
	row.Timestamp, row.CreatedAt, row.Purged = timestampOf(row.ts), fromMicros(created), fromNull(purged)
	return row, tags, err
}

// dataByID reads Data by id, in no order.
func (t *tx) dataByID(ctx context.Context, ids [][]byte) ([]dataRow, error) {
	rows, scan := make([]dataRow, 0, len(ids)), dataScanner()
	err := t.byIDs(ctx, "SELECT "+dataColumns+" FROM data WHERE id IN", ids, "", func(r scanner) error {
		row, err := scan(r)
		rows = append(rows, row)
		return err
	})
	return rows, err
}

// source fills in what the Run that makes a Data says of it.
func (row *dataRow) source(r *weft.Run, p *weft.Plan) {
	row.Source.Plan, row.Source.Status = r.Plan, r.Status
	if row.nth < len(p.Outputs) {
		row.Source.Path = p.Outputs[row.nth].Path
	} else {
		row.Source.Path, row.Source.Log = weft.LogPath, true
	}
}

// maxUses is how many uses of Data are loaded at once, but for a single Data.
const maxUses = 2000

// views loads the neighbours of the first few of the Data, at least one: as many as do
// not have too many uses together.
func (t *tx) views(ctx context.Context, project weft.ProjectID, rows []dataRow) ([]weft.DataView, error) {
	set, err := t.planSet(ctx, project)
	if err != nil {
		return nil, err
	}
	uses, rows, err := t.uses(ctx, rows)
	if err != nil {
		return nil, err
	}
	runs, err := t.runsAround(ctx, rows, uses)
	if err != nil {
		return nil, err
	}
	shares, owners, err := t.borders(ctx, project, rows)
	if err != nil {
		return nil, err
	}
	views := make([]weft.DataView, len(rows))
	for i := range rows {
		v, row := &views[i], &rows[i]
		made := runs[row.Source.Run]
		if row.Project == project {
			row.source(&made.Run, &made.Plan)
			v.To = shares[row.ID]
		} else {
			v.From, made = owners[row.ID], row.abroad()
		}
		v.Data = row.Data
		v.Upstream = made
		v.Next = dataPos{row.ts, row.ID}.String()
		for _, u := range uses[row.ID] {
			if used := runs[u.run]; used.Run.Project == project && used.Run.Status != weft.Invalidated && u.nth < len(used.Plan.Inputs) {
				v.Downstreams = append(v.Downstreams, weft.Use{Input: used.Plan.Inputs[u.nth], Run: used})
			}
		}
		seen := v.Data
		if v.From != nil {
			seen.Project, seen.Epoch = project, v.Data.Epoch
		}
		for _, in := range set.fits(seen) {
			p, _ := set.graph.Plan(in.plan)
			v.Nominations = append(v.Nominations, weft.Nomination{Input: p.Inputs[in.nth], Plan: p})
		}
		slices.SortFunc(v.Nominations, compareNominations)
	}
	return views, nil
}

// borders returns with whom the project's own among the Data are shared, and who shares the
// others with it; these get the epochs that they have here.
func (t *tx) borders(ctx context.Context, project weft.ProjectID, rows []dataRow) (shares map[weft.DataID][]weft.Project, owners map[weft.DataID]*weft.Project, err error) {
	var own, foreign []weft.DataID
	for i := range rows {
		if rows[i].Project == project {
			own = append(own, rows[i].ID)
		} else {
			foreign = append(foreign, rows[i].ID)
		}
	}
	if shares, err = t.sharesOf(ctx, own); err != nil || len(foreign) == 0 {
		return shares, nil, err
	}
	epochs, err := t.sharesIn(ctx, project, foreign, "")
	if err != nil {
		return nil, nil, err
	}
	owners = map[weft.DataID]*weft.Project{}
	for i := range rows {
		row := &rows[i]
		if row.Project == project {
			continue
		}
		p := weft.Project{ID: row.Project}
		if _, err := t.row(ctx, "SELECT name FROM project WHERE id = $1", []any{p.ID}, &p.Name); err != nil {
			return nil, nil, err
		}
		row.Epoch, owners[row.ID] = epochs[row.ID], &p
	}
	return shares, owners, nil
}

// abroad has a Data say nothing of what made it, and returns what stands for that.
func (row *dataRow) abroad() weft.RunView {
	path := "/shared"
	row.Source = weft.Source{Status: weft.Done, Path: path}
	return weft.RunView{
		Run:  weft.Run{Status: weft.Done, UpdatedAt: row.Timestamp},
		Plan: weft.Plan{Name: weft.PlanShared, Active: true, Outputs: []weft.Output{{Path: path}}},
	}
}

func compareNominations(a, b weft.Nomination) int {
	if c := compareIDs(a.Plan.ID, b.Plan.ID); c != 0 {
		return c
	}
	if a.Input.Path < b.Input.Path {
		return -1
	}
	return 1
}

// A useOf says which input of a Run a Data fills.
type useOf struct {
	run weft.RunID
	nth int
}

// uses returns the uses of each of the first few Data, the oldest first, and those Data.
func (t *tx) uses(ctx context.Context, rows []dataRow) (map[weft.DataID][]useOf, []dataRow, error) {
	for {
		ids := make([]weft.DataID, len(rows))
		for i := range rows {
			ids[i] = rows[i].ID
		}
		limit := ""
		if len(rows) > 1 {
			limit = " LIMIT " + strconv.Itoa(maxUses+1)
		}
		uses, n := map[weft.DataID][]useOf{}, 0
		err := t.byIDs(ctx, "SELECT data, run, nth FROM run_input WHERE data IN", raw(ids...), " ORDER BY data, at, run, nth"+limit, func(r scanner) error {
			var id weft.DataID
			var u useOf
			err := r.Scan(&id, &u.run, &u.nth)
			uses[id] = append(uses[id], u)
			n++
			return err
		})
		if err != nil || n <= maxUses || len(rows) <= 1 {
			return uses, rows, err
		}
		rows = rows[:(len(rows)+1)/2]
	}
}

// runsAround returns the Runs that made the Data, and those that use them.
func (t *tx) runsAround(ctx context.Context, rows []dataRow, uses map[weft.DataID][]useOf) (map[weft.RunID]weft.RunView, error) {
	var ids []weft.RunID
	for i := range rows {
		ids = append(ids, rows[i].Source.Run)
		for _, u := range uses[rows[i].ID] {
			ids = append(ids, u.run)
		}
	}
	found, err := t.runsByID(ctx, raw(ids...), "")
	if err != nil {
		return nil, err
	}
	runs, plans, err := t.bindAll(ctx, found)
	views := make(map[weft.RunID]weft.RunView, len(runs))
	for _, r := range runs {
		views[r.ID] = weft.RunView{Run: r, Plan: plans[r.Plan]}
	}
	return views, err
}
