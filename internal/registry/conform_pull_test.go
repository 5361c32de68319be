package registry_test

import (
	"fmt"
	"strings"
	"testing"
)

func TestPullConforms(t *testing.T) {
	conform(t, func(s *system, by algorithm) {
		text := s.pushImageBy(by, "team/app", "v1", "layer")
		layer := by.of("layer")

		// A GET of an existing manifest must be 200 with what was pushed, by tag and by
		// digest; its type is the one it was pushed with, without parameters.
		for _, ref := range []string{"v1", digestOf(text)} {
			s.do("ann", "GET", "/v2/team/app/manifests/"+ref, "").want(200, "").
				header("Content-Type", ociManifest).header("Docker-Content-Digest", digestOf(text)).bytes(text)
			s.do("ann", "HEAD", "/v2/team/app/manifests/"+ref, "").want(200, "").header("Content-Type", ociManifest).
				header("Docker-Content-Digest", digestOf(text)).header("Content-Length", fmt.Sprint(len(text))).bytes("")
		}
		// What was not pushed must be 404, for GET and HEAD.
		for _, path := range []string{
			"team/app/manifests/v2", "team/app/manifests/" + by.of("none"), "none/manifests/v1", "none/manifests/" + digestOf(text),
			"team/app/blobs/" + by.of("none"), "none/blobs/" + layer, "team/app/manifests/" + by.of("layer"),
		} {
			s.do("ann", "GET", "/v2/"+path, "").want(404, "").errorCodes()
			s.do("ann", "HEAD", "/v2/"+path, "").want(404, "").bytes("")
		}
		// A GET of an existing blob must be 200 with the blob. HEAD says the same, without it.
		s.do("ann", "GET", "/v2/team/app/blobs/"+layer, "").want(200, "").header("Docker-Content-Digest", layer).bytes("layer")
		s.do("ann", "HEAD", "/v2/team/app/blobs/"+layer, "").want(200, "").header("Docker-Content-Digest", layer).header("Content-Length", "5").bytes("")
		// Ranges should be supported.
		s.do("ann", "GET", "/v2/team/app/blobs/"+layer, "", "Range: bytes=1-3").want(206, "").header("Content-Range", "bytes 1-3/5").bytes("aye")
		s.do("ann", "GET", "/v2/team/app/blobs/"+layer, "", "Range: bytes=4-").want(206, "").bytes("r")
		s.do("ann", "GET", "/v2/team/app/blobs/"+layer, "", "Range: bytes=9-").want(416, "")
	})
}

// bytes checks that the body is this, byte for byte.
func (a answer) bytes(want string) answer {
	a.t.Helper()
	if a.body != want {
		a.t.Errorf("got %q, want %q", a.body, want)
	}
	return a
}

// Content pushed by one digest can be pulled by the other as soon as somebody called it so,
// and only from where it was pushed.
func TestDigestsNameTheSame(t *testing.T) {
	eachDatabase(t, func(s *system) {
		text := s.pushImageBy(algorithms[1], "r", "", "layer")
		s.do("ann", "GET", "/v2/r/manifests/"+long(text), "").want(200, "").header("Docker-Content-Digest", long(text)).bytes(text)
		s.do("ann", "GET", "/v2/r/manifests/"+digestOf(text), "").want(200, "").header("Docker-Content-Digest", digestOf(text)).bytes(text)
		s.do("ann", "GET", "/v2/r/blobs/"+digestOf("layer"), "").want(200, "").bytes("layer")
		s.do("bob", "GET", "/v2/r/blobs/"+long("layer"), "").want(404, "BLOB_UNKNOWN")
		s.do("bob", "HEAD", "/v2/r/blobs/"+long("layer"), "").want(404, "")
		s.do("bob", "GET", "/v2/r/manifests/"+long(text), "").want(404, "MANIFEST_UNKNOWN")
		s.do("bob", "POST", "/v2/r/blobs/uploads/?mount="+long("layer")+"&from=r", "").want(202, "")
		s.do("ann", "GET", "/v2/other/blobs/"+long("layer"), "").want(404, "BLOB_UNKNOWN")
		s.push("ann", "r", "short only")
		s.do("ann", "GET", "/v2/r/blobs/"+long("short only"), "").want(404, "BLOB_UNKNOWN")
		s.pushBy(algorithms[1], "other", "short only")
		s.do("ann", "GET", "/v2/r/blobs/"+long("short only"), "").want(200, "").bytes("short only")
	})
}

// A manifest has one form: what a client accepts changes nothing, as the digest would not
// be right for another form.
func TestAcceptConforms(t *testing.T) {
	eachDatabase(t, func(s *system) {
		text := s.pushImageBy(algorithms[0], "r", "v1", "layer")
		index := `{"schemaVersion":2,"mediaType":"` + ociIndex + `","manifests":[` + ref(ociManifest, text) + `]}`
		s.do("ann", "PUT", "/v2/r/manifests/all", index, "Content-Type: "+ociIndex+"; charset=utf-8").want(201, "")
		for _, accept := range []string{
			"", "*/*", ociManifest, ociIndex, "application/json", "application/vnd.docker.distribution.manifest.v2+json",
			ociManifest + ", " + ociIndex, "text/html;q=0.1", "nonsense",
		} {
			s.do("ann", "GET", "/v2/r/manifests/v1", "", "Accept: "+accept).want(200, "").header("Content-Type", ociManifest).bytes(text)
			s.do("ann", "HEAD", "/v2/r/manifests/all", "", "Accept: "+accept).want(200, "").header("Content-Type", ociIndex)
			s.do("ann", "GET", "/v2/r/manifests/all", "", "Accept: "+accept).want(200, "").header("Content-Type", ociIndex).bytes(index)
		}
	})
}

// Docker's forms of a manifest and of a list are kept as they are.
func TestDockerManifestsConform(t *testing.T) {
	eachDatabase(t, func(s *system) {
		const image, list = "application/vnd.docker.distribution.manifest.v2+json", "application/vnd.docker.distribution.manifest.list.v2+json"
		s.push("ann", "r", "{}")
		s.push("ann", "r", "layer")
		text := strings.Replace(imageManifest("layer"), ociManifest, image, 1)
		s.do("ann", "PUT", "/v2/r/manifests/v1", text, "Content-Type: "+image).want(201, "")
		all := fmt.Sprintf(`{"schemaVersion":2,"mediaType":%q,"manifests":[%s]}`, list, ref(image, text))
		s.do("ann", "PUT", "/v2/r/manifests/all", all, "Content-Type: "+list).want(201, "")
		s.do("ann", "GET", "/v2/r/manifests/v1", "").want(200, "").header("Content-Type", image).bytes(text)
		s.do("ann", "GET", "/v2/r/manifests/all", "").want(200, "").header("Content-Type", list).bytes(all)
	})
}
