package registry_test

import (
	"fmt"
	"strings"
	"testing"
)

// A blob is pushed by POST and PUT, or by one POST.
func TestMonolithicPushConforms(t *testing.T) {
	conform(t, func(s *system, by algorithm) {
		for _, blob := range []string{"", "x", strings.Repeat("weft", 1<<18)} {
			begun := s.do("ann", "POST", "/v2/a/b/blobs/uploads/", "", "Content-Length: 0").want(202, "")
			if begun.head.Get("Location") == "" {
				s.t.Fatal("an upload without a Location")
			}
			done := s.do("ann", "PUT", withDigest(begun.head.Get("Location"), by.of(blob)), blob,
				"Content-Type: application/octet-stream").want(201, "").header("Docker-Content-Digest", by.of(blob))
			s.pullable(done, blob)
			whole := s.do("ann", "POST", "/v2/whole/blobs/uploads/?digest="+by.of(blob), blob,
				"Content-Type: application/octet-stream").want(201, "").header("Docker-Content-Digest", by.of(blob))
			s.pullable(whole, blob)
		}
	})
}

// A blob that does not have the digest is refused, and is not there afterwards.
func TestWrongDigestConforms(t *testing.T) {
	conform(t, func(s *system, by algorithm) {
		at := s.do("ann", "POST", "/v2/r/blobs/uploads/", "").want(202, "").head.Get("Location")
		a := s.do("ann", "PUT", withDigest(at, by.of("this")), "that").want(400, "")
		if got := a.errorCodes(); got != "DIGEST_INVALID" {
			s.t.Errorf("got %s", got)
		}
		s.do("ann", "POST", "/v2/r/blobs/uploads/?digest="+by.of("this"), "that").want(400, "DIGEST_INVALID")
		for _, blob := range []string{"this", "that"} {
			s.do("ann", "HEAD", "/v2/r/blobs/"+by.of(blob), "").want(404, "")
		}
		s.do("ann", "PUT", "/v2/r/manifests/"+by.of("other"), `{"schemaVersion":2,"manifests":[]}`, "Content-Type: "+ociIndex).want(400, "DIGEST_INVALID")
		s.nothingUnfinished()
	})
}

// Chunks come in order; each is answered with where the upload stands; PUT may bring the
// last.
func TestChunkedPushConforms(t *testing.T) {
	conform(t, func(s *system, by algorithm) {
		for _, last := range []string{"", "ij"} {
			a := s.do("ann", "POST", "/v2/r/blobs/uploads/", "", "Content-Length: 0").want(202, "")
			first := a.head.Get("Location")
			chunk := func(from int, body string) answer {
				return s.do("ann", "PATCH", a.head.Get("Location"), body, "Content-Type: application/octet-stream",
					fmt.Sprintf("Content-Range: %d-%d", from, from+len(body)-1))
			}
			// The first chunk must begin at 0; the others where the last one ended.
			chunk(3, "defg").want(416, "")
			a = chunk(0, "abcd").want(202, "").header("Range", "0-3")
			refused := chunk(0, "abcd").want(416, "").header("Range", "0-3")
			if refused.head.Get("Location") == "" {
				s.t.Error("416 without a Location to go on at")
			}
			chunk(6, "gh").want(416, "")
			// GET must be 204 with where to go on.
			s.do("ann", "GET", first, "").want(204, "").header("Range", "0-3")
			s.do("ann", "HEAD", first, "").want(204, "").header("Range", "0-3")
			a = chunk(4, "efgh").want(202, "").header("Range", "0-7")
			whole := "abcdefgh" + last
			var headers []string
			if last != "" {
				headers = append(headers, "Content-Range: 8-9", "Content-Type: application/octet-stream")
			}
			done := s.do("ann", "PUT", withDigest(a.head.Get("Location"), by.of(whole)), last, headers...).want(201, "")
			s.pullable(done, whole)
			s.do("ann", "GET", first, "").want(404, "BLOB_UPLOAD_UNKNOWN") // it is over
		}
		// A last chunk out of order must be refused as well, and loses nothing.
		at := s.do("ann", "POST", "/v2/r/blobs/uploads/", "").want(202, "").head.Get("Location")
		s.do("ann", "PATCH", at, "abcd").want(202, "").header("Range", "0-3") // streamed, without a range
		s.do("ann", "PUT", withDigest(at, by.of("abcdef")), "ef", "Content-Range: 0-1").want(416, "")
		s.do("ann", "PUT", withDigest(at, by.of("abcdef")), "ef", "Content-Range: 4-5").want(201, "")
	})
}

