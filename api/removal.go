package api

import (
	"context"
	"net/http"
	"net/url"
)

// A Removal is what goes, or would go, with a run and all that came from it.
type Removal struct {
	Runs  []RunSummary `json:"runs" doc:"in the order in which they go: each behind those that use what it made"`
	Data  int64        `json:"data" doc:"number of data, logs included"`
	Bytes int64        `json:"bytes" doc:"that they hold"`
	Freed int64        `json:"freed" doc:"of these, what nothing else holds: so much room comes free, when the collector has been there"`
}

// A PurgeRequest says whose content is to go: the data that are named, and those that have
// all of the tags and are old enough.
type PurgeRequest struct {
	KnitIDs   []string `json:"knitIds,omitempty" doc:"these"`
	Tags      []Tag    `json:"tags,omitempty" doc:"those that have all of these"`
	OlderThan string   `json:"olderThan,omitempty" doc:"those whose run ended longer ago, like 90d; with tags: of those that have them"`
}

// A Purge is what goes, or would go, when the content of data is discarded.
type Purge struct {
	Data    []PurgedData `json:"data" doc:"whose content goes"`
	Bytes   int64        `json:"bytes" doc:"that they hold"`
	Freed   int64        `json:"freed" doc:"of these, what nothing else holds: so much room comes free, when the collector has been there"`
	Waiting []string     `json:"waiting" doc:"ids of runs that are yet to begin, and fail for want of the content"`
	Kept    []KeptData   `json:"kept" doc:"what cannot be purged now"`
}

// A PurgedData is a data whose content goes.
type PurgedData struct {
	KnitID string `json:"knitId" doc:"its id"`
	Tags   []Tag  `json:"tags" doc:"sorted; they stay"`
	Bytes  int64  `json:"bytes" doc:"that it holds"`
}

// A KeptData is a data that cannot be purged now.
type KeptData struct {
	KnitID string `json:"knitId" doc:"its id"`
	Reason string `json:"reason" doc:"why, in words"`
}

// RemoveCascade removes a run and all that came from it or, with dryRun, tells what that
// would be.
func (c *Client) RemoveCascade(ctx context.Context, id string, dryRun bool) (Removal, error) {
	return call[Removal](ctx, c, request{method: http.MethodDelete, path: at("runs", id, "cascade"), query: url.Values(params{}.flag("dry_run", dryRun))})
}

// Purge discards the content of data or, with dryRun, tells what would go.
func (c *Client) Purge(ctx context.Context, p PurgeRequest, dryRun bool) (Purge, error) {
	return call[Purge](ctx, c, request{method: http.MethodPost, path: at("data", "purge"), query: url.Values(params{}.flag("dry_run", dryRun)), json: p})
}
