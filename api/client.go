package api

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// A Client calls a Weft server. It is safe for concurrent use.
//
// An answer that is no success becomes an *Error; its Status is 0 and its kind
// Unavailable when no answer came. Whatever is read from a returned stream may fail
// likewise.
type Client struct {
	base    string // without a slash at the end and without /api
	token   string
	project string
	agent   string
	http    *http.Client
}

// Options are what a Client may be told. The zero value will do.
type Options struct {
	Token     string       // sent with every request; "" takes the password of the base URL
	CA        []byte       // PEM; if given, no other authority is trusted
	Project   string       // that requests are about; "" leaves it to the token
	UserAgent string       // "" is that of Go
	HTTP      *http.Client // overrides CA; nil makes one
}

// NewClient returns a client of the server at base, which is what `weft serve` prints,
// or the apiRoot of a Knitfab profile.
func NewClient(base string, o Options) (*Client, error) {
	u, err := url.Parse(base)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil, &Error{Kind: KindInvalid, Message: fmt.Sprintf("%q is not the address of a server\nwrite it like http://127.0.0.1:8080", redact(base))}
	}
	token := o.Token
	if password, ok := u.User.Password(); ok && token == "" {
		token = password
	}
	u.User, u.RawQuery, u.Fragment = nil, "", ""
	u.Path = strings.TrimSuffix(strings.TrimSuffix(u.Path, "/"), "/api")
	c := &Client{base: strings.TrimSuffix(u.String(), "/"), token: token, project: o.Project, agent: o.UserAgent, http: o.HTTP}
	if c.http == nil {
		tr, err := newTransport(o.CA)
		if err != nil {
			return nil, err
		}
		c.http = &http.Client{Transport: tr}
	}
	return c, nil
}

// redact leaves out what may hold a token.
func redact(base string) string {
	if at := strings.LastIndex(base, "@"); at >= 0 {
		return "…" + base[at:]
	}
	return base
}

func newTransport(ca []byte) (*http.Transport, error) {
	const (
		parallel = 32       // connections that are kept for reuse
		buffer   = 64 << 10 // bytes per connection and direction
	)
	tr := http.DefaultTransport.(*http.Transport).Clone()
	tr.MaxIdleConnsPerHost = parallel
	tr.ReadBufferSize, tr.WriteBufferSize = buffer, buffer
	tr.DisableCompression = true
	if len(ca) > 0 {
		pool := x509.NewCertPool()
		if !pool.AppendCertsFromPEM(ca) {
			return nil, &Error{Kind: KindInvalid, Message: "the certificate authority of the profile is not PEM"}
		}
		tr.TLSClientConfig = &tls.Config{RootCAs: pool}
	}
	return tr, nil
}

// Base returns the address of the server, without /api and without secrets.
func (c *Client) Base() string { return c.base }

// Token returns the token that is sent, "" if none.
func (c *Client) Token() string { return c.token }

// ProjectHeader names the project that a request is about, where it is not the one that
// its token is bound to or the home of its owner.
const ProjectHeader = "X-Weft-Project"

// request is one call: what differs from a GET without a body.
type request struct {
	method string // "" is GET
	path   string // escaped, from /api on
	query  url.Values
	body   io.Reader // sent as it is
	json   any       // sent as JSON, if not nil
	header http.Header
	length int64 // of body; 0 is unknown
}

// do sends a request and returns the answer if it is a success. The caller closes
// its body.
func (c *Client) do(ctx context.Context, r request) (*http.Response, error) {
	req, err := c.build(ctx, r)
	if err != nil {
		return nil, err
	}
	res, err := c.http.Do(req)
	if err != nil {
		return nil, c.unreached(ctx, err)
	}
	if res.StatusCode < 200 || res.StatusCode > 299 {
		defer res.Body.Close()
		return nil, readError(res)
	}
	return res, nil
}

func (c *Client) build(ctx context.Context, r request) (*http.Request, error) {
	if r.method == "" {
		r.method = http.MethodGet
	}
	if r.json != nil {
		text, err := json.Marshal(r.json)
		if err != nil {
			return nil, fmt.Errorf("encode request: %w", err)
		}
		r.body = bytes.NewReader(text)
	}
	target := c.base + r.path
	if len(r.query) > 0 {
		target += "?" + r.query.Encode()
	}
	req, err := http.NewRequestWithContext(ctx, r.method, target, r.body)
	if err != nil {
		return nil, fmt.Errorf("build request: %w", err)
	}
	for k, vs := range r.header {
		req.Header[k] = vs
	}
	if r.json != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if r.length > 0 {
		req.ContentLength = r.length
	}
	if c.token != "" {
		req.Header.Set("Authorization", "Bearer "+c.token)
	}
	if c.project != "" {
		req.Header.Set(ProjectHeader, c.project)
	}
	if c.agent != "" {
		req.Header.Set("User-Agent", c.agent)
	}
	return req, nil
}

// unreached explains a request that got no answer.
func (c *Client) unreached(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	var reply *Error // from a request body that could not be read
	if errors.As(err, &reply) {
		return reply
	}
	e := &Error{Kind: KindUnavailable, Message: fmt.Sprintf("the server at %s does not answer: %v", c.base, unwrapURL(err))}
	var op *net.OpError
	if errors.As(err, &op) && op.Op == "dial" {
		e.Message += "\nis it running, and is its address right?"
	}
	return e
}

