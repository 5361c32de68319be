package api

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"iter"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// An EventQuery selects events.
type EventQuery struct {
	After string // cursor of the last event seen; "" is from now on
	Kinds []string
	Run   string
	Plan  string
	Data  string
}

// How long a broken stream of events is taken up again.
const (
	eventRetryFirst = 100 * time.Millisecond
	eventRetryMost  = 2 * time.Second
	eventRetryFor   = time.Minute
)

// Events yields what changes, as it changes, until ctx ends or the caller breaks off.
// An Event without a kind comes first, when the stream stands: what the caller asks
// for afterwards is at least as new. A stream that breaks is taken up again where it
// was, so that no event is lost; only when that fails for a minute an error is
// yielded, and nothing more.
func (c *Client) Events(ctx context.Context, q EventQuery) iter.Seq2[Event, error] {
	return func(yield func(Event, error) bool) {
		e := eventStream{c: c, q: q}
		for ctx.Err() == nil {
			err := e.read(ctx, yield)
			if e.stopped {
				return
			}
			if wait, ok := e.retry(err); ok {
				select {
				case <-time.After(wait):
				case <-ctx.Done():
				}
				continue
			}
			yield(Event{}, err)
			return
		}
		yield(Event{}, context.Cause(ctx))
	}
}

// eventStream is where a caller of Events has got to.
type eventStream struct {
	c       *Client
	q       EventQuery
	stood   bool // the stream was there once
	stopped bool // the caller has enough
	failed  time.Time
	wait    time.Duration
}

// retry says how long to wait before the stream is taken up again, if at all.
func (e *eventStream) retry(err error) (time.Duration, bool) {
	var reply *Error
	refused := errors.As(err, &reply) && reply.Status != 0 && reply.Status < 500
	if !e.stood || refused {
		return 0, false
	}
	if e.failed.IsZero() {
		e.failed, e.wait = time.Now(), eventRetryFirst
	}
	if time.Since(e.failed) > eventRetryFor {
		return 0, false
	}
	wait := e.wait
	e.wait = min(2*e.wait, eventRetryMost)
	return wait, true
}

// read opens the stream once and yields its events.
func (e *eventStream) read(ctx context.Context, yield func(Event, error) bool) error {
	p := params{}.joined("kind", e.q.Kinds).set("run", e.q.Run).set("plan", e.q.Plan).set("data", e.q.Data)
	header := http.Header{"Accept": {"text/event-stream"}}
	if e.q.After != "" {
		header.Set("Last-Event-ID", e.q.After)
	}
	body, err := e.c.stream(ctx, request{path: at("events"), query: url.Values(p), header: header})
	if err != nil {
		return err
	}
	defer body.Close()
	first := !e.stood
	e.stood, e.failed = true, time.Time{}
	return eachMessage(body, func(id, data string) bool {
		var ev Event
		if id != "" {
			e.q.After = id
		}
		if data == "" { // the stream has got further with nothing for us
			return true
		}
		if data != "{}" && json.Unmarshal([]byte(data), &ev) != nil {
			return true // from a newer server; not for us
		}
		if ev.Kind == "" && !first {
			return true
		}
		first = false
		ev.Cursor = e.q.After
		e.stopped = !yield(ev, nil)
		return !e.stopped
	})
}

// eachMessage calls f with every server-sent event that has an id or data.
func eachMessage(body io.Reader, f func(id, data string) bool) error {
	var id, data string
	lines := bufio.NewScanner(body)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		switch field, value, _ := strings.Cut(lines.Text(), ":"); field {
		case "":
			if lines.Text() == "" && id+data != "" {
				if !f(id, data) {
					return nil
				}
				id, data = "", ""
			}
		case "id":
			id = strings.TrimPrefix(value, " ")
		case "data":
			data += strings.TrimPrefix(value, " ")
		}
	}
	if err := lines.Err(); err != nil {
		return err
	}
	return io.ErrUnexpectedEOF
}
