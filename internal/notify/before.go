package notify

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"maps"
	"net/http"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/weft-dev/weft"
)

// Bounds of what hooks may give a Run.
const (
	maxLine   = 4096 // Runs that wait for one hook in memory
	lineAgain = time.Minute
	maxEnv    = 128 << 10 // bytes of one variable, as Linux has it
	maxEnvs   = 512 << 10 // bytes of all
)

// Views reads Runs as users see them.
type Views interface {
	Lookup
	Run(ctx context.Context, project weft.ProjectID, id weft.RunID) (weft.RunView, error)
	Trees(ctx context.Context, ids []weft.DataID) (map[weft.DataID]weft.Digest, error)
}

// A Question and an Answer are the engine's: see there.
type (
	Question struct {
		Run    weft.Run
		To     weft.Status
		Passed []string
		Env    map[string]string
		Tries  int
		Since  time.Time
	}
	Answer struct {
		Passed []string
		Env    map[string]string
		Held   error
		Again  time.Duration
	}
)

// Before holds the before hooks, which may be replaced at any time. It is safe for
// concurrent use.
type Before struct {
	poster
	views Views
	show  func(weft.RunView) ([]byte, error)
	log   *slog.Logger
	hooks atomic.Pointer[[]*beforeHook]
	stats *stats
}

// A beforeHook has a line of its own.
type beforeHook struct {
	Hook
	gone  context.Context // ends when the hook is no longer set as it is
	end   context.CancelFunc
	slots chan struct{} // one token for each call under way
	line  atomic.Int64  // calls under way and waiting
}

// NewBefore makes a Before without hooks. Show writes a Run as the API does.
func NewBefore(client *http.Client, agent string, views Views, show func(weft.RunView) ([]byte, error), log *slog.Logger, m *Metrics) *Before {
	b := &Before{poster: poster{client, agent}, views: views, show: show, log: log, stats: m.before}
	b.hooks.Store(new([]*beforeHook))
	return b
}

// Set replaces the hooks. A hook that stays as it was goes on; calls of others end, and
// whoever waits for one asks anew.
func (b *Before) Set(hooks []Hook) {
	old := *b.hooks.Load()
	var now []*beforeHook
	for _, h := range hooks {
		h = h.withDefaults()
		if i := slices.IndexFunc(old, func(o *beforeHook) bool { return reflect.DeepEqual(o.Hook, h) }); i >= 0 {
			now = append(now, old[i])
			continue
		}
		gone, end := context.WithCancel(context.Background())
		now = append(now, &beforeHook{Hook: h, gone: gone, end: end, slots: make(chan struct{}, h.Concurrency)})
	}
	b.hooks.Store(&now)
	for _, o := range old {
		if !slices.Contains(now, o) {
			o.end()
		}
	}
}

// errReplaced says that a hook is no longer set as it was when it was asked.
var errReplaced = weft.Errorf(weft.Unavailable, "its settings have changed")

// replacedAgain is how soon it is asked anew then.
const replacedAgain = 100 * time.Millisecond

// Wants reports whether a hook is to be asked before r becomes to.
func (b *Before) Wants(r weft.Run, to weft.Status) bool {
	hooks := *b.hooks.Load()
	if len(hooks) == 0 || !slices.Contains(engineMoves, to) {
		return false
	}
	return slices.ContainsFunc(hooks, func(h *beforeHook) bool {
		return h.wants(context.Background(), b.views, r.Project, r.Plan, to)
	})
}

// left lists the hooks that have yet to agree, in order.
func (b *Before) left(ctx context.Context, q Question) []*beforeHook {
	var out []*beforeHook
	for _, h := range *b.hooks.Load() {
		if !slices.Contains(q.Passed, h.Name) && h.wants(ctx, b.views, q.Run.Project, q.Run.Plan, q.To) {
			out = append(out, h)
		}
	}
	return out
}

// Next names the host of the hook that is asked first.
func (b *Before) Next(q Question) string {
	if left := b.left(context.Background(), q); len(left) > 0 {
		return left[0].host()
	}
	return ""
}

