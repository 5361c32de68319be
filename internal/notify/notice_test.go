package notify_test

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/weft-dev/weft"
	"github.com/weft-dev/weft/internal/egress"
	"github.com/weft-dev/weft/internal/notify"
)

// vault is no secret, but what it seals is not what it was.
type vault struct{}

func (vault) Seal(_ string, plain []byte) ([]byte, error) { return bytes.ToUpper(plain), nil }
func (vault) Open(_ string, sealed []byte) ([]byte, error) {
	return bytes.ToLower(sealed), nil
}

func (w *world) notifier() (n *notify.Notifier, stop func()) {
	w.Helper()
	n = notify.NewNotifier(&http.Client{Transport: w}, "weft/test", w.s, views{w.s}, vault{}, new(egress.Policy).Check, slog.New(slog.DiscardHandler),
		notify.NewMetrics(prometheus.NewRegistry()))
	ctx, cancel := context.WithCancel(w.Context())
	ended := make(chan error, 1)
	go func() { ended <- n.Run(ctx) }()
	return n, sync.OnceFunc(func() {
		cancel()
		w.must(<-ended)
	})
}

func (w *world) rule(n *notify.Notifier, url string, rule weft.Notification) weft.NotificationID {
	w.Helper()
	rule.ID, rule.Project, rule.By = weft.NewID[weft.Notification](), w.project, w.by
	_, err := n.Create(w.Context(), rule, url, []byte("shh"))
	w.must(err)
	return rule.ID
}

type told struct {
	Text  string
	Total int
	Runs  []struct{ RunID, Event, Detail, Plan string }
}

func (w *world) told(host string) (out []told) {
	w.Helper()
	for _, c := range w.calls(host) {
		var m told
		w.must(json.Unmarshal(c.body, &m))
		w.must(notify.Verify([]byte("shh"), c.signature, c.id, c.body, time.Now(), 24*time.Hour))
		out = append(out, m)
	}
	return out
}

var failing = []weft.Status{weft.Ready, weft.Starting, weft.Running, weft.Aborting, weft.Failed}

// A failure is told at once; a thousand of them are two messages, and nothing is told twice.
func TestAThousandFailuresAreADigest(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		n, stop := w.notifier()
		w.rule(n, "http://chat.test/hook/s3cret", weft.Notification{})
		time.Sleep(5 * time.Second)
		w.moves(w.runs(1), failing...)
		time.Sleep(3 * time.Second)
		if m := w.told("chat.test"); len(m) != 1 || m[0].Total != 1 || m[0].Runs[0].Detail != "exit code 3: no luck" || !strings.Contains(m[0].Text, "[weft default] failed: lab/p") {
			t.Fatalf("told %+v", m)
		}
		w.moves(w.runs(999), failing...)
		stop()
		_, stop = w.notifier()
		defer stop()
		time.Sleep(time.Hour)
		m := w.told("chat.test")
		if len(m) != 2 || m[1].Total != 999 || len(m[1].Runs) != 20 || !strings.Contains(m[1].Text, "999 failed") || !strings.Contains(m[1].Text, "and 979 more") {
			t.Errorf("told %d messages, the last about %d", len(m), m[len(m)-1].Total)
		}
	})
}

func TestNotificationsAreFiltered(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		n, stop := w.notifier()
		defer stop()
		tags, err := weft.ParseTags("k:vx")
		w.must(err)
		w.rule(n, "http://done.test/", weft.Notification{On: []weft.Occasion{weft.OnDone}})
		w.rule(n, "http://plan.test/", weft.Notification{On: []weft.Occasion{weft.OnDone, weft.OnFailed}, Plans: []string{"lab/pxx"}})
		w.rule(n, "http://tag.test/", weft.Notification{Tags: tags})
		time.Sleep(5 * time.Second)
		w.moves(w.runs(1), failing...)   // lab/px
		w.moves(w.runs(1), wholeLife...) // lab/pxx
		time.Sleep(time.Hour)
		for host, want := range map[string]string{"done.test": "lab/pxx:1", "plan.test": "lab/pxx:1", "tag.test": "lab/px:1"} {
			if m := w.told(host); len(m) != 1 || m[0].Total != 1 || m[0].Runs[0].Plan != want {
				t.Errorf("%s is told %+v; want one about %s", host, m, want)
			}
		}
	})
}

