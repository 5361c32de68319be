package notify

import (
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"log/slog"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/weft-dev/weft"
)

// How notifications are paced.
const (
	digestEvery = 5 * time.Minute // a rule tells no more often than that: what happens meanwhile is one message
	digestMost  = 1000            // notices in one message
	digestShown = 20              // of which so many are told one by one
	rulesEvery  = 2 * time.Second // how often rules are read
	waitEvery   = 30 * time.Second
	waitMost    = 1000               // runs that wait too long which are looked at once, of one rule
	noticeKept  = 7 * 24 * time.Hour // how long it is remembered that something was told
	noticeGiven = 24 * time.Hour     // after which what could not be told is not tried again
	sendTimeout = 30 * time.Second
)

// secretPurpose keeps the secrets of one notification apart from all else that is sealed.
func secretPurpose(id weft.NotificationID) string { return "notification: " + id.String() }

// A Vault encrypts what is recorded.
type Vault interface {
	Seal(purpose string, plain []byte) ([]byte, error)
	Open(purpose string, sealed []byte) ([]byte, error)
}

// Rules keeps Notifications and what they have to tell. *store.Store is one.
type Rules interface {
	Log
	CreateNotification(ctx context.Context, n weft.Notification, sealed []byte) error
	Notifications(ctx context.Context, project weft.ProjectID) ([]weft.NotificationRule, error)
	DeleteNotification(ctx context.Context, project weft.ProjectID, id weft.NotificationID) error
	AddNotices(ctx context.Context, notices []weft.Notice, to weft.Cursor) error
	OpenNotices(ctx context.Context, rule weft.NotificationID, limit int) ([]weft.Notice, error)
	Told(ctx context.Context, rule weft.NotificationID, notices []weft.Notice, next time.Time) error
	NotTold(ctx context.Context, rule weft.NotificationID, why string, next time.Time) error
	ForgetNotices(ctx context.Context, before time.Time) error
	Unfollow(ctx context.Context, name string) error
	FindRuns(ctx context.Context, q weft.RunQuery) iter.Seq2[weft.RunView, error]
}

// A Notifier tells people of Runs as the rules of their projects have it. It is safe for
// concurrent use.
type Notifier struct {
	poster
	store  Rules
	views  Views
	vault  Vault
	check  func(url string) error
	log    *slog.Logger
	stats  *stats
	mail   atomic.Pointer[Mail]
	wake   chan struct{}
	mu     sync.Mutex
	under  map[weft.NotificationID]bool      // being told
	next   map[weft.NotificationID]time.Time // as recorded last: rules are read now and then only
	flying sync.WaitGroup
}

// NewNotifier makes a Notifier that sends no mail. Check says which URLs may be told.
func NewNotifier(client *http.Client, agent string, store Rules, views Views, vault Vault, check func(string) error, log *slog.Logger, m *Metrics) *Notifier {
	return &Notifier{poster: poster{client, agent}, store: store, views: views, vault: vault, check: check, log: log, stats: m.after,
		wake: make(chan struct{}, 1), under: map[weft.NotificationID]bool{}, next: map[weft.NotificationID]time.Time{}}
}

// SetMail replaces the settings by which mail is sent; nil sends none.
func (n *Notifier) SetMail(m *Mail) { n.mail.Store(m) }

// A target is what is secret about a rule.
type target struct {
	URL    string `json:"url,omitempty"`
	Secret []byte `json:"secret,omitempty"`
}

// Create makes a rule. The URL and the secret are kept encrypted.
func (n *Notifier) Create(ctx context.Context, rule weft.Notification, url string, secret []byte) (weft.Notification, error) {
	rule, err := weft.ValidateNotification(rule)
	switch {
	case err != nil:
		return rule, err
	case (url == "") == (len(rule.Mail) == 0):
		return rule, weft.Errorf(weft.Invalid, "a notification goes either to addresses or to a URL")
	case len(rule.Mail) > 0 && n.mail.Load() == nil:
		return rule, weft.Errorf(weft.Unavailable, "this server sends no mail").WithAdvice("its administrator sets a mail server up under smtp in the settings; or use a URL")
	case len(rule.Mail) > 0 && len(secret) > 0:
		return rule, weft.Errorf(weft.Invalid, "mail is not signed with a secret")
	}
	var sealed []byte
	if url != "" {
		if err := n.check(url); err != nil {
			return rule, err
		}
		rule.Host, rule.Signed = Hook{URL: url}.host(), len(secret) > 0
		plain, err := json.Marshal(target{url, secret})
		if err != nil {
			return rule, err
		}
		if sealed, err = n.vault.Seal(secretPurpose(rule.ID), plain); err != nil {
			return rule, err
		}
	}
	rule.CreatedAt = time.Now().UTC()
	if err := n.store.CreateNotification(ctx, rule, sealed); err != nil {
		return rule, err
	}
	select {
	case n.wake <- struct{}{}:
	default:
	}
	return rule, nil
}

