package registry

import (
	"net/http"
	"regexp"
	"strings"
)

// A part is the kind of thing that a path names.
type part int

const (
	base part = iota // /v2/
	catalogPart
	blobPart     // …/blobs/DIGEST
	uploadsPart  // …/blobs/uploads/
	uploadPart   // …/blobs/uploads/ID
	manifestPart // …/manifests/REFERENCE
	tagsPart     // …/tags/list
	referrersPart
)

// A route is a parsed path.
type route struct {
	part part
	repo string
	ref  string // digest, tag or id of an upload
}

const maxName = 255

var (
	namePattern = regexp.MustCompile(`^[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*(/[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*)*$`)
	tagPattern  = regexp.MustCompile(`^[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}$`)
)

// parseRoute reads the path of a request. The end of the path decides what it is,
// so that a repository may have any name, such as "a/blobs/uploads".
func parseRoute(r *http.Request) (route, error) {
	notFound := fail(http.StatusNotFound, unsupported, "no such endpoint")
	rest, ok := strings.CutPrefix(r.URL.Path, "/v2")
	if !ok || rest != "" && rest[0] != '/' {
		return route{}, notFound
	}
	if rest == "" || rest == "/" {
		return route{part: base}, nil
	}
	if rest == "/_catalog" {
		return route{part: catalogPart}, nil
	}
	if escaped := strings.ToLower(r.URL.EscapedPath()); strings.Contains(escaped, "%2f") || strings.Contains(escaped, "%5c") {
		return route{}, fail(http.StatusBadRequest, nameInvalid, "a name has no escaped slashes")
	}
	rt, ok := splitRoute(strings.Split(rest[1:], "/"))
	if !ok {
		return route{}, notFound
	}
	if len(rt.repo) > maxName || !namePattern.MatchString(rt.repo) {
		return route{}, fail(http.StatusBadRequest, nameInvalid, "this is not a name of a repository: lower-case letters and digits, separated by . _ - and /")
	}
	return rt, nil
}

func splitRoute(s []string) (route, bool) {
	n := len(s)
	last := func(i int) string { // the i-th segment from the end, if a name is left before it
		if n <= i {
			return ""
		}
		return s[n-i]
	}
	name := func(i int) string { return strings.Join(s[:n-i], "/") }
	switch {
	case last(2) == "manifests":
		return route{manifestPart, name(2), s[n-1]}, true
	case last(2) == "tags" && s[n-1] == "list":
		return route{tagsPart, name(2), ""}, true
	case last(2) == "referrers":
		return route{referrersPart, name(2), s[n-1]}, true
	case last(2) == "blobs" && s[n-1] == "uploads":
		return route{uploadsPart, name(2), ""}, true
	case last(2) == "blobs":
		return route{blobPart, name(2), s[n-1]}, true
	case last(3) == "blobs" && s[n-2] == "uploads" && s[n-1] == "":
		return route{uploadsPart, name(3), ""}, true
	case last(3) == "blobs" && s[n-2] == "uploads":
		return route{uploadPart, name(3), s[n-1]}, true
	}
	return route{}, false
}
