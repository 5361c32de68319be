package registry_test

import (
	"crypto/sha512"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/weft-dev/weft"
)

// The files conform_*_test.go hold what the OCI distribution specification, version 1.1,
// says that a registry must and should do, one file for each of its categories. Each case
// runs on every database, with both algorithms of digests.

// An algorithm names content.
type algorithm struct {
	name string
	of   func(content string) string
}

var algorithms = []algorithm{{"sha256", digestOf}, {"sha512", long}}

func long(content string) string { return weft.Digest512(sha512.Sum512([]byte(content))).String() }

// conform runs test on each database for each algorithm.
func conform(t *testing.T, test func(s *system, by algorithm)) {
	t.Parallel()
	for _, by := range algorithms {
		t.Run(by.name, func(t *testing.T) { eachDatabase(t, func(s *system) { test(s, by) }) })
	}
}

// pushBy puts a blob into a repository by POST and PUT.
func (s *system) pushBy(by algorithm, repo, blob string) string {
	s.t.Helper()
	at := s.do("ann", "POST", "/v2/"+repo+"/blobs/uploads/", "").want(202, "").head.Get("Location")
	s.do("ann", "PUT", withDigest(at, by.of(blob)), blob, "Content-Type: application/octet-stream").want(201, "")
	return by.of(blob)
}

// withDigest adds the parameter to a Location, which may have others.
func withDigest(at, digest string) string {
	if strings.Contains(at, "?") {
		return at + "&digest=" + digest
	}
	return at + "?digest=" + digest
}

// refBy is a descriptor.
func refBy(by algorithm, mediaType, blob string) string {
	return fmt.Sprintf(`{"mediaType":%q,"digest":%q,"size":%d}`, mediaType, by.of(blob), len(blob))
}

// imageBy is the text of an image's manifest, which refers to everything by the algorithm.
func imageBy(by algorithm, layer string, more ...string) string {
	return fmt.Sprintf(`{"schemaVersion":2,"mediaType":%q,"config":%s,"layers":[%s]%s}`, ociManifest,
		refBy(by, "application/vnd.oci.image.config.v1+json", "{}"), refBy(by, "application/vnd.oci.image.layer.v1.tar", layer), strings.Join(more, ""))
}

// pushImageBy pushes an image under a tag or, when that is empty, by its digest.
func (s *system) pushImageBy(by algorithm, repo, tag, layer string, more ...string) (text string) {
	s.t.Helper()
	s.pushBy(by, repo, "{}")
	s.pushBy(by, repo, layer)
	text = imageBy(by, layer, more...)
	if tag == "" {
		tag = by.of(text)
	}
	s.do("ann", "PUT", "/v2/"+repo+"/manifests/"+tag, text, "Content-Type: "+ociManifest).want(201, "")
	return text
}

// header checks one header of an answer.
func (a answer) header(name, want string) answer {
	a.t.Helper()
	if got := a.head.Get(name); got != want {
		a.t.Errorf("%s is %q, want %q", name, got, want)
	}
	return a
}

// pullable checks that the Location leads to the content.
func (s *system) pullable(a answer, content string) {
	s.t.Helper()
	at := a.head.Get("Location")
	if at == "" {
		s.t.Fatal("there is no Location")
	}
	if got := s.do("ann", "GET", at, "").want(200, "").body; got != content {
		s.t.Errorf("%s is %q, want %q", at, got, content)
	}
}

// errorCodes checks that an error has the form of the specification, and returns its codes.
func (a answer) errorCodes() string {
	a.t.Helper()
	if got := a.head.Get("Content-Type"); got != "application/json" {
		a.t.Errorf("an error has the type %q", got)
	}
	var body struct {
		Errors []struct{ Code, Message string }
	}
	if err := json.Unmarshal([]byte(a.body), &body); err != nil || len(body.Errors) == 0 {
		a.t.Fatalf("not an error in the form of the specification: %v: %s", err, a.body)
	}
	codes := make([]string, len(body.Errors))
	for i, e := range body.Errors {
		codes[i] = e.Code
		if e.Message == "" {
			a.t.Errorf("%s has no message", e.Code)
		}
	}
	return strings.Join(codes, ",")
}

// Errors have one of the codes that the specification lists, in its form.
func TestErrorsConform(t *testing.T) {
	t.Parallel()
	s := setup(t)
	d := digestOf("nothing")
	for _, c := range []struct {
		user, method, path, body, header string
		status                           int
		code                             string
	}{
		{"", "GET", "/v2/", "", "", 401, "UNAUTHORIZED"},
		{"viewer", "POST", "/v2/r/blobs/uploads/", "", "", 403, "DENIED"},
		{"ann", "GET", "/v2/r/blobs/" + d, "", "", 404, "BLOB_UNKNOWN"},
		{"ann", "GET", "/v2/r/blobs/" + long("nothing"), "", "", 404, "BLOB_UNKNOWN"},
		{"ann", "GET", "/v2/r/manifests/v1", "", "", 404, "MANIFEST_UNKNOWN"},
		{"ann", "GET", "/v2/r/manifests/" + d, "", "", 404, "MANIFEST_UNKNOWN"},
		{"ann", "GET", "/v2/r/manifests/" + long("nothing"), "", "", 404, "MANIFEST_UNKNOWN"},
		{"ann", "GET", "/v2/r/tags/list", "", "", 404, "NAME_UNKNOWN"},
		{"ann", "GET", "/v2/UPPER/tags/list", "", "", 400, "NAME_INVALID"},
		{"ann", "GET", "/v2/r/blobs/sha256:short", "", "", 400, "DIGEST_INVALID"},
		{"ann", "GET", "/v2/r/blobs/md5:" + strings.Repeat("a", 32), "", "", 400, "DIGEST_INVALID"},
		{"ann", "GET", "/v2/r/referrers/nothing", "", "", 400, "DIGEST_INVALID"},
		{"ann", "PATCH", "/v2/r/blobs/uploads/none", "x", "", 404, "BLOB_UPLOAD_UNKNOWN"},
		{"ann", "PUT", "/v2/r/blobs/uploads/none?digest=" + d, "x", "", 404, "BLOB_UPLOAD_UNKNOWN"},
		{"ann", "PUT", "/v2/r/manifests/v1", "{", ociManifest, 400, "MANIFEST_INVALID"},
		{"ann", "PUT", "/v2/r/manifests/v1", imageBy(algorithms[0], "none"), ociManifest, 404, "MANIFEST_BLOB_UNKNOWN"},
		{"ann", "PUT", "/v2/r/manifests/v1", imageBy(algorithms[1], "none"), ociManifest, 404, "MANIFEST_BLOB_UNKNOWN"},
		{"ann", "PUT", "/v2/r/manifests/v1", strings.Repeat(" ", 4<<20+1), ociManifest, 413, "SIZE_INVALID"},
		{"ann", "POST", "/v2/r/tags/list", "", "", 405, "UNSUPPORTED"},
		{"ann", "GET", "/v2/r/nothing", "", "", 404, "UNSUPPORTED"},
	} {
		var headers []string
		if c.header != "" {
			headers = []string{"Content-Type: " + c.header}
		}
		a := s.do(c.user, c.method, c.path, c.body, headers...).want(c.status, "")
		if got := a.errorCodes(); got != c.code {
			t.Errorf("%s %s: %s, want %s", c.method, c.path[:min(len(c.path), 60)], got, c.code)
		}
	}
}
