package store

import (
	"context"
	"database/sql"
	"fmt"
	"slices"

	"github.com/weft-dev/weft"
)

// Events are read in the order (xid, seq). On PostgreSQL xid is the id of the
// transaction that wrote the event, and only events of transactions older than every one
// still under way are read: so none can turn up later before one that was read. On
// SQLite, with its one writer, xid is 0 and seq alone is that order.

// eventKinds are stored by their index.
var eventKinds = [...]weft.EventKind{weft.RunChanged, weft.DataTagged, weft.PlanChanged, weft.RunRemoved, weft.DataRemoved,
	weft.DataShared, weft.DataUnshared, weft.DataPurged}

const eventInsert = "INSERT INTO event (at, kind, project, run, plan, data, was, becomes, by, attempt) VALUES "

// addEvents records events, as of now.
func (t *tx) addEvents(ctx context.Context, events ...weft.Event) error {
	const columns = 10
	args := make([]any, 0, columns*len(events))
	for i := range events {
		e := &events[i]
		args = append(args, micros(t.now), slices.Index(eventKinds[:], e.Kind), e.Project[:], idOrNull(e.Run), idOrNull(e.Plan),
			idOrNull(e.Data), statusOrNull(e.From), statusOrNull(e.To), idOrNull(e.By), numberOrNull(e.Attempt))
	}
	return t.insert(ctx, eventInsert, columns, args, "")
}

// Events returns what happened after a position, oldest first; in every project if
// project is zero. Not everything that is committed may be there yet.
func (s *Store) Events(ctx context.Context, project weft.ProjectID, after weft.Cursor, limit int) ([]weft.Event, error) {
	where, args := s.later+" AND "+s.settled, []any{after.Xid, after.Seq, limit}
	if !project.IsZero() {
		where += " AND project = $4"
		args = append(args, project)
	}
	var events []weft.Event
	err := s.read(ctx, func(t *tx) error {
		return t.rows(ctx, func(r scanner) error {
			e, err := scanEvent(r)
			events = append(events, e)
			return err
		}, "SELECT xid, seq, at, kind, project, run, plan, data, was, becomes, by, attempt FROM event WHERE "+where+
			" ORDER BY "+s.ascending()+" LIMIT $3", args...)
	})
	if err != nil {
		return nil, fmt.Errorf("read events: %w", err)
	}
	return events, nil
}

func scanEvent(r scanner) (weft.Event, error) {
	var e weft.Event
	var at int64
	var kind int
	var was, becomes, attempt sql.NullInt64
	err := r.Scan(&e.Cursor.Xid, &e.Cursor.Seq, &at, &kind, &e.Project, &e.Run, &e.Plan, &e.Data, &was, &becomes, &e.By, &attempt)
	if err != nil {
		return e, err
	}
	e.At, e.Attempt = fromMicros(at), attempt.Int64
	if kind < 0 || kind >= len(eventKinds) {
		return e, fmt.Errorf("event %d has the unknown kind %d", e.Cursor.Seq, kind)
	}
	e.Kind = eventKinds[kind]
	if was.Valid {
		e.From, err = statusOf(was.Int64)
	}
	if err == nil && becomes.Valid {
		e.To, err = statusOf(becomes.Int64)
	}
	return e, err
}

// LastCursor returns the position of the latest event that can be read.
func (s *Store) LastCursor(ctx context.Context) (weft.Cursor, error) {
	var c weft.Cursor
	err := s.read(ctx, func(t *tx) error {
		_, err := t.row(ctx, "SELECT xid, seq FROM event WHERE "+s.settled+" ORDER BY "+s.descending()+" LIMIT 1", nil, &c.Xid, &c.Seq)
		return err
	})
	if err != nil {
		return c, fmt.Errorf("find the last event: %w", err)
	}
	return c, nil
}

// PruneEvents forgets the events up to a position, as far as all who follow them have come.
// The last event stays, so that the sequence does not lose its place.
func (s *Store) PruneEvents(ctx context.Context, upTo weft.Cursor) error {
	last, err := s.LastCursor(ctx)
	if err == nil {
		if !last.After(upTo) {
			upTo = weft.Cursor{Xid: last.Xid, Seq: last.Seq - 1}
		}
		slowest, some, serr := s.slowest(ctx)
		if serr != nil {
			return serr
		}
		if some && upTo.After(slowest) {
			upTo = slowest
		}
		err = s.write(ctx, func(ctx context.Context, t *tx) error {
			if err := t.pruneEnv(ctx); err != nil {
				return err
			}
			_, err := t.exec(ctx, "DELETE FROM event WHERE "+s.until, upTo.Xid, upTo.Seq)
			return err
		})
	}
	if err != nil {
		return fmt.Errorf("prune events: %w", err)
	}
	return nil
}

// statusCode is a status as it is stored: its index in weft.Statuses.
func statusCode(s weft.Status) int64 { return int64(slices.Index(weft.Statuses, s)) }

func statusOrNull(s weft.Status) any {
	if s == "" {
		return nil
	}
	return statusCode(s)
}

func statusOf(code int64) (weft.Status, error) {
	if code < 0 || code >= int64(len(weft.Statuses)) {
		return "", fmt.Errorf("%d is not the code of a status", code)
	}
	return weft.Statuses[code], nil
}

// idOrNull is an id as a parameter, without the reflection that database/sql would need.
func idOrNull[T any](id weft.ID[T]) any {
	if id.IsZero() {
		return nil
	}
	return id[:]
}

func numberOrNull(n int64) any {
	if n == 0 {
		return nil
	}
	return n
}

func digestOrNull(d weft.Digest) any {
	if d.IsZero() {
		return nil
	}
	return d[:]
}
