package store

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"time"

	"github.com/weft-dev/weft"
)

// Imports are of two kinds. A handshake has its Run and Data from its beginning; the Run
// is running and is never due, so that the engine leaves it alone, until the handshake
// ends or its time is over. What the server itself is to bring in has a row only, until
// the Data is recorded whole: a crash leaves nothing, and the row is taken up again.

func importState(s weft.ImportState) int { return slices.Index(weft.ImportStates, s) }

const importColumns = "id, project, data, by, source, credentials, tags, state, problem, files, bytes, total, created_at, updated_at, due_at"

func scanImport(r scanner) (i weft.Import, err error) {
	var tags string
	var state int
	var problem sql.NullString
	var created, updated int64
	var due sql.NullInt64
	err = r.Scan(&i.ID, &i.Project, &i.Data, &i.By, &i.From, &i.Credentials, &tags, &state, &problem, &i.Files, &i.Bytes, &i.Total, &created, &updated, &due)
	if err != nil {
		return i, err
	}
	i.State, i.Problem, i.CreatedAt, i.UpdatedAt = weft.ImportStates[state], problem.String, fromMicros(created), fromMicros(updated)
	if due.Valid && i.State == weft.ImportOpen {
		i.Until = fromMicros(due.Int64)
	}
	i.Tags, err = decodeTags(tags)
	return i, err
}

// AddImport records an import that is open or queued. An open one gets its Run, which is
// running.
func (s *Store) AddImport(ctx context.Context, i weft.Import) error {
	err := s.change(ctx, func(ctx context.Context, t *tx) error {
		t.subject = i.Data.String()
		if sys := i.Tags.System(); len(sys) > 0 {
			return weft.Errorf(weft.Invalid, "tag %s is set by the system", sys[0])
		}
		due := t.now
		if i.State == weft.ImportOpen {
			due = i.Until
			if err := t.beginImport(ctx, i); err != nil {
				return err
			}
		}
		tags, err := encodeTags(i.Tags)
		if err != nil {
			return err
		}
		_, err = t.exec(ctx, "INSERT INTO import ("+importColumns+") VALUES ($1, $2, $3, $4, $5, $6, $7, $8, NULL, 0, 0, 0, $9, $9, $10)",
			i.ID, i.Project, i.Data, i.By, i.From, i.Credentials, tags, importState(i.State), micros(t.now), micros(due))
		return err
	})
	return wrapped("begin import", err)
}

// beginImport makes the Run of a handshake, which nobody is to claim.
func (t *tx) beginImport(ctx context.Context, i weft.Import) error {
	plan, err := t.builtIn(ctx, i.Project, weft.PlanImported)
	if err != nil {
		return err
	}
	r := weft.NewRun(plan, i.ID, nil, []weft.DataID{i.Data}, weft.Cause{Kind: weft.CauseImport, By: i.By}, t.now)
	r.StartedAt = t.now
	if _, err := t.insertRuns(ctx, []weft.Run{r}, map[weft.PlanID]weft.Plan{plan.ID: plan}); err != nil {
		return err
	}
	_, err = t.exec(ctx, "UPDATE run SET due_at = NULL WHERE id = $1", i.ID)
	return err
}

// EndImport ends a handshake: its Run becomes done, and its Data usable, with the tree
// that the pin of p holds. It is a Conflict when the Run is not running any more.
func (s *Store) EndImport(ctx context.Context, p weft.Push) (weft.DataView, error) {
	err := s.change(ctx, func(ctx context.Context, t *tx) error {
		t.subject = p.Data.String()
		r, err := t.openImport(ctx, p.Project, p.Run)
		if err != nil {
			return err
		}
		if err := t.unpin(ctx, p); err != nil {
			return err
		}
		for _, status := range []weft.Status{weft.Completing, weft.Done} {
			was := r
			if r, err = r.To(status, p.At); err != nil {
				return err
			}
			if err := t.changeRun(ctx, was, r, p.By, time.Time{}); err != nil {
				return err
			}
		}
		if err := t.fillData(ctx, p); err != nil {
			return err
		}
		return t.closeImport(ctx, p.Run, weft.ImportDone, "")
	})
	if err != nil {
		return weft.DataView{}, fmt.Errorf("end import: %w", err)
	}
	return s.Data(ctx, p.Project, p.Data)
}

// OpenImport returns the Data of a handshake that may be ended; it is a Conflict when that
// is over.
func (s *Store) OpenImport(ctx context.Context, project weft.ProjectID, id weft.RunID) (weft.DataID, error) {
	var data weft.DataID
	err := s.read(ctx, func(t *tx) error {
		r, _, err := t.run(ctx, project, id, "")
		if err == nil {
			err = stillOpen(r)
		}
		if weft.KindOf(err) == weft.NotFound {
			err = importGone(id)
		}
		if err == nil {
			data = r.Outputs[0].Data
		}
		return err
	})
	return data, err
}

