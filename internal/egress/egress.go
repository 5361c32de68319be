// Package egress is the one way out to URLs that users or settings name: hooks,
// notifications, imports. A server can be asked to fetch what the asker cannot reach
// (server-side request forgery), so a Gate refuses addresses of the machine itself, of its
// own network and of the cloud's metadata, unless the settings allow them.
//
// Names are resolved once, the addresses checked, and exactly those dialled: a name that
// resolves to something else a moment later (DNS rebinding) gains nothing. Every redirect is
// a new request and is checked like the first.
package egress

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/weft-dev/weft"
)

// Limits on servers that are slow or talk too much before their answer. How long an answer
// may take is up to the caller's context.
const (
	dialTimeout = 10 * time.Second
	maxHeader   = 64 << 10 // bytes of an answer's header
	maxHops     = 5        // redirects that are followed
	keepIdle    = 90 * time.Second
)

// A Policy says what may be reached beyond the public internet.
type Policy struct {
	Allow    []Rule
	Roots    *x509.CertPool // that certificates are checked against; nil: the machine's own
	Resolver Resolver       // nil: the machine's own
}

// A Resolver finds the addresses of a name. *net.Resolver is one.
type Resolver interface {
	LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error)
}

// A Gate makes requests within a Policy, which may be replaced at any time. It may be used
// by several goroutines at once.
type Gate struct {
	policy    atomic.Pointer[Policy]
	transport atomic.Pointer[http.Transport]
}

// New makes a Gate.
func New(p Policy) *Gate {
	g := &Gate{}
	g.Set(p)
	return g
}

// Set replaces the Policy. What is under way goes on; kept connections are not used again.
func (g *Gate) Set(p Policy) {
	t := &http.Transport{
		DialContext:            g.dial,
		TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: p.Roots},
		ForceAttemptHTTP2:      true, // an own DialContext would turn it off
		TLSHandshakeTimeout:    dialTimeout,
		MaxResponseHeaderBytes: maxHeader,
		MaxIdleConnsPerHost:    8,
		IdleConnTimeout:        keepIdle,
		// No Proxy: it would resolve names by itself, and nothing here would be checked.
	}
	g.policy.Store(&p)
	if old := g.transport.Swap(t); old != nil {
		old.CloseIdleConnections()
	}
}

// Client returns a client whose every request, redirects included, goes through the Gate.
// It has no time-out: give each request a context that has one.
func (g *Gate) Client() *http.Client {
	return &http.Client{Transport: g, CheckRedirect: redirect}
}

