package store

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/weft-dev/weft"
)

// An index answers in memory what SQL answers slowly: large traversals of the lineage,
// and which Data have all of some tags. Both are kept by one follower of the events,
// since they share the numbers that stand for Data.
//
// It is loaded in the background; until then SQL answers. Afterwards it reads the events
// it has not seen before each answer, so that an answer includes all that was committed
// before the question. What an event says is not applied as such: the rows it names are
// read, in the same transaction. So an event may be applied early, twice, or late behind
// a newer state, and the end is the same. On PostgreSQL that allows to apply events that
// are not settled yet (see event.go): they are noted in ahead, and met again later.
type index struct {
	s     *Store
	quit  context.CancelFunc
	ended sync.WaitGroup

	following sync.Mutex // held while events are applied
	at        weft.Cursor
	ahead     map[int64]bool // events behind at that were applied already, by seq

	mu    sync.RWMutex // guards what follows; graph guards itself
	ready bool
	graph *weft.LineageGraph
	tags  *postings
}

const (
	// followPause is how long events gather before they are applied without a question.
	followPause = time.Second
	// eventChunk is how many events one reading transaction applies.
	eventChunk = 2_000
	// maxStale is how many entries of the postings may be wrong before they are loaded
	// anew, besides as many as there are right ones.
	maxStale = 100_000
)

// start begins to load and to follow.
func (x *index) start(s *Store) {
	ctx, cancel := context.WithCancel(context.Background())
	x.s, x.quit = s, cancel
	changed, stop := s.Changed()
	x.ended.Go(func() {
		defer stop()
		x.run(ctx, changed)
	})
}

func (x *index) stop() {
	x.quit()
	x.ended.Wait()
}

// run loads the index and has it follow, and begins anew when that fails.
func (x *index) run(ctx context.Context, changed <-chan struct{}) {
	for ctx.Err() == nil {
		err := x.load(ctx)
		for err == nil && ctx.Err() == nil {
			select {
			case <-ctx.Done():
				return
			case <-changed:
			}
			if !pause(ctx, followPause) {
				return
			}
			if err = x.follow(ctx); err == nil && x.worn() {
				err = x.load(ctx)
			}
		}
		if ctx.Err() == nil {
			x.s.log.Warn("the index in memory is lost and is loaded anew", "error", err)
			x.mu.Lock()
			x.ready = false
			x.mu.Unlock()
			pause(ctx, followPause)
		}
	}
}

// pause waits, and reports whether ctx goes on.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}

// worn reports whether so many entries may be wrong that it costs too much.
func (x *index) worn() bool {
	x.mu.RLock()
	defer x.mu.RUnlock()
	return x.tags.stale > maxStale+x.tags.size/2
}

// follow applies all events that are committed by now.
func (x *index) follow(ctx context.Context) error {
	x.following.Lock()
	defer x.following.Unlock()
	from := x.at
	for {
		n := 0
		err := x.s.read(ctx, func(t *tx) (err error) {
			n, from, err = x.followSome(ctx, t, from)
			return err
		})
		if err != nil || n < eventChunk {
			return err
		}
	}
}

// followSome applies events behind from, and returns how many it read and the last one's
// position.
func (x *index) followSome(ctx context.Context, t *tx, from weft.Cursor) (n int, last weft.Cursor, err error) {
	hit := affected{runs: map[weft.RunID]bool{}, data: map[weft.DataID]bool{}}
	ahead := map[int64]bool{}
	at := x.at
	last = from
	err = t.rows(ctx, func(r scanner) error {
		var settled bool
		e, err := scanEvent(longerRow{r, []any{&settled}})
		if err != nil {
			return err
		}
		n, last = n+1, e.Cursor
		if !x.ahead[e.Cursor.Seq] {
			hit.add(e)
		}
		if settled {
			at = e.Cursor
		} else {
			ahead[e.Cursor.Seq] = true
		}
		return nil
	}, "SELECT xid, seq, at, kind, project, run, plan, data, was, becomes, by, attempt, ("+x.s.settled+") FROM event WHERE "+x.s.later+
		" ORDER BY "+x.s.ascending()+" LIMIT $3", from.Xid, from.Seq, eventChunk)
	if err == nil {
		err = x.refresh(ctx, t, hit)
	}
	if err != nil {
		return n, last, err
	}
	if from == x.at { // else what was ahead before this piece still is
		x.ahead = ahead
	} else {
		for seq := range ahead {
			x.ahead[seq] = true
		}
	}
	x.at = at
	return n, last, nil
}

// affected is what some events name and has to be read again.
type affected struct {
	runs    map[weft.RunID]bool // with their outputs
	data    map[weft.DataID]bool
	entries int // of postings that may have become wrong
}

