package registry_test

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"testing"
)

const (
	ociManifest = "application/vnd.oci.image.manifest.v1+json"
	ociIndex    = "application/vnd.oci.image.index.v1+json"
)

func ref(mediaType, blob string) string {
	return fmt.Sprintf(`{"mediaType":%q,"digest":%q,"size":%d}`, mediaType, digestOf(blob), len(blob))
}

// imageManifest is the manifest of an image with an empty configuration, with more
// fields if given.
func imageManifest(layer string, more ...string) string {
	return fmt.Sprintf(`{"schemaVersion":2,"mediaType":%q,"config":%s,"layers":[%s]%s}`, ociManifest,
		ref("application/vnd.oci.image.config.v1+json", "{}"), ref("application/vnd.oci.image.layer.v1.tar", layer), strings.Join(more, ""))
}

// pushManifest pushes an image with one layer under a tag or digest.
func (s *system) pushManifest(user, repo, tag, layer string, more ...string) (digest string) {
	s.t.Helper()
	s.push(user, repo, "{}")
	s.push(user, repo, layer)
	text := imageManifest(layer, more...)
	s.do(user, "PUT", "/v2/"+repo+"/manifests/"+tag, text, "Content-Type: "+ociManifest).want(201, "")
	return digestOf(text)
}

func TestManifest(t *testing.T) {
	t.Parallel()
	s := setup(t)
	s.do("ann", "GET", "/v2/r/manifests/v1", "").want(404, "MANIFEST_UNKNOWN")
	s.do("ann", "GET", "/v2/r/manifests/.not-a-tag", "").want(404, "MANIFEST_UNKNOWN")
	d := s.pushManifest("ann", "r", "v1", "layer")
	for _, ref := range []string{"v1", d} {
		a := s.do("ann", "GET", "/v2/r/manifests/"+ref, "").want(200, imageManifest("layer"))
		if a.head.Get("Content-Type") != ociManifest || a.head.Get("Docker-Content-Digest") != d {
			t.Errorf("headers: %v", a.head)
		}
		a = s.do("ann", "HEAD", "/v2/r/manifests/"+ref, "").want(200, "")
		if a.head.Get("Content-Length") != fmt.Sprint(len(imageManifest("layer"))) {
			t.Errorf("HEAD: %v", a.head)
		}
	}
	s.do("ann", "PUT", "/v2/r/manifests/"+d, imageManifest("layer"), "Content-Type: "+ociManifest).want(201, "")
}

func TestBadManifests(t *testing.T) {
	t.Parallel()
	s := setup(t)
	s.pushManifest("ann", "r", "v1", "layer")
	put := func(ref, contentType, body string) answer {
		return s.do("ann", "PUT", "/v2/r/manifests/"+ref, body, "Content-Type: "+contentType)
	}
	good := imageManifest("layer")
	put("x", ociManifest, "not json").want(400, "MANIFEST_INVALID")
	put("x", ociManifest, `{"schemaVersion":1}`).want(400, "MANIFEST_INVALID")
	put("x", ociManifest, `{"schemaVersion":2}`).want(400, "MANIFEST_INVALID")
	put("x", ociIndex, good).want(400, "MANIFEST_INVALID")
	put("x", "text/plain", `{"schemaVersion":2}`).want(400, "MANIFEST_INVALID")
	put(digestOf("other"), ociManifest, good).want(400, "DIGEST_INVALID")
	put("sha256:1", ociManifest, good).want(400, "DIGEST_INVALID")
	put(".x", ociManifest, good).want(400, "MANIFEST_INVALID")
	put("x", ociManifest, strings.ReplaceAll(good, "sha256:", "sha257:")).want(400, "DIGEST_INVALID")
	put("x", ociManifest, imageManifest("missing")).want(404, "MANIFEST_BLOB_UNKNOWN")
	put("x", ociIndex, `{"schemaVersion":2,"manifests":[`+ref(ociManifest, "missing")+`]}`).want(404, "MANIFEST_BLOB_UNKNOWN")
	put("x", ociManifest, good+strings.Repeat(" ", 5<<20)).want(413, "SIZE_INVALID")
	s.do("ann", "GET", "/v2/r/manifests/x", "").want(404, "MANIFEST_UNKNOWN")
}

