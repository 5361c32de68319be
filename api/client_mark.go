package api

import (
	"context"
	"net/http"
	"net/url"
)

// Note returns the note about a data, plan or run; one without text if there is none.
func (c *Client) Note(ctx context.Context, kind, id string) (Note, error) {
	return call[Note](ctx, c, request{path: at("notes", kind, id)})
}

// SetNote writes the note about a data, plan or run; an empty text removes it.
func (c *Client) SetNote(ctx context.Context, kind, id, text string) (Note, error) {
	return call[Note](ctx, c, request{method: http.MethodPut, path: at("notes", kind, id), json: NoteText{text}})
}

// Favourites lists what one has marked; of one kind, unless it is "".
func (c *Client) Favourites(ctx context.Context, kind string) ([]Favourite, error) {
	var q url.Values
	if kind != "" {
		q = url.Values{"kind": {kind}}
	}
	return call[[]Favourite](ctx, c, request{path: at("favourites"), query: q})
}

// SetFavourite marks a data, plan or run as one's favourite, or takes the mark away.
func (c *Client) SetFavourite(ctx context.Context, kind, id string, marked bool) error {
	method := http.MethodPut
	if !marked {
		method = http.MethodDelete
	}
	return c.send(ctx, request{method: method, path: at("favourites", kind, id)})
}

// Searches lists the kept searches that one can use.
func (c *Client) Searches(ctx context.Context) ([]Search, error) {
	return call[[]Search](ctx, c, request{path: at("searches")})
}

// SaveSearch keeps a search under a name.
func (c *Client) SaveSearch(ctx context.Context, name string, q SearchQuery) error {
	return c.send(ctx, request{method: http.MethodPut, path: at("searches", name), json: q})
}

// DeleteSearch forgets a kept search.
func (c *Client) DeleteSearch(ctx context.Context, name string) error {
	return c.send(ctx, request{method: http.MethodDelete, path: at("searches", name)})
}
