package server

import (
	"net/http"
	"net/http/httptest"
	"net/netip"
	"testing"
)

// Headers of a load balancer count if it is trusted, and only as far as it has written
// them itself.
func TestProxied(t *testing.T) {
	t.Parallel()
	s := newServer(t, Config{Proxies: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("2001:db8::/32")}})
	for _, c := range []struct {
		from, forwardedFor, proto, host string
		client, scheme, wantHost        string
	}{
		{"10.0.0.1:5", "203.0.113.9", "https", "weft.test", "203.0.113.9:0", "https", "weft.test"},
		{"10.0.0.1:5", "", "", "", "10.0.0.1:5", "http", "inner"},
		{"10.0.0.1:5", "198.51.100.1, 203.0.113.9", "https", "", "203.0.113.9:0", "https", "inner"}, // the first is the client's own invention
		{"10.0.0.1:5", "203.0.113.9, 10.0.0.2", "http, https", "", "203.0.113.9:0", "https", "inner"},
		{"10.0.0.1:5", "10.0.0.3, 10.0.0.2", "https", "", "10.0.0.3:0", "https", "inner"},
		{"10.0.0.1:5", "203.0.113.9, nonsense", "gopher", "", "10.0.0.1:5", "http", "inner"},
		{"10.0.0.1:5", "203.0.113.9:4711", "", "", "203.0.113.9:0", "http", "inner"},
		{"[2001:db8::1]:5", "2001:db9::7", "https", "", "[2001:db9::7]:0", "https", "inner"},
		{"[::ffff:10.0.0.1]:5", "203.0.113.9", "https", "", "203.0.113.9:0", "https", "inner"},
		{"192.0.2.1:5", "203.0.113.9", "https", "evil.test", "192.0.2.1:5", "http", "inner"},
	} {
		r := httptest.NewRequest("GET", "http://inner/", nil)
		r.RemoteAddr, r.URL.Scheme = c.from, ""
		for name, value := range map[string]string{"X-Forwarded-For": c.forwardedFor, "X-Forwarded-Proto": c.proto, "X-Forwarded-Host": c.host} {
			if value != "" {
				r.Header.Set(name, value)
			}
		}
		s.proxied(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			if r.RemoteAddr != c.client || r.URL.Scheme != c.scheme || IsSecure(r) != (c.scheme == "https") || r.Host != c.wantHost {
				t.Errorf("%+v: it is %s by %s for %s", c, r.RemoteAddr, r.URL.Scheme, r.Host)
			}
		})).ServeHTTP(httptest.NewRecorder(), r)
	}
}