func TestCancelConforms(t *testing.T) {
	eachDatabase(t, func(s *system) {
		at := s.do("ann", "POST", "/v2/r/blobs/uploads/", "").want(202, "").head.Get("Location")
		s.do("ann", "PATCH", at, "abcd").want(202, "")
		s.do("ann", "DELETE", at, "").want(204, "")
		for _, method := range []string{"GET", "PATCH", "PUT", "DELETE"} {
			s.do("ann", method, withDigest(at, digestOf("abcd")), "").want(404, "BLOB_UPLOAD_UNKNOWN")
		}
		s.do("ann", "HEAD", "/v2/r/blobs/"+digestOf("abcd"), "").want(404, "")
		s.nothingUnfinished()
	})
}

// A mount of what is there must be 201 with a blob that can be pulled; of what is not, or
// may not be had, it begins an upload.
func TestMountConforms(t *testing.T) {
	conform(t, func(s *system, by algorithm) {
		d := s.pushBy(by, "team/from", "layer")
		a := s.do("ann", "POST", "/v2/to/blobs/uploads/?mount="+d+"&from=team/from", "").want(201, "").header("Docker-Content-Digest", d)
		s.pullable(a, "layer")
		s.pullable(s.do("ann", "POST", "/v2/any/blobs/uploads/?mount="+d, "").want(201, ""), "layer") // from may be left out
		for who, query := range map[string]string{
			"ann": "mount=" + by.of("none") + "&from=team/from", "bob": "mount=" + d + "&from=team/from", "eve": "mount=" + d,
		} {
			begun := s.do(who, "POST", "/v2/third/blobs/uploads/?"+query, "").want(202, "")
			at := begun.head.Get("Location")
			s.do(who, "PUT", withDigest(at, by.of("sent")), "sent").want(201, "") // and the upload can go on
			s.do(who, "HEAD", "/v2/third/blobs/"+d, "").want(404, "")
		}
		s.do("ann", "POST", "/v2/third/blobs/uploads/?mount="+d+"&from=none", "").want(202, "")
	})
}

// What another project has cannot be told from what nobody has, whoever asks how.
func TestMountTellsNothing(t *testing.T) {
	eachDatabase(t, func(s *system) {
		d := s.push("ann", "secret/repo", "layer")
		text := s.pushManifest("ann", "secret/repo", "v1", "layer")
		same := func(method, known, unknown string) {
			s.t.Helper()
			a, b := s.do("bob", method, known, ""), s.do("bob", method, unknown, "")
			if a.status != b.status || a.body != b.body || len(a.head) != len(b.head) {
				s.t.Errorf("%s: %d %s %v, but for what is not: %d %s %v", known, a.status, a.body, a.head, b.status, b.body, b.head)
			}
		}
		same("POST", "/v2/mine/blobs/uploads/?mount="+d+"&from=secret/repo", "/v2/mine/blobs/uploads/?mount="+d+"&from=no/repo")
		same("POST", "/v2/mine/blobs/uploads/?mount="+d, "/v2/mine/blobs/uploads/?mount="+digestOf("none"))
		for _, method := range []string{"GET", "HEAD"} {
			same(method, "/v2/secret/repo/blobs/"+d, "/v2/no/repo/blobs/"+digestOf("none"))
			same(method, "/v2/secret/repo/manifests/v1", "/v2/no/repo/manifests/v1")
			same(method, "/v2/secret/repo/manifests/"+text, "/v2/no/repo/manifests/"+digestOf("none"))
			same(method, "/v2/secret/repo/tags/list", "/v2/no/repo/tags/list")
			same(method, "/v2/secret/repo/referrers/"+text, "/v2/no/repo/referrers/"+text)
		}
	})
}

