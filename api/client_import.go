package api

import (
	"context"
	"net/http"
)

// ImportData asks the server to bring in data, which it does in the background.
func (c *Client) ImportData(ctx context.Context, r ImportRequest) (Import, error) {
	return call[Import](ctx, c, request{method: http.MethodPost, path: at("imports"), json: r})
}

// Imports lists the latest imports of the project, the latest last.
func (c *Client) Imports(ctx context.Context) ([]Import, error) {
	return call[[]Import](ctx, c, request{method: http.MethodGet, path: at("imports")})
}

// Import returns one import.
func (c *Client) Import(ctx context.Context, id string) (Import, error) {
	return call[Import](ctx, c, request{method: http.MethodGet, path: at("imports", id)})
}

// CancelImport gives up an import that is not done.
func (c *Client) CancelImport(ctx context.Context, id string) error {
	_, err := call[struct{}](ctx, c, request{method: http.MethodDelete, path: at("imports", id)})
	return err
}
