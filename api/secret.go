package api

import (
	"context"
	"net/http"
)

// A Secret is a text that runs are given under its name. Its value is never told.
type Secret struct {
	Name      string   `json:"name" doc:"as plans name it"`
	ChangedAt *Time    `json:"changedAt,omitempty" doc:"when it was set last"`
	UserID    string   `json:"userId,omitempty" doc:"who set it last"`
	Missing   bool     `json:"missing,omitempty" doc:"plans name it, but it was never set, or was removed: their runs wait"`
	Plans     []string `json:"plans" doc:"ids of the plans that name it"`
}

// A SecretValue is what a secret is set to.
type SecretValue struct {
	Value string `json:"value" doc:"UTF-8 text of 4 bytes to 64 KiB"`
}

// Secrets lists the secrets of the project.
func (c *Client) Secrets(ctx context.Context) ([]Secret, error) {
	return call[[]Secret](ctx, c, request{path: at("secrets")})
}

// SetSecret sets a secret of the project.
func (c *Client) SetSecret(ctx context.Context, name, value string) (Secret, error) {
	return call[Secret](ctx, c, request{method: http.MethodPut, path: at("secrets", name), json: SecretValue{value}})
}

// RemoveSecret removes a secret of the project.
func (c *Client) RemoveSecret(ctx context.Context, name string) error {
	return c.send(ctx, request{method: http.MethodDelete, path: at("secrets", name)})
}
