package notify

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"reflect"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/weft-dev/weft"
)

// After holds the after hooks and the receivers of OpenLineage events, which may be
// replaced at any time. It is safe for concurrent use.
type After struct {
	client *http.Client
	agent  string
	store  Log
	views  Views
	show   func(weft.RunView) ([]byte, error)
	log    *slog.Logger
	stats  *stats

	mu      sync.Mutex
	hooks   []Hook
	lineage []Lineage
	set     chan struct{} // gets a value when they were replaced
}

// NewAfter makes an After without hooks. Show writes a Run as the API does.
func NewAfter(client *http.Client, agent string, store Log, views Views, show func(weft.RunView) ([]byte, error), log *slog.Logger, m *Metrics) *After {
	return &After{client: client, agent: agent, store: store, views: views, show: show, log: log, stats: m.after, set: make(chan struct{}, 1)}
}

// Set replaces hooks and receivers. One that is new begins with what happens from then on.
func (a *After) Set(hooks []Hook, lineage []Lineage) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.hooks = nil
	for _, h := range hooks {
		a.hooks = append(a.hooks, h.withDefaults())
	}
	a.lineage = nil
	for _, l := range lineage {
		l.Hook = l.Hook.withDefaults()
		a.lineage = append(a.lineage, l)
	}
	select {
	case a.set <- struct{}{}:
	default:
	}
}

// A runner is a follower at work.
type runner struct {
	spec any
	end  context.CancelFunc
	done chan struct{}
}

func (r runner) stop() {
	r.end()
	<-r.done
}

// Run follows events for all of them until ctx ends.
func (a *After) Run(ctx context.Context) error {
	running := map[string]runner{}
	defer func() {
		for _, r := range running {
			r.stop()
		}
	}()
	for {
		a.arrange(ctx, running)
		select {
		case <-ctx.Done():
			return nil
		case <-a.set:
		}
	}
}

// arrange stops who is no longer wanted as he is, and starts who is new.
func (a *After) arrange(ctx context.Context, running map[string]runner) {
	specs, keys := a.wanted()
	for key, r := range running {
		if !reflect.DeepEqual(specs[key], r.spec) {
			r.stop()
			delete(running, key)
		}
	}
	if err := a.store.KeepFollowers(ctx, append(keys, weft.FollowerNotify)); err != nil && ctx.Err() == nil {
		a.log.Warn("followers that are no longer there could not be forgotten: events are kept for them", "error", err)
	}
	for key, spec := range specs {
		if _, ok := running[key]; ok {
			continue
		}
		fctx, end := context.WithCancel(ctx)
		r := runner{spec, end, make(chan struct{})}
		running[key] = r
		go func() {
			defer close(r.done)
			a.follower(key, spec).run(fctx)
		}()
	}
}