func TestDelete(t *testing.T) {
	t.Parallel()
	s := setup(t)
	d := s.pushManifest("ann", "r", "v1", "layer")
	s.pushManifest("ann", "r", "v2", "layer")
	s.do("ann", "DELETE", "/v2/r/manifests/v1", "").want(202, "")
	s.do("ann", "DELETE", "/v2/r/manifests/v1", "").want(404, "MANIFEST_UNKNOWN")
	s.do("ann", "GET", "/v2/r/manifests/"+d, "").want(200, "")
	s.do("ann", "DELETE", "/v2/r/manifests/"+d, "").want(202, "")
	s.do("ann", "GET", "/v2/r/manifests/v2", "").want(404, "MANIFEST_UNKNOWN")
	s.do("ann", "DELETE", "/v2/r/blobs/"+digestOf("layer"), "").want(202, "")
	s.do("ann", "GET", "/v2/r/blobs/"+digestOf("layer"), "").want(404, "BLOB_UNKNOWN")
	s.do("ann", "DELETE", "/v2/r/blobs/"+digestOf("layer"), "").want(404, "BLOB_UNKNOWN")
}

func TestLists(t *testing.T) {
	t.Parallel()
	s := setup(t)
	s.do("ann", "GET", "/v2/r/tags/list", "").want(404, "NAME_UNKNOWN")
	for _, tag := range []string{"c", "a", "B", "d"} {
		s.pushManifest("ann", "r", tag, "layer")
	}
	s.push("ann", "q", "x")
	s.do("ann", "GET", "/v2/q/tags/list", "").want(200, `{"name":"q","tags":[]}`)
	s.do("ann", "GET", "/v2/r/tags/list", "").want(200, `{"name":"r","tags":["B","a","c","d"]}`)
	page := s.do("ann", "GET", "/v2/r/tags/list?n=2", "").want(200, `["B","a"]`)
	if got := page.head.Get("Link"); got != `</v2/r/tags/list?last=a&n=2>; rel="next"` {
		t.Errorf("Link is %s", got)
	}
	page = s.do("ann", "GET", "/v2/r/tags/list?last=a&n=2", "").want(200, `["c","d"]`)
	if got := page.head.Get("Link"); got != "" {
		t.Errorf("the last page has a Link: %s", got)
	}
	s.do("ann", "GET", "/v2/r/tags/list?n=0", "").want(200, `"tags":[]`)
	s.do("ann", "GET", "/v2/r/tags/list?n=x", "").want(400, "")
	s.do("ann", "GET", "/v2/_catalog", "").want(200, `{"repositories":["r"]}`) // nothing but blobs is no image
	s.pushManifest("ann", "q", "v1", "layer")
	s.do("ann", "GET", "/v2/_catalog", "").want(200, `{"repositories":["q","r"]}`)
	s.do("ann", "GET", "/v2/_catalog?n=1", "").want(200, `{"repositories":["q"]}`)
}

func TestReferrers(t *testing.T) {
	t.Parallel()
	s := setup(t)
	subject := imageManifest("layer")
	about := `,"subject":` + ref(ociManifest, subject)
	s.do("ann", "GET", "/v2/r/referrers/"+digestOf(subject), "").want(200, `"manifests":[]`)
	s.pushManifest("ann", "r", digestOf(imageManifest("sbom", about, `,"artifactType":"text/sbom"`, `,"annotations":{"k":"v"}`)),
		"sbom", about, `,"artifactType":"text/sbom"`, `,"annotations":{"k":"v"}`)
	s.pushManifest("ann", "r", "sig", "sig", about)
	s.pushManifest("ann", "r", "v1", "layer") // the subject may come last

	a := s.do("ann", "GET", "/v2/r/referrers/"+digestOf(subject)+"?artifactType=text/sbom", "").want(200, "")
	if a.head.Get("Content-Type") != ociIndex || a.head.Get("OCI-Filters-Applied") != "artifactType" {
		t.Errorf("headers: %v", a.head)
	}
	var index struct {
		Manifests []struct {
			ArtifactType string
			Annotations  map[string]string
		}
	}
	if err := json.Unmarshal([]byte(a.body), &index); err != nil {
		t.Fatal(err)
	}
	if n := len(index.Manifests); n != 1 || !reflect.DeepEqual(index.Manifests[0].Annotations, map[string]string{"k": "v"}) {
		t.Errorf("got %s", a.body)
	}
	s.do("ann", "GET", "/v2/r/referrers/"+digestOf(subject), "").want(200, `"artifactType":"application/vnd.oci.image.config.v1+json"`)
	s.do("ann", "GET", "/v2/r/referrers/x", "").want(400, "DIGEST_INVALID")
	put := s.do("ann", "PUT", "/v2/r/manifests/sig", imageManifest("sig", about), "Content-Type: "+ociManifest).want(201, "")
	if got := put.head.Get("OCI-Subject"); got != digestOf(subject) {
		t.Errorf("OCI-Subject is %q", got)
	}
}
