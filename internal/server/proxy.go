package server

import (
	"net"
	"net/http"
	"net/netip"
	"strings"
)

// proxied puts the client in the place of a load balancer before Weft: behind it
// r.RemoteAddr is the client's, r.URL.Scheme is what the client speaks ("http" or
// "https"), and r.Host is what the client asked for. That comes from the headers
// X-Forwarded-For, -Proto and -Host of those proxies that are trusted; anyone else's say
// nothing.
func (s *Server) proxied(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		u := *r.URL
		r2 := *r
		r2.URL, u.Scheme = &u, "http"
		if r.TLS != nil {
			u.Scheme = "https"
		}
		if s.trusts(r.RemoteAddr) {
			if client := s.clientOf(r.Header.Values("X-Forwarded-For")); client != "" {
				r2.RemoteAddr = net.JoinHostPort(client, "0")
			}
			if proto := last(r.Header.Values("X-Forwarded-Proto")); proto == "http" || proto == "https" {
				u.Scheme = proto
			}
			if host := last(r.Header.Values("X-Forwarded-Host")); host != "" {
				r2.Host = host
			}
		}
		next.ServeHTTP(w, &r2)
	})
}

// IsSecure reports whether the client of a request speaks HTTPS, to Weft or to the load
// balancer before it. Cookies are Secure then.
func IsSecure(r *http.Request) bool { return r.URL.Scheme == "https" }

// trusts reports whether an address, with or without a port, is a trusted proxy's.
func (s *Server) trusts(address string) bool {
	if host, _, err := net.SplitHostPort(address); err == nil {
		address = host
	}
	a, err := netip.ParseAddr(address)
	if err != nil {
		return false
	}
	a = a.Unmap().WithZone("")
	for _, network := range s.Proxies {
		if network.Contains(a) {
			return true
		}
	}
	return false
}

// clientOf finds the client among those that a request came through. Each proxy adds at
// the end whom it has it from, so from there the first that is no proxy of ours is the
// client: what stands before it, the client may have written itself.
func (s *Server) clientOf(headers []string) string {
	hops := strings.Split(strings.Join(headers, ","), ",")
	client := ""
	for i := len(hops) - 1; i >= 0; i-- {
		hop := strings.Trim(strings.TrimSpace(hops[i]), "[]")
		if a, err := netip.ParseAddrPort(strings.TrimSpace(hops[i])); err == nil {
			hop = a.Addr().String()
		}
		a, err := netip.ParseAddr(hop)
		if err != nil {
			break // whoever wrote this, nothing before it can be believed
		}
		client = a.Unmap().String()
		if !s.trusts(client) {
			break
		}
	}
	return client
}

// last returns the last of the values of a header, which the nearest proxy has set.
func last(headers []string) string {
	if len(headers) == 0 {
		return ""
	}
	values := strings.Split(headers[len(headers)-1], ",")
	return strings.TrimSpace(values[len(values)-1])
}
