package store

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strings"

	"github.com/weft-dev/weft"
)

// A runRow is a Run as it is read, before its inputs and outputs got the paths that the
// Plan gives them.
type runRow struct {
	weft.Run
	due             sql.NullInt64
	inputs, outputs []byte
}

const runColumns = "id, project, plan, status, rev, attempt, created_at, updated_at, started_at, ended_at, due_at, " +
	"exit_code, exit_message, reason, image, cause, cause_by, cause_of, ended_by, stop_by, node, resources, retries, inputs, outputs"

// causes are stored by their index.
var causes = [...]string{weft.CauseProjection, weft.CauseUpload, weft.CauseImport, weft.CauseRetry, weft.CauseAgain}

func scanRun(r scanner) (runRow, error) {
	var row runRow
	var status, created, updated int64
	var cause int
	var started, ended, code, stopBy sql.NullInt64
	var message, reason, endedBy, node, resources sql.NullString
	var causeOf []byte
	err := r.Scan(&row.ID, &row.Project, &row.Plan, &status, &row.Rev, &row.Attempt, &created, &updated, &started, &ended, &row.due,
		&code, &message, &reason, &row.Image, &cause, &row.Cause.By, &causeOf, &endedBy, &stopBy, &node, &resources, &row.Retries, &row.inputs, &row.outputs)
	if err != nil {
		return row, err
	}
	if row.Status, err = statusOf(status); err != nil {
		return row, err
	}
	if cause < 0 || cause >= len(causes) {
		return row, fmt.Errorf("run %s has the unknown cause %d", row.ID, cause)
	}
	row.Cause.Kind = causes[cause]
	row.CreatedAt, row.UpdatedAt, row.StartedAt, row.EndedAt = fromMicros(created), fromMicros(updated), fromNull(started), fromNull(ended)
	if code.Valid {
		row.Exit = &weft.Exit{Code: uint8(code.Int64), Message: message.String}
	}
	row.Reason, row.End, row.Node, row.StopBy = reason.String, weft.End(endedBy.String), node.String, fromNull(stopBy)
	row.causedBy(causeOf)
	row.Resources, err = decodeResources(resources.String)
	return row, err
}

// bind gives inputs and outputs their paths.
func (r *runRow) bind(p *weft.Plan) weft.Run {
	run := r.Run
	if n := len(r.inputs) / idLen; n > 0 {
		run.Inputs = make([]weft.Bound, n)
	}
	for i := range run.Inputs {
		run.Inputs[i].Data = idAt[weft.Data](r.inputs, i)
		if i < len(p.Inputs) {
			run.Inputs[i].Path = p.Inputs[i].Path
		}
	}
	if len(p.Outputs) > 0 {
		run.Outputs = make([]weft.Bound, len(p.Outputs))
	}
	for i := range run.Outputs {
		run.Outputs[i] = weft.Bound{Path: p.Outputs[i].Path, Data: idAt[weft.Data](r.outputs, i)}
	}
	if p.Log != nil {
		run.Log = idAt[weft.Data](r.outputs, len(p.Outputs))
	}
	return run
}

// idLen is the length of an id in bytes.
const idLen = 16

// idAt returns the nth of ids that stand one after another; zero when there are fewer.
func idAt[T any](ids []byte, n int) weft.ID[T] {
	if len(ids) < (n+1)*idLen {
		return weft.ID[T]{}
	}
	return weft.ID[T](ids[n*idLen : (n+1)*idLen])
}

// inputsOf returns the ids of a Run's inputs as they are stored.
func inputsOf(r weft.Run) []byte {
	out := make([]byte, 0, idLen*len(r.Inputs))
	for i := range r.Inputs {
		out = append(out, r.Inputs[i].Data[:]...)
	}
	return out
}

// runsWhere reads runs by id, in no order, with what follows the list of ids.
func (t *tx) runsByID(ctx context.Context, ids [][]byte, tail string) ([]runRow, error) {
	rows := make([]runRow, 0, len(ids))
	err := t.byIDs(ctx, "SELECT "+runColumns+" FROM run WHERE id IN", ids, tail, func(r scanner) error {
		row, err := scanRun(r)
		rows = append(rows, row)
		return err
	})
	return rows, err
}

// bindAll gives the runs their paths.
func (t *tx) bindAll(ctx context.Context, rows []runRow) ([]weft.Run, map[weft.PlanID]weft.Plan, error) {
	ids := make([]weft.PlanID, len(rows))
	for i := range rows {
		ids[i] = rows[i].Plan
	}
	plans, err := t.plansByID(ctx, ids)
	if err != nil {
		return nil, nil, err
	}
	runs := make([]weft.Run, len(rows))
	var plan weft.Plan // of the row before: most often it is the same
	for i := range rows {
		if i == 0 || rows[i].Plan != plan.ID {
			plan = plans[rows[i].Plan]
		}
		runs[i] = rows[i].bind(&plan)
	}
	return runs, plans, nil
}

