package engine_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/weft-dev/weft"
	"github.com/weft-dev/weft/internal/engine"
	"github.com/weft-dev/weft/internal/executor"
	"github.com/weft-dev/weft/internal/notify"
	"github.com/weft-dev/weft/internal/store"
)

// A listener is all the hooks of a world: an HTTP server without a network. It notes
// what it agreed to.
type listener struct {
	mu     sync.Mutex
	rng    *rand.Rand
	rate   float64 // of calls that go wrong
	answer func(r *http.Request) (status int, hang bool)
	agreed map[string]bool // "ATTEMPT STATUS" that the last hook agreed to
	calls  map[string]int  // by host
}

func newListener(seed uint64, rate float64) *listener {
	return &listener{rng: rand.New(rand.NewPCG(seed, 7)), rate: rate, agreed: map[string]bool{}, calls: map[string]int{}}
}

// RoundTrip answers a hook's call.
func (l *listener) RoundTrip(r *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	var run struct{ Status string }
	if err := json.Unmarshal(body, &run); err != nil || run.Status != r.Header.Get(notify.HeaderFrom) {
		return nil, fmt.Errorf("the body shows status %q (%v), and the change is from %s", run.Status, err, r.Header.Get(notify.HeaderFrom))
	}
	status, hang := l.decide(r)
	if hang {
		<-r.Context().Done()
		return nil, r.Context().Err()
	}
	l.mu.Lock()
	if status == http.StatusOK && r.URL.Host == "second.test" {
		l.agreed[r.Header.Get(notify.HeaderAttempt)+" "+r.Header.Get(notify.HeaderTo)] = true
	}
	l.mu.Unlock()
	env := fmt.Sprintf(`{"knitfabExtension":{"env":{"ATTEMPT":%q,"LAST":%q}}}`, r.Header.Get(notify.HeaderAttempt), r.URL.Host)
	return &http.Response{StatusCode: status, Header: http.Header{"Content-Type": {"application/json; charset=utf-8"}},
		Body: io.NopCloser(strings.NewReader(env))}, nil
}

func (l *listener) decide(r *http.Request) (int, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.calls[r.URL.Host]++
	if l.answer != nil {
		return l.answer(r)
	}
	if l.rng.Float64() < l.rate {
		return http.StatusServiceUnavailable, l.rng.IntN(2) == 0
	}
	return http.StatusOK, false
}

func (l *listener) said(attempt weft.Attempt, to weft.Status) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.agreed[attempt.String()+" "+string(to)]
}

// asked is the before hooks as the engine needs them.
type asked struct{ *notify.Before }

func (a asked) Ask(ctx context.Context, q engine.Question) engine.Answer {
	return engine.Answer(a.Before.Ask(ctx, notify.Question(q)))
}

func (a asked) Next(q engine.Question) string { return a.Before.Next(notify.Question(q)) }

// views adds the names of projects.
type views struct{ *store.Store }

func (v views) ProjectName(ctx context.Context, id weft.ProjectID) (string, error) {
	p, err := v.ProjectByID(ctx, id)
	return p.Name, err
}

func (w *world) hooks(l *listener, hooks ...notify.Hook) asked {
	show := func(v weft.RunView) ([]byte, error) { return json.Marshal(map[string]any{"status": v.Run.Status}) }
	b := notify.NewBefore(&http.Client{Transport: l}, "weft/test", views{w.store}, show, slog.New(slog.DiscardHandler), notify.NewMetrics(prometheus.NewRegistry()))
	b.Set(hooks)
	return asked{b}
}

// vault is no secret, but what it seals is not what it was.
type vault struct{}

func (vault) Seal(_ string, plain []byte) ([]byte, error) {
	out := slices.Clone(plain)
	for i := range out {
		out[i] ^= 0x5a
	}
	return append([]byte("sealed"), out...), nil
}

func (v vault) Open(purpose string, sealed []byte) ([]byte, error) {
	rest, ok := bytes.CutPrefix(sealed, []byte("sealed"))
	if !ok {
		return nil, errors.New("this was never sealed")
	}
	out, err := v.Seal(purpose, rest)
	return bytes.TrimPrefix(out, []byte("sealed")), err
}

