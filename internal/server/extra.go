package server

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/go-chi/chi/v5"

	"github.com/weft-dev/weft"
	"github.com/weft-dev/weft/api"
)

// An Extra is an endpoint of the extra API: requests for a path, and for everything below
// it, go to another service.
type Extra struct {
	Path   string   // absolute, such as /extra/board
	Target *url.URL // what Path becomes

	Public  bool      // everyone may, without signing in; Role says nothing then
	Admin   bool      // it takes a system administrator
	Role    weft.Role // that it takes otherwise; NoRole is Viewer
	Project string    // in which; "": in the one that the request is about

	Secret        []byte // signs the header instead of Weft's own key (HS256), if not empty
	Authorization bool   // the client's Authorization is passed on
	Cookies       bool   // cookies are, both ways, but for Weft's own
	TrailingSlash bool   // the target's path ends with a slash, as Knitfab does it

	Timeout time.Duration // for the header of the answer; 0 is a minute
	Idle    time.Duration // how long a body may stand still; 0 is two minutes
	MaxBody int64         // bytes of a request; 0 is any number

	Origins     []string // other sites whose pages may ask: https://app.example.org
	Credentials bool     // and may read as whoever is signed in to Weft in that browser

	Health string         // path at the target that answers 2xx when all is well; "": connecting will do
	Roots  *x509.CertPool // authorities for an https target; nil: the system's
}

const (
	extraTimeout = time.Minute
	extraDial    = 5 * time.Second
	extraIdle    = 90 * time.Second // for which a connection to a target is kept
)

// An endpoint is an Extra that works.
type endpoint struct {
	Extra
	depth  int // number of segments of the path
	proxy  *httputil.ReverseProxy
	dial   *net.Dialer
	client *http.Client // for its health

	mu     sync.Mutex
	health health
}

// SetExtra replaces the endpoints of the extra API. Requests that are under way go on. An
// error says what is wrong with one of them, and changes nothing.
func (s *Server) SetExtra(list []Extra) error {
	own := s.ownSegments()
	var next []*endpoint
	for _, x := range list {
		if err := x.check(own); err != nil {
			return err
		}
		if slices.ContainsFunc(next, func(e *endpoint) bool { return e.Path == x.Path }) {
			return weft.Errorf(weft.Invalid, "extra-api: %s is there twice", x.Path)
		}
		next = append(next, s.newEndpoint(x))
	}
	// The longest path that fits is meant.
	slices.SortFunc(next, func(a, b *endpoint) int { return len(b.Path) - len(a.Path) })
	if last := s.extra.Swap(&next); last != nil {
		for _, e := range *last {
			e.client.CloseIdleConnections()
		}
	}
	select {
	case s.extraSet <- struct{}{}:
	default: // somebody will look already
	}
	return nil
}

var extraPath = regexp.MustCompile(`^(/[A-Za-z0-9_~-][A-Za-z0-9._~-]*)+$`)

// check refuses what could not work, or would hide a part of Weft.
func (x Extra) check(own map[string]bool) error {
	refuse := func(advice, format string, args ...any) error {
		return weft.Errorf(weft.Invalid, "extra-api: "+format, args...).WithAdvice("%s", advice)
	}
	switch {
	case !extraPath.MatchString(x.Path):
		return refuse("write it like /extra/board: it begins with /, does not end with one, and has letters, digits and - _ . ~ only", "path %q is not usable", x.Path)
	case own[strings.ToLower(strings.Split(x.Path, "/")[1])]:
		return refuse("choose another, such as /extra"+x.Path, "path %s belongs to Weft itself", x.Path)
	case x.Target == nil || x.Target.Host == "" || x.Target.Scheme != "http" && x.Target.Scheme != "https":
		return refuse("write proxy_to like http://host:8080/base", "%s: proxy_to is not an absolute URL with a host", x.Path)
	case x.Target.RawQuery != "" || x.Target.Fragment != "":
		return refuse("leave ? and # away", "%s: proxy_to has a query; that comes from the client", x.Path)
	case x.Target.User != nil:
		return refuse("have the service check the signed header instead", "%s: proxy_to has a user or a password in it, which everyone who reads the settings would see", x.Path)
	case x.Timeout < 0 || x.Idle < 0 || x.MaxBody < 0:
		return refuse("leave it away for the default", "%s: a limit is negative", x.Path)
	case x.Public && (x.Admin || x.Role != weft.NoRole || x.Project != ""):
		return refuse("drop public, or role and project", "%s: it cannot be public and take a role", x.Path)
	case x.Health != "" && !strings.HasPrefix(x.Health, "/"):
		return refuse("write it like /healthz: it is a path at the target", "%s: health %q is not a path", x.Path, x.Health)
	}
	for _, o := range x.Origins {
		if u, err := url.Parse(o); err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" || u.String() != u.Scheme+"://"+u.Host {
			return refuse("write it like https://app.example.org, with no slash at the end; * is not possible", "%s: %q is not the origin of a site", x.Path, o)
		}
	}
	return nil
}