// add notes what an event makes different in the index.
func (c *affected) add(e weft.Event) {
	switch e.Kind {
	case weft.RunChanged:
		if e.From == "" || e.From.Ended() || e.To.Ended() {
			c.runs[e.Run] = true
		}
		if e.From.Ended() {
			c.entries += 2
		}
	case weft.RunRemoved:
		c.runs[e.Run] = true
		c.entries += 2
	case weft.DataTagged, weft.DataShared:
		c.data[e.Data] = true
		c.entries++
	}
}

// refresh reads what was affected.
func (x *index) refresh(ctx context.Context, t *tx, c affected) error {
	var runs []weft.RunID
	for id := range c.runs {
		runs = append(runs, id)
	}
	found := map[weft.RunID]bool{}
	var data []weft.DataID
	err := t.byIDs(ctx, "SELECT id, status, inputs, outputs FROM run WHERE id IN", raw(runs...), "", func(r scanner) error {
		id, outputs, err := x.scanRun(r)
		found[id] = true
		data = append(data, outputs...)
		return err
	})
	if err != nil {
		return err
	}
	for _, id := range runs {
		if !found[id] {
			x.graph.Remove(id)
		}
	}
	for id := range c.data {
		data = append(data, id)
	}
	rows, err := t.taggedRows(ctx, data)
	if err != nil {
		return err
	}
	if rows, err = t.sharedRows(ctx, rows); err != nil {
		return err
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	x.tags.stale += c.entries
	for _, row := range rows {
		n, ok := x.graph.Number(row.id)
		if !ok {
			continue
		}
		x.tags.setTime(n, row.ts)
		for _, tag := range row.tags {
			x.tags.add(tag, n)
		}
	}
	return nil
}

// A taggedRow is what the postings keep of a Data.
type taggedRow struct {
	id   weft.DataID
	ts   int64
	tags []tagKey
	all  weft.Tags
}

func (t *tx) taggedRows(ctx context.Context, ids []weft.DataID) ([]taggedRow, error) {
	var rows []taggedRow
	type known struct {
		keys []tagKey
		tags weft.Tags
	}
	decoded := map[string]known{} // many Data have the same tags
	err := t.byIDs(ctx, "SELECT id, project, ts, tags FROM data WHERE id IN", raw(ids...), "", func(r scanner) error {
		var row taggedRow
		var project weft.ProjectID
		var text string
		if err := r.Scan(&row.id, &project, &row.ts, &text); err != nil {
			return err
		}
		text = string(project[:]) + text
		k, ok := decoded[text]
		if !ok {
			tags, err := decodeTags(text[idLen:])
			if err != nil {
				return err
			}
			k = known{keysOf(project, tags), tags}
			decoded[text] = k
		}
		row.tags, row.all = k.keys, k.tags
		rows = append(rows, row)
		return nil
	})
	return rows, err
}

// sharedRows adds the keys that tags have where Data are shared.
func (t *tx) sharedRows(ctx context.Context, rows []taggedRow) ([]taggedRow, error) {
	ids := make([]weft.DataID, len(rows))
	for i := range rows {
		ids[i] = rows[i].id
	}
	shares, err := t.sharesOf(ctx, ids)
	for i := range rows {
		for _, p := range shares[rows[i].id] {
			rows[i].tags = append(slices.Clip(rows[i].tags), keysOf(p.ID, rows[i].all)...)
		}
	}
	return rows, err
}

// A longerRow is a row with more columns at its end than whoever scans it knows of.
type longerRow struct {
	scanner
	more []any
}

func (r longerRow) Scan(dest ...any) error { return r.scanner.Scan(append(dest, r.more...)...) }

// current brings the index up to date and reports whether it can answer. It must not be
// called within a transaction, which might hold the last connection.
func (x *index) current(ctx context.Context) (bool, error) {
	x.mu.RLock()
	ready := x.ready
	x.mu.RUnlock()
	if !ready {
		return false, nil
	}
	return true, x.follow(ctx)
}

// mostTagged is how many Data of some tags are enough that a look through the list of
// all Data soon meets as many as are wanted.
const mostTagged = 100_000

// tagged returns the keys of all Data that seem to have all of the tags, in no order; the
// rows decide whether they truly have. It is nil when SQL is to answer: as long as the
// index is not loaded, and when there are very many.
func (x *index) tagged(ctx context.Context, tags []tagKey) ([]dataPos, error) {
	if len(tags) == 0 {
		return nil, nil
	}
	if ok, err := x.current(ctx); err != nil || !ok {
		return nil, err
	}
	x.mu.RLock()
	defer x.mu.RUnlock()
	numbers := x.tags.all(tags)
	if len(numbers) > mostTagged {
		return nil, nil
	}
	keys := make([]dataPos, 0, len(numbers))
	x.graph.Numbered(numbers, func(n uint32, id weft.DataID) bool {
		keys = append(keys, dataPos{x.tags.time(n), id})
		return true
	})
	return keys, nil
}