// A watchedStore sees to it that no status is recorded that hooks did not agree to.
type watchedStore struct {
	engine.Store
	w *world
	l *listener
}

func (s watchedStore) SaveRuns(ctx context.Context, saves []weft.Save) []error {
	was := make([]weft.Status, len(saves))
	for i, v := range saves {
		if s.l.said(v.Run.Current(), v.Run.Status) {
			continue
		}
		r, err := s.w.store.Run(ctx, s.w.project, v.Run.ID)
		if err != nil && ctx.Err() == nil {
			s.w.t.Error(err)
		}
		was[i] = r.Run.Status
	}
	errs := s.Store.SaveRuns(ctx, saves)
	for i, v := range saves {
		if errs[i] == nil && was[i] != "" && was[i] != v.Run.Status {
			s.w.t.Errorf("run %s is recorded as %s, and its hooks have not agreed", v.Run.ID, v.Run.Status)
		}
		if bytes.Contains(v.Env, []byte("ATTEMPT")) {
			s.w.t.Error("variables are stored as they are")
		}
	}
	return errs
}

// A watchedExecutor sees to it that every attempt gets the variables that hooks gave it.
type watchedExecutor struct {
	executor.Executor
	w *world
}

func (x watchedExecutor) Start(ctx context.Context, job executor.Job) error {
	if !slices.Contains(job.Env, "ATTEMPT="+job.Attempt.String()) || !slices.Contains(job.Env, "LAST=second.test") {
		// A call that comes late, when others have brought the Run further, does no harm.
		v, err := x.w.store.Run(ctx, x.w.project, job.Attempt.Run)
		if err == nil && v.Run.Status == weft.Starting && v.Run.Current() == job.Attempt {
			x.w.t.Errorf("attempt %s is started with %q", job.Attempt, job.Env)
		}
	}
	return x.Executor.Start(ctx, job)
}

// Histories with hooks that fail and hang, engines that crash, and calls that go wrong
// end as those without any; and no status is recorded before the hooks agreed to it.
func TestHooksInDisturbedHistories(t *testing.T) {
	t.Parallel()
	var want map[string]string
	synctest.Test(t, func(t *testing.T) { want = history(t, 0, 0) })
	for i := range (*seeds + 7) / 8 {
		seed := *firstSeed + uint64(i)
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				if d := cmp.Diff(want, hookedHistory(t, seed)); d != "" {
					t.Errorf("ends otherwise than without hooks: %s", d)
				}
			})
		})
	}
}

func hookedHistory(t *testing.T, seed uint64) map[string]string {
	t.Helper()
	rng := rand.New(rand.NewPCG(seed, 2))
	w := newWorld(t, executor.Capacity{Resources: must(weft.ParseResources(map[string]string{"cpu": "4", "memory": "64Gi"})),
		Devices: map[string][]string{"gpu": {"a", "b"}}})
	l := newListener(seed, 0.1)
	w.adjust = func(c *engine.Config) {
		c.Hooks, c.Vault = w.hooks(l, notify.Hook{URL: "http://first.test/", Timeout: 5 * time.Second}, notify.Hook{URL: "http://second.test/", Timeout: 5 * time.Second}), vault{}
		c.Store, c.Executor = watchedStore{c.Store, w, l}, watchedExecutor{c.Executor, w}
	}
	var later, users sync.WaitGroup
	users.Go(w.people)
	for range 2 + rng.IntN(4) {
		w.live(&faults{rng: rand.New(rand.NewPCG(seed, rng.Uint64())), rate: 0.04, later: &later}, time.Duration(rng.Int64N(int64(90*time.Second))))
		time.Sleep(time.Duration(rng.Int64N(int64(20 * time.Second))))
	}
	users.Wait()
	later.Wait()
	w.settle()
	return w.outcome()
}

