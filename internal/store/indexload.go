package store

import (
	"context"
	"runtime/debug"

	"github.com/weft-dev/weft"
)

const (
	// loadChunk is how many rows one reading transaction loads.
	loadChunk = 10_000
	// largeLoad is how many Data leave much garbage when they are loaded.
	largeLoad = 100_000
)

// load reads everything, and then what happened meanwhile. The former index goes on
// answering until the new one takes its place.
func (x *index) load(ctx context.Context) error {
	at, err := x.s.LastCursor(ctx)
	if err != nil {
		return err
	}
	fresh := &index{s: x.s, at: at, ahead: map[int64]bool{}, graph: weft.NewLineageGraph(), tags: newPostings()}
	for _, part := range []func(context.Context) error{fresh.loadRuns, fresh.loadTimes, fresh.loadTags, fresh.follow} {
		if err := part(ctx); err != nil {
			return err
		}
	}
	x.following.Lock()
	defer x.following.Unlock()
	x.mu.Lock()
	defer x.mu.Unlock()
	x.at, x.ahead, x.graph, x.tags, x.ready = fresh.at, fresh.ahead, fresh.graph, fresh.tags, true
	if _, data := x.graph.Len(); data >= largeLoad {
		debug.FreeOSMemory() // what loading needed on the way is as much again
	}
	return nil
}

// pages reads a table in pieces, each in a transaction of its own. query gets the key of
// the last row of the piece before, and scan returns that of its row.
func (x *index) pages(ctx context.Context, query string, after []any, scan func(scanner) ([]any, error)) error {
	for n := loadChunk; n == loadChunk; {
		n = 0
		err := x.s.read(ctx, func(t *tx) error {
			return t.rows(ctx, func(r scanner) (err error) {
				n++
				after, err = scan(r)
				return err
			}, query, append(after[:len(after):len(after)], loadChunk)...)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func (x *index) loadRuns(ctx context.Context) error {
	return x.pages(ctx, "SELECT id, status, inputs, outputs FROM run WHERE id > $1 ORDER BY id LIMIT $2", []any{[]byte{}}, func(r scanner) ([]any, error) {
		id, _, err := x.scanRun(r)
		return []any{id}, err
	})
}

// scanRun reads a Run and puts it into the graph, unless it is invalidated.
func (x *index) scanRun(r scanner) (id weft.RunID, outputs []weft.DataID, err error) {
	var status int64
	var ins, outs []byte
	if err := r.Scan(&id, &status, &ins, &outs); err != nil {
		return id, nil, err
	}
	if status == statusCode(weft.Invalidated) {
		x.graph.Remove(id)
		return id, nil, nil
	}
	outputs = idsOf[weft.Data](outs)
	x.graph.Add(id, idsOf[weft.Data](ins), outputs)
	return id, outputs, nil
}

// idsOf reads ids that stand one after another.
func idsOf[T any](joined []byte) []weft.ID[T] {
	ids := make([]weft.ID[T], len(joined)/idLen)
	for i := range ids {
		ids[i] = idAt[T](joined, i)
	}
	return ids
}

func (x *index) loadTimes(ctx context.Context) error {
	_, data := x.graph.Len()
	x.tags.times = make([]int64, 0, data+1) // numbers begin with 1
	return x.pages(ctx, "SELECT id, ts FROM data WHERE id > $1 ORDER BY id LIMIT $2", []any{[]byte{}}, func(r scanner) ([]any, error) {
		var id weft.DataID
		var ts int64
		err := r.Scan(&id, &ts)
		if n, ok := x.graph.Number(id); ok {
			x.tags.setTime(n, ts)
		}
		return []any{id}, err
	})
}

func (x *index) loadTags(ctx context.Context) error {
	var last tagKey
	var numbers []uint32
	flush := func() {
		if len(numbers) > 0 {
			x.tags.bulk(last, numbers)
		}
		numbers = numbers[:0]
	}
	err := x.pages(ctx, "SELECT tag, data FROM data_tag WHERE (tag, data) > ($1, $2) ORDER BY tag, data LIMIT $3", []any{[]byte{}, []byte{}}, func(r scanner) ([]any, error) {
		var tag []byte
		var id weft.DataID
		if err := r.Scan(&tag, &id); err != nil {
			return nil, err
		}
		if tagKey(tag) != last {
			flush()
			last = tagKey(tag)
		}
		if n, ok := x.graph.Number(id); ok {
			numbers = append(numbers, n)
		}
		return []any{tag, id}, nil
	})
	flush()
	return err
}
