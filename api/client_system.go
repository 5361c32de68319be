package api

import (
	"context"
	"iter"
	"net/http"
	"net/url"
)

// Version says which program answers.
func (c *Client) Version(ctx context.Context) (Version, error) {
	return call[Version](ctx, c, request{path: at("version")})
}

// Cluster says what the system offers to those who write plans.
func (c *Client) Cluster(ctx context.Context) (Cluster, error) {
	return call[Cluster](ctx, c, request{path: at("cluster")})
}

// Images yields the images in the embedded registry, sorted by name.
func (c *Client) Images(ctx context.Context) iter.Seq2[Image, error] {
	return list[Image](ctx, c, request{path: at("images")}, "")
}

// DeleteImage removes a tag (repository:tag), as plans name it, from the embedded
// registry.
func (c *Client) DeleteImage(ctx context.Context, image string) error {
	return c.send(ctx, request{method: http.MethodDelete, path: at("images"), query: url.Values{"image": {image}}})
}
