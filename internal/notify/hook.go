package notify

import (
	"context"
	"net/url"
	"slices"
	"time"

	"github.com/weft-dev/weft"
)

// Defaults of a Hook.
const (
	DefaultTimeout     = 10 * time.Second
	DefaultConcurrency = 16
	DefaultTries       = 3
	DefaultBackoff     = time.Second
	DefaultMaxBackoff  = 5 * time.Minute
	DefaultGiveUp      = 24 * time.Hour
)

// A Hook is a URL that is told of Runs. Its zero fields mean the defaults.
type Hook struct {
	Name    string // unique among those before, or after; made of the URL when empty
	URL     string
	Secret  []byte            // signs what is sent; none: nothing is signed
	Headers map[string]string // sent too
	Timeout time.Duration     // of one call
	Backoff time.Duration     // after the first failure; doubled after each
	Slowest time.Duration     // the longest such pause

	// Filters; an empty one lets everything pass.
	Statuses []weft.Status // that a Run changes to
	Projects []string      // names
	Plans    []string      // ids, names, or images with or without a tag

	Concurrency int // calls at once

	// Of before hooks.
	FailOpen bool // after Tries calls in vain the Run goes on
	Tries    int

	// Of after hooks.
	All        bool          // changes that people make too, not only those by the engine
	AtMostOnce bool          // never repeat; what is sent while the process dies is lost
	GiveUp     time.Duration // age from which something is not tried again
}

func (h Hook) withDefaults() Hook {
	for _, d := range []struct {
		field *time.Duration
		value time.Duration
	}{{&h.Timeout, DefaultTimeout}, {&h.Backoff, DefaultBackoff}, {&h.Slowest, DefaultMaxBackoff}, {&h.GiveUp, DefaultGiveUp}} {
		if *d.field <= 0 {
			*d.field = d.value
		}
	}
	if h.Concurrency <= 0 {
		h.Concurrency = DefaultConcurrency
	}
	if h.Tries <= 0 {
		h.Tries = DefaultTries
	}
	h.Name = h.Label()
	return h
}

// nameOf is a URL without its query, which may hold a secret.
func nameOf(text string) string {
	u, err := url.Parse(text)
	if err != nil {
		return "?"
	}
	return u.Host + u.Path
}

// Label is the hook's name, given or made of its URL.
func (h Hook) Label() string {
	if h.Name != "" {
		return h.Name
	}
	return nameOf(h.URL)
}

// host is what users are told of a hook.
func (h Hook) host() string {
	u, err := url.Parse(h.URL)
	if err != nil || u.Host == "" {
		return h.Name
	}
	return u.Host
}

// backoff is the pause after so many failures in a row.
func (h Hook) backoff(failures int) time.Duration {
	d := h.Backoff
	for ; failures > 1 && d < h.Slowest; failures-- {
		d *= 2
	}
	return min(d, h.Slowest)
}

// Lookup finds what filters compare.
type Lookup interface {
	ProjectName(ctx context.Context, id weft.ProjectID) (string, error)
	Plans(ctx context.Context, ids []weft.PlanID) (map[weft.PlanID]weft.Plan, error)
}

// wants reports whether the hook's filters let a change pass. What cannot be looked up
// passes: a hook is rather called once too often.
func (h Hook) wants(ctx context.Context, look Lookup, project weft.ProjectID, plan weft.PlanID, to weft.Status) bool {
	if len(h.Statuses) > 0 && !slices.Contains(h.Statuses, to) {
		return false
	}
	if len(h.Projects) > 0 {
		if name, err := look.ProjectName(ctx, project); err == nil && !slices.Contains(h.Projects, name) {
			return false
		}
	}
	if len(h.Plans) > 0 {
		plans, err := look.Plans(ctx, []weft.PlanID{plan})
		if p, ok := plans[plan]; err == nil && ok && !slices.ContainsFunc(h.Plans, p.IsCalled) {
			return false
		}
	}
	return true
}

// engineMoves lists what hooks are called for unless they ask for more: the changes that
// Knitfab's loops call them for.
var engineMoves = []weft.Status{weft.Ready, weft.Starting, weft.Running, weft.Completing, weft.Aborting, weft.Done, weft.Failed}