// hooked sets an Engine with hooks going, until the test ends.
func (w *world) hooked(l *listener, hooks ...notify.Hook) asked {
	c, set := w.config(), w.hooks(l, hooks...)
	c.Hooks, c.Vault = set, vault{}
	ctx, cancel := context.WithCancel(w.t.Context())
	ended := make(chan error, 1)
	go func() { ended <- engine.New(c).Run(ctx) }()
	w.t.Cleanup(func() {
		cancel()
		w.must(<-ended)
	})
	return set
}

// count counts the Runs of a plan in a status.
func (w *world) count(plan weft.PlanID, status weft.Status) (n int) {
	for _, r := range w.runs() {
		if r.Plan == plan && r.Status == status {
			n++
		}
	}
	return n
}

// A hook that hangs holds its own Runs: others, with hooks or without, pass it by, though
// there are far more of the ones that hang than fit any queue.
func TestAHookThatHangsHoldsItsOwnRunsOnly(t *testing.T) {
	t.Parallel()
	for _, limit := range []weft.Resources{must(weft.ParseResources(map[string]string{"cpu": "2", "memory": "64Gi"})), nil} {
		for _, to := range []weft.Status{weft.Ready, weft.Starting, weft.Running, weft.Completing, weft.Done} {
			t.Run(fmt.Sprint(len(limit), to), func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					w := newWorld(t, executor.Capacity{Resources: limit})
					const many = 40
					for i := range many {
						w.push(fmt.Sprint(i), "kind:in", "kind:second")
					}
					script := "after 1s write /out/x=x"
					if to == weft.Running { // one that has ended completes, and was never running
						script = "after 2h"
					}
					hangs := w.plan("hangs", "/in kind:in → /out kind:a", script, "cpu:10m memory:1Mi")
					other := w.plan("other", "/in kind:in → /out kind:b", "write /out/x=x", "cpu:1")
					free := w.plan("free", "/in kind:in → /out kind:c", "write /out/x=x", "cpu:1")
					l := newListener(1, 0)
					l.answer = func(r *http.Request) (int, bool) { return 200, r.URL.Host == "hangs.test" }
					w.hooked(l, notify.Hook{URL: "http://hangs.test/", Plans: []string{"lab/hangs"}, Statuses: []weft.Status{to}, Timeout: time.Hour},
						notify.Hook{URL: "http://second.test/", Plans: []string{"lab/other"}})
					time.Sleep(time.Minute)
					synctest.Wait()
					if n := w.count(other, weft.Done) + w.count(free, weft.Done); n != 2*many {
						t.Errorf("of the %d runs that do not hang, %d are done", 2*many, n)
					}
					if n := w.count(hangs, weft.Done); n != 0 {
						t.Errorf("%d runs are done though their hook hangs", n)
					}
					for _, r := range w.runs() {
						if r.Plan == hangs && !strings.HasPrefix(r.Reason, "waiting for hook hangs.test") {
							t.Errorf("a run that hangs is %s, and says %q", r.Status, r.Reason)
						}
					}
				})
			})
		}
	}
}

// A hook that answers at once adds nothing to a Run's time.
func TestHooksAddTheirLatencyOnly(t *testing.T) {
	t.Parallel()
	for _, delay := range []time.Duration{0, 50 * time.Millisecond} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, executor.Capacity{})
			w.plan("p", "/in kind:in → /out kind:a", "after 1s write /out/x=x", "")
			l := newListener(1, 0)
			l.answer = func(*http.Request) (int, bool) { time.Sleep(delay); return 200, false }
			w.hooked(l, notify.Hook{URL: "http://second.test/"})
			for i := range 50 {
				w.push(fmt.Sprint(i), "kind:in")
				time.Sleep(5 * time.Second)
				synctest.Wait()
			}
			for _, r := range w.runs() {
				// five changes, the last of them after it has ended
				if took, most := r.EndedAt.Sub(r.CreatedAt), time.Second+5*delay+20*time.Millisecond; r.Status != weft.Done || took > most {
					t.Errorf("with hooks of %s, a run is %s after %s; it should take %s at most", delay, r.Status, took, most)
				}
			}
		})
	}
}

