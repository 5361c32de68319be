package notify_test

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/weft-dev/weft"
	"github.com/weft-dev/weft/internal/notify"
	"github.com/weft-dev/weft/internal/store"
	"github.com/weft-dev/weft/internal/store/storetest"
)

// A world is a store whose Runs are moved by hand, and receivers without a network.
type world struct {
	*testing.T
	s       *store.Store
	project weft.ProjectID
	by      weft.PrincipalID
	n       int

	mu     sync.Mutex
	got    []call
	answer func(c call) (int, bool) // status; true: never
	arrive chan struct{}
}

// A call is what a receiver got.
type call struct {
	host, id, from, to, when, signature, auth string
	run                                       string // of the body
	status                                    string // of the body
	body                                      []byte
	answered                                  int
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{T: t, s: storetest.SQLite(t), arrive: make(chan struct{}, 1)}
	p, err := w.s.DefaultProject(t.Context())
	w.must(err)
	by, err := w.s.EnsureAdmin(t.Context(), [32]byte{1})
	w.must(err)
	w.project, w.by = p.ID, by.ID
	return w
}

func (w *world) must(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

// RoundTrip is every receiver.
func (w *world) RoundTrip(r *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	var run struct{ RunID, Status string }
	if err := json.Unmarshal(body, &run); err != nil {
		return nil, err
	}
	c := call{host: r.URL.Host, id: r.Header.Get(notify.HeaderDelivery), from: r.Header.Get(notify.HeaderFrom), to: r.Header.Get(notify.HeaderTo),
		when: r.Header.Get(notify.HeaderWhen), signature: r.Header.Get(notify.HeaderSignature), auth: r.Header.Get("Authorization"),
		run: run.RunID, status: run.Status, body: body, answered: 200}
	w.mu.Lock()
	hang := false
	if w.answer != nil {
		c.answered, hang = w.answer(c)
	}
	w.got = append(w.got, c)
	w.mu.Unlock()
	if hang {
		<-r.Context().Done()
		return nil, r.Context().Err()
	}
	return &http.Response{StatusCode: c.answered, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(""))}, nil
}

// all returns what everybody got, glad or not.
func (w *world) all() []call {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.got)
}

// calls returns what a host got, and was glad of.
func (w *world) calls(host string) (out []call) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, c := range w.got {
		if c.host == host && c.answered == 200 {
			out = append(out, c)
		}
	}
	return out
}

func (w *world) answers(f func(c call) (int, bool)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.answer = f
}

type views struct{ *store.Store }

func (v views) ProjectName(ctx context.Context, id weft.ProjectID) (string, error) {
	p, err := v.ProjectByID(ctx, id)
	return p.Name, err
}

func show(v weft.RunView) ([]byte, error) {
	return json.Marshal(map[string]any{"runId": v.Run.ID, "status": v.Run.Status})
}

// after makes an After of hooks; run sets it going until stop is called.
func (w *world) after(hooks []notify.Hook, lineage ...notify.Lineage) (a *notify.After, stop func()) {
	w.Helper()
	a = notify.NewAfter(&http.Client{Transport: w}, "weft/test", w.s, views{w.s}, show, slog.New(slog.DiscardHandler), notify.NewMetrics(prometheus.NewRegistry()))
	a.Set(hooks, lineage)
	ctx, cancel := context.WithCancel(w.Context())
	ended := make(chan error, 1)
	go func() { ended <- a.Run(ctx) }()
	return a, sync.OnceFunc(func() {
		cancel()
		w.must(<-ended)
	})
}

// runs makes n Runs of a new plan, which wait.
func (w *world) runs(n int) []weft.Run {
	w.Helper()
	w.n++
	tag := "k:v" + strings.Repeat("x", w.n)
	tags, err := weft.ParseTags(tag)
	w.must(err)
	image, err := weft.ParseImage("lab/p" + strings.Repeat("x", w.n) + ":1")
	w.must(err)
	p := weft.Plan{ID: weft.NewID[weft.Plan](), Project: w.project, Image: image, Active: true, CreatedAt: time.Now(),
		Inputs: []weft.Input{{Path: "/in", Tags: tags}}, Outputs: []weft.Output{{Path: "/out"}}, Log: &weft.Log{}}.Normalize()
	w.must(p.Validate())
	_, err = w.s.CreatePlan(w.Context(), p, w.by)
	w.must(err)
	for range n {
		_, err := w.s.PushData(w.Context(), weft.Push{Project: w.project, By: w.by, Plan: weft.PlanUploaded, Run: weft.NewID[weft.Run](),
			Data: weft.NewID[weft.Data](), Tags: tags, At: time.Now().UTC()})
		w.must(err)
	}
	for more := true; more; {
		_, m, err := w.s.Project(w.Context(), 1000)
		w.must(err)
		more = m
	}
	var out []weft.Run
	for v, err := range w.s.FindRuns(w.Context(), weft.RunQuery{Project: w.project, Plans: []weft.PlanID{p.ID}}) {
		w.must(err)
		out = append(out, v.Run)
	}
	if len(out) != n {
		w.Fatalf("%d runs were made, not %d", len(out), n)
	}
	return out
}

// moves has Runs become one status after another.
func (w *world) moves(runs []weft.Run, to ...weft.Status) {
	w.Helper()
	for _, status := range to {
		saves := make([]weft.Save, len(runs))
		for i, r := range runs {
			next, err := r.To(status, time.Now().UTC())
			w.must(err)
			if status == weft.Aborting {
				next.Exit, next.End = weft.NewExit(3, "no luck"), weft.EndExit
			}
			saves[i], runs[i] = weft.Save{Run: next, Rev: r.Rev}, next
		}
		for _, err := range w.s.SaveRuns(w.Context(), saves) {
			w.must(err)
		}
	}
}

var wholeLife = []weft.Status{weft.Ready, weft.Starting, weft.Running, weft.Completing, weft.Done}

// inOrder fails unless the host was told, for each Run, of this and of nothing else.
func (w *world) inOrder(host string, runs []weft.Run, want ...weft.Status) {
	w.Helper()
	told := map[string][]string{}
	ids := map[string]bool{}
	for _, c := range w.calls(host) {
		told[c.run] = append(told[c.run], c.to)
		if c.status != c.to {
			w.Errorf("the body says %s after a change to %s", c.status, c.to)
		}
		if ids[c.id] {
			w.Errorf("delivery %s came twice", c.id)
		}
		ids[c.id] = true
	}
	var texts []string
	for _, s := range want {
		texts = append(texts, string(s))
	}
	for _, r := range runs {
		if got := strings.Join(told[r.ID.String()], " "); got != strings.Join(texts, " ") {
			w.Errorf("%s was told of run %s: %s; want %s", host, r.ID, got, strings.Join(texts, " "))
		}
	}
}
