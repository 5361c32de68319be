package api

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"
)

// Me tells who the client is for the server, and how far that goes.
func (c *Client) Me(ctx context.Context) (Me, error) {
	return call[Me](ctx, c, request{path: at("me")})
}

// Users returns all accounts, by name.
func (c *Client) Users(ctx context.Context) ([]User, error) {
	return call[[]User](ctx, c, request{path: at("users")})
}

// User returns one account, with its roles.
func (c *Client) User(ctx context.Context, name string) (User, error) {
	return call[User](ctx, c, request{path: at("users", name)})
}

// CreateUser makes an account.
func (c *Client) CreateUser(ctx context.Context, n NewUser) (User, error) {
	return call[User](ctx, c, request{method: http.MethodPost, path: at("users"), json: n})
}

// ChangeUser changes an account.
func (c *Client) ChangeUser(ctx context.Context, name string, change UserChange) (User, error) {
	return call[User](ctx, c, request{method: http.MethodPatch, path: at("users", name), json: change})
}

// SetPassword gives an account another password.
func (c *Client) SetPassword(ctx context.Context, name string, p Password) error {
	return c.send(ctx, request{method: http.MethodPut, path: at("users", name, "password"), json: p})
}

// DeleteUser removes an account with its tokens and sessions.
func (c *Client) DeleteUser(ctx context.Context, name string) error {
	return c.send(ctx, request{method: http.MethodDelete, path: at("users", name)})
}

// Projects returns the projects that the client has a role in, by name.
func (c *Client) Projects(ctx context.Context) ([]Project, error) {
	return call[[]Project](ctx, c, request{path: at("projects")})
}

// Project returns one project.
func (c *Client) Project(ctx context.Context, name string) (Project, error) {
	return call[Project](ctx, c, request{path: at("projects", name)})
}

// CreateProject makes a project, which the client's user then manages.
func (c *Client) CreateProject(ctx context.Context, name string) (Project, error) {
	return call[Project](ctx, c, request{method: http.MethodPost, path: at("projects"), json: ProjectName{name}})
}

// RenameProject gives a project another name.
func (c *Client) RenameProject(ctx context.Context, name, next string) (Project, error) {
	return call[Project](ctx, c, request{method: http.MethodPatch, path: at("projects", name), json: ProjectName{next}})
}

// DeleteProject removes a project in which nothing is left.
func (c *Client) DeleteProject(ctx context.Context, name string) error {
	return c.send(ctx, request{method: http.MethodDelete, path: at("projects", name)})
}

// Members returns who has a role in a project, by name.
func (c *Client) Members(ctx context.Context, project string) ([]Membership, error) {
	return call[[]Membership](ctx, c, request{path: at("projects", project, "members")})
}

// SetMember gives a user a role in a project.
func (c *Client) SetMember(ctx context.Context, project, user, role string) error {
	return c.send(ctx, request{method: http.MethodPut, path: at("projects", project, "members", user), json: Role{role}})
}

// DeleteMember takes a user out of a project.
func (c *Client) DeleteMember(ctx context.Context, project, user string) error {
	return c.send(ctx, request{method: http.MethodDelete, path: at("projects", project, "members", user)})
}

// Tokens returns the client's own tokens, those of a user, or with all everyone's.
func (c *Client) Tokens(ctx context.Context, user string, all bool) ([]Token, error) {
	p := params{}.set("user", user).flag("all", all)
	return call[[]Token](ctx, c, request{path: at("tokens"), query: url.Values(p)})
}

// CreateToken makes a token. The answer holds it, and is the only one that does.
func (c *Client) CreateToken(ctx context.Context, n NewToken) (Token, error) {
	return call[Token](ctx, c, request{method: http.MethodPost, path: at("tokens"), json: n})
}

// DeleteToken revokes a token.
func (c *Client) DeleteToken(ctx context.Context, id string) error {
	return c.send(ctx, request{method: http.MethodDelete, path: at("tokens", id)})
}

// An AuditQuery selects entries of the audit log. Conditions combine by and; zero ones
// do not count.
type AuditQuery struct {
	User   string
	Action string
	Since  time.Time
	Until  time.Time
	After  int64 // the Seq of an entry
	Limit  int   // of Audit; 0 is 100
}

func (q AuditQuery) values() url.Values {
	p := params{}.set("user", q.User).set("action", q.Action).span(q.Since, 0).number("limit", q.Limit)
	if !q.Until.IsZero() {
		p.set("until", q.Until.Format(time.RFC3339Nano))
	}
	if q.After != 0 {
		p.set("after", fmt.Sprint(q.After))
	}
	return url.Values(p)
}

// Audit returns the latest entries of the audit log that a query selects, the latest
// first; with After the first that follow, in their order.
func (c *Client) Audit(ctx context.Context, q AuditQuery) ([]AuditEntry, error) {
	return call[[]AuditEntry](ctx, c, request{path: at("audit"), query: q.values()})
}

// ExportAudit returns the entries of the audit log that a query selects, one in a line
// of JSON, in their order.
func (c *Client) ExportAudit(ctx context.Context, q AuditQuery) (io.ReadCloser, error) {
	q.Limit = 0
	return c.stream(ctx, request{path: at("audit", "export"), query: q.values()})
}