// ownSegments are the first segments of the paths that Weft answers itself, and of those
// that it may come to answer.
func (s *Server) ownSegments() map[string]bool {
	own := map[string]bool{}
	for _, name := range []string{"api", "v2", "login", "logout", "oidc", "device", "auth", ".well-known", "static", "assets", "index.html", "index.js", "licenses.txt", "favicon.ico"} {
		own[name] = true
	}
	// A walk over a tree that is built does not fail.
	_ = chi.Walk(s.router, func(_, path string, _ http.Handler, _ ...func(http.Handler) http.Handler) error {
		own[strings.ToLower(strings.Split(path, "/")[1])] = true
		return nil
	})
	return own
}

func (s *Server) newEndpoint(x Extra) *endpoint {
	if x.Timeout == 0 {
		x.Timeout = extraTimeout
	}
	if x.Role == weft.NoRole {
		x.Role = weft.Viewer
	}
	dial := &net.Dialer{Timeout: extraDial}
	to := &http.Transport{
		DialContext: dial.DialContext, TLSHandshakeTimeout: extraDial, ResponseHeaderTimeout: x.Timeout, ExpectContinueTimeout: time.Second,
		IdleConnTimeout: extraIdle, MaxIdleConnsPerHost: 32, ForceAttemptHTTP2: true, DisableCompression: true, // bodies pass as they are
		MaxResponseHeaderBytes: 1 << 20, TLSClientConfig: &tls.Config{RootCAs: x.Roots, MinVersion: tls.VersionTLS12},
	}
	e := &endpoint{Extra: x, depth: strings.Count(x.Path, "/"), dial: dial}
	e.client = &http.Client{Transport: to, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	e.proxy = &httputil.ReverseProxy{
		Transport:      to,
		FlushInterval:  -1, // at once
		Rewrite:        func(p *httputil.ProxyRequest) { e.rewrite(p) },
		ModifyResponse: e.answered,
		ErrorHandler:   func(w http.ResponseWriter, r *http.Request, err error) { s.extraFailed(w, r, e, err) },
	}
	return e
}

// extraFor returns the endpoint that a path belongs to.
func (s *Server) extraFor(path string) *endpoint {
	list := s.extra.Load()
	if list == nil {
		return nil
	}
	for _, e := range *list {
		if rest, ok := strings.CutPrefix(path, e.Path); ok && (rest == "" || rest[0] == '/') {
			return e
		}
	}
	return nil
}

// endpoints are those of the present.
func (s *Server) endpoints() []*endpoint {
	if list := s.extra.Load(); list != nil {
		return *list
	}
	return nil
}

// serveExtra passes a request on.
func (s *Server) serveExtra(w http.ResponseWriter, r *http.Request, e *endpoint) {
	infoOf(r.Context()).route = e.Path
	if err := checkExtraPath(r.URL); err != nil {
		s.answerError(w, r, err)
		return
	}
	if err := s.checkOrigin(w, r, e); err != nil {
		s.answerError(w, r, err)
		return
	}
	if e.preflight(w, r) {
		return
	}
	who, err := s.mayUse(r, e)
	if err != nil {
		s.answerError(w, r, err)
		return
	}
	pass := &passing{}
	if !e.Public {
		if pass.identity, err = s.identityFor(r, e, who); err != nil {
			s.answerError(w, r, err)
			return
		}
	}
	if b, ok := r.Body.(*watchedBody); ok && e.Idle > 0 {
		b.stall = e.Idle
	}
	if e.MaxBody > 0 {
		r.Body = http.MaxBytesReader(w, r.Body, e.MaxBody)
	}
	if r.ProtoMajor == 1 && r.ContentLength < 0 {
		// The service may answer while the body still comes. Package net/http can do that,
		// but not then find the beginning of a next request on the connection.
		w.Header().Set("Connection", "close")
		_ = http.NewResponseController(w).EnableFullDuplex() // tests without a connection have no use for it
	}
	pass.ReadCloser, r.Body = r.Body, pass
	e.proxy.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), passingKey{}, pass)))
}

// mayUse decides whether whoever makes a request may use an endpoint.
func (s *Server) mayUse(r *http.Request, e *endpoint) (weft.Principal, error) {
	if e.Public {
		return weft.Principal{}, nil
	}
	if e.Project != "" {
		r.Header.Set(api.ProjectHeader, e.Project)
	}
	verb := map[weft.Role]weft.Verb{weft.Viewer: weft.Read, weft.Member: weft.Create, weft.Manager: weft.Manage}[e.Role]
	p, err := s.guard.authorise(r, verb, func(_ *http.Request, p weft.Principal) (weft.Object, error) {
		if e.Admin {
			return weft.Object{Kind: "extra"}, nil
		}
		return weft.Object{Kind: "extra", Project: p.Project}, nil
	})
	if err != nil || isReading(r) {
		return p, err
	}
	// What a request changes there is not known; so a token that may only read is good
	// for those requests only which by HTTP change nothing. The role was looked at above.
	all := p
	all.Roles = map[weft.ProjectID]weft.Role{p.Project: weft.Manager}
	return p, weft.May(all, weft.Create, weft.Object{Kind: "extra", Project: p.Project})
}

// isReading reports whether a request changes nothing (RFC 9110, section 9.2.1). What
// goes over a WebSocket may be anything.
func isReading(r *http.Request) bool {
	switch r.Method {
	case http.MethodGet, http.MethodHead, http.MethodOptions:
		return r.Header.Get("Upgrade") == ""
	}
	return false
}
