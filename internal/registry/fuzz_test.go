package registry

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
)

// Whatever the path, a route names a repository and a reference as the specification
// allows them, and leads back to the same path.
func FuzzRoute(f *testing.F) {
	for _, seed := range []string{
		"/v2/", "/v2", "/v2/_catalog", "/v2/a/manifests/v1", "/v2/a/b/blobs/sha256:00", "/v2/a/blobs/uploads/", "/v2/a/blobs/uploads/id",
		"/v2/a/tags/list", "/v2/a/referrers/sha256:00", "/v2/../manifests/x", "/v2/a%2fb/manifests/x", "/v2/manifests/manifests/manifests",
		"/v2/blobs/uploads/blobs/uploads/", "/v3/", "//v2/a", "/v2//manifests/x",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, path string) {
		u, err := url.ParseRequestURI(path)
		if err != nil {
			return
		}
		rt, err := parseRoute(&http.Request{Method: http.MethodGet, URL: u})
		if err != nil || rt.part == base || rt.part == catalogPart {
			return
		}
		for _, step := range strings.Split(rt.repo, "/") {
			if step == "" || strings.Trim(step, ".") == "" || step != strings.ToLower(step) || strings.ContainsAny(step, "\\%\x00 ") {
				t.Fatalf("%q: repository %q", path, rt.repo)
			}
		}
		if strings.Contains(rt.ref, "/") {
			t.Fatalf("%q: reference %q", path, rt.ref)
		}
		if !strings.HasPrefix(u.Path, "/v2/"+rt.repo+"/") || !strings.HasSuffix(u.Path, rt.ref) {
			t.Fatalf("%q became %+v", path, rt)
		}
	})
}

// A reference is a tag or a digest, never both, and never anything else.
func FuzzReference(f *testing.F) {
	for _, seed := range []string{"v1", "latest", ".x", "sha256:" + strings.Repeat("0a", 32), "sha512:" + strings.Repeat("0a", 64), "", "a/b", "..", "sha256:"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, s string) {
		d, tag, err := parseReference(s)
		switch {
		case err != nil:
			if got, ok := explain(err); !ok || got.status != http.StatusBadRequest {
				t.Fatalf("%q: %v", s, err)
			}
		case (d == called{}) == (tag == "") && s != "sha256:"+strings.Repeat("0", 64), tag != "" && tag != s, tag == "" && d.String() != s, len(tag) > 128, strings.Contains(tag, "/"):
			t.Fatalf("%q became %s %q", s, d, tag)
		}
	})
}

// A manifest that is accepted refers to sha256 digests only, each once.
func FuzzManifest(f *testing.F) {
	d := `{"mediaType":"x","digest":"sha256:` + strings.Repeat("0a", 32) + `","size":1}`
	f.Add([]byte(`{"schemaVersion":2,"config":`+d+`,"layers":[`+d+`]}`), ociManifest)
	f.Add([]byte(`{"schemaVersion":2,"manifests":[`+d+`],"subject":`+d+`}`), ociIndex)
	f.Add([]byte(`{"schemaVersion":2,"manifests":null,"layers":[{}]}`), dockerList)
	f.Add([]byte(`[]`), dockerManifest)
	f.Fuzz(func(t *testing.T, text []byte, contentType string) {
		m, err := readManifest(text, contentType, sha256Only)
		if err != nil {
			if _, ok := explain(err); !ok {
				t.Fatalf("not explained: %v", err)
			}
			return
		}
		seen := map[string]bool{}
		for _, d := range append(m.Blobs, m.Manifests...) {
			if seen[d.String()] {
				t.Fatalf("%s twice", d)
			}
			seen[d.String()] = true
		}
		if !isImage(m.MediaType) && !isIndex(m.MediaType) {
			t.Fatalf("media type %q", m.MediaType)
		}
	})
}