// Poster returns a client that follows no redirect: what is posted and signed for one place
// is not for another.
func (g *Gate) Poster() *http.Client {
	return &http.Client{Transport: g, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

// RoundTrip makes one request, after its URL was checked.
func (g *Gate) RoundTrip(r *http.Request) (*http.Response, error) {
	if _, err := g.check(r.URL); err != nil {
		if r.Body != nil {
			return nil, errors.Join(err, r.Body.Close())
		}
		return nil, err
	}
	return g.transport.Load().RoundTrip(r)
}

// redirect refuses chains, and the way back from TLS to plain text.
func redirect(next *http.Request, before []*http.Request) error {
	switch {
	case len(before) > maxHops:
		return weft.Errorf(weft.Forbidden, "the server redirects more than %d times", maxHops)
	case before[len(before)-1].URL.Scheme == "https" && next.URL.Scheme != "https":
		return weft.Errorf(weft.Forbidden, "the server redirects from https to %s", next.URL.Scheme)
	}
	return nil
}

// Cause returns what went wrong with a request without the URL that net/http puts before
// it: the path and query of a URL may be a secret.
func Cause(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		return u.Err
	}
	return err
}

// Check tells what can be told of a URL without asking anybody: a name may still turn out
// to have an address that is refused. It is for early answers to whoever writes the URL.
func (g *Gate) Check(text string) error { return g.policy.Load().Check(text) }

// Check is for one who has no Gate yet, such as whoever reads the settings.
func (p *Policy) Check(text string) error {
	u, err := url.Parse(text)
	if err != nil {
		return weft.Errorf(weft.Invalid, "this is not a URL") // the parser's own words repeat it, and it may hold a secret
	}
	_, err = p.check(u)
	return err
}

func (g *Gate) check(u *url.URL) (netip.Addr, error) { return g.policy.Load().check(u) }

// check returns the address if the host is one.
func (p *Policy) check(u *url.URL) (netip.Addr, error) {
	host := u.Hostname()
	switch {
	case u.Scheme != "http" && u.Scheme != "https":
		return netip.Addr{}, weft.Errorf(weft.Invalid, "a URL here begins with http:// or https://")
	case u.User != nil:
		return netip.Addr{}, weft.Errorf(weft.Invalid, "a URL here has no user or password in it, as URLs are logged").
			WithAdvice("send it in a header, or sign with a secret")
	case u.Opaque != "" || host == "":
		return netip.Addr{}, weft.Errorf(weft.Invalid, "the URL names no host")
	}
	addr, err := netip.ParseAddr(host)
	if err == nil {
		return addr, p.checkAddr(addr, host, port(u))
	}
	if looksLikeAddress(host) {
		return addr, weft.Errorf(weft.Invalid, "%q is not an address as it is usually written", host)
	}
	return netip.Addr{}, nil
}

// looksLikeAddress tells of names that some programs take for IPv4 addresses: 127.1,
// 2130706433, 0x7f.0.0.1. No name in the DNS ends so.
func looksLikeAddress(host string) bool {
	last := strings.TrimSuffix(host, ".")
	last = strings.ToLower(last[strings.LastIndexByte(last, '.')+1:])
	hex, isHex := strings.CutPrefix(last, "0x")
	if isHex {
		return strings.Trim(hex, "0123456789abcdef") == ""
	}
	return strings.Trim(last, "0123456789") == ""
}

func port(u *url.URL) string {
	if p := u.Port(); p != "" {
		return p
	}
	if u.Scheme == "http" {
		return "80"
	}
	return "443"
}

// dial resolves once, and dials what it checked and nothing else.
func (g *Gate) dial(ctx context.Context, network, address string) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	p := g.policy.Load()
	addrs, err := p.resolve(ctx, host)
	if err != nil {
		return nil, err
	}
	var errs []error
	for _, a := range addrs {
		if err := p.checkAddr(a, host, port); err != nil {
			errs = append(errs, err)
			continue
		}
		conn, err := p.dialer(host, port).DialContext(ctx, network, net.JoinHostPort(a.String(), port))
		if err == nil {
			return conn, nil
		}
		errs = append(errs, weft.Errorf(weft.Unavailable, "%s cannot be reached: %w", host, err))
	}
	if len(errs) > 1 {
		return nil, fmt.Errorf("%w (and %d more of its addresses)", errs[0], len(errs)-1)
	}
	return nil, errs[0]
}

// dialer checks once more what the kernel is really told to connect to.
func (p *Policy) dialer(host, port string) *net.Dialer {
	return &net.Dialer{Control: func(_, address string, _ syscall.RawConn) error {
		ap, err := netip.ParseAddrPort(address)
		if err != nil {
			return err
		}
		return p.checkAddr(ap.Addr(), host, port)
	}}
}

func (p *Policy) resolve(ctx context.Context, host string) ([]netip.Addr, error) {
	if a, err := netip.ParseAddr(host); err == nil {
		return []netip.Addr{a}, nil
	}
	var r Resolver = net.DefaultResolver
	if p.Resolver != nil {
		r = p.Resolver
	}
	addrs, err := r.LookupNetIP(ctx, "ip", host)
	if err != nil {
		return nil, weft.Errorf(weft.Unavailable, "the name %s cannot be resolved: %w", host, err)
	}
	if len(addrs) == 0 {
		return nil, weft.Errorf(weft.Unavailable, "the name %s has no address", host)
	}
	return addrs, nil
}
