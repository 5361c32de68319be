package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"

	"github.com/weft-dev/weft"
)

// Follow returns how far a follower has come. One that is new begins behind what has
// happened so far.
func (s *Store) Follow(ctx context.Context, name string) (weft.Cursor, error) {
	c, known, err := s.follower(ctx, name)
	if err != nil || known {
		return c, wrapped("follow events", err)
	}
	if c, err = s.LastCursor(ctx); err != nil {
		return c, err
	}
	err = s.write(ctx, func(ctx context.Context, t *tx) error {
		_, err := t.exec(ctx, "INSERT INTO follower (name, xid, seq, updated_at) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING", name, c.Xid, c.Seq, micros(t.now))
		return err
	})
	return c, wrapped("follow events", err)
}

func (s *Store) follower(ctx context.Context, name string) (c weft.Cursor, known bool, err error) {
	err = s.read(ctx, func(t *tx) (err error) {
		known, err = t.row(ctx, "SELECT xid, seq FROM follower WHERE name = $1", []any{name}, &c.Xid, &c.Seq)
		return err
	})
	return c, known, err
}

// Advance records that a follower has dealt with all events up to a position, but for
// those that could not be delivered.
func (s *Store) Advance(ctx context.Context, name string, to weft.Cursor, failed []weft.Delivery) error {
	err := s.write(ctx, func(ctx context.Context, t *tx) error {
		n, err := t.exec(ctx, "UPDATE follower SET xid = $2, seq = $3, updated_at = $4 WHERE name = $1", name, to.Xid, to.Seq, micros(t.now))
		if err == nil && n == 0 {
			err = weft.Errorf(weft.Conflict, "nobody follows events by the name %s any more", name)
		}
		if err != nil {
			return err
		}
		return t.keepDeliveries(ctx, name, failed)
	})
	return wrapped("record deliveries", err)
}

func (t *tx) keepDeliveries(ctx context.Context, name string, ds []weft.Delivery) error {
	var args []any
	for _, d := range ds {
		args = append(args, name, d.Cursor.Xid, d.Cursor.Seq, d.Run[:], string(d.Body), int64(d.Tries), micros(d.At), orNull(d.Due), d.Error)
	}
	return t.insert(ctx, "INSERT INTO delivery (follower, xid, seq, run, body, tries, made_at, due_at, error) VALUES ", 9, args,
		" ON CONFLICT (follower, xid, seq) DO UPDATE SET tries = excluded.tries, due_at = excluded.due_at, error = excluded.error")
}

// Deliveries returns what a follower is to deliver again, in the order of events.
func (s *Store) Deliveries(ctx context.Context, name string, limit int) ([]weft.Delivery, error) {
	var ds []weft.Delivery
	err := s.read(ctx, func(t *tx) error {
		return t.rows(ctx, func(r scanner) error {
			var d weft.Delivery
			var at int64
			var due sql.NullInt64
			err := r.Scan(&d.Cursor.Xid, &d.Cursor.Seq, &d.Run, &d.Body, &d.Tries, &at, &due, &d.Error)
			d.At, d.Due = fromMicros(at), fromNull(due)
			ds = append(ds, d)
			return err
		}, "SELECT xid, seq, run, body, tries, made_at, due_at, error FROM delivery WHERE follower = $1 AND due_at IS NOT NULL ORDER BY xid, seq LIMIT $2", name, limit)
	})
	return ds, wrapped("read deliveries", err)
}

// Redelivered records what came of deliveries that were tried again.
func (s *Store) Redelivered(ctx context.Context, name string, done []weft.Cursor, failed []weft.Delivery) error {
	err := s.write(ctx, func(ctx context.Context, t *tx) error {
		for _, c := range done {
			if _, err := t.exec(ctx, "DELETE FROM delivery WHERE follower = $1 AND xid = $2 AND seq = $3", name, c.Xid, c.Seq); err != nil {
				return err
			}
		}
		return t.keepDeliveries(ctx, name, failed)
	})
	return wrapped("record deliveries", err)
}

// DeliveryCounts returns how many deliveries of a follower are to be tried again, and how
// many were given up.
func (s *Store) DeliveryCounts(ctx context.Context, name string) (waiting, dead int64, err error) {
	err = s.read(ctx, func(t *tx) error {
		_, err := t.row(ctx, "SELECT count(due_at), count(*) - count(due_at) FROM delivery WHERE follower = $1", []any{name}, &waiting, &dead)
		return err
	})
	return waiting, dead, wrapped("count deliveries", err)
}

// ReviveDeliveries has what a follower gave up tried again, and returns how many that are.
func (s *Store) ReviveDeliveries(ctx context.Context, name string) (n int64, err error) {
	err = s.write(ctx, func(ctx context.Context, t *tx) (err error) {
		n, err = t.exec(ctx, "UPDATE delivery SET due_at = $2, made_at = $2, tries = 0 WHERE follower = $1 AND due_at IS NULL", name, micros(t.now))
		return err
	})
	return n, wrapped("revive deliveries", err)
}

// KeepFollowers forgets all followers but these: events need not be kept for them.
func (s *Store) KeepFollowers(ctx context.Context, names []string) error {
	var gone []string
	err := s.read(ctx, func(t *tx) error {
		return t.rows(ctx, func(r scanner) error {
			var name string
			err := r.Scan(&name)
			if !slices.Contains(names, name) {
				gone = append(gone, name)
			}
			return err
		}, "SELECT name FROM follower")
	})
	if err == nil && len(gone) > 0 {
		err = s.write(ctx, func(ctx context.Context, t *tx) error {
			for _, name := range gone {
				_, err := t.exec(ctx, "DELETE FROM follower WHERE name = $1", name)
				_, err2 := t.exec(ctx, "DELETE FROM delivery WHERE follower = $1", name)
				if err := errors.Join(err, err2); err != nil {
					return err
				}
			}
			return nil
		})
	}
	return wrapped("forget followers", err)
}

// slowest returns how far all followers have come, if there are any.
func (s *Store) slowest(ctx context.Context) (c weft.Cursor, some bool, err error) {
	err = s.read(ctx, func(t *tx) (err error) {
		some, err = t.row(ctx, "SELECT xid, seq FROM follower ORDER BY xid, seq LIMIT 1", nil, &c.Xid, &c.Seq)
		return err
	})
	if err != nil {
		return c, false, fmt.Errorf("find the slowest follower: %w", err)
	}
	return c, some, nil
}
