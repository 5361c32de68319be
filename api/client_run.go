package api

import (
	"context"
	"io"
	"iter"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// A RunQuery selects runs. Conditions combine by and; zero ones do not count.
type RunQuery struct {
	Plans    []string // any of these ids
	Inputs   []string // has any of these data as input
	Outputs  []string // has any of these data as output or log
	Statuses []string // any of
	Since    time.Time
	Duration time.Duration // needs Since
	More     url.Values    // further conditions, as of a kept Search
	Page     Page
}

// Values returns the conditions as a Search keeps them.
func (q RunQuery) Values() url.Values {
	return url.Values(params{}.joined("plan", q.Plans).joined("knitIdInput", q.Inputs).joined("knitIdOutput", q.Outputs).
		joined("status", q.Statuses).span(q.Since, q.Duration).more(q.More))
}

// FindRuns yields the runs that a query selects, in order of their last change.
func (c *Client) FindRuns(ctx context.Context, q RunQuery) iter.Seq2[RunDetail, error] {
	p := params(q.Values()).page(q.Page)
	return list[RunDetail](ctx, c, request{path: "/api/runs", query: url.Values(p)}, "")
}

// Run returns one run.
func (c *Client) Run(ctx context.Context, id string) (RunDetail, error) {
	return call[RunDetail](ctx, c, request{path: at("runs", id)})
}

// A Stop says how a run is to end.
type Stop struct {
	Fail bool // as failed; else its outputs are kept
	Now  bool // without the plan's grace
}

// StopRun ends a run. Its program is asked to end, and has the plan's grace for it.
func (c *Client) StopRun(ctx context.Context, id string, how Stop) (RunDetail, error) {
	path := "tearoff"
	if how.Fail {
		path = "abort"
	}
	return call[RunDetail](ctx, c, request{method: http.MethodPut, path: at("runs", id, path), query: url.Values(params{}.flag("now", how.Now))})
}

// RetryRun has a run that ended tried again; its outputs are discarded.
func (c *Client) RetryRun(ctx context.Context, id string) error {
	return c.send(ctx, request{method: http.MethodPut, path: at("runs", id, "retry")})
}

// DeleteRun removes a run together with its outputs.
func (c *Client) DeleteRun(ctx context.Context, id string) error {
	return c.send(ctx, request{method: http.MethodDelete, path: at("runs", id)})
}

// RunLog returns what a run has printed so far; with follow, reads go on until it
// has ended.
func (c *Client) RunLog(ctx context.Context, id string, follow bool) (io.ReadCloser, error) {
	var q url.Values
	if follow {
		q = url.Values{"follow": {""}}
	}
	return c.stream(ctx, request{path: at("runs", id, "log"), query: q})
}

// RunAttemptLog returns what an earlier attempt of a run has printed.
func (c *Client) RunAttemptLog(ctx context.Context, id string, attempt int64) (io.ReadCloser, error) {
	return c.stream(ctx, request{path: at("runs", id, "log"), query: url.Values(params{}.set("attempt", strconv.FormatInt(attempt, 10)))})
}
