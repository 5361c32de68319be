package api

import (
	"context"
	"net/http"
)

// A Notification is a rule of a project: who is told what about its runs.
type Notification struct {
	ID        string   `json:"id"`
	On        []string `json:"on" doc:"done, failed, waiting"`
	Plans     []string `json:"plans,omitempty" doc:"ids, names or images; none: all"`
	Tags      []Tag    `json:"tags,omitempty" doc:"one input, output or log of the plan has all of them; none: all"`
	After     string   `json:"after,omitempty" doc:"how long is waiting too long, like 30m0s"`
	Mail      []string `json:"mail,omitempty" doc:"addresses"`
	Host      string   `json:"host,omitempty" doc:"of the URL, which itself is not told"`
	Signed    bool     `json:"signed,omitempty" doc:"what the URL gets is signed"`
	CreatedAt *Time    `json:"createdAt,omitempty"`
	UserID    string   `json:"userId,omitempty" doc:"who made it"`
	Error     string   `json:"error,omitempty" doc:"why it could not be sent; it is tried again"`
}

// A NewNotification is a Notification to be made, to addresses or to a URL.
type NewNotification struct {
	On     []string `json:"on,omitempty" doc:"done, failed, waiting; none: failed"`
	Plans  []string `json:"plans,omitempty" doc:"ids, names or images; none: all"`
	Tags   []Tag    `json:"tags,omitempty" doc:"one input, output or log of the plan has all of them; none: all"`
	After  string   `json:"after,omitempty" doc:"how long is waiting too long, like 30m; default 1h"`
	Mail   []string `json:"mail,omitempty" doc:"addresses, or"`
	URL    string   `json:"url,omitempty" doc:"where a JSON object is posted to, with a text as chat programs take it"`
	Secret string   `json:"secret,omitempty" doc:"signs what the URL gets"`
}

// Notifications lists the rules of the project.
func (c *Client) Notifications(ctx context.Context) ([]Notification, error) {
	return call[[]Notification](ctx, c, request{path: at("notifications")})
}

// CreateNotification makes a rule.
func (c *Client) CreateNotification(ctx context.Context, n NewNotification) (Notification, error) {
	return call[Notification](ctx, c, request{method: http.MethodPost, path: at("notifications"), json: n})
}

// DeleteNotification removes a rule.
func (c *Client) DeleteNotification(ctx context.Context, id string) error {
	return c.send(ctx, request{method: http.MethodDelete, path: at("notifications", id)})
}

// TestNotification sends a test by a rule, and returns what came of it.
func (c *Client) TestNotification(ctx context.Context, id string) error {
	return c.send(ctx, request{method: http.MethodPost, path: at("notifications", id, "test")})
}

// A Hook tells how a hook, or a receiver of OpenLineage events, is doing.
type Hook struct {
	Name    string `json:"name"`
	When    string `json:"when" doc:"before, after or openlineage"`
	Host    string `json:"host"`
	At      *Time  `json:"at,omitempty" doc:"of the last call since the server started"`
	Error   string `json:"error,omitempty" doc:"of the last call"`
	Waiting int64  `json:"waiting" doc:"what is to be told again, or runs that wait for its answer"`
	Dead    int64  `json:"dead" doc:"what was given up"`
	Behind  *Time  `json:"behind,omitempty" doc:"of the oldest event that is yet to be looked at"`
}

// Hooks lists the server's hooks.
func (c *Client) Hooks(ctx context.Context) ([]Hook, error) {
	return call[[]Hook](ctx, c, request{path: at("hooks")})
}

// A Revived says how much is tried again.
type Revived struct {
	Count int64 `json:"count"`
}

// ReviveHook has what a hook was not told in the end tried again.
func (c *Client) ReviveHook(ctx context.Context, name string) (Revived, error) {
	return call[Revived](ctx, c, request{method: http.MethodPost, path: at("hooks", "revive"), json: HookName{name}})
}

// A HookName names a hook.
type HookName struct {
	Name string `json:"name"`
}
