package registry_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"
)

func TestBase(t *testing.T) {
	t.Parallel()
	s := setup(t)
	a := s.do("", "GET", "/v2/", "").want(401, "UNAUTHORIZED")
	if got := a.head.Get("WWW-Authenticate"); !strings.HasPrefix(got, "Basic ") {
		t.Errorf("WWW-Authenticate is %q", got)
	}
	a = s.do("ann", "GET", "/v2/", "").want(200, "{}")
	if got := a.head.Get("Docker-Distribution-API-Version"); got != "registry/2.0" {
		t.Errorf("version is %q", got)
	}
	s.do("ann", "GET", "/v2", "").want(200, "{}")
	if got := s.do("ann", "POST", "/v2/", "").want(405, "UNSUPPORTED").head.Get("Allow"); got != "GET, HEAD" {
		t.Errorf("Allow is %q", got)
	}
}

func TestMonolithicUpload(t *testing.T) {
	t.Parallel()
	s := setup(t)
	for _, blob := range []string{"", "x", strings.Repeat("weft", 1<<20)} {
		d := digestOf(blob)
		s.do("ann", "GET", "/v2/a/b/blobs/"+d, "").want(404, "BLOB_UNKNOWN")
		a := s.do("ann", "POST", "/v2/a/b/blobs/uploads/?digest="+d, blob).want(201, "")
		if got := a.head.Get("Docker-Content-Digest"); got != d {
			t.Errorf("digest is %s, want %s", got, d)
		}
		got := s.do("ann", "GET", a.head.Get("Location"), "").want(200, "")
		if got.body != blob {
			t.Errorf("got %d bytes back, want %d", len(got.body), len(blob))
		}
		head := s.do("ann", "HEAD", "/v2/a/b/blobs/"+d, "").want(200, "")
		if head.head.Get("Content-Length") != fmt.Sprint(len(blob)) {
			t.Errorf("HEAD says %s bytes, want %d", head.head.Get("Content-Length"), len(blob))
		}
	}
}

func TestPostThenPut(t *testing.T) {
	t.Parallel()
	s := setup(t)
	a := s.do("ann", "POST", "/v2/r/blobs/uploads/", "").want(202, "")
	s.do("ann", "PUT", a.head.Get("Location")+"?digest="+digestOf("hello"), "hello").want(201, "")
	s.do("ann", "GET", "/v2/r/blobs/"+digestOf("hello"), "").want(200, "hello")
	s.do("ann", "GET", a.head.Get("Location"), "").want(404, "BLOB_UPLOAD_UNKNOWN")
}

func TestChunkedUpload(t *testing.T) {
	t.Parallel()
	s := setup(t)
	at := s.do("ann", "POST", "/v2/r/blobs/uploads/", "").want(202, "").head.Get("Location")
	chunk := func(first, last int, body string) answer {
		return s.do("ann", "PATCH", at, body, fmt.Sprintf("Content-Range: %d-%d", first, last), "Content-Type: application/octet-stream")
	}
	chunk(4, 7, "efgh").want(416, "") // out of order
	if got := chunk(0, 3, "abcd").want(202, "").head.Get("Range"); got != "0-3" {
		t.Errorf("Range is %q", got)
	}
	again := chunk(0, 3, "abcd").want(416, "")
	if got := again.head.Get("Range"); got != "0-3" {
		t.Errorf("Range of a refused chunk is %q, which leaves the client in the dark", got)
	}
	status := s.do("ann", "GET", at, "").want(204, "")
	if got := status.head.Get("Range"); got != "0-3" || status.head.Get("Location") != at {
		t.Errorf("status: Range %q, Location %q", got, status.head.Get("Location"))
	}
	chunk(4, 7, "efgh").want(202, "")
	s.do("ann", "PUT", at+"?digest="+digestOf("abcdefghij"), "ij", "Content-Range: 8-9").want(201, "")
	s.do("ann", "GET", "/v2/r/blobs/"+digestOf("abcdefghij"), "").want(200, "abcdefghij")
}

func TestBadChunks(t *testing.T) {
	t.Parallel()
	s := setup(t)
	at := func() string {
		return s.do("ann", "POST", "/v2/r/blobs/uploads/", "").want(202, "").head.Get("Location")
	}
	for _, r := range []string{"x-y", "3", "-1-2", "3-1", "0--4"} {
		s.do("ann", "PATCH", at(), "abcd", "Content-Range: "+r).want(416, "")
	}
	s.do("ann", "PATCH", at(), "abcd", "Content-Range: 0-9").want(400, "SIZE_INVALID")
	s.do("ann", "PATCH", "/v2/r/blobs/uploads/none", "abcd").want(404, "BLOB_UPLOAD_UNKNOWN")
}