// run reads one Run and its Plan; lock is what follows the SELECT.
func (t *tx) run(ctx context.Context, project weft.ProjectID, id weft.RunID, lock string) (weft.Run, weft.Plan, error) {
	rows, err := t.runsByID(ctx, [][]byte{id[:]}, lock)
	if err != nil {
		return weft.Run{}, weft.Plan{}, err
	}
	if len(rows) == 0 || rows[0].Project != project {
		return weft.Run{}, weft.Plan{}, notFound("run", id)
	}
	runs, plans, err := t.bindAll(ctx, rows)
	if err != nil {
		return weft.Run{}, weft.Plan{}, err
	}
	return runs[0], plans[runs[0].Plan], nil
}

// Run returns a Run and its Plan.
func (s *Store) Run(ctx context.Context, project weft.ProjectID, id weft.RunID) (weft.RunView, error) {
	var v weft.RunView
	err := s.read(ctx, func(t *tx) (err error) {
		if v.Run, v.Plan, err = t.run(ctx, project, id, ""); err != nil {
			return err
		}
		return t.recall(ctx, &v)
	})
	if err != nil {
		return weft.RunView{}, fmt.Errorf("find run: %w", err)
	}
	v.Next = runPos{micros(v.Run.UpdatedAt), v.Run.ID}.String()
	return v, nil
}