// Ask asks the hooks one after another, and returns at the first that does not agree.
func (b *Before) Ask(ctx context.Context, q Question) Answer {
	ans := Answer{Passed: slices.Clone(q.Passed), Env: maps.Clone(q.Env)}
	tries := q.Tries
	for _, h := range b.left(ctx, q) {
		env, err := b.call(ctx, h, q)
		if ctx.Err() != nil {
			ans.Held = ctx.Err()
			return ans
		}
		if h.gone.Err() != nil {
			ans.Held, ans.Again = weft.Errorf(weft.Unavailable, "waiting for hook %s: %w", h.host(), errReplaced), replacedAgain
			return ans
		}
		if err != nil && (!h.FailOpen || tries+1 < h.Tries) {
			b.stats.failed(h.Name, err)
			ans.Held, ans.Again = weft.Errorf(weft.Unavailable, "waiting for hook %s: %w", h.host(), err), h.backoff(tries+1)
			if h.line.Load() > maxLine {
				ans.Again = max(ans.Again, lineAgain)
			}
			return ans
		}
		if err != nil {
			b.stats.failed(h.Name, err)
			b.log.Warn("a run goes on though its hook did not agree, as the hook is set to fail open", "hook", h.Name, "run", q.Run.ID, "to", q.To, "error", err)
		} else {
			b.stats.delivered(h.Name)
		}
		tries = 0
		ans.Passed = append(ans.Passed, h.Name)
		if len(env) > 0 && ans.Env == nil {
			ans.Env = map[string]string{}
		}
		maps.Copy(ans.Env, env) // of two hooks, the later one wins
	}
	return ans
}

// call asks one hook once, when it is this Run's turn.
func (b *Before) call(ctx context.Context, h *beforeHook, q Question) (map[string]string, error) {
	defer h.line.Add(-1)
	if n := h.line.Add(1); n > maxLine {
		return nil, weft.Errorf(weft.Unavailable, "%d runs wait for it already", n-1)
	}
	select {
	case h.slots <- struct{}{}:
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-h.gone.Done():
		return nil, errReplaced
	}
	defer func() { <-h.slots }()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(h.gone, cancel)()
	v, err := b.views.Run(ctx, q.Run.Project, q.Run.ID)
	if err != nil {
		return nil, err
	}
	if v.Run.Status != q.Run.Status || v.Run.Attempt != q.Run.Attempt {
		return nil, weft.Errorf(weft.Unavailable, "the run is %s meanwhile", v.Run.Status)
	}
	body, err := b.show(v)
	if err != nil {
		return nil, err
	}
	reply, err := b.post(ctx, h.Hook, parcel{
		id:   deliveryID("before", h.Name, q.Run.Current().String(), string(q.Run.Status), string(q.To)),
		body: body,
		headers: map[string]string{HeaderWhen: "before", HeaderFrom: string(q.Run.Status), HeaderTo: string(q.To),
			HeaderAttempt: q.Run.Current().String()},
	})
	if err != nil || q.Run.Status != weft.Ready || q.To != weft.Starting {
		return nil, err
	}
	return readEnv(reply)
}

// envName is what Kubernetes takes for a name, so that a Run can go anywhere.
var envName = regexp.MustCompile(`^[-._a-zA-Z][-._a-zA-Z0-9]*$`)

// readEnv reads {"knitfabExtension":{"env":{NAME: VALUE}}}. Nothing at all is fine.
func readEnv(reply []byte) (map[string]string, error) {
	if len(bytes.TrimSpace(reply)) == 0 {
		return nil, nil
	}
	var doc struct {
		Extension struct {
			Env map[string]string `json:"env"`
		} `json:"knitfabExtension"`
	}
	if err := json.Unmarshal(reply, &doc); err != nil {
		return nil, weft.Errorf(weft.Unavailable, "its answer is not the JSON that it should be")
	}
	total := 0
	for name, value := range doc.Extension.Env {
		total += len(name) + len(value)
		switch {
		case !envName.MatchString(name):
			return nil, weft.Errorf(weft.Unavailable, "%.40q in its answer is not the name of a variable", name)
		case strings.ContainsRune(value, 0):
			return nil, weft.Errorf(weft.Unavailable, "the variable %.40s in its answer has a zero byte", name)
		case len(name)+len(value) >= maxEnv || total > maxEnvs:
			return nil, weft.Errorf(weft.TooLarge, "the variables in its answer are too large")
		}
	}
	return doc.Extension.Env, nil
}

// States tells how the hooks are doing.
func (b *Before) States() []weft.HookState {
	var out []weft.HookState
	for _, h := range *b.hooks.Load() {
		last := b.stats.of(h.Name)
		out = append(out, weft.HookState{Name: h.Name, When: "before", Host: h.host(), At: last.At, Error: last.Error, Waiting: h.line.Load()})
	}
	return out
}