func TestBadDigests(t *testing.T) {
	t.Parallel()
	s := setup(t)
	upload := func(digest string) answer {
		at := s.do("ann", "POST", "/v2/r/blobs/uploads/", "").want(202, "").head.Get("Location")
		return s.do("ann", "PUT", at+"?digest="+digest, "abcd")
	}
	upload("").want(400, "DIGEST_INVALID")
	upload("sha256:abc").want(400, "DIGEST_INVALID")
	upload(strings.ToUpper(digestOf("abcd"))).want(400, "DIGEST_INVALID")
	upload(digestOf("other")).want(400, "DIGEST_INVALID")
	upload("sha384:"+strings.Repeat("a", 96)).want(400, "UNSUPPORTED")
	upload("sha512:"+strings.Repeat("a", 128)).want(400, "DIGEST_INVALID")
	upload("sha512:"+strings.Repeat("0", 128)).want(400, "DIGEST_INVALID")
	upload("sha256:"+strings.Repeat("0", 64)).want(400, "DIGEST_INVALID")
	s.do("ann", "POST", "/v2/r/blobs/uploads/?digest="+digestOf("other"), "abcd").want(400, "DIGEST_INVALID")
	s.do("ann", "GET", "/v2/r/blobs/"+digestOf("abcd"), "").want(404, "BLOB_UNKNOWN")
	s.do("ann", "GET", "/v2/r/blobs/sha256:xyz", "").want(400, "DIGEST_INVALID")
}

func TestCancelUpload(t *testing.T) {
	t.Parallel()
	s := setup(t)
	at := s.do("ann", "POST", "/v2/r/blobs/uploads/", "").want(202, "").head.Get("Location")
	s.do("ann", "PATCH", at, strings.Repeat("x", 3<<20)).want(202, "")
	s.do("ann", "DELETE", at, "").want(204, "")
	s.do("ann", "DELETE", at, "").want(404, "BLOB_UPLOAD_UNKNOWN")
	s.nothingUnfinished()
}

func TestRangeOfBlob(t *testing.T) {
	t.Parallel()
	s := setup(t)
	d := s.push("ann", "r", "0123456789")
	s.do("ann", "GET", "/v2/r/blobs/"+d, "", "Range: bytes=2-4").want(206, "234")
	s.do("ann", "GET", "/v2/r/blobs/"+d, "", "Range: bytes=-3").want(206, "789")
	s.do("ann", "GET", "/v2/r/blobs/"+d, "", "Range: bytes=20-").want(416, "")
	s.do("ann", "GET", "/v2/r/blobs/"+d, "", `If-None-Match: "`+d+`"`).want(304, "")
}

func TestMount(t *testing.T) {
	t.Parallel()
	s := setup(t)
	d := s.push("ann", "from", "layer")
	s.do("ann", "POST", "/v2/to/blobs/uploads/?mount="+d+"&from=from", "").want(201, "")
	s.do("ann", "GET", "/v2/to/blobs/"+d, "").want(200, "layer")
	for _, q := range []string{
		"mount=" + d + "&from=other",               // not there
		"mount=" + d + "&from=../from",             // not a name
		"mount=" + digestOf("none") + "&from=from", // no such blob
	} {
		s.do("ann", "POST", "/v2/third/blobs/uploads/?"+q, "").want(202, "")
	}
	s.do("ann", "GET", "/v2/third/blobs/"+d, "").want(404, "BLOB_UNKNOWN")
	s.do("bob", "POST", "/v2/third/blobs/uploads/?mount="+d, "").want(202, "") // from nothing of his
	s.do("ann", "POST", "/v2/third/blobs/uploads/?mount="+d, "").want(201, "") // from any of hers
	s.do("ann", "POST", "/v2/third/blobs/uploads/?mount=sha256:1&from=from", "").want(400, "DIGEST_INVALID")
}

// A digest is not a right: neither another repository nor another project gives it.
func TestKnownDigest(t *testing.T) {
	t.Parallel()
	s := setup(t)
	d := s.push("ann", "r", "secret layer")
	m := s.pushManifest("ann", "r", "v1", "secret layer")
	for _, at := range []struct{ user, repo string }{{"ann", "other"}, {"bob", "r"}, {"bob", "other"}} {
		for _, method := range []string{"GET", "HEAD", "DELETE"} {
			s.do(at.user, method, "/v2/"+at.repo+"/blobs/"+d, "").want(404, "")
			s.do(at.user, method, "/v2/"+at.repo+"/manifests/"+m, "").want(404, "")
		}
		s.do(at.user, "PUT", "/v2/"+at.repo+"/manifests/x", imageManifest("secret layer"), "Content-Type: "+ociManifest).want(404, "MANIFEST_BLOB_UNKNOWN")
	}
	s.do("bob", "POST", "/v2/r/blobs/uploads/?mount="+d+"&from=r", "").want(202, "")
	s.do("bob", "GET", "/v2/_catalog", "").want(200, `{"repositories":[]}`)

	upload := s.do("ann", "POST", "/v2/r/blobs/uploads/", "").want(202, "").head.Get("Location")
	s.do("bob", "PUT", upload+"?digest="+digestOf("x"), "x").want(404, "BLOB_UPLOAD_UNKNOWN")
	s.do("ann", "PUT", strings.Replace(upload, "/r/", "/other/", 1)+"?digest="+digestOf("x"), "x").want(404, "BLOB_UPLOAD_UNKNOWN")
	s.push("bob", "r", "secret layer") // who has the bytes may send them
	s.do("bob", "GET", "/v2/r/blobs/"+d, "").want(200, "secret layer")
}

