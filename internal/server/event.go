package server

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/weft-dev/weft"
	"github.com/weft-dev/weft/api"
)

const (
	eventBatch = 500
	heartbeat  = 15 * time.Second // so that proxies and clients know the stream stands
)

// eventRoutes declares the stream of events.
func (s *Server) eventRoutes() {
	s.stream(streamed{
		route: route{method: http.MethodGet, path: "/api/events", id: "follow-events", summary: "Follow what changes", verb: weft.Read, kind: "event",
			more: "Server-sent events; each has its cursor as id and an Event as data. The first has {} as data: the stream stands. " +
				"With the header Last-Event-ID it goes on after that cursor, else it begins now."},
		query: []param{
			{name: "kind", doc: "joined by commas: only events of these kinds"}, {name: "run", doc: "id: only events of this run"},
			{name: "plan", doc: "id: only events of this plan"}, {name: "data", doc: "id: only events of this data"},
			{name: "after", doc: "like the header Last-Event-ID, which counts first"},
		},
		gives: "text/event-stream", givesA: reflect.TypeFor[api.Event](),
	}, s.followEvents)
}

func (s *Server) followEvents(w http.ResponseWriter, r *http.Request) error {
	changed, stop := s.Store.Changed()
	defer stop()
	f, err := s.newFollower(w, r)
	if err != nil {
		return err
	}
	h := w.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Accel-Buffering", "no") // asks nginx not to hold it back
	if err := f.send(fmt.Sprintf("id: %s\ndata: {}\n\n", wireCursor(f.after))); err != nil {
		return err
	}
	beat := time.NewTicker(heartbeat)
	defer beat.Stop()
	for {
		if err := f.catchUp(r, s.Store); err != nil {
			return err
		}
		select {
		case <-changed:
		case <-beat.C:
			if err := f.send(":\n\n"); err != nil {
				return err
			}
		case <-r.Context().Done():
			return nil
		case <-s.closing:
			return nil
		}
	}
}

// A follower is one client of the stream of events.
type follower struct {
	w       http.ResponseWriter
	rc      *http.ResponseController
	project weft.ProjectID
	after   weft.Cursor
	wants   func(weft.Event) bool
}

func (s *Server) newFollower(w http.ResponseWriter, r *http.Request) (*follower, error) {
	q := r.URL.Query()
	f := &follower{w: w, rc: http.NewResponseController(w), project: principal(r.Context()).Project}
	var err error
	if f.wants, err = eventFilter(q); err != nil {
		return nil, err
	}
	from := r.Header.Get("Last-Event-ID")
	if from == "" {
		from = q.Get("after")
	}
	if from == "" {
		f.after, err = s.Store.LastCursor(r.Context())
	} else {
		f.after, err = domainCursor(from)
	}
	return f, err
}

func eventFilter(q url.Values) (func(weft.Event) bool, error) {
	var kinds []weft.EventKind
	if text := q.Get("kind"); text != "" {
		for _, k := range strings.Split(text, ",") {
			kinds = append(kinds, weft.EventKind(k))
		}
	}
	runs, someRun := idsOf[weft.Run](q, "run")
	plans, somePlan := idsOf[weft.Plan](q, "plan")
	data, someData := idsOf[weft.Data](q, "data")
	if !someRun || !somePlan || !someData {
		return nil, weft.Errorf(weft.NotFound, "run, plan or data is no id")
	}
	return func(e weft.Event) bool {
		return (kinds == nil || slices.Contains(kinds, e.Kind)) &&
			(runs == nil || slices.Contains(runs, e.Run)) &&
			(plans == nil || slices.Contains(plans, e.Plan)) &&
			(data == nil || slices.Contains(data, e.Data))
	}, nil
}

// catchUp sends all events that there are by now.
func (f *follower) catchUp(r *http.Request, store Store) error {
	for {
		events, err := store.Events(r.Context(), f.project, f.after, eventBatch)
		if err != nil || len(events) == 0 {
			return err
		}
		var b strings.Builder
		sent := false
		for _, e := range events {
			f.after = e.Cursor
			if sent = f.wants(e); !sent {
				continue
			}
			text, err := json.Marshal(wireEvent(e))
			if err != nil {
				return err
			}
			fmt.Fprintf(&b, "id: %s\ndata: %s\n\n", wireCursor(e.Cursor), text)
		}
		if !sent { // the client should not have to go through these again
			fmt.Fprintf(&b, "id: %s\n\n", wireCursor(f.after))
		}
		if err := f.send(b.String()); err != nil {
			return err
		}
		if len(events) < eventBatch {
			return nil
		}
	}
}

func (f *follower) send(text string) error {
	if _, err := f.w.Write([]byte(text)); err != nil {
		return err
	}
	return f.rc.Flush()
}
