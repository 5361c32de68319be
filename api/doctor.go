package api

import "context"

// A Finding is something that the doctor found about a server.
type Finding struct {
	Level   string `json:"level" enum:"fault,warning,notice" doc:"fault: something does not work, or will not within days; warning: something is unwise, or needs doing soon; notice: somebody should know"`
	About   string `json:"about" doc:"the check that found it"`
	Problem string `json:"problem" doc:"what is wrong, in a sentence"`
	Advice  string `json:"advice" doc:"what to do about it"`
}

// Doctor says what is wrong with the server, the worst first. It takes an administrator.
func (c *Client) Doctor(ctx context.Context) ([]Finding, error) {
	return call[[]Finding](ctx, c, request{path: at("doctor")})
}