func TestRights(t *testing.T) {
	t.Parallel()
	s := setup(t)
	s.do("viewer", "GET", "/v2/_catalog", "").want(200, "")
	for _, r := range [][2]string{
		{"POST", "/v2/r/blobs/uploads/"}, {"PUT", "/v2/r/manifests/x"}, {"DELETE", "/v2/r/manifests/x"},
		{"DELETE", "/v2/r/blobs/" + digestOf("")}, {"PATCH", "/v2/r/blobs/uploads/x"}, {"DELETE", "/v2/r/blobs/uploads/x"},
	} {
		s.do("viewer", r[0], r[1], "").want(403, "DENIED")
		s.do("", r[0], r[1], "").want(401, "UNAUTHORIZED")
	}
}

func TestPathTricks(t *testing.T) {
	t.Parallel()
	s := setup(t)
	d := digestOf("x")
	for _, path := range []string{
		"/v2/../blobs/" + d, "/v2/a/../b/blobs/" + d, "/v2/a%2f..%2fb/blobs/" + d, "/v2/%2e%2e/blobs/" + d,
		"/v2/A/blobs/" + d, "/v2//blobs/" + d, "/v2/a//b/blobs/" + d, "/v2/a/%00/blobs/" + d, "/v2/-a/blobs/" + d,
		"/v2/a..b/blobs/" + d, "/v2/a%5cb/blobs/" + d, "/v2/" + strings.Repeat("a", 256) + "/blobs/" + d,
		"/v2/a/blobs/..%2f..%2fetc", "/v2/a/blobs/uploads/..%2fx",
		"/v2/a%252f..%252fb/blobs/" + d, "/v2/%252e%252e/blobs/" + d, "/v2/a/manifests/..", "/v2/a/manifests/%2e%2e", "/v2/a/manifests/..%2fb",
		"/v2/a/manifests/%252e%252e%252fb", "/v2/a/manifests/v1%00", "/v2/a/referrers/..%2f" + d, "/v2/a/tags/list/..", "/v2/a/../tags/list", "/v2/a%20b/tags/list",
		"/v2/a/blobs/uploads/%2e%2e", "/v2/a/blobs/sha256:..%2f..%2f..%2fetc%2fpasswd", "/v2/a/blobs/sha512:../../etc/passwd", "/v2/a;b/tags/list", "/v2/é/tags/list",
	} {
		r, err := http.NewRequest("GET", s.server.URL+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		r.SetBasicAuth("ann", "secret")
		resp, err := http.DefaultTransport.RoundTrip(r)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != 400 && resp.StatusCode != 404 {
			t.Errorf("%s: %d", path, resp.StatusCode)
		}
	}
}

func TestDiskFull(t *testing.T) {
	t.Parallel()
	s := setup(t)
	at := s.do("ann", "POST", "/v2/r/blobs/uploads/", "").want(202, "").head.Get("Location")
	s.content.SetReserve(1 << 60)
	s.do("ann", "PATCH", at, "layer").want(507, "reserve")
	s.do("ann", "PATCH", at, "layer").want(404, "BLOB_UPLOAD_UNKNOWN")
	s.do("ann", "POST", "/v2/r/blobs/uploads/?digest="+digestOf("layer"), "layer").want(507, "reserve")
	s.do("ann", "PUT", "/v2/r/manifests/v1", `{"schemaVersion":2,"manifests":[]}`, "Content-Type: "+ociIndex).want(507, "reserve")
}

func TestExpire(t *testing.T) {
	t.Parallel()
	s := setup(t)
	start := func() string {
		return s.do("ann", "POST", "/v2/r/blobs/uploads/", "").want(202, "").head.Get("Location")
	}
	idle, begun := start(), start()
	s.do("ann", "PATCH", begun, strings.Repeat("x", 3<<20)).want(202, "")
	s.handler.Expire(t.Context(), time.Now().Add(59*time.Minute))
	s.do("ann", "GET", idle, "").want(204, "")
	s.handler.Expire(t.Context(), time.Now().Add(2*time.Hour))
	for _, at := range []string{idle, begun} {
		s.do("ann", "GET", at, "").want(404, "BLOB_UPLOAD_UNKNOWN")
	}
	s.nothingUnfinished()
}

func TestTooManyUploads(t *testing.T) {
	t.Parallel()
	s := setup(t)
	for range 1000 {
		s.do("ann", "POST", "/v2/r/blobs/uploads/", "").want(202, "")
	}
	s.do("ann", "POST", "/v2/r/blobs/uploads/", "").want(429, "TOOMANYREQUESTS")
}