// A manifest is stored byte for byte, under a tag or a digest.
func TestManifestPushConforms(t *testing.T) {
	conform(t, func(s *system, by algorithm) {
		s.pushBy(by, "r", "{}")
		s.pushBy(by, "r", "layer")
		text := "  " + imageBy(by, "layer", `,"annotations":{"a":"\u00e9"}`) + "\n\n" // as it is, not as it could be
		for _, ref := range []string{"v1", "_2", strings.Repeat("x", 128), by.of(text)} {
			a := s.do("ann", "PUT", "/v2/r/manifests/"+ref, text, "Content-Type: "+ociManifest).want(201, "")
			s.pullable(a, text)
			s.do("ann", "GET", "/v2/r/manifests/"+ref, "").want(200, "").header("Content-Type", ociManifest).bytes(text)
		}
		// Parameters of the type should be ignored; a tag may be moved.
		other := imageBy(by, "layer")
		s.do("ann", "PUT", "/v2/r/manifests/v1", other, "Content-Type: "+ociManifest+"; charset=utf-8").want(201, "")
		s.do("ann", "GET", "/v2/r/manifests/v1", "").want(200, "").header("Content-Type", ociManifest).bytes(other)
		s.do("ann", "GET", "/v2/r/manifests/"+by.of(text), "").want(200, "").bytes(text)
		// What is not a reference, and a type that the manifest denies.
		for _, ref := range []string{strings.Repeat("x", 129), "-x", ".x", "sha256:x"} {
			s.do("ann", "PUT", "/v2/r/manifests/"+ref, text, "Content-Type: "+ociManifest).want(400, "").errorCodes()
		}
		s.do("ann", "PUT", "/v2/r/manifests/v2", text, "Content-Type: "+ociIndex).want(400, "MANIFEST_INVALID")
	})
}

// At least 4 MiB of manifest must be taken; more should be 413.
func TestManifestSizeConforms(t *testing.T) {
	eachDatabase(t, func(s *system) {
		s.push("ann", "r", "{}")
		s.push("ann", "r", "layer")
		text := imageManifest("layer")
		text += strings.Repeat(" ", 4<<20-len(text))
		s.do("ann", "PUT", "/v2/r/manifests/large", text, "Content-Type: "+ociManifest).want(201, "")
		s.do("ann", "GET", "/v2/r/manifests/large", "").want(200, "").bytes(text)
		s.do("ann", "PUT", "/v2/r/manifests/larger", text+" ", "Content-Type: "+ociManifest).want(413, "SIZE_INVALID")
		s.do("ann", "HEAD", "/v2/r/manifests/larger", "").want(404, "")
	})
}

// An image without layers, and one that is no image at all, are manifests like any other.
func TestArtifactsConform(t *testing.T) {
	eachDatabase(t, func(s *system) {
		s.push("ann", "r", "{}")
		text := fmt.Sprintf(`{"schemaVersion":2,"mediaType":%q,"artifactType":"application/vnd.example+x","config":%s,"layers":[]}`,
			ociManifest, ref("application/vnd.oci.empty.v1+json", "{}"))
		s.pullable(s.do("ann", "PUT", "/v2/r/manifests/artifact", text, "Content-Type: "+ociManifest).want(201, ""), text)
		index := `{"schemaVersion":2,"mediaType":"` + ociIndex + `","artifactType":"application/vnd.example+y","manifests":[]}`
		s.pullable(s.do("ann", "PUT", "/v2/r/manifests/list", index, "Content-Type: "+ociIndex).want(201, ""), index)
		away := strings.Replace(imageManifest("layer"), `"layers":[{`, `"layers":[{"urls":["https://example.com/layer"],`, 1)
		s.do("ann", "PUT", "/v2/r/manifests/away", away, "Content-Type: "+ociManifest).want(201, "") // its layer is kept elsewhere
	})
}
