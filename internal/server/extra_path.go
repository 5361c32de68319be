package server

import (
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"github.com/weft-dev/weft"
)

var escapedTwice = regexp.MustCompile(`%[0-9A-Fa-f]{2}`)

// checkExtraPath refuses paths that the service behind could take for others than Weft
// does, and so for something outside of what was decided about: services differ in when
// they decode, and in what they do about dots, empty segments and backslashes.
func checkExtraPath(u *url.URL) error {
	refuse := func(what string) error {
		return weft.Errorf(weft.Invalid, "the path has %s, which is not passed on", what)
	}
	escaped := strings.ToLower(u.EscapedPath())
	switch {
	case strings.Contains(escaped, "%2f") || strings.Contains(escaped, "%5c") || strings.Contains(u.Path, `\`):
		return refuse("an escaped slash or a backslash")
	case escapedTwice.MatchString(u.Path):
		return refuse("something that is escaped twice")
	case strings.ContainsFunc(u.Path, func(r rune) bool { return r < ' ' || r == 0x7f }):
		return refuse("a control character")
	}
	segments := strings.Split(u.Path, "/")
	for i, segment := range segments {
		name, _, _ := strings.Cut(segment, ";") // some take what follows for parameters
		switch {
		case name == "." || name == "..":
			return refuse("a segment " + name)
		case segment == "" && i > 0 && i < len(segments)-1:
			return refuse("an empty segment")
		}
	}
	return nil
}

// targetURL is where a request for an endpoint goes to.
func (e *endpoint) targetURL(in *url.URL) *url.URL {
	rest := func(path string) string { // what stands behind the endpoint's own path
		segments := strings.SplitN(path, "/", e.depth+2)
		if len(segments) < e.depth+2 {
			return ""
		}
		return "/" + segments[e.depth+1]
	}
	out := *e.Target
	base, escapedBase := strings.TrimSuffix(e.Target.Path, "/"), strings.TrimSuffix(e.Target.EscapedPath(), "/")
	more, escapedMore := rest(in.Path), rest(in.EscapedPath())
	if more == "" {
		base, escapedBase = e.Target.Path, e.Target.EscapedPath() // as it was written, slash and all
	}
	out.Path, out.RawPath = base+more, escapedBase+escapedMore
	if out.Path == "" || e.TrailingSlash && !strings.HasSuffix(out.Path, "/") {
		out.Path, out.RawPath = out.Path+"/", out.RawPath+"/"
	}
	out.RawQuery, out.ForceQuery = in.RawQuery, in.ForceQuery
	return &out
}

// location turns the target of a redirect that lies within the service into a path of
// this server; any other is left alone.
func (e *endpoint) location(text string, from *url.URL) string {
	to, err := from.Parse(text)
	if err != nil || to.Scheme != e.Target.Scheme || to.Host != e.Target.Host {
		return text
	}
	rest, ok := strings.CutPrefix(to.EscapedPath(), strings.TrimSuffix(e.Target.EscapedPath(), "/"))
	if !ok || rest != "" && rest[0] != '/' {
		return text
	}
	out := e.Path + rest
	if to.RawQuery != "" {
		out += "?" + to.RawQuery
	}
	if to.Fragment != "" {
		out += "#" + to.EscapedFragment()
	}
	return out
}

// checkOrigin refuses what a page of another site makes a browser ask for: changes, and
// WebSockets, for which browsers have no rule of their own. Sites that an endpoint names
// may.
func (s *Server) checkOrigin(w http.ResponseWriter, r *http.Request, e *endpoint) error {
	origin := r.Header.Get("Origin")
	if slices.Contains(e.Origins, origin) {
		e.allowOrigin(w.Header(), origin)
		return nil
	}
	if len(e.Origins) > 0 {
		w.Header().Add("Vary", "Origin")
	}
	err := s.origin.Check(r)
	if err == nil && r.Header.Get("Upgrade") != "" && origin != "" {
		if u, perr := url.Parse(origin); perr != nil || !strings.EqualFold(u.Host, r.Host) {
			err = http.ErrNotSupported
		}
	}
	if err != nil {
		return weft.Errorf(weft.Forbidden, "another site, %s, may not use this endpoint from your browser", origin).
			WithAdvice("an administrator can name it in the endpoint's cors")
	}
	return nil
}

// allowOrigin tells a browser that a page of another site may read the answer (Fetch
// standard, section 3.3).
func (e *endpoint) allowOrigin(h http.Header, origin string) {
	h.Add("Vary", "Origin")
	h.Set("Access-Control-Allow-Origin", origin)
	h.Set("Access-Control-Expose-Headers", "*")
	if e.Credentials {
		h.Set("Access-Control-Allow-Credentials", "true")
	}
}

// preflight answers a browser's question whether it may ask, which has no credentials.
func (e *endpoint) preflight(w http.ResponseWriter, r *http.Request) bool {
	const remember = "600" // seconds
	wanted := r.Header.Get("Access-Control-Request-Method")
	if r.Method != http.MethodOptions || wanted == "" || !slices.Contains(e.Origins, r.Header.Get("Origin")) {
		return false
	}
	h := w.Header()
	h.Set("Access-Control-Allow-Methods", wanted)
	if headers := r.Header.Get("Access-Control-Request-Headers"); headers != "" {
		h.Set("Access-Control-Allow-Headers", headers)
	}
	h.Set("Access-Control-Max-Age", remember)
	h.Add("Vary", "Access-Control-Request-Method, Access-Control-Request-Headers")
	w.WriteHeader(http.StatusNoContent)
	return true
}