func importGone(id weft.RunID) error {
	return weft.Errorf(weft.Conflict, "run %s of the import is not there (any more)", id).WithAdvice("begin the import again")
}

func stillOpen(r weft.Run) error {
	if r.Status != weft.Running || r.Cause.Kind != weft.CauseImport {
		return weft.Errorf(weft.Conflict, "run %s of the import is %s, not running", r.ID, r.Status).WithAdvice("begin the import again, and end it within %s", weft.HandshakeLife)
	}
	return nil
}

func (t *tx) openImport(ctx context.Context, project weft.ProjectID, id weft.RunID) (weft.Run, error) {
	r, _, err := t.run(ctx, project, id, t.s.forUpdate)
	if weft.KindOf(err) == weft.NotFound {
		return r, importGone(id)
	}
	if err == nil {
		err = stillOpen(r)
	}
	return r, err
}

func (t *tx) closeImport(ctx context.Context, id weft.RunID, state weft.ImportState, problem string) error {
	_, err := t.exec(ctx, "UPDATE import SET state = $2, problem = $3, updated_at = $4, due_at = NULL WHERE id = $1",
		id, importState(state), textOrNull(problem), micros(t.now))
	return err
}

// ExpireImports has the handshakes whose time is over fail, and returns how many.
func (s *Store) ExpireImports(ctx context.Context) (n int, err error) {
	var over []weft.Import
	err = s.read(ctx, func(t *tx) error {
		return t.imports(ctx, &over, "state = $1 AND due_at <= $2", importState(weft.ImportOpen), micros(t.now))
	})
	for _, i := range over {
		if err != nil {
			break
		}
		err = s.write(ctx, func(ctx context.Context, t *tx) error {
			problem := "it was not ended within " + weft.HandshakeLife.String()
			r, err := t.openImport(ctx, i.Project, i.ID)
			switch {
			case weft.KindOf(err) == weft.Conflict: // a user has stopped or removed it
				problem = "its run was stopped"
			case err != nil:
				return err
			default:
				next, err := r.To(weft.Aborting, t.now)
				if err != nil {
					return err
				}
				if err := t.changeRun(ctx, r, next, weft.PrincipalID{}, time.Time{}); err != nil {
					return err
				}
			}
			n++
			return t.closeImport(ctx, i.ID, weft.ImportFailed, problem)
		})
	}
	return n, wrapped("expire imports", err)
}

func (t *tx) imports(ctx context.Context, into *[]weft.Import, where string, args ...any) error {
	return t.rows(ctx, func(r scanner) error {
		i, err := scanImport(r)
		*into = append(*into, i)
		return err
	}, "SELECT "+importColumns+" FROM import WHERE "+where+" ORDER BY created_at, id", args...)
}

// Imports returns the imports of a project that the server was asked to do, the latest
// last, and at most so many.
func (s *Store) Imports(ctx context.Context, project weft.ProjectID, limit int) ([]weft.Import, error) {
	var found []weft.Import
	err := s.read(ctx, func(t *tx) error {
		return t.imports(ctx, &found, "project = $1 AND source <> '' AND id IN (SELECT id FROM import WHERE project = $1 AND source <> '' ORDER BY created_at DESC, id DESC LIMIT $2)", project, limit)
	})
	return found, wrapped("find imports", err)
}

// ImportByID returns one import of a project.
func (s *Store) ImportByID(ctx context.Context, project weft.ProjectID, id weft.RunID) (weft.Import, error) {
	var found []weft.Import
	err := s.read(ctx, func(t *tx) error { return t.imports(ctx, &found, "project = $1 AND id = $2", project, id) })
	if err == nil && len(found) == 0 {
		err = notFound("import", id)
	}
	if err != nil {
		return weft.Import{}, wrapped("find import", err)
	}
	return found[0], nil
}

// ClaimImport gives the caller an import to do, for as long as the lease, which
// NoteImport renews: one that nobody is at.
func (s *Store) ClaimImport(ctx context.Context, lease time.Duration) (i weft.Import, found bool, err error) {
	due := func(t *tx, lock string) ([]weft.Import, error) {
		var list []weft.Import
		err := t.rows(ctx, func(r scanner) error {
			i, err := scanImport(r)
			list = append(list, i)
			return err
		}, "SELECT "+importColumns+" FROM import WHERE state IN ($1, $2) AND due_at <= $3 ORDER BY due_at, id LIMIT 1"+lock,
			importState(weft.ImportQueued), importState(weft.ImportRunning), micros(t.now))
		return list, err
	}
	var list []weft.Import
	err = s.read(ctx, func(t *tx) (err error) { list, err = due(t, ""); return err })
	if err != nil || len(list) == 0 {
		return i, false, wrapped("claim import", err)
	}
	err = s.write(ctx, func(ctx context.Context, t *tx) error {
		list, err = due(t, t.s.skipLocked)
		if err != nil || len(list) == 0 {
			return err
		}
		_, err = t.exec(ctx, "UPDATE import SET state = $2, due_at = $3, updated_at = $4 WHERE id = $1",
			list[0].ID, importState(weft.ImportRunning), micros(t.now.Add(lease)), micros(t.now))
		return err
	})
	if err != nil || len(list) == 0 {
		return i, false, wrapped("claim import", err)
	}
	list[0].State = weft.ImportRunning
	return list[0], true, nil
}