// unwrapURL drops the method and address that net/http puts before each failure.
func unwrapURL(err error) error {
	var ue *url.Error
	if errors.As(err, &ue) {
		return ue.Err
	}
	return err
}

// readError makes an Error of an answer that is no success.
func readError(res *http.Response) error {
	const most = 1 << 20
	text, err := io.ReadAll(io.LimitReader(res.Body, most))
	e := &Error{}
	if err != nil || json.Unmarshal(text, e) != nil || e.Message == "" {
		e = &Error{Message: fmt.Sprintf("the server answered %s: %s", res.Status, clip(bytes.TrimSpace(text)))}
	}
	e.Status = res.StatusCode
	if e.RequestID == "" {
		e.RequestID = res.Header.Get("X-Request-Id")
	}
	return e
}

// call sends a request and reads a JSON answer into an Out.
func call[Out any](ctx context.Context, c *Client, r request) (Out, error) {
	var out Out
	res, err := c.do(ctx, r)
	if err != nil {
		return out, err
	}
	defer res.Body.Close()
	if err := json.NewDecoder(res.Body).Decode(&out); err != nil {
		return out, c.broken(ctx, err)
	}
	return out, nil
}

// send sends a request whose answer has no body that matters.
func (c *Client) send(ctx context.Context, r request) error {
	res, err := c.do(ctx, r)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	_, err = io.Copy(io.Discard, res.Body)
	return err
}

// stream returns the body of an answer.
func (c *Client) stream(ctx context.Context, r request) (io.ReadCloser, error) {
	res, err := c.do(ctx, r)
	if err != nil {
		return nil, err
	}
	return res.Body, nil
}

// broken explains an answer that could not be read to its end.
func (c *Client) broken(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return &Error{Kind: KindUnavailable, Message: fmt.Sprintf("the answer of %s broke off: %v", c.base, err)}
}

// list reads a JSON array item by item, so that its length does not matter. The
// array is in the field of that name, or is the whole answer when the name is "".
func list[Item any](ctx context.Context, c *Client, r request, field string) iter.Seq2[Item, error] {
	return func(yield func(Item, error) bool) {
		var none Item
		res, err := c.do(ctx, r)
		if err != nil {
			yield(none, err)
			return
		}
		defer res.Body.Close()
		dec := json.NewDecoder(res.Body)
		if err := enter(dec, field); err != nil {
			yield(none, c.broken(ctx, err))
			return
		}
		for dec.More() {
			var item Item
			if err := dec.Decode(&item); err != nil {
				yield(none, c.broken(ctx, err))
				return
			}
			if !yield(item, nil) {
				return
			}
		}
		if _, err := dec.Token(); err != nil {
			yield(none, c.broken(ctx, err))
		}
	}
}

// enter reads up to the inside of the array.
func enter(dec *json.Decoder, field string) error {
	if field == "" {
		return expect(dec, '[')
	}
	if err := expect(dec, '{'); err != nil {
		return err
	}
	for {
		key, err := dec.Token()
		if err != nil {
			return err
		}
		if key == field {
			return expect(dec, '[')
		}
		var skipped json.RawMessage
		if err := dec.Decode(&skipped); err != nil {
			return err
		}
	}
}

func expect(dec *json.Decoder, want json.Delim) error {
	t, err := dec.Token()
	if err == nil && t != want {
		err = fmt.Errorf("%v where %v was expected", t, want)
	}
	return err
}

// params collects query parameters, leaving out those that are not set.
type params url.Values

func (p params) set(key, value string) params {
	if value != "" {
		p[key] = []string{value}
	}
	return p
}

func (p params) flag(key string, on bool) params {
	if on {
		p[key] = []string{"true"}
	}
	return p
}

func (p params) number(key string, n int) params {
	if n != 0 {
		p[key] = []string{fmt.Sprint(n)}
	}
	return p
}

func (p params) all(key string, values []string) params {
	if len(values) > 0 {
		p[key] = values
	}
	return p
}

func (p params) joined(key string, values []string) params {
	return p.set(key, strings.Join(values, ","))
}

func (p params) span(since time.Time, duration time.Duration) params {
	if !since.IsZero() {
		p["since"] = []string{since.Format(time.RFC3339Nano)}
	}
	if duration != 0 {
		p["duration"] = []string{duration.String()}
	}
	return p
}

// more adds the conditions of a kept Search: tags come on top, of anything else what is
// there already counts.
func (p params) more(kept url.Values) params {
	for key, values := range kept {
		switch _, there := p[key]; {
		case !there:
			p[key] = values
		case key == "tag" || key == "in_tag" || key == "out_tag":
			p[key] = append(slices.Clone(p[key]), values...)
		}
	}
	return p
}

// A Page bounds a list.
type Page struct {
	Limit  int    // at most so many; 0 is all
	Newest bool   // newest first instead of oldest first
	After  string // go on after this position, which NextPage returned
}

func (p params) page(g Page) params {
	return p.number("limit", g.Limit).flag("newest", g.Newest).set("after", g.After)
}

// at builds an escaped path below /api.
func at(parts ...string) string {
	var b strings.Builder
	b.WriteString("/api")
	for _, part := range parts {
		b.WriteByte('/')
		b.WriteString(url.PathEscape(part))
	}
	return b.String()
}
