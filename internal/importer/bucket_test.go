package importer_test

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/johannesboyne/gofakes3"
	"github.com/johannesboyne/gofakes3/backend/s3mem"

	"github.com/weft-dev/weft"
	"github.com/weft-dev/weft/internal/importer"
)

// lab puts objects into a bucket "lab" of a server of S3, which counts requests that are
// not signed with a key.
func lab(h *harbour, objects map[string]string) (at string, unsigned *atomic.Int64) {
	h.t.Helper()
	backend := s3mem.New()
	must(h.t, backend.CreateBucket("lab"))
	for key, text := range objects {
		_, err := backend.PutObject("lab", key, map[string]string{"Last-Modified": "Mon, 2 Jan 2006 15:04:05 GMT"}, bytes.NewReader([]byte(text)), int64(len(text)), nil)
		must(h.t, err)
	}
	unsigned = new(atomic.Int64)
	inner := gofakes3.New(backend).Server()
	return serve(h.t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !strings.Contains(r.Header.Get("Authorization"), "Credential=key/") {
			unsigned.Add(1)
		}
		inner.ServeHTTP(w, r)
	})), unsigned
}

func by(name string) func(*weft.Import) { return func(i *weft.Import) { i.Credentials = name } }

func TestBucket(t *testing.T) {
	each(t, func(h *harbour) {
		at, unsigned := lab(h, map[string]string{"2026/a": "one", "2026/d/b": "two", "2026x": "not below", "2025/c": "not", "2026/dir/": "", "one.csv": "a,b"})
		h.keys["lab"] = importer.Credentials{AccessKey: "key", SecretKey: "very secret", Endpoint: at, Region: "us-east-1"}
		for _, prefix := range []string{"2026/", "2026"} {
			v := h.holds(h.ask("s3://lab/"+prefix, by("lab")), "a=one d/b=two")
			if v.Origin == nil || v.Origin.URL != "s3://lab/"+prefix || !strings.HasPrefix(v.Origin.Version, "sha256:") {
				h.t.Errorf("its origin is %+v", v.Origin)
			}
		}
		v := h.holds(h.ask("s3://lab/one.csv", by("lab")), "one.csv=a,b")
		if v.Origin.Version == "" || strings.HasPrefix(v.Origin.Version, "sha256:") {
			h.t.Errorf("the version of one object is %q, want its ETag", v.Origin.Version)
		}
		if n := unsigned.Load(); n > 0 {
			h.t.Errorf("%d requests were not signed", n)
		}
		h.fails(h.ask("s3://lab/none/", by("lab")), "nothing at")
		h.fails(h.ask("s3://other/", by("lab")), "")
		if _, err := h.Ask(h.t.Context(), weft.Import{Project: h.project, From: "s3://lab/", Credentials: "none"}); weft.KindOf(err) != weft.NotFound {
			h.t.Errorf("unknown credentials: %v", err)
		}
	})
}

// Keys that would lead out of the Data are refused.
func TestBucketTricks(t *testing.T) {
	each(t, func(h *harbour) {
		for _, key := range []string{"x/../../y", "x/a/../b", "x//y/../z"} {
			at, _ := lab(h, map[string]string{key: "x"})
			h.keys["lab"] = importer.Credentials{AccessKey: "key", SecretKey: "s", Endpoint: at, Region: "us-east-1"}
			h.fails(h.ask("s3://lab/x/", by("lab")), "")
		}
		for _, endpoint := range []string{"http://169.254.169.254", "http://10.1.2.3:9000"} {
			h.keys["away"] = importer.Credentials{AccessKey: "key", SecretKey: "s", Endpoint: endpoint, Region: "us-east-1"}
			h.fails(h.ask("s3://lab/x/", by("away")), "")
		}
	})
}

// What a place answers is told in our words: it may repeat what it was sent.
func TestBucketsTellNoSecrets(t *testing.T) {
	each(t, func(h *harbour) {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "application/xml")
			w.WriteHeader(http.StatusForbidden)
			_, _ = w.Write([]byte(`<Error><Code>AccessDenied</Code><Message>` + r.Header.Get("Authorization") + `</Message></Error>`))
		}))
		defer s.Close()
		h.keys["lab"] = importer.Credentials{AccessKey: "key", SecretKey: "very secret", Endpoint: s.URL, Region: "us-east-1"}
		i := h.ask("s3://lab/x/", by("lab"))
		h.fails(i, "AccessDenied")
		if strings.Contains(i.Problem, "Signature") || strings.Contains(i.Problem, "secret") {
			h.t.Errorf("the problem is %q", i.Problem)
		}
	})
}
