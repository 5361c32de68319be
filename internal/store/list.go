package store

import (
	"cmp"
	"context"
	"encoding/base64"
	"encoding/binary"
	"iter"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/weft-dev/weft"
)

// Lists are read in chunks, each in a short transaction of its own, that begin behind
// the last one's position. So a list of any length needs little memory and holds up
// nobody; what changes meanwhile may or may not be in it.

// A key is a position in a list: of a Run when it changed last, of a Data its timestamp,
// then the id.
type key[T any] struct {
	at int64
	id weft.ID[T]
}

type (
	runPos  = key[weft.Run]
	dataPos = key[weft.Data]
)

// String is the key as clients get it.
func (k key[T]) String() string {
	b := binary.BigEndian.AppendUint64(make([]byte, 0, 8+idLen), uint64(k.at))
	return base64.RawURLEncoding.EncodeToString(append(b, k.id[:]...))
}

func parseKey[T any](s string) (key[T], error) {
	b, err := base64.RawURLEncoding.DecodeString(s)
	if err != nil || len(b) != 8+idLen {
		return key[T]{}, badPosition(s)
	}
	return key[T]{int64(binary.BigEndian.Uint64(b)), weft.ID[T](b[8:])}, nil
}

func badPosition(s string) error {
	return weft.Errorf(weft.Invalid, "%q is not a position in this list", s).WithAdvice("take the one that the last page gave")
}

func (k key[T]) compare(l key[T]) int {
	return cmp.Or(cmp.Compare(k.at, l.at), compareIDs(k.id, l.id))
}

// A source is what a list is taken from: a union of branches, each of which an index
// yields in order, and of fixed keys, less what keep leaves out.
type source[T any] struct {
	table, at, id string
	branches      []branch
	fixed         []key[T] // in order
	newest        bool
	keep          func(ctx context.Context, t *tx, keys []key[T]) ([]key[T], error) // nil: all
	seem          func(after key[T], n int) []key[T]                                // instead of the union: the first n behind after, of which keep decides
}

// A branch is a condition on the table, with its parameters written as ?, and bounds of
// the time: since ≤ time < until, where they are not 0.
type branch struct {
	where        string
	args         []any
	since, until int64
}

const (
	firstChunk  = 50
	largeChunk  = 500
	maxBranches = 60    // of one statement
	maxLook     = 20000 // keys looked at in one transaction
)

// begin is the position before all others.
func (s *source[T]) begin() key[T] {
	if s.newest {
		return key[T]{math.MaxInt64, maxID[T]()}
	}
	return key[T]{at: math.MinInt64}
}

func maxID[T any]() weft.ID[T] {
	var id weft.ID[T]
	for i := range id {
		id[i] = 0xff
	}
	return id
}

// next returns up to n keys behind after, where to go on, and whether that was all.
func (s *source[T]) next(ctx context.Context, t *tx, after key[T], n int) (keys []key[T], at key[T], end bool, err error) {
	batch := n
	if s.keep != nil {
		batch = max(n, 4*firstChunk) // much will be left out
	}
	for looked := 0; len(keys) < n && !end && looked < maxLook; looked += batch {
		found, more, err := s.merge(ctx, t, after, batch)
		if err != nil {
			return nil, after, false, err
		}
		end = !more
		if len(found) > 0 {
			after = found[len(found)-1]
		}
		if s.keep != nil {
			if found, err = s.keep(ctx, t, found); err != nil {
				return nil, after, false, err
			}
			batch = min(2*batch, 2000)
		}
		keys = append(keys, found...)
	}
	if len(keys) > n {
		keys, end = keys[:n], false
	}
	if len(keys) == n {
		after = keys[n-1]
	}
	return keys, after, end, nil
}

// order compares keys in the order of the list.
func (s *source[T]) order(a, b key[T]) int {
	if s.newest {
		return b.compare(a)
	}
	return a.compare(b)
}

// merge returns the first n keys behind after, each once, and whether there may be more.
func (s *source[T]) merge(ctx context.Context, t *tx, after key[T], n int) (all []key[T], more bool, err error) {
	if s.seem != nil {
		all = s.seem(after, n)
		return all, len(all) == n, nil
	}
	var horizon *key[T] // behind it some branch may have more
	for some := range slices.Chunk(s.branches, maxBranches) {
		query, args := s.query(some, after, n)
		before := len(all)
		err := t.rows(ctx, func(r scanner) error {
			var k key[T]
			err := r.Scan(&k.at, &k.id)
			all = append(all, k)
			return err
		}, query, args...)
		if err != nil {
			return nil, false, err
		}
		if last := len(all) - 1; last-before+1 >= n && (horizon == nil || s.order(all[last], *horizon) < 0) {
			k := all[last]
			horizon = &k
		}
	}
	i, found := slices.BinarySearchFunc(s.fixed, after, s.order)
	if found {
		i++
	}
	all = append(all, s.fixed[i:min(i+n, len(s.fixed))]...)
	slices.SortFunc(all, s.order)
	all = slices.Compact(all)
	if horizon != nil {
		all = slices.DeleteFunc(all, func(k key[T]) bool { return s.order(k, *horizon) > 0 })
	}
	more = horizon != nil || len(all) > n || i+n < len(s.fixed)
	return all[:min(n, len(all))], more, nil
}

