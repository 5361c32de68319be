package store

import (
	"cmp"
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/weft-dev/weft"
)

// A lease is nothing but due_at moved on: until then nobody else is given the Run. It
// does not protect against a holder that is late; Rev does, which every change bumps and
// which whoever saves must have read.

// ClaimRuns leases up to n Runs of the given statuses that are due and that nobody else
// holds, those that have been due longest first.
func (s *Store) ClaimRuns(ctx context.Context, holder string, lease time.Duration, n int, statuses ...weft.Status) ([]weft.Run, error) {
	due, err := s.anyDue(ctx, statuses)
	if err != nil || !due {
		return nil, wrapped("claim runs", err)
	}
	var runs []weft.Run
	err = s.write(ctx, func(ctx context.Context, t *tx) error {
		var rows []runRow
		for _, status := range statuses {
			err := t.rows(ctx, func(r scanner) error {
				row, err := scanRun(r)
				rows = append(rows, row)
				return err
			}, "SELECT "+runColumns+" FROM run WHERE status = $1 AND due_at <= $2 ORDER BY due_at LIMIT $3"+t.s.skipLocked,
				statusCode(status), micros(t.now), n)
			if err != nil {
				return err
			}
		}
		slices.SortStableFunc(rows, func(a, b runRow) int { return cmp.Compare(a.due.Int64, b.due.Int64) })
		runs, err = t.lease(ctx, holder, lease, rows[:min(n, len(rows))])
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("claim runs: %w", err)
	}
	return runs, nil
}

// anyDue looks whether there is something to claim, so that nothing is written in vain.
func (s *Store) anyDue(ctx context.Context, statuses []weft.Status) (due bool, err error) {
	err = s.read(ctx, func(t *tx) (err error) {
		for _, status := range statuses {
			due, err = t.row(ctx, "SELECT due_at FROM run WHERE status = $1 AND due_at <= $2 LIMIT 1",
				[]any{statusCode(status), micros(t.now)}, new(int64))
			if err != nil || due {
				return err
			}
		}
		return nil
	})
	return due, err
}

// ClaimRunsByID leases those of the Runs that nobody else holds just now, due or not.
// What the holder has leased already is leased on: so leases are renewed, and a process
// that takes the place of another, under its name, need not wait for its leases to end.
// Runs that are not to be claimed, as they have ended or rest, are left out.
func (s *Store) ClaimRunsByID(ctx context.Context, holder string, lease time.Duration, ids []weft.RunID) ([]weft.Run, error) {
	if len(ids) == 0 {
		return nil, nil
	}
	var runs []weft.Run
	err := s.write(ctx, func(ctx context.Context, t *tx) error {
		var rows []runRow
		err := t.byIDs(ctx, "SELECT "+runColumns+" FROM run WHERE (due_at <= $1 OR due_at IS NOT NULL AND (holder IS NULL OR holder = $2)) AND id IN",
			raw(ids...), t.s.skipLocked, func(r scanner) error {
				row, err := scanRun(r)
				rows = append(rows, row)
				return err
			}, micros(t.now), holder)
		if err != nil {
			return err
		}
		runs, err = t.lease(ctx, holder, lease, rows)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("claim runs: %w", err)
	}
	return runs, nil
}

// lease gives the rows, which are read and locked, to a holder.
func (t *tx) lease(ctx context.Context, holder string, lease time.Duration, rows []runRow) ([]weft.Run, error) {
	if len(rows) == 0 {
		return nil, nil
	}
	ids := make([][]byte, len(rows))
	for i := range rows {
		ids[i] = rows[i].ID[:]
	}
	err := t.execByIDs(ctx, "UPDATE run SET due_at = $1, holder = $2 WHERE id IN", ids, "", micros(t.now.Add(lease)), holder)
	if err != nil {
		return nil, err
	}
	runs, _, err := t.bindAll(ctx, rows)
	return runs, err
}

// SaveRuns records what became of claimed Runs, each by compare-and-set on its Rev. It
// returns one error per save: nil, or a Conflict where the Run was changed meanwhile, which
// a second save of the same Run in one call always is.
func (s *Store) SaveRuns(ctx context.Context, saves []weft.Save) []error {
	var errs []error
	err := s.write(ctx, func(ctx context.Context, t *tx) (err error) {
		errs, err = t.saveRuns(ctx, saves)
		return err
	})
	if err != nil {
		errs = make([]error, len(saves))
		for i := range errs {
			errs[i] = fmt.Errorf("save run %s: %w", saves[i].Run.ID, err)
		}
	}
	return errs
}

// A saved is what a Run was before a save.
type saved struct {
	rev     int64
	status  weft.Status
	reason  string
	updated int64
	inputs  []byte
	due     sql.NullInt64
	holder  sql.NullString
}

func (t *tx) saveRuns(ctx context.Context, saves []weft.Save) ([]error, error) {
	was, err := t.lockRuns(ctx, saves)
	if err != nil {
		return nil, err
	}
	held, err := t.holdTrees(ctx, treesOf(saves))
	if err != nil {
		return nil, err
	}
	errs := make([]error, len(saves))
	good := make([]*weft.Save, 0, len(saves))
	var events []weft.Event
	var moves []move
	for i := range saves {
		v := &saves[i]
		old, found := was[v.Run.ID]
		if errs[i] = refusal(v, old, found, held); errs[i] != nil {
			continue
		}
		good = append(good, v)
		if old.status != v.Run.Status || old.reason != v.Run.Reason {
			events = append(events, weft.Event{Kind: weft.RunChanged, Project: v.Run.Project, Run: v.Run.ID, Plan: v.Run.Plan,
				From: old.status, To: v.Run.Status, Attempt: v.Run.Attempt})
		}
		at := micros(v.Run.UpdatedAt)
		moves = append(moves, move{v.Run.ID, old.inputs, usedAt(old.status, old.updated), usedAt(v.Run.Status, at)})
		old.rev = -1 // one save of a Run per call: of two, one statement would take either
		was[v.Run.ID] = old
	}
	if len(good) == 0 {
		return errs, nil
	}
	if err := t.updateRuns(ctx, good, was); err != nil {
		return nil, err
	}
	if err := t.keepEnv(ctx, good, was); err != nil {
		return nil, err
	}
	if err := t.moveInputs(ctx, moves); err != nil {
		return nil, err
	}
	if err := t.sealOutputs(ctx, good); err != nil {
		return nil, err
	}
	if err := t.addEvents(ctx, events...); err != nil {
		return nil, err
	}
	return errs, t.tryAgain(ctx, good)
}

// refusal says why a save does not take effect; nil when it does.
func refusal(v *weft.Save, old saved, found bool, held map[weft.Digest]bool) error {
	switch {
	case !found:
		return weft.Errorf(weft.Conflict, "run %s is gone", v.Run.ID)
	case old.rev != v.Rev:
		return weft.Errorf(weft.Conflict, "run %s is %s now: it was changed by somebody else", v.Run.ID, old.status)
	}
	for _, tree := range v.Trees {
		if !tree.Digest.IsZero() && !held[tree.Digest] {
			return weft.Errorf(weft.Unavailable, "what run %s made was sealed too long ago, and is not held any more", v.Run.ID)
		}
	}
	return nil
}

// treesOf returns the trees that Data come to refer to by the saves.
func treesOf(saves []weft.Save) []weft.Digest {
	var digests []weft.Digest
	for i := range saves {
		for _, tree := range saves[i].Trees {
			if !tree.Digest.IsZero() {
				digests = append(digests, tree.Digest)
			}
		}
	}
	return digests
}

// lockRuns reads what the Runs are, always in one order, so that two who save the same
// Runs do not wait for each other.
func (t *tx) lockRuns(ctx context.Context, saves []weft.Save) (map[weft.RunID]saved, error) {
	ids := make([]weft.RunID, len(saves))
	for i := range saves {
		ids[i] = saves[i].Run.ID
	}
	slices.SortFunc(ids, compareIDs)
	was := make(map[weft.RunID]saved, len(ids))
	err := t.byIDs(ctx, "SELECT id, rev, status, reason, updated_at, inputs, due_at, holder FROM run WHERE id IN", raw(ids...), " ORDER BY id"+t.s.forUpdate, func(r scanner) error {
		var id weft.RunID
		var old saved
		var status int64
		var reason sql.NullString
		err := r.Scan(&id, &old.rev, &status, &reason, &old.updated, &old.inputs, &old.due, &old.holder)
		if err == nil {
			old.status, err = statusOf(status)
		}
		old.reason = reason.String
		was[id] = old
		return err
	})
	return was, err
}

const (
	runUpdate = `UPDATE run SET status = v.column2, rev = v.column3, updated_at = v.column4, started_at = v.column5, ended_at = v.column6,
	due_at = v.column7, holder = v.column8, exit_code = v.column9, exit_message = v.column10, reason = v.column11, image = v.column12,
	ended_by = v.column13, stop_by = v.column14, node = v.column15, resources = v.column16 FROM `
	runUpdateTail = "WHERE run.id = v.column1"
)

func (t *tx) updateRuns(ctx context.Context, saves []*weft.Save, was map[weft.RunID]saved) error {
	const columns = 16
	args := make([]any, 0, columns*len(saves))
	for _, v := range saves {
		r := &v.Run
		due, holder := any(nil), any(nil)
		switch {
		case r.Status == weft.Deactivated || r.Status.Ended():
		case v.Keep:
			due, holder = was[r.ID].due, was[r.ID].holder
		case v.Due.IsZero():
			due = micros(t.now)
		default:
			due = micros(v.Due)
		}
		code, message := any(nil), any(nil)
		if r.Exit != nil {
			code, message = int64(r.Exit.Code), textOrNull(r.Exit.Message)
		}
		resources, err := encodeResources(r.Resources)
		if err != nil {
			return err
		}
		args = append(args, r.ID[:], statusCode(r.Status), r.Rev, micros(r.UpdatedAt), orNull(r.StartedAt), orNull(r.EndedAt),
			due, holder, code, message, textOrNull(r.Reason), digestOrNull(r.Image),
			textOrNull(string(r.End)), orNull(r.StopBy), textOrNull(r.Node), resources)
	}
	d := &t.s.dialect
	types := strings.Join([]string{d.blob, d.int, d.int, d.int, d.int, d.int, d.int, d.text, d.int, d.text, d.text, d.blob, d.text, d.int, d.text, d.text}, " ")
	return t.update(ctx, runUpdate, types, args, runUpdateTail)
}

func textOrNull(s string) any {
	if s == "" {
		return nil
	}
	return s
}

// sealOutputs makes Data of the outputs of the Runs that have ended: usable, if all went
// well, which is a change that projection has to look at.
func (t *tx) sealOutputs(ctx context.Context, saves []*weft.Save) error {
	var args []any
	var changes []change
	for _, v := range saves {
		if v.Run.Status != weft.Done && v.Run.Status != weft.Failed {
			continue
		}
		state := dataFailed
		if v.Run.Status == weft.Done {
			state = dataUsable
		}
		ids := v.Run.OutputIDs()
		for i := range ids {
			tree := v.Trees[ids[i]]
			args = append(args, ids[i][:], int64(state), storedTimestamp(v.Run.EndedAt), digestOrNull(tree.Digest), tree.Files, tree.Bytes)
			if state == dataUsable {
				changes = append(changes, change{project: v.Run.Project, data: ids[i]})
			}
		}
	}
	if len(args) == 0 {
		return nil
	}
	d := &t.s.dialect
	err := t.update(ctx, "UPDATE data SET state = v.column2, ts = v.column3, tree = v.column4, files = v.column5, bytes = v.column6, epoch = "+epochNow+" FROM ",
		strings.Join([]string{d.blob, d.int, d.int, d.blob, d.int, d.int}, " "), args, "WHERE data.id = v.column1")
	if err != nil {
		return err
	}
	return t.addChanges(ctx, changes...)
}