// List lists the rules of a project.
func (n *Notifier) List(ctx context.Context, project weft.ProjectID) ([]weft.Notification, error) {
	rules, err := n.store.Notifications(ctx, project)
	out := make([]weft.Notification, len(rules))
	for i, r := range rules {
		out[i] = r.Notification
	}
	return out, err
}

// Delete removes a rule.
func (n *Notifier) Delete(ctx context.Context, project weft.ProjectID, id weft.NotificationID) error {
	return n.store.DeleteNotification(ctx, project, id)
}

// Test sends a message by a rule at once, and returns what came of it.
func (n *Notifier) Test(ctx context.Context, project weft.ProjectID, id weft.NotificationID) error {
	rules, err := n.store.Notifications(ctx, project)
	if err != nil {
		return err
	}
	for _, r := range rules {
		if r.ID == id {
			now := time.Now().UTC()
			return n.send(ctx, r, message{id: deliveryID("test", id.String(), now.String()), test: true, at: now})
		}
	}
	return weft.Errorf(weft.NotFound, "notification %s is not found", id)
}

// Run tells until ctx ends.
func (n *Notifier) Run(ctx context.Context) error {
	changed, stop := n.store.Changed()
	defer stop()
	defer n.flying.Wait()
	var rules []weft.NotificationRule
	var read, waited, forgot time.Time
	for ctx.Err() == nil {
		err := func() (err error) {
			if time.Since(read) >= rulesEvery {
				if rules, err = n.store.Notifications(ctx, weft.ProjectID{}); err != nil {
					return err
				}
				read = time.Now()
			}
			if len(rules) == 0 {
				return n.store.Unfollow(ctx, weft.FollowerNotify)
			}
			if err := n.follow(ctx, rules); err != nil {
				return err
			}
			if time.Since(waited) >= waitEvery {
				waited = time.Now()
				if err := n.waiting(ctx, rules); err != nil {
					return err
				}
			}
			if time.Since(forgot) >= time.Hour {
				forgot = time.Now()
				if err := n.store.ForgetNotices(ctx, time.Now().Add(-noticeKept)); err != nil {
					return err
				}
			}
			return n.tell(ctx, rules)
		}()
		if err != nil && ctx.Err() == nil {
			n.log.Warn("notifications are held up", "error", err)
		}
		wake := changed
		if len(rules) == 0 || err != nil {
			wake = nil
		}
		select {
		case <-ctx.Done():
		case <-wake:
		case <-n.wake:
			read = time.Time{}
		case <-time.After(rulesEvery):
		}
	}
	return nil
}

// follow makes notices of the events since it was here last.
func (n *Notifier) follow(ctx context.Context, rules []weft.NotificationRule) error {
	cursor, err := n.store.Follow(ctx, weft.FollowerNotify)
	for more := true; more && err == nil; {
		var events []weft.Event
		if events, err = n.store.Events(ctx, weft.ProjectID{}, cursor, followBatch); err != nil || len(events) == 0 {
			return err
		}
		var notices []weft.Notice
		for _, e := range events {
			found, err := n.notices(ctx, rules, e)
			if err != nil {
				return err
			}
			notices = append(notices, found...)
		}
		cursor, more = events[len(events)-1].Cursor, len(events) == followBatch
		err = n.store.AddNotices(ctx, notices, cursor)
	}
	return err
}

// notices returns what an event is to be told as.
func (n *Notifier) notices(ctx context.Context, rules []weft.NotificationRule, e weft.Event) (out []weft.Notice, err error) {
	on := map[weft.Status]weft.Occasion{weft.Done: weft.OnDone, weft.Failed: weft.OnFailed}[e.To]
	if !isMove(e) || e.From == "" || on == "" {
		return nil, nil
	}
	var v weft.RunView
	for _, r := range rules {
		if r.Project != e.Project || !concerns(r, on) || e.At.Before(r.CreatedAt) {
			continue
		}
		if v.Run.ID.IsZero() {
			if v, err = n.views.Run(ctx, e.Project, e.Run); err != nil {
				if weft.KindOf(err) == weft.NotFound {
					return nil, nil
				}
				return nil, err
			}
			if v.Run.Attempt > e.Attempt && e.Attempt > 0 && v.Run.Cause.Kind == weft.CauseAgain {
				return nil, nil // it is tried again by itself: nobody needs to know
			}
			v = asOf(v, e)
		}
		if r.Concerns(on, v.Plan) {
			out = append(out, weft.Notice{Rule: r.ID, Run: e.Run, Attempt: v.Run.Attempt, On: on, At: e.At, Plan: planTitle(v.Plan), Text: ending(v.Run, on)})
		}
	}
	return out, nil
}

func concerns(r weft.NotificationRule, on weft.Occasion) bool {
	for _, o := range r.On {
		if o == on {
			return true
		}
	}
	return false
}

// planTitle is what people call a Plan: its name, else its image.
func planTitle(p weft.Plan) string {
	if p.Name != "" {
		return p.Name
	}
	return p.Image.String()
}