func (s *source[T]) query(branches []branch, after key[T], n int) (string, []any) {
	var q strings.Builder
	var args []any
	param := func(v any) string {
		args = append(args, v)
		return "$" + strconv.Itoa(len(args))
	}
	behind, dir := " > ", " ASC"
	if s.newest {
		behind, dir = " < ", " DESC"
	}
	limit := param(n)
	order := " ORDER BY " + s.at + dir + ", " + s.id + dir + " LIMIT " + limit
	for i, b := range branches {
		if i > 0 {
			q.WriteString(" UNION ALL ")
		}
		where := b.where
		for _, arg := range b.args {
			where = strings.Replace(where, "?", param(arg), 1)
		}
		from := s.from(b, after)
		q.WriteString("SELECT * FROM (SELECT " + s.at + ", " + s.id + " FROM " + s.table + " WHERE " + where +
			" AND (" + s.at + ", " + s.id + ")" + behind + "(" + param(from.at) + ", " + param(from.id[:]) + ")")
		switch {
		case s.newest && b.since != 0:
			q.WriteString(" AND " + s.at + " >= " + param(b.since))
		case !s.newest && b.until != 0:
			q.WriteString(" AND " + s.at + " < " + param(b.until))
		}
		q.WriteString(order + ") AS b" + strconv.Itoa(i))
	}
	if len(branches) > 1 {
		q.WriteString(order)
	}
	return q.String(), args
}

// from is the position behind which a branch begins: after, or its own bound.
func (s *source[T]) from(b branch, after key[T]) key[T] {
	bound := after
	switch {
	case s.newest && b.until != 0:
		bound = key[T]{at: b.until}
	case !s.newest && b.since != 0:
		bound = key[T]{b.since - 1, maxID[T]()}
	}
	if s.order(bound, after) > 0 {
		return bound
	}
	return after
}

// paged yields the items of a list: of the keys that open's source gives, what load makes
// of them, chunk by chunk. load says how many of the keys it has dealt with, at least one.
func paged[T, V any](ctx context.Context, s *Store, page weft.Page, open func(*tx) (*source[T], error),
	load func(t *tx, keys []key[T]) ([]V, int, error)) iter.Seq2[V, error] {
	return func(yield func(V, error) bool) {
		var none V
		var src *source[T]
		var after key[T]
		left := page.Limit
		for n, end := firstChunk, false; !end; n = min(2*n, largeChunk) {
			if page.Limit > 0 {
				n = min(n, left)
			}
			var items []V
			err := s.read(ctx, func(t *tx) (err error) {
				if src == nil {
					if src, err = open(t); err != nil {
						return err
					}
					if after, err = startOf(src, page); err != nil {
						return err
					}
				}
				var keys []key[T]
				if keys, after, end, err = src.next(ctx, t, after, n); err != nil {
					return err
				}
				dealt := 0
				if items, dealt, err = load(t, keys); err == nil && dealt < len(keys) {
					after, end = keys[dealt-1], false
				}
				return err
			})
			if err != nil {
				yield(none, err)
				return
			}
			for _, v := range items {
				if !yield(v, nil) {
					return
				}
			}
			if left -= len(items); page.Limit > 0 && left <= 0 {
				return
			}
		}
	}
}

func startOf[T any](s *source[T], page weft.Page) (key[T], error) {
	if page.After == "" {
		return s.begin(), nil
	}
	return parseKey[T](page.After)
}

// boundOf is a bound of a time as a branch has it.
func boundOf(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return micros(t)
}

// within reports whether a time is within the bounds of a query.
func within(at, since, until int64) bool { return at >= since && (until == 0 || at < until) }

// arranged puts what was loaded by id in the order of the keys; what is missing is left out.
func arranged[T, V any](keys []key[T], items []V, id func(*V) weft.ID[T]) []V {
	at := make(map[weft.ID[T]]int, len(items))
	for i := range items {
		at[id(&items[i])] = i
	}
	out := make([]V, 0, len(items))
	for _, k := range keys {
		if i, ok := at[k.id]; ok {
			out = append(out, items[i])
		}
	}
	return out
}

func rawKeys[T any](keys []key[T]) [][]byte {
	out := make([][]byte, len(keys))
	for i := range keys {
		out[i] = keys[i].id[:]
	}
	return out
}