// Whoever waits too long is told of once, with the reason.
func TestRunsThatWaitTooLong(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		n, stop := w.notifier()
		defer stop()
		w.rule(n, "http://chat.test/", weft.Notification{On: []weft.Occasion{weft.OnWaiting}, After: 30 * time.Minute})
		runs := w.runs(3)
		w.moves(runs[:1], weft.Ready, weft.Starting, weft.Running)
		time.Sleep(29 * time.Minute)
		if m := w.told("chat.test"); len(m) != 0 {
			t.Errorf("too early: %+v", m)
		}
		time.Sleep(3 * time.Hour)
		if m := w.told("chat.test"); len(m) != 1 || m[0].Total != 2 || !strings.HasPrefix(m[0].Runs[0].Detail, "for 30m0s: waiting") {
			t.Errorf("told %+v", m)
		}
	})
}

// A target that fails is tried again, and holds up no other; the rule shows why.
func TestATargetThatFails(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		n, stop := w.notifier()
		defer stop()
		w.rule(n, "http://chat.test/", weft.Notification{})
		w.rule(n, "http://well.test/", weft.Notification{})
		w.answers(func(c call) (int, bool) { return map[string]int{"chat.test": 500, "well.test": 200}[c.host], false })
		time.Sleep(5 * time.Second)
		w.moves(w.runs(1), failing...)
		time.Sleep(5 * time.Second)
		if m := w.told("well.test"); len(m) != 1 {
			t.Errorf("told %+v", m)
		}
		if rules, err := n.List(t.Context(), w.project); err != nil || len(rules) != 2 || rules[0].Error != "answered 500" || rules[0].Host != "chat.test" {
			t.Errorf("rules %+v, %v", rules, err)
		}
		w.answers(nil)
		time.Sleep(10 * time.Minute)
		m := w.told("chat.test")
		if rules, err := n.List(t.Context(), w.project); len(m) != 1 || err != nil || rules[0].Error != "" {
			t.Errorf("told %+v, rules %+v, %v", m, rules, err)
		}
	})
}

// A failure that is tried again by itself is told only when nothing is left to be tried.
func TestNoNotificationWhileARunIsTriedAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		n, stop := w.notifier()
		defer stop()
		w.rule(n, "http://chat.test/", weft.Notification{})
		time.Sleep(5 * time.Second)
		runs := w.runs(1)
		w.moves(runs, weft.Ready, weft.Starting, weft.Running, weft.Aborting)
		next, err := runs[0].To(weft.Failed, time.Now().UTC())
		w.must(err)
		w.must(w.s.SaveRuns(t.Context(), []weft.Save{{Run: next, Rev: runs[0].Rev, Again: time.Now().Add(time.Second), Why: "again"}})[0])
		time.Sleep(10 * time.Minute)
		if m := w.told("chat.test"); len(m) != 0 {
			t.Errorf("told %+v", m)
		}
	})
}

func TestNotificationsThatAreRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	n := notify.NewNotifier(&http.Client{Transport: w}, "weft/test", w.s, views{w.s}, vault{}, new(egress.Policy).Check, slog.New(slog.DiscardHandler),
		notify.NewMetrics(prometheus.NewRegistry()))
	for _, c := range []struct {
		url  string
		rule weft.Notification
		want string
	}{
		{"", weft.Notification{}, "either to addresses or to a URL"},
		{"http://chat.test/", weft.Notification{Mail: []string{"a@b.test"}}, "either to addresses or to a URL"},
		{"", weft.Notification{Mail: []string{"a@b.test"}}, "this server sends no mail"},
		{"", weft.Notification{Mail: []string{"a@b.test\r\nBcc: all@b.test"}}, "is not the address"},
		{"", weft.Notification{Mail: []string{"nobody"}}, "is not the address"},
		{"http://169.254.169.254/latest/", weft.Notification{}, "link-local"},
		{"http://127.0.0.1:1/", weft.Notification{}, "of this machine itself"},
		{"http://[::ffff:10.0.0.1]/", weft.Notification{}, "private"},
		{"http://u:p@chat.test/", weft.Notification{}, "no user or password"},
		{"file:///etc/passwd", weft.Notification{}, "begins with http"},
		{"http://chat.test/", weft.Notification{On: []weft.Occasion{"born"}}, "is not an occasion"},
		{"http://chat.test/", weft.Notification{After: time.Hour}, "nobody is told of that"},
	} {
		c.rule.ID, c.rule.Project = weft.NewID[weft.Notification](), w.project
		if _, err := n.Create(t.Context(), c.rule, c.url, nil); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q %+v: %v; want %q", c.url, c.rule, err, c.want)
		}
	}
}
