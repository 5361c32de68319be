package store

import (
	"context"
	"runtime"
	"slices"

	"golang.org/x/sync/errgroup"

	"github.com/weft-dev/weft"
)

const (
	// manyRows is from how many rows on reading is shared out to several transactions.
	manyRows = 4_000
	// rangeIDs is how many ids are asked for as one range.
	rangeIDs = 1024
	// rangeRows is how many rows may be read of a range, for the ids that are wanted.
	rangeRows = 2 * rangeIDs
)

// many reads rows of a table by id, in the order of ids, each of which is there once;
// what is missing is left out. When they are many, several transactions share the work,
// so that the rows are not of one state of the database; each has a scanner of its own.
func many[T, V any](ctx context.Context, s *Store, query string, ids []weft.ID[T], scanner func() func(scanner) (V, error), id func(*V) weft.ID[T]) ([]V, error) {
	sorted := make([]wanted[T], len(ids))
	for i, id := range ids {
		sorted[i] = wanted[T]{id, i}
	}
	slices.SortFunc(sorted, func(a, b wanted[T]) int { return compareIDs(a.id, b.id) })
	shares := 1
	if len(sorted) >= manyRows {
		shares = min(runtime.GOMAXPROCS(0), 4)
	}
	rows, there := make([]V, len(ids)), make([]bool, len(ids))
	group, ctx := errgroup.WithContext(ctx)
	for i := range shares {
		share := sorted[i*len(sorted)/shares : (i+1)*len(sorted)/shares]
		group.Go(func() error {
			return s.read(ctx, func(t *tx) error {
				m := reading[T, V]{t: t, query: query, scan: scanner(), id: id, rows: rows, there: there}
				return m.read(ctx, share)
			})
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	return present(rows, there), nil
}

// A wanted is an id and where among the rows its row belongs.
type wanted[T any] struct {
	id weft.ID[T]
	at int
}

// present leaves out the rows that are not there.
func present[V any](rows []V, there []bool) []V {
	n := slices.Index(there, false)
	if n < 0 {
		return rows
	}
	for i := n; i < len(rows); i++ {
		if there[i] {
			rows[n] = rows[i]
			n++
		}
	}
	return rows[:n]
}

// A reading collects rows by id. Several share the rows: each writes those of its ids.
type reading[T, V any] struct {
	t     *tx
	query string // up to where the condition on the id follows
	scan  func(scanner) (V, error)
	id    func(*V) weft.ID[T]
	rows  []V
	there []bool
}

func (m *reading[T, V]) put(at int, v V) { m.rows[at], m.there[at] = v, true }

// read reads the rows of sorted ids. Ids that were made one after another lie side by
// side in the table, and then a range is read much faster than a list; when other rows
// turn out to lie between them, the rest of the range is read by a list, and so are some
// ranges after it.
func (m *reading[T, V]) read(ctx context.Context, ids []wanted[T]) error {
	const patience = 8
	lists := 0
	for chunk := range slices.Chunk(ids, rangeIDs) {
		if lists == 0 && len(chunk) > 1 {
			rest, err := m.readRange(ctx, chunk)
			if err != nil {
				return err
			}
			if chunk = rest; len(rest) > 0 {
				lists = patience
			}
		} else if lists > 0 {
			lists--
		}
		if err := m.readList(ctx, chunk); err != nil {
			return err
		}
	}
	return nil
}

// readRange reads up to rangeRows rows from the first id to the last, keeps those that
// are wanted, and returns the ids that it did not come to.
func (m *reading[T, V]) readRange(ctx context.Context, ids []wanted[T]) ([]wanted[T], error) {
	last := ids[len(ids)-1].id
	looked := 0
	err := m.t.rows(ctx, func(r scanner) error {
		looked++
		v, err := m.scan(r)
		if err != nil {
			return err
		}
		id := m.id(&v)
		for len(ids) > 0 && compareIDs(ids[0].id, id) < 0 {
			ids = ids[1:] // not there
		}
		if len(ids) > 0 && ids[0].id == id {
			m.put(ids[0].at, v)
			ids = ids[1:]
		}
		return nil
	}, m.query+" >= $1 AND id <= $2 ORDER BY id LIMIT $3", ids[0].id[:], last[:], rangeRows)
	if looked < rangeRows {
		ids = nil
	}
	return ids, err
}

func (m *reading[T, V]) readList(ctx context.Context, ids []wanted[T]) error {
	list := make([]weft.ID[T], len(ids))
	for i, w := range ids {
		list[i] = w.id
	}
	return m.t.byIDs(ctx, m.query+" IN", raw(list...), "", func(r scanner) error {
		v, err := m.scan(r)
		if err != nil {
			return err
		}
		id := m.id(&v)
		if i, found := slices.BinarySearchFunc(ids, id, func(w wanted[T], id weft.ID[T]) int { return compareIDs(w.id, id) }); found {
			m.put(ids[i].at, v)
		}
		return nil
	})
}