func (a *After) wanted() (map[string]any, []string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	specs, keys := map[string]any{}, []string(nil)
	for _, h := range a.hooks {
		specs["after:"+h.Name] = h
	}
	for _, l := range a.lineage {
		specs["openlineage:"+l.Name] = l
	}
	for key := range specs {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	return specs, keys
}

func (a *After) follower(key string, spec any) *follower {
	f := &follower{poster: poster{a.client, a.agent}, key: key, log: a.log, store: a.store, stats: a.stats}
	switch spec := spec.(type) {
	case Hook:
		f.Hook, f.write = spec, func(ctx context.Context, e weft.Event) (*parcel, error) { return a.hookParcel(ctx, spec, e) }
	case Lineage:
		f.Hook, f.write = spec.Hook, func(ctx context.Context, e weft.Event) (*parcel, error) { return a.lineageParcel(ctx, spec, e) }
	}
	return f
}

// isMove reports whether an event is a change of a Run's status.
func isMove(e weft.Event) bool {
	return e.Kind == weft.RunChanged && !e.Run.IsZero() && e.To != "" && e.From != e.To
}

// byEngine reports whether it is one that hooks are called for if they do not want all.
func byEngine(e weft.Event) bool {
	return e.From != "" && e.By.IsZero() && slices.Contains(engineMoves, e.To)
}

// hookParcel makes what an after hook is sent of an event.
func (a *After) hookParcel(ctx context.Context, h Hook, e weft.Event) (*parcel, error) {
	if !isMove(e) || !h.All && !byEngine(e) || !h.wants(ctx, a.views, e.Project, e.Plan, e.To) {
		return nil, nil
	}
	v, err := a.then(ctx, e)
	if err != nil {
		return nil, err
	}
	body, err := a.show(v)
	if err != nil {
		return nil, err
	}
	return &parcel{id: eventID("after", h.Name, e.Cursor), body: body, headers: map[string]string{
		HeaderWhen: "after", HeaderFrom: string(e.From), HeaderTo: string(e.To), HeaderAttempt: v.Run.Current().String()}}, nil
}

// eventID is the id of what one receiver is told of one event.
func eventID(when, name string, c weft.Cursor) string {
	return deliveryID(when, name, strconv.FormatInt(c.Xid, 10), strconv.FormatInt(c.Seq, 10))
}

// then returns the Run as an event left it, as far as that is still known: what came
// later is left out. Of a Run that is gone nothing is known but what the event says.
func (a *After) then(ctx context.Context, e weft.Event) (weft.RunView, error) {
	v, err := a.views.Run(ctx, e.Project, e.Run)
	if weft.KindOf(err) == weft.NotFound {
		v, err = weft.RunView{Run: weft.Run{ID: e.Run, Project: e.Project, Attempt: e.Attempt}, Plan: weft.Plan{ID: e.Plan}}, nil
	}
	if err != nil {
		return v, err
	}
	return asOf(v, e), nil
}

func asOf(v weft.RunView, e weft.Event) weft.RunView {
	r := &v.Run
	now := r.Status == e.To && (e.Attempt == 0 || e.Attempt == r.Attempt)
	if now {
		return v
	}
	r.UpdatedAt, r.Reason = e.At, ""
	if e.Attempt != 0 && e.Attempt != r.Attempt { // what it made was discarded since
		r.Attempt, r.Exit, r.StartedAt, r.EndedAt, r.Log = e.Attempt, nil, time.Time{}, time.Time{}, weft.DataID{}
		r.End, r.Image, r.Node, r.Resources = weft.EndUnknown, weft.Digest{}, "", nil
		r.Outputs = slices.Clone(r.Outputs)
		for i := range r.Outputs {
			r.Outputs[i].Data = weft.DataID{}
		}
	}
	r.Status = e.To
	switch e.To {
	case weft.Deactivated, weft.Waiting, weft.Ready, weft.Starting:
		r.Exit, r.StartedAt, r.EndedAt = nil, time.Time{}, time.Time{}
	case weft.Running:
		r.Exit, r.EndedAt = nil, time.Time{}
	case weft.Completing, weft.Aborting:
		r.EndedAt = time.Time{}
	}
	return v
}

// States tells how the receivers are doing.
func (a *After) States(ctx context.Context) ([]weft.HookState, error) {
	specs, keys := a.wanted()
	var out []weft.HookState
	for _, key := range keys {
		h := hookOf(specs[key])
		last := a.stats.of(h.Name)
		s := weft.HookState{Name: h.Name, When: "after", Host: h.host(), At: last.At, Error: last.Error}
		if _, ok := specs[key].(Lineage); ok {
			s.When = "openlineage"
		}
		var err error
		if s.Waiting, s.Dead, err = a.store.DeliveryCounts(ctx, key); err != nil {
			return nil, err
		}
		cursor, err := a.store.Follow(ctx, key)
		if err != nil {
			return nil, err
		}
		next, err := a.store.Events(ctx, weft.ProjectID{}, cursor, 1)
		if err != nil {
			return nil, err
		}
		if len(next) > 0 {
			s.Behind = next[0].At
		}
		out = append(out, s)
	}
	return out, nil
}

func hookOf(spec any) Hook {
	if l, ok := spec.(Lineage); ok {
		return l.Hook
	}
	h, _ := spec.(Hook)
	return h
}

// Revive has what a receiver was not told in the end tried again.
func (a *After) Revive(ctx context.Context, name string) (int64, error) {
	specs, keys := a.wanted()
	for _, key := range keys {
		if hookOf(specs[key]).Name == name {
			return a.store.ReviveDeliveries(ctx, key)
		}
	}
	return 0, weft.Errorf(weft.NotFound, "there is no after hook %q", name)
}

// marshal writes JSON of values that cannot fail.
func marshal(v any) ([]byte, error) { return json.Marshal(v) }
