package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"strings"
	"sync"
	"time"

	"github.com/weft-dev/weft"
	"github.com/weft-dev/weft/api"
)

// rewrite makes of a client's request the one for the service.
func (e *endpoint) rewrite(p *httputil.ProxyRequest) {
	p.Out.URL = e.targetURL(p.In.URL)
	p.Out.Host = "" // the target's
	p.Out.Trailer = p.In.Trailer
	p.SetXForwarded()
	p.Out.Header.Set("X-Forwarded-Proto", p.In.URL.Scheme)
	p.Out.Header.Set("X-Forwarded-Prefix", e.Path)
	for name := range p.Out.Header {
		if strings.HasPrefix(name, ownHeaders) {
			p.Out.Header.Del(name)
		}
	}
	if !e.Authorization {
		p.Out.Header.Del("Authorization")
	}
	e.passCookies(p.Out)
	p.Out.Header.Set("X-Request-Id", infoOf(p.In.Context()).id)
	if header := passingOf(p.In.Context()).identity; header != "" {
		p.Out.Header.Set(IdentityHeader, header)
	}
}

// A passing is what belongs to one request that is passed on. It is the body of that.
type passing struct {
	io.ReadCloser
	identity string // for the header; "" is none

	mu     sync.Mutex // held while the body is read
	failed error      // of the client's body
}

type passingKey struct{}

func passingOf(ctx context.Context) *passing {
	if p, ok := ctx.Value(passingKey{}).(*passing); ok {
		return p
	}
	return &passing{}
}

// Read implements io.Reader.
func (p *passing) Read(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	n, err := p.ReadCloser.Read(b)
	if err != nil && err != io.EOF {
		p.failed = err
	}
	return n, err
}

// bodyFailed returns how the client's body failed, if it did. A failure ends the request
// before whoever reads the body has learned of it; for that it waits if ended is true.
func (p *passing) bodyFailed(ended bool) error {
	if ended {
		p.mu.Lock()
	} else if !p.mu.TryLock() {
		return nil // it is being read: it has not failed
	}
	defer p.mu.Unlock()
	return p.failed
}

// ownHeaders begin what only Weft may say to a service.
const ownHeaders = "X-Weft-"

// passCookies leaves those that are not Weft's own, if the endpoint is to have any.
func (e *endpoint) passCookies(out *http.Request) {
	cookies := out.Cookies()
	out.Header.Del("Cookie")
	for _, c := range cookies {
		if e.Cookies && !isOwnCookie(c.Name) {
			out.AddCookie(c)
		}
	}
}

// isOwnCookie tells Weft's cookies, which no service may see or set: they are the
// session of whoever is signed in.
func isOwnCookie(name string) bool {
	name = strings.ToLower(name)
	for _, prefix := range []string{"__host-", "__secure-"} {
		name = strings.TrimPrefix(name, prefix)
	}
	return strings.HasPrefix(name, "weft")
}

// answered makes of a service's answer the one for the client.
func (e *endpoint) answered(res *http.Response) error {
	e.seen(nil)
	h := res.Header
	for name := range h {
		if strings.HasPrefix(name, "Access-Control-") || strings.HasPrefix(name, ownHeaders) || name == "X-Request-Id" {
			h.Del(name) // what other sites may do is decided here
		}
	}
	cookies := res.Cookies()
	h.Del("Set-Cookie")
	for _, c := range cookies {
		if e.Cookies && !isOwnCookie(c.Name) {
			h.Add("Set-Cookie", c.String())
		}
	}
	if to := h.Get("Location"); to != "" {
		h.Set("Location", e.location(to, res.Request.URL))
	}
	return nil
}

// extraFailed answers when the service did not.
func (s *Server) extraFailed(w http.ResponseWriter, r *http.Request, e *endpoint, err error) {
	if failed := passingOf(r.Context()).bodyFailed(r.Context().Err() != nil); failed != nil {
		// The rest of the body is not waited for, neither before the answer nor after it.
		w.Header().Set("Connection", "close")
		_ = http.NewResponseController(w).SetReadDeadline(time.Unix(1, 0)) // tests without a connection have none
		err = failed
	}
	var tooLarge *http.MaxBytesError
	var own *weft.Error
	var timeout net.Error
	switch {
	case errors.As(err, &tooLarge):
		s.answerError(w, r, weft.Errorf(weft.TooLarge, "the body has more than %d bytes, which is the most that %s takes", tooLarge.Limit, e.Path))
	case errors.As(err, &own): // of the client's body
		s.answerError(w, r, own)
	case r.Context().Err() != nil || errors.Is(err, context.Canceled):
		s.answerError(w, r, weft.Errorf(weft.Canceled, "the client is gone"))
	default:
		e.seen(err)
		s.log.WarnContext(r.Context(), "extra API failed", "path", e.Path, "request", infoOf(r.Context()).id, "error", err)
		status, says := http.StatusBadGateway, "does not answer"
		if errors.As(err, &timeout) && timeout.Timeout() {
			status, says = http.StatusGatewayTimeout, "does not answer in time"
		}
		s.plain(w, r, status, api.KindUnavailable, fmt.Sprintf("the service behind %s %s\nthe server's log says more under request %s", e.Path, says, infoOf(r.Context()).id))
	}
}
