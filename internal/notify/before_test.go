package notify_test

import (
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/weft-dev/weft"
	"github.com/weft-dev/weft/internal/notify"
)

// A reply is what a hook answers.
type reply struct {
	status      int
	contentType string
	body        string
}

// replies answers by host, and notes who was asked.
type replies struct {
	by    map[string]reply
	asked []string
	last  *http.Request
}

// RoundTrip implements http.RoundTripper.
func (r *replies) RoundTrip(req *http.Request) (*http.Response, error) {
	r.asked, r.last = append(r.asked, req.URL.Host), req
	a, ok := r.by[req.URL.Host]
	if !ok {
		return nil, fmt.Errorf("no route to %s", req.URL.Host)
	}
	return &http.Response{StatusCode: a.status, Header: http.Header{"Content-Type": {a.contentType}}, Body: io.NopCloser(strings.NewReader(a.body))}, nil
}

func (w *world) before(r *replies, hooks ...notify.Hook) *notify.Before {
	b := notify.NewBefore(&http.Client{Transport: r}, "weft/test", views{w.s}, show, slog.New(slog.DiscardHandler), notify.NewMetrics(prometheus.NewRegistry()))
	b.Set(hooks)
	return b
}

// What a hook answers before a Run starts: variables of several hooks are merged, and the
// later one wins; nothing is fine, whatever its type; what is broken holds the Run.
func TestVariablesOfHooks(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	runs := w.runs(1)
	w.moves(runs, weft.Ready)
	const json = "application/json"
	env := func(s string) string { return `{"knitfabExtension":{"env":{` + s + `}},"other":1}` }
	for _, c := range []struct {
		first, second reply
		env, held     string
	}{
		{reply{200, json, env(`"A":"1","B":"2"`)}, reply{200, "application/json; charset=utf-8", env(`"B":"3","my.name-x":"4"`)}, "map[A:1 B:3 my.name-x:4]", ""},
		{reply{204, "", ""}, reply{200, json, ""}, "map[]", ""},
		{reply{200, json, " \n"}, reply{200, json, "{}"}, "map[]", ""},
		{reply{200, "text/plain", "hello"}, reply{201, "text/json", "{"}, "map[]", ""},
		{reply{200, json, env(`"A":"1"`)}, reply{299, "", ""}, "map[A:1]", ""},
		{reply{200, json, "{"}, reply{200, "", ""}, "", "waiting for hook first.test: its answer is not the JSON"},
		{reply{200, json, `{"knitfabExtension":{"env":{"A":1}}}`}, reply{200, "", ""}, "", "not the JSON"},
		{reply{200, json, env(`"1A":"x"`)}, reply{200, "", ""}, "", `"1A" in its answer is not the name`},
		{reply{200, json, env(`"A=B":"x"`)}, reply{200, "", ""}, "", "is not the name"},
		{reply{200, json, env(`"":"x"`)}, reply{200, "", ""}, "", "is not the name"},
		{reply{200, json, env(`"A":"x\u0000y"`)}, reply{200, "", ""}, "", "zero byte"},
		{reply{200, json, env(`"A":"` + strings.Repeat("x", 200<<10) + `"`)}, reply{200, "", ""}, "", "too large"},
		{reply{200, json, env(`"A":"` + strings.Repeat("x", 2<<20) + `"`)}, reply{200, "", ""}, "", "answered more than"},
		{reply{200, json, ""}, reply{302, "", ""}, "", "waiting for hook second.test: answered 302"},
		{reply{404, json, ""}, reply{200, "", ""}, "", "waiting for hook first.test: answered 404"},
	} {
		r := &replies{by: map[string]reply{"first.test": c.first, "second.test": c.second}}
		b := w.before(r, notify.Hook{URL: "http://first.test/a"}, notify.Hook{URL: "http://second.test/b"})
		ans := b.Ask(t.Context(), notify.Question{Run: runs[0], To: weft.Starting})
		switch {
		case c.held == "" && (ans.Held != nil || fmt.Sprint(ans.Env) != c.env):
			t.Errorf("%+v gives %v, %v; want %s", c, ans.Env, ans.Held, c.env)
		case c.held != "" && (ans.Held == nil || !strings.Contains(ans.Held.Error(), c.held) || ans.Again != time.Second):
			t.Errorf("it is held by %v for %s; want %q", ans.Held, ans.Again, c.held)
		}
	}
}

// Hooks are asked in order; those that have agreed are not asked again because a later one
// did not; and only before the changes, for the projects and plans that they are for.
func TestWhoIsAsked(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	run := w.runs(1)[0]
	r := &replies{by: map[string]reply{"a.test": {status: 200}, "b.test": {status: 500}, "c.test": {status: 200}}}
	b := w.before(r, notify.Hook{URL: "http://a.test/"}, notify.Hook{URL: "http://elsewhere.test/", Projects: []string{"other"}},
		notify.Hook{URL: "http://later.test/", Statuses: []weft.Status{weft.Done}}, notify.Hook{URL: "http://plan.test/", Plans: []string{"lab/other"}},
		notify.Hook{URL: "http://b.test/", Backoff: time.Second, Slowest: 3 * time.Second}, notify.Hook{URL: "http://c.test/", Projects: []string{"default"}, Plans: []string{"lab/px:1"}})
	q := notify.Question{Run: run, To: weft.Ready}
	ans := b.Ask(t.Context(), q)
	if ans.Held == nil || fmt.Sprint(r.asked) != "[a.test b.test]" || ans.Again != time.Second {
		t.Errorf("asked %v: %+v", r.asked, ans)
	}
	q.Passed, q.Tries = ans.Passed, 5
	if ans = b.Ask(t.Context(), q); ans.Again != 3*time.Second {
		t.Errorf("after many tries it is asked again in %s", ans.Again)
	}
	r.by["b.test"] = reply{status: 200}
	if ans = b.Ask(t.Context(), q); ans.Held != nil || fmt.Sprint(r.asked) != "[a.test b.test b.test b.test c.test]" {
		t.Errorf("asked %v: %+v", r.asked, ans)
	}
	h := r.last.Header
	if h.Get(notify.HeaderWhen) != "before" || h.Get(notify.HeaderFrom) != "waiting" || h.Get(notify.HeaderTo) != "ready" ||
		h.Get(notify.HeaderAttempt) != run.Current().String() || h.Get("User-Agent") != "weft/test" || h.Get(notify.HeaderSignature) != "" {
		t.Errorf("header %v", h)
	}
	for _, to := range []weft.Status{weft.Waiting, weft.Deactivated, weft.Invalidated} {
		if b.Wants(run, to) {
			t.Errorf("hooks want to be asked before %s", to)
		}
	}
	if states := b.States(); len(states) != 6 || !slices.ContainsFunc(states, func(s weft.HookState) bool { return s.Host == "b.test" && s.Error == "" && !s.At.IsZero() }) {
		t.Errorf("states %+v", states)
	}
	b.Set(nil)
	if b.Wants(run, weft.Ready) {
		t.Error("without hooks somebody wants to be asked")
	}
}

// What keeps a request from leaving is told, and the URL is not.
func TestReasonsTellNoSecret(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	b := w.before(&replies{}, notify.Hook{URL: "http://gone.test/s3cret?token=s3cret"})
	ans := b.Ask(t.Context(), notify.Question{Run: w.runs(1)[0], To: weft.Ready})
	if ans.Held == nil || strings.Contains(ans.Held.Error(), "s3cret") || !strings.Contains(ans.Held.Error(), "no route to gone.test") {
		t.Errorf("held by %v", ans.Held)
	}
}
