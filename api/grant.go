package api

import (
	"context"
	"net/http"
	"net/url"
)

// A Grant lets a project read a data of another, and run its plans on it.
type Grant struct {
	KnitID string `json:"knitId" doc:"the data"`
	From   string `json:"from" doc:"name of the project that has it"`
	To     string `json:"to" doc:"name of the project that may read it"`
	At     Time   `json:"at" doc:"since when"`
	By     string `json:"by,omitempty" doc:"id of who shared it"`
}

// Grants returns what the project shares with others, and others with it, the oldest first;
// with data only what is about that.
func (c *Client) Grants(ctx context.Context, data string) ([]Grant, error) {
	p := params{}.set("data", data)
	return call[[]Grant](ctx, c, request{path: at("grants"), query: url.Values(p)})
}

// ShareData lets another project, by name, read a data.
func (c *Client) ShareData(ctx context.Context, data, to string) (DataDetail, error) {
	return call[DataDetail](ctx, c, request{method: http.MethodPut, path: at("data", data, "grants", to)})
}

// UnshareData ends what ShareData began. Runs of the other project that were not started
// fail; what was made of the data stays.
func (c *Client) UnshareData(ctx context.Context, data, from string) (DataDetail, error) {
	return call[DataDetail](ctx, c, request{method: http.MethodDelete, path: at("data", data, "grants", from)})
}
