package notify

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/weft-dev/weft"
)

// Bounds of a follower's work.
const (
	followBatch = 256         // events read at once
	heldBatch   = 2048        // deliveries that wait, read at once
	followPoll  = time.Second // how often it looks though nothing woke it
	downAfter   = 4           // failures in a row after which a batch is left alone
)

// A Log is the sequence of events, and who has followed it how far. *store.Store is one.
type Log interface {
	Changed() (ch <-chan struct{}, stop func())
	Events(ctx context.Context, project weft.ProjectID, after weft.Cursor, limit int) ([]weft.Event, error)
	Follow(ctx context.Context, name string) (weft.Cursor, error)
	Advance(ctx context.Context, name string, to weft.Cursor, failed []weft.Delivery) error
	Deliveries(ctx context.Context, name string, limit int) ([]weft.Delivery, error)
	Redelivered(ctx context.Context, name string, done []weft.Cursor, failed []weft.Delivery) error
	DeliveryCounts(ctx context.Context, name string) (waiting, dead int64, err error)
	ReviveDeliveries(ctx context.Context, name string) (int64, error)
	KeepFollowers(ctx context.Context, names []string) error
}

// A follower delivers events to one URL.
type follower struct {
	Hook
	poster
	key   string // its name in the database
	log   *slog.Logger
	store Log
	stats *stats

	// write makes what is sent of an event; nil when the event is none of this follower's.
	write func(ctx context.Context, e weft.Event) (*parcel, error)

	cursor   weft.Cursor
	failures int  // batches in a row of which nothing was delivered
	counted  bool // the figures of the table are shown
}

// A task is one event on its way.
type task struct {
	at     weft.Cursor
	run    weft.RunID
	made   time.Time
	parcel *parcel
	tries  int
	err    error
	state  taskState
}

type taskState int

const (
	skipped taskState = iota // not tried, as nothing gets through
	sent
	refused // tried in vain
	behind  // not tried, as something before it of the same Run is not delivered
)

// run follows until ctx ends.
func (f *follower) run(ctx context.Context) {
	changed, stop := f.store.Changed()
	defer stop()
	for ctx.Err() == nil {
		more, err := f.step(ctx)
		if ctx.Err() != nil {
			return
		}
		pause := followPoll
		switch {
		case err != nil:
			f.log.Warn("events could not be followed, and are again later", "hook", f.Name, "error", err)
		case f.failures > 0:
			pause = f.backoff(f.failures)
		case more:
			continue
		}
		wake := changed
		if err != nil || f.failures > 0 {
			wake = nil
		}
		select {
		case <-ctx.Done():
		case <-wake:
		case <-time.After(pause):
		}
	}
}

// step delivers what is due again, and then a batch of what is new. It reports whether
// there may be more at once.
func (f *follower) step(ctx context.Context) (more bool, err error) {
	if f.cursor == (weft.Cursor{}) {
		if f.cursor, err = f.store.Follow(ctx, f.key); err != nil {
			return false, err
		}
	}
	held, err := f.again(ctx)
	if err != nil || f.failures > 0 && len(held) > 0 && !f.probing(held) {
		return false, err
	}
	events, err := f.store.Events(ctx, weft.ProjectID{}, f.cursor, followBatch)
	if err != nil || len(events) == 0 {
		return false, err
	}
	tasks, last, err := f.tasks(ctx, events)
	if err != nil {
		return false, err
	}
	if f.AtMostOnce {
		if err := f.store.Advance(ctx, f.key, last, nil); err != nil {
			return false, err
		}
		f.cursor = last
		f.deliver(ctx, tasks, nil)
		return len(events) == followBatch, nil
	}
	f.deliver(ctx, tasks, held)
	if ctx.Err() != nil {
		return false, nil // what was sent is sent again, with the same ids
	}
	failed := f.failed(tasks, &last, events)
	if last == f.cursor {
		return false, nil
	}
	if err := f.store.Advance(ctx, f.key, last, failed); err != nil {
		return false, err
	}
	f.cursor = last
	if len(failed) > 0 {
		f.count(ctx)
	}
	return len(events) == followBatch || len(tasks) > 0, nil
}

// tasks makes what is to be sent of a batch. After a failure it is one thing only, to see
// whether anything gets through.
func (f *follower) tasks(ctx context.Context, events []weft.Event) (tasks []*task, last weft.Cursor, err error) {
	for _, e := range events {
		p, err := f.write(ctx, e)
		if err != nil {
			return nil, last, err
		}
		if p != nil {
			if f.failures > 0 && len(tasks) > 0 {
				return tasks, last, nil
			}
			tasks = append(tasks, &task{at: e.Cursor, run: e.Run, made: e.At, parcel: p})
		}
		last = e.Cursor
	}
	return tasks, last, nil
}

// deliver sends the tasks, those of one Run in order, and several Runs at once. Held are
// Runs of which something is waiting already.
func (f *follower) deliver(ctx context.Context, tasks []*task, held map[weft.RunID]bool) {
	var order []weft.RunID
	byRun := map[weft.RunID][]*task{}
	for _, t := range tasks {
		if byRun[t.run] == nil {
			order = append(order, t.run)
		}
		byRun[t.run] = append(byRun[t.run], t)
	}
	var mu sync.Mutex
	down := 0 // failures since the last success
	slots := make(chan struct{}, f.Concurrency)
	var wg sync.WaitGroup
	for _, run := range order {
		if held[run] {
			for _, t := range byRun[run] {
				t.state = behind
			}
			continue
		}
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			for i, t := range byRun[run] {
				mu.Lock()
				skip := down >= downAfter && !f.AtMostOnce || ctx.Err() != nil
				mu.Unlock()
				if skip {
					return
				}
				ok := f.send(ctx, t)
				mu.Lock()
				if down++; ok {
					down = 0
				}
				mu.Unlock()
				if !ok && !f.AtMostOnce {
					for _, t := range byRun[run][i+1:] {
						t.state = behind
					}
					return
				}
			}
		})
	}
	wg.Wait()
	f.judge(tasks)
}