func ending(r weft.Run, on weft.Occasion) string {
	if on == weft.OnDone {
		return "done"
	}
	return failure(r)
}

// waiting makes notices of the Runs that have not begun for too long.
func (n *Notifier) waiting(ctx context.Context, rules []weft.NotificationRule) error {
	var notices []weft.Notice
	now := time.Now().UTC()
	for _, r := range rules {
		if !concerns(r, weft.OnWaiting) {
			continue
		}
		q := weft.RunQuery{Project: r.Project, Statuses: []weft.Status{weft.Waiting, weft.Ready, weft.Starting}, Until: now.Add(-r.After), Page: weft.Page{Limit: waitMost}}
		for v, err := range n.store.FindRuns(ctx, q) {
			if err != nil {
				return err
			}
			if r.Concerns(weft.OnWaiting, v.Plan) {
				text := v.Run.Reason
				if text == "" {
					text = string(v.Run.Status)
				}
				notices = append(notices, weft.Notice{Rule: r.ID, Run: v.Run.ID, Attempt: v.Run.Attempt, On: weft.OnWaiting, At: now, Plan: planTitle(v.Plan),
					Text: fmt.Sprintf("for %s: %s", now.Sub(v.Run.UpdatedAt).Truncate(time.Minute), text)})
			}
		}
	}
	if len(notices) == 0 {
		return nil
	}
	return n.store.AddNotices(ctx, notices, weft.Cursor{})
}

// tell has every rule whose time has come tell what it has to. A slow one holds up no
// other.
func (n *Notifier) tell(ctx context.Context, rules []weft.NotificationRule) error {
	for _, r := range rules {
		n.mu.Lock()
		busy, next := n.under[r.ID], n.next[r.ID]
		n.mu.Unlock()
		if now := time.Now(); busy || r.Next.After(now) || next.After(now) {
			continue
		}
		open, err := n.store.OpenNotices(ctx, r.ID, digestMost)
		if err != nil {
			return err
		}
		if len(open) == 0 {
			continue
		}
		n.mu.Lock()
		n.under[r.ID] = true
		n.mu.Unlock()
		n.flying.Go(func() {
			next, err := n.tellOne(ctx, r, open)
			if err != nil && ctx.Err() == nil {
				n.log.Warn("it could not be recorded what a notification told", "notification", r.ID, "error", err)
			}
			n.mu.Lock()
			defer n.mu.Unlock()
			delete(n.under, r.ID)
			n.next[r.ID] = next
		})
	}
	return nil
}

// tellOne tells, and returns when the rule may tell something again.
func (n *Notifier) tellOne(ctx context.Context, r weft.NotificationRule, open []weft.Notice) (time.Time, error) {
	first := open[0]
	m := message{id: deliveryID("notice", r.ID.String(), first.Run.String(), fmt.Sprint(first.Attempt), string(first.On)), at: time.Now().UTC(), notices: open}
	err := n.send(ctx, r, m)
	now := time.Now().UTC()
	next := now.Add(digestEvery)
	switch {
	case ctx.Err() != nil:
		return next, nil
	case err == nil:
		return next, n.store.Told(ctx, r.ID, open, next)
	case now.Sub(first.At) > noticeGiven:
		n.log.Warn("a notification is given up, as it has failed for too long", "notification", r.ID, "notices", len(open), "error", err)
		return next, n.store.Told(ctx, r.ID, open, next)
	}
	next = now.Add(Hook{}.withDefaults().backoff(r.Tries + 1))
	return next, n.store.NotTold(ctx, r.ID, err.Error(), next)
}

// send sends one message by a rule.
func (n *Notifier) send(ctx context.Context, r weft.NotificationRule, m message) (err error) {
	ctx, cancel := context.WithTimeout(ctx, sendTimeout)
	defer cancel()
	project, err := n.views.ProjectName(ctx, r.Project)
	if err != nil {
		return err
	}
	name := "notification " + r.ID.String()
	defer func() {
		if err != nil {
			n.stats.failed("notifications", err)
			n.log.Debug("a notification was not sent", "notification", name, "error", err)
			return
		}
		n.stats.delivered("notifications")
	}()
	if len(r.Mail) > 0 {
		mail := n.mail.Load()
		if mail == nil {
			return weft.Errorf(weft.Unavailable, "this server sends no mail any more")
		}
		return mail.send(ctx, r.Mail, m.subject(project), m.text(project), m.id, m.at)
	}
	plain, err := n.vault.Open(secretPurpose(r.ID), r.Sealed)
	if err != nil {
		return fmt.Errorf("open notification %s: %w", r.ID, err)
	}
	var t target
	if err := json.Unmarshal(plain, &t); err != nil {
		return fmt.Errorf("read notification %s: %w", r.ID, err)
	}
	body, err := m.json(project)
	if err != nil {
		return err
	}
	_, err = n.post(ctx, Hook{Name: name, URL: t.URL, Secret: t.Secret}.withDefaults(), parcel{id: m.id, body: body})
	return err
}