// NoteImport says how far an import is, and renews its lease. It is a Conflict when the
// import was cancelled.
func (s *Store) NoteImport(ctx context.Context, i weft.Import, lease time.Duration) error {
	err := s.write(ctx, func(ctx context.Context, t *tx) error {
		n, err := t.exec(ctx, "UPDATE import SET files = $2, bytes = $3, total = $4, updated_at = $5, due_at = $6 WHERE id = $1 AND state = $7",
			i.ID, i.Files, i.Bytes, i.Total, micros(t.now), micros(t.now.Add(lease)), importState(weft.ImportRunning))
		if err == nil && n == 0 {
			err = weft.Errorf(weft.Conflict, "import %s was cancelled", i.ID)
		}
		return err
	})
	return wrapped("note import", err)
}

// FinishImport records what was brought in: the Data, its Run, and that the import is
// done. It is a Conflict when that was cancelled.
func (s *Store) FinishImport(ctx context.Context, i weft.Import, p weft.Push) error {
	err := s.write(ctx, func(ctx context.Context, t *tx) error {
		n, err := t.exec(ctx, "UPDATE import SET state = $2, files = $3, bytes = $4, updated_at = $5, due_at = NULL WHERE id = $1 AND state = $6",
			i.ID, importState(weft.ImportDone), p.Tree.Files, p.Tree.Bytes, micros(t.now), importState(weft.ImportRunning))
		if err != nil {
			return err
		}
		if n == 0 {
			return weft.Errorf(weft.Conflict, "import %s was cancelled", i.ID)
		}
		return t.push(ctx, p)
	})
	return wrapped("finish import", err)
}

// FailImport ends an import that is queued or running, and says why. It is a Conflict when
// it is over.
func (s *Store) FailImport(ctx context.Context, project weft.ProjectID, id weft.RunID, problem string) error {
	err := s.change(ctx, func(ctx context.Context, t *tx) error {
		t.subject = id.String()
		n, err := t.exec(ctx, "UPDATE import SET state = $3, problem = $4, updated_at = $5, due_at = NULL WHERE id = $1 AND project = $2 AND state IN ($6, $7)",
			id, project, importState(weft.ImportFailed), problem, micros(t.now), importState(weft.ImportQueued), importState(weft.ImportRunning))
		if err == nil && n == 0 {
			err = weft.Errorf(weft.Conflict, "import %s is over", id)
		}
		return err
	})
	return wrapped("end import", err)
}

// addOrigin records where a Data came from.
func (t *tx) addOrigin(ctx context.Context, p weft.Push) error {
	if p.Origin.URL == "" {
		return nil
	}
	_, err := t.exec(ctx, "INSERT INTO data_origin (data, url, version, at, by) VALUES ($1, $2, $3, $4, $5)", p.Data, p.Origin.URL, p.Origin.Version, micros(p.At), p.By)
	return err
}

// origins returns where imported Data came from.
func (t *tx) origins(ctx context.Context, ids [][]byte) (map[weft.DataID]weft.Origin, error) {
	found := map[weft.DataID]weft.Origin{}
	err := t.byIDs(ctx, "SELECT o.data, o.url, o.version, o.at, o.by, coalesce(p.name, '') FROM data_origin o LEFT JOIN principal p ON p.id = o.by WHERE o.data IN", ids, "",
		func(r scanner) error {
			var id weft.DataID
			var o weft.Origin
			var at int64
			err := r.Scan(&id, &o.URL, &o.Version, &at, &o.By, &o.Who)
			o.At = fromMicros(at)
			found[id] = o
			return err
		})
	return found, err
}

// addOrigins adds to a lineage where its imported Data came from.
func (s *Store) addOrigins(ctx context.Context, l *weft.Lineage) error {
	var ids [][]byte
	for i := range l.Data {
		if l.Plans[l.Data[i].Source.Plan].Name == weft.PlanImported {
			ids = append(ids, l.Data[i].ID[:])
		}
	}
	if len(ids) == 0 {
		return nil
	}
	return s.read(ctx, func(t *tx) (err error) {
		l.Origins, err = t.origins(ctx, ids)
		return err
	})
}