func (f *follower) send(ctx context.Context, t *task) bool {
	_, t.err = f.post(ctx, f.Hook, *t.parcel)
	t.tries++
	if t.err != nil {
		t.state = refused
		f.stats.failed(f.Name, t.err)
		return false
	}
	t.state = sent
	f.stats.delivered(f.Name)
	return true
}

// judge notes whether anything gets through.
func (f *follower) judge(tasks []*task) {
	any := func(s taskState) bool { return slices.ContainsFunc(tasks, func(t *task) bool { return t.state == s }) }
	switch {
	case f.AtMostOnce || any(sent):
		f.failures = 0
	case any(refused):
		f.failures++
	}
}

// failed returns what is to be delivered later. When something was not tried, the cursor
// stays before it.
func (f *follower) failed(tasks []*task, last *weft.Cursor, events []weft.Event) []weft.Delivery {
	if i := slices.IndexFunc(tasks, func(t *task) bool { return t.state == skipped }); i >= 0 {
		*last = f.cursor
		for _, e := range events {
			if e.Cursor == tasks[i].at {
				break
			}
			*last = e.Cursor
		}
		tasks = tasks[:i]
	}
	var out []weft.Delivery
	for _, t := range tasks {
		if t.state == refused || t.state == behind {
			out = append(out, f.delivery(t))
		}
	}
	return out
}

// delivery is a task as it is kept for another try, or for the record that there is none.
func (f *follower) delivery(t *task) weft.Delivery {
	now := time.Now().UTC()
	d := weft.Delivery{Cursor: t.at, Run: t.run, Body: t.parcel.encode(), Tries: t.tries, At: t.made, Due: now.Add(f.backoff(t.tries))}
	if t.err != nil {
		d.Error = t.err.Error()
	}
	if t.state != behind && now.Sub(t.made) >= f.GiveUp {
		d.Due = time.Time{}
		f.log.Warn("something is not delivered, as it has failed for too long", "hook", f.Name, "run", t.run, "tries", t.tries, "error", t.err)
	}
	return d
}

// again delivers what is due again. It returns the Runs of which something still waits.
func (f *follower) again(ctx context.Context) (map[weft.RunID]bool, error) {
	ds, err := f.store.Deliveries(ctx, f.key, heldBatch)
	if err != nil {
		return nil, err
	}
	if len(ds) == 0 {
		if !f.counted {
			f.count(ctx)
		}
		return nil, nil
	}
	held, now := map[weft.RunID]bool{}, time.Now()
	var tasks []*task
	for _, d := range ds {
		first := !held[d.Run]
		held[d.Run] = true
		if !first && !slices.ContainsFunc(tasks, func(t *task) bool { return t.run == d.Run }) || first && d.Due.After(now) {
			continue
		}
		if f.failures > 0 && len(tasks) > 0 {
			continue // one is enough to see whether anything gets through
		}
		p, err := decodeParcel(d.Body)
		if err != nil {
			return nil, err
		}
		tasks = append(tasks, &task{at: d.Cursor, run: d.Run, made: d.At, parcel: p, tries: d.Tries})
	}
	if len(tasks) == 0 {
		return held, nil
	}
	f.deliver(ctx, tasks, nil)
	if ctx.Err() != nil {
		return held, nil
	}
	var done []weft.Cursor
	var failed []weft.Delivery
	for _, t := range tasks {
		switch t.state {
		case sent:
			done = append(done, t.at)
		case refused:
			failed = append(failed, f.delivery(t))
		}
	}
	if err := f.store.Redelivered(ctx, f.key, done, failed); err != nil {
		return nil, err
	}
	f.count(ctx)
	left := map[weft.RunID]bool{}
	if ds, err = f.store.Deliveries(ctx, f.key, heldBatch); err != nil {
		return nil, err
	}
	for _, d := range ds {
		left[d.Run] = true
	}
	return left, nil
}

// probing reports whether what is new may be tried though nothing got through before: a
// Run that never gets through must not keep the others back.
func (f *follower) probing(held map[weft.RunID]bool) bool { return len(held) < heldBatch/2 }

func (f *follower) count(ctx context.Context) {
	if _, dead, err := f.store.DeliveryCounts(ctx, f.key); err == nil {
		f.stats.dead.WithLabelValues(f.Name).Set(float64(dead))
		f.counted = true
	}
}

// storedParcel is a parcel in the database.
type storedParcel struct {
	ID      string            `json:"id"`
	Headers map[string]string `json:"headers"`
	Body    string            `json:"body"`
}

func (p *parcel) encode() []byte {
	b, _ := json.Marshal(storedParcel{p.id, p.headers, string(p.body)}) // strings never fail
	return b
}

func decodeParcel(b []byte) (*parcel, error) {
	var s storedParcel
	if err := json.Unmarshal(b, &s); err != nil {
		return nil, fmt.Errorf("read a delivery: %w", err)
	}
	return &parcel{id: s.ID, headers: s.Headers, body: []byte(s.Body)}, nil
}