// A hook that hangs and is removed from the settings holds nobody any more, those who wait
// in its line included.
func TestAHookThatIsRemovedLetsGo(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, executor.Capacity{})
		p := w.plan("p", "/in kind:in → /out kind:a", "write /out/x=x", "")
		l := newListener(1, 0)
		l.answer = func(r *http.Request) (int, bool) { return 200, r.URL.Host == "hangs.test" }
		set := w.hooked(l, notify.Hook{URL: "http://hangs.test/", Timeout: time.Hour}, notify.Hook{URL: "http://second.test/"})
		for i := range 40 {
			w.push(fmt.Sprint(i), "kind:in")
		}
		time.Sleep(20 * time.Second)
		if n := w.count(p, weft.Waiting); n != 40 {
			t.Errorf("%d runs wait for the hook", n)
		}
		set.Set([]notify.Hook{{URL: "http://second.test/"}})
		time.Sleep(10 * time.Second)
		synctest.Wait()
		if n := w.count(p, weft.Done); n != 40 {
			t.Errorf("%d runs are done", n)
		}
	})
}

// A hook that refuses says so on the Run, with the time of the next try; when it agrees
// the Run goes on.
func TestAHookThatRefusesIsTriedAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, executor.Capacity{})
		p := w.plan("p", "/in kind:in → /out kind:a", "write /out/x=x", "")
		l, status := newListener(1, 0), 503
		l.answer = func(*http.Request) (int, bool) { return status, false }
		w.hooked(l, notify.Hook{URL: "http://second.test/secret-path"})
		w.push("d", "kind:in")
		time.Sleep(10 * time.Second)
		synctest.Wait()
		r := w.runs()[0]
		if want := "waiting for hook second.test: answered 503; tried again at "; r.Status != weft.Waiting || !strings.HasPrefix(r.Reason, want) {
			t.Errorf("the run is %s, and says %q; want %q", r.Status, r.Reason, want)
		}
		if n := l.calls["second.test"]; n != 4 { // after 0, 1, 3, 7 seconds
			t.Errorf("the hook was called %d times in ten seconds", n)
		}
		l.mu.Lock()
		status = 204
		l.mu.Unlock()
		time.Sleep(time.Minute)
		synctest.Wait()
		if w.count(p, weft.Done) != 1 {
			t.Errorf("the hook agrees, and the run is %s: %s", w.runs()[0].Status, w.runs()[0].Reason)
		}
	})
}

// A hook that fails open holds a Run for its tries only.
func TestFailOpen(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, executor.Capacity{})
		p := w.plan("p", "/in kind:in → /out kind:a", "write /out/x=x", "")
		l := newListener(1, 0)
		l.answer = func(*http.Request) (int, bool) { return 500, false }
		w.hooked(l, notify.Hook{URL: "http://second.test/", FailOpen: true, Tries: 2, Statuses: []weft.Status{weft.Starting}})
		w.push("d", "kind:in")
		time.Sleep(20 * time.Second)
		synctest.Wait()
		if w.count(p, weft.Done) != 1 || l.calls["second.test"] != 2 {
			t.Errorf("after %d calls the run is %s", l.calls["second.test"], w.runs()[0].Status)
		}
	})
}

// A user may stop a Run that waits for a hook.
func TestARunThatWaitsForAHookCanBeStopped(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, executor.Capacity{})
		w.plan("p", "/in kind:in → /out kind:a", "write /out/x=x", "")
		l := newListener(1, 0)
		l.answer = func(*http.Request) (int, bool) { return 200, true }
		w.hooked(l, notify.Hook{URL: "http://hangs.test/", Timeout: time.Hour, Statuses: []weft.Status{weft.Starting}})
		w.push("d", "kind:in")
		time.Sleep(20 * time.Second)
		_, err := w.store.StopRun(t.Context(), w.project, w.runs()[0].ID, weft.Stop{Fail: true}, w.by)
		w.must(err)
		time.Sleep(20 * time.Second)
		synctest.Wait()
		if r := w.runs()[0]; r.Status != weft.Failed {
			t.Errorf("the run is %s: %s", r.Status, r.Reason)
		}
	})
}
