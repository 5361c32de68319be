package store

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
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
	s         *Store
	q         session
	wrote     bool
	broken    bool      // a statement failed, after which PostgreSQL refuses every other
	committed bool      // all that it sees was committed, so that it may be remembered
	now       time.Time // of the transaction's begin, in microseconds
	after     []func()  // to be done once it is committed

	subject string         // what was changed, for the audit log; "" leaves it to the request
	about   weft.ProjectID // … and of which project
	detail  string         // … and how
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

// writeRows is rows, for a statement that writes and returns what it wrote.
func (t *tx) writeRows(ctx context.Context, scan func(scanner) error, query string, args ...any) error {
	t.wrote = true
	return t.rows(ctx, scan, query, args...)
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

// insertReturning is insert, and hands what each statement returns to scan.
func (t *tx) insertReturning(ctx context.Context, head string, columns int, args []any, tail string, scan func(scanner) error) error {
	return t.inChunks(columns, args, func(rows int, args []any) error {
		return t.writeRows(ctx, scan, t.s.values.text(head, "", columns, rows, tail), args...)
	})
}

// update changes many rows by few statements: head ends where a list of values, of the
// given types and named v, is to stand for a table.
func (t *tx) update(ctx context.Context, head, types string, args []any, tail string) error {
	columns := len(strings.Fields(types))
	return t.inChunks(columns, args, func(rows int, args []any) error {
		_, err := t.exec(ctx, t.s.values.text(head+"(VALUES ", types, columns, rows, ") AS v "+tail), args...)
		return err
	})
}

// byIDs runs a query for all ids, by as few statements as fit. The text goes up to and
// including IN, then comes what follows the list. The ids come behind args.
func (t *tx) byIDs(ctx context.Context, head string, ids [][]byte, tail string, scan func(scanner) error, args ...any) error {
	for chunk := range slices.Chunk(ids, maxIn) {
		query, all := t.idList(head, chunk, tail, args)
		if err := t.rows(ctx, scan, query, all...); err != nil {
			return err
		}
	}
	return nil
}

// existing says for which of the ids there is a row: from is where one is to be found by
// the id v.column1, and its parameters are args. The answer is by the bytes of the id. The
// query is written so that PostgreSQL cannot but look up one id after another.
func (t *tx) existing(ctx context.Context, ids [][]byte, from string, args ...any) (map[string]bool, error) {
	found := make(map[string]bool, len(ids))
	for chunk := range slices.Chunk(ids, maxIn) {
		all := make([]any, len(args)+powerOfTwo(len(chunk)))
		copy(all, args)
		for i := len(args); i < len(all); i++ {
			all[i] = chunk[min(i-len(args), len(chunk)-1)]
		}
		query := t.s.values.get(valueKey{head: "SELECT v.column1 FROM (VALUES ", casts: t.s.blob, columns: 1, rows: len(all) - len(args), from: len(args),
			tail: ") AS v WHERE (SELECT 1 FROM " + from + " LIMIT 1) = 1"})
		err := t.rows(ctx, func(r scanner) error {
			var id []byte
			err := r.Scan(&id)
			found[string(id)] = true
			return err
		}, query, all...)
		if err != nil {
			return nil, err
		}
	}
	return found, nil
}

// powerOfTwo returns the least power of two that is not less than n.
func powerOfTwo(n int) int {
	p := 1
	for p < n {
		p *= 2
	}
	return p
}

// execByIDs is byIDs for a statement that yields no rows.
func (t *tx) execByIDs(ctx context.Context, head string, ids [][]byte, tail string, args ...any) error {
	for chunk := range slices.Chunk(ids, maxIn) {
		query, all := t.idList(head, chunk, tail, args)
		if _, err := t.exec(ctx, query, all...); err != nil {
			return err
		}
	}
	return nil
}

// maxIn is how many ids one statement gets. Lists are filled up to a power of two, by
// repeating the last id, so that few different statements have to be prepared.
const maxIn = 512

func (t *tx) idList(head string, ids [][]byte, tail string, before []any) (string, []any) {
	n := powerOfTwo(len(ids))
	args := make([]any, len(before)+n)
	copy(args, before)
	for i := range n {
		args[len(before)+i] = ids[min(i, len(ids)-1)]
	}
	return t.s.values.list(head+" ", len(before), n, tail), args
}

// raw returns ids as the bytes that a database keeps, without those that are zero or
// were there before.
func raw[T any](ids ...weft.ID[T]) [][]byte {
	seen := make(map[weft.ID[T]]bool, len(ids))
	out := make([][]byte, 0, len(ids))
	for i := range ids {
		if id := ids[i]; !id.IsZero() && !seen[id] {
			seen[id] = true
			out = append(out, ids[i][:])
		}
	}
	return out
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
