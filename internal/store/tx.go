package store

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
	"time"

	"github.com/weft-dev/weft"
)

// session is what a transaction of either database offers.
type session interface {
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

// A tx is a transaction under way. It knows whether anything was written yet, which
// lets the writer spare a batch when a function of it refuses before it wrote.
type tx struct {
	s      *Store
	q      session
	wrote  bool
	broken bool      // a statement failed, after which PostgreSQL refuses every other
	now    time.Time // of the transaction's begin, in microseconds
	after  []func()  // to be done once it is committed
}

// exec runs a statement that yields no rows and says how many rows it touched.
func (t *tx) exec(ctx context.Context, query string, args ...any) (int64, error) {
	t.wrote = true
	r, err := t.q.ExecContext(ctx, query, args...)
	if err != nil {
		t.broken = true
		return 0, fmt.Errorf("%s: %w", head(query), err)
	}
	return r.RowsAffected()
}

// scanner is a row to be read.
type scanner interface{ Scan(dest ...any) error }

// rows runs a query and hands each of its rows to scan.
func (t *tx) rows(ctx context.Context, scan func(scanner) error, query string, args ...any) error {
	rs, err := t.q.QueryContext(ctx, query, args...)
	if err != nil {
		t.broken = true
		return fmt.Errorf("%s: %w", head(query), err)
	}
	defer rs.Close()
	for rs.Next() {
		if err := scan(rs); err != nil {
			return fmt.Errorf("%s: %w", head(query), err)
		}
	}
	if err := rs.Err(); err != nil {
		t.broken = true
		return fmt.Errorf("%s: %w", head(query), err)
	}
	return rs.Close()
}

// row runs a query that yields at most one row and reports whether there was one.
func (t *tx) row(ctx context.Context, query string, args []any, dest ...any) (bool, error) {
	found := false
	err := t.rows(ctx, func(r scanner) error {
		found = true
		return r.Scan(dest...)
	}, query, args...)
	return found, err
}

// insert writes rows, each of len(columns) values, by as few statements as is best.
// It takes the text up to and including VALUES, and what follows the rows.
func (t *tx) insert(ctx context.Context, head string, columns int, args []any, tail string) error {
	return t.inChunks(columns, args, func(rows int, args []any) error {
		_, err := t.exec(ctx, t.s.values.text(head, "", columns, rows, tail), args...)
		return err
	})
}

// inChunks cuts rows of so many columns into pieces of few different sizes, so that
// few different statements have to be prepared.
func (t *tx) inChunks(columns int, args []any, do func(rows int, args []any) error) error {
	most := max(1, min(t.s.rowsOnce, t.s.maxParams/columns))
	for left := len(args) / columns; left > 0; {
		n := most
		for n > left {
			n /= 2
		}
		n = max(n, 1)
		if err := do(n, args[:n*columns]); err != nil {
			return err
		}
		args, left = args[n*columns:], left-n
	}
	return nil
}

// head is the beginning of a statement, for messages.
func head(query string) string {
	words := strings.Fields(query)
	return strings.Join(words[:min(len(words), 4)], " ")
}

// micros is a time as it is stored.
func micros(t time.Time) int64 { return t.UnixMicro() }

// orNull is a time as it is stored where it may be missing.
func orNull(t time.Time) any {
	if t.IsZero() {
		return nil
	}
	return micros(t)
}

// fromMicros reads a time as it was stored.
func fromMicros(us int64) time.Time { return time.UnixMicro(us).UTC() }

// fromNull reads a time that may be missing.
func fromNull(us sql.NullInt64) time.Time {
	if !us.Valid {
		return time.Time{}
	}
	return fromMicros(us.Int64)
}

// notFound is the error for an id that is not there, or not in the project.
func notFound(what string, id fmt.Stringer) error {
	return weft.Errorf(weft.NotFound, "%s %s is not found", what, id)
}