// RunsIn returns all Runs of the given statuses, in every project.
func (s *Store) RunsIn(ctx context.Context, statuses ...weft.Status) ([]weft.Run, error) {
	var runs []weft.Run
	err := s.read(ctx, func(t *tx) error {
		projects, err := t.projects(ctx)
		if err != nil {
			return err
		}
		var rows []runRow
		for _, project := range projects {
			for _, status := range statuses {
				err := t.rows(ctx, func(r scanner) error {
					row, err := scanRun(r)
					rows = append(rows, row)
					return err
				}, "SELECT "+runColumns+" FROM run WHERE project = $1 AND status = $2 ORDER BY updated_at, id", project, statusCode(status))
				if err != nil {
					return err
				}
			}
		}
		runs, _, err = t.bindAll(ctx, rows)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("list runs: %w", err)
	}
	return runs, nil
}

// RunCounts returns how many Runs of a project are in each status.
func (s *Store) RunCounts(ctx context.Context, project weft.ProjectID) (map[weft.Status]int64, error) {
	counts := map[weft.Status]int64{}
	err := s.read(ctx, func(t *tx) error {
		return t.rows(ctx, func(r scanner) error {
			var code, n int64
			if err := r.Scan(&code, &n); err != nil {
				return err
			}
			status, err := statusOf(code)
			counts[status] = n
			return err
		}, "SELECT status, count(*) FROM run WHERE project = $1 GROUP BY status", project)
	})
	if err != nil {
		return nil, fmt.Errorf("count runs: %w", err)
	}
	return counts, nil
}

func (t *tx) projects(ctx context.Context) ([]weft.ProjectID, error) {
	var ids []weft.ProjectID
	err := t.rows(ctx, func(r scanner) error {
		var id weft.ProjectID
		err := r.Scan(&id)
		ids = append(ids, id)
		return err
	}, "SELECT id FROM project ORDER BY id")
	return ids, err
}

const runInsert = `INSERT INTO run (id, project, plan, status, rev, attempt, created_at, updated_at, started_at, ended_at, due_at,
	exit_code, exit_message, reason, image, cause, cause_by, cause_of, combination, inputs, outputs) VALUES `

// insertRuns writes new Runs, of one or more Plans, and their Data, inputs, tags and
// events. A Run whose combination of inputs exists already is left out. It returns how
// many were made.
func (t *tx) insertRuns(ctx context.Context, runs []weft.Run, plans map[weft.PlanID]weft.Plan) (int, error) {
	made, err := t.insertRunRows(ctx, runs, plans)
	if err != nil {
		return 0, err
	}
	if err := t.insertInputs(ctx, made); err != nil {
		return 0, err
	}
	if err := t.insertOutputs(ctx, made, plans); err != nil {
		return 0, err
	}
	events := make([]weft.Event, len(made))
	for i, r := range made {
		events[i] = weft.Event{Kind: weft.RunChanged, Project: r.Project, Run: r.ID, Plan: r.Plan, To: r.Status, By: r.Cause.By, Attempt: r.Attempt}
	}
	return len(made), t.addEvents(ctx, events...)
}

// insertRunRows writes the rows of Runs, and returns those that were not there already.
func (t *tx) insertRunRows(ctx context.Context, runs []weft.Run, plans map[weft.PlanID]weft.Plan) ([]weft.Run, error) {
	const columns = 21
	args := make([]any, 0, columns*len(runs))
	for i := range runs {
		r := &runs[i]
		due, code, message := any(nil), any(nil), any(nil)
		if r.Status != weft.Deactivated && !r.Status.Ended() {
			due = micros(r.CreatedAt)
		}
		if r.Exit != nil {
			code, message = int64(r.Exit.Code), textOrNull(r.Exit.Message)
		}
		inputs := inputsOf(*r)
		args = append(args, r.ID[:], r.Project[:], r.Plan[:], statusCode(r.Status), r.Rev, r.Attempt, micros(r.CreatedAt), micros(r.UpdatedAt),
			orNull(r.StartedAt), orNull(r.EndedAt), due, code, message, textOrNull(r.Reason), digestOrNull(r.Image),
			slices.Index(causes[:], r.Cause.Kind), idOrNull(r.Cause.By), causeOf(r), combination(inputs), inputs, outputsOf(*r, plans[r.Plan]))
	}
	made := make(map[weft.RunID]bool, len(runs))
	err := t.insertReturning(ctx, runInsert, columns, args, " ON CONFLICT (plan, combination) DO NOTHING RETURNING id", func(r scanner) error {
		var id weft.RunID
		err := r.Scan(&id)
		made[id] = true
		return err
	})
	return slices.DeleteFunc(slices.Clone(runs), func(r weft.Run) bool { return !made[r.ID] }), err
}

// outputsOf returns the ids of a Run's outputs and log as they are stored.
func outputsOf(r weft.Run, p weft.Plan) []byte {
	out := make([]byte, 0, idLen*(len(r.Outputs)+1))
	for i := range r.Outputs {
		out = append(out, r.Outputs[i].Data[:]...)
	}
	if p.Log != nil {
		out = append(out, r.Log[:]...)
	}
	return out
}

func (t *tx) insertInputs(ctx context.Context, runs []weft.Run) error {
	args := make([]any, 0, 8*len(runs))
	for i := range runs {
		for nth := range runs[i].Inputs {
			args = append(args, runs[i].Inputs[nth].Data[:], usedAt(runs[i].Status, micros(runs[i].UpdatedAt)), runs[i].ID[:], nth)
		}
	}
	return t.insert(ctx, "INSERT INTO run_input (data, at, run, nth) VALUES ", 4, args, "")
}

// A move is a Run that its inputs are to list under another time.
type move struct {
	run      weft.RunID
	inputs   []byte
	was, now int64
}

func (t *tx) moveInputs(ctx context.Context, moves []move) error {
	var args []any
	for i := range moves {
		m := &moves[i]
		if m.was == m.now {
			continue
		}
		for _, in := range raw(idsOf[weft.Data](m.inputs)...) {
			args = append(args, in, m.was, m.run[:], m.now)
		}
	}
	d := &t.s.dialect
	return t.update(ctx, "UPDATE run_input SET at = v.column4 FROM ", strings.Join([]string{d.blob, d.int, d.blob, d.int}, " "), args,
		"WHERE run_input.data = v.column1 AND run_input.at = v.column2 AND run_input.run = v.column3")
}

const dataInsert = "INSERT INTO data (id, project, run, nth, state, ts, tags, tree, files, bytes, created_at) VALUES "

// insertOutputs writes the Data that the Runs are to make, with the tags of the Plan.
func (t *tx) insertOutputs(ctx context.Context, runs []weft.Run, plans map[weft.PlanID]weft.Plan) error {
	templates := map[weft.PlanID][]outputTags{}
	var rows, tags []any
	for i := range runs {
		r := &runs[i]
		outs, ok := templates[r.Plan]
		if !ok {
			var err error
			if outs, err = outputTemplates(plans[r.Plan]); err != nil {
				return err
			}
			templates[r.Plan] = outs
		}
		for nth := range outs {
			id := &r.Log
			if nth < len(r.Outputs) {
				id = &r.Outputs[nth].Data
			}
			rows = append(rows, id[:], r.Project[:], r.ID[:], nth, dataProcessing, int64(noTime), outs[nth].text, nil, 0, 0, micros(t.now))
			for k := range outs[nth].keys {
				tags = append(tags, outs[nth].keys[k][:], id[:])
			}
		}
	}
	if err := t.insert(ctx, dataInsert, 11, rows, ""); err != nil {
		return err
	}
	return t.insert(ctx, tagInsert, 2, tags, "")
}

const tagInsert = "INSERT INTO data_tag (tag, data) VALUES "

// outputTags are the tags that a Plan gives to one of its outputs, as they are stored.
type outputTags struct {
	text string
	keys []tagKey
}

func outputTemplates(p weft.Plan) ([]outputTags, error) {
	var outs []outputTags
	for _, ts := range p.OutputTags() {
		text, err := encodeTags(ts)
		if err != nil {
			return nil, err
		}
		outs = append(outs, outputTags{text, keysOf(p.Project, ts)})
	}
	return outs, nil
}
