package registry_test

import (
	"encoding/json"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
)

func TestTagsConform(t *testing.T) {
	eachDatabase(t, func(s *system) {
		s.do("ann", "GET", "/v2/team/app/tags/list", "").want(404, "NAME_UNKNOWN")
		s.push("ann", "team/app", "{}")
		s.push("ann", "team/app", "layer")
		want := []string{"0", "A", "B10", "B2", "_x", "a", "b", "b-1", "b.1"} // as ASCII sorts
		for _, tag := range []string{"b", "B2", "_x", "a", "0", "b.1", "B10", "A", "b-1"} {
			s.do("ann", "PUT", "/v2/team/app/manifests/"+tag, imageManifest("layer"), "Content-Type: "+ociManifest).want(201, "")
		}
		a := s.do("ann", "GET", "/v2/team/app/tags/list", "").want(200, `"name":"team/app"`).header("Content-Type", "application/json").header("Link", "")
		if got := a.tags(); !slices.Equal(got, want) {
			s.t.Errorf("tags are %v, want %v", got, want)
		}
		s.do("ann", "HEAD", "/v2/team/app/tags/list", "").want(200, "").bytes("")
		for _, c := range []struct {
			query string
			from  int
			to    int
			link  bool
		}{
			{"n=4", 0, 4, true}, {"n=9", 0, 9, false}, {"n=100", 0, 9, false}, {"n=0", 0, 0, false},
			{"last=B2", 4, 9, false}, {"n=2&last=B2", 4, 6, true}, {"n=2&last=b", 7, 9, false},
			{"last=b.1", 9, 9, false}, {"last=C", 4, 9, false}, // a tag that is not there is a place in the order, too
			{"n=100000000", 0, 9, false},
		} {
			a := s.do("ann", "GET", "/v2/team/app/tags/list?"+c.query, "").want(200, "")
			if got := a.tags(); !slices.Equal(got, want[c.from:c.to]) {
				s.t.Errorf("%s: %v, want %v", c.query, got, want[c.from:c.to])
			}
			if (a.head.Get("Link") != "") != c.link {
				s.t.Errorf("%s: Link is %q", c.query, a.head.Get("Link"))
			}
		}
		if got := s.follow("/v2/team/app/tags/list?n=2", answer.tags); !slices.Equal(got, want) {
			s.t.Errorf("page after page: %v, want %v", got, want)
		}
		for _, n := range []string{"-1", "x", "1.5", ""} {
			s.do("ann", "GET", "/v2/team/app/tags/list?n="+n, "").want(400, "").errorCodes()
		}
	})
}

func (a answer) tags() []string {
	a.t.Helper()
	var list struct{ Tags []string }
	if err := json.Unmarshal([]byte(a.body), &list); err != nil || list.Tags == nil {
		a.t.Fatalf("not a list of tags: %v: %s", err, a.body)
	}
	return list.Tags
}

var nextLink = regexp.MustCompile(`^<([^>]+)>; rel="next"$`)

// follow reads page after page, as the Link of each says (RFC 8288).
func (s *system) follow(path string, read func(answer) []string) (all []string) {
	s.t.Helper()
	for pages := 0; path != ""; pages++ {
		if pages > 100 {
			s.t.Fatal("the pages do not end")
		}
		a := s.do("ann", "GET", path, "").want(200, "")
		all = append(all, read(a)...)
		link := a.head.Get("Link")
		if path = ""; link != "" {
			m := nextLink.FindStringSubmatch(link)
			if m == nil {
				s.t.Fatalf("Link is %q", link)
			}
			path = m[1]
		}
	}
	return all
}

func TestCatalogConforms(t *testing.T) {
	eachDatabase(t, func(s *system) {
		s.do("ann", "GET", "/v2/_catalog", "").want(200, `{"repositories":[]}`)
		for _, repo := range []string{"b", "a/b", "a", "c/d/e"} {
			s.pushManifest("ann", repo, "v1", "layer")
		}
		s.pushManifest("bob", "not-hers", "v1", "layer")
		repos := func(a answer) []string {
			var list struct{ Repositories []string }
			if err := json.Unmarshal([]byte(a.body), &list); err != nil {
				s.t.Fatal(err)
			}
			return list.Repositories
		}
		want := []string{"a", "a/b", "b", "c/d/e"}
		for _, query := range []string{"", "?n=1", "?n=3", "?n=4"} {
			if got := s.follow("/v2/_catalog"+query, repos); !slices.Equal(got, want) {
				s.t.Errorf("%s: %v, want %v", query, got, want)
			}
		}
		s.do("ann", "HEAD", "/v2/_catalog", "").want(200, "").bytes("")
	})
}

// A referrer is an entry of the index that referrers are told by.
type referrer struct {
	MediaType    string
	Digest       string
	Size         int64
	ArtifactType *string
	Annotations  map[string]string
}

func (a answer) referrers() []referrer {
	a.t.Helper()
	a.header("Content-Type", ociIndex)
	var index struct {
		SchemaVersion int
		MediaType     string
		Manifests     []referrer
	}
	if err := json.Unmarshal([]byte(a.body), &index); err != nil || index.SchemaVersion != 2 || index.MediaType != ociIndex || index.Manifests == nil {
		a.t.Fatalf("not an index: %v: %s", err, a.body)
	}
	return index.Manifests
}

func (a answer) referring() []string {
	a.t.Helper()
	var all []string
	for _, r := range a.referrers() {
		all = append(all, r.Digest)
	}
	return all
}

func TestReferrersConform(t *testing.T) {
	conform(t, func(s *system, by algorithm) {
		subject := imageBy(by, "layer")
		path := "/v2/team/app/referrers/" + by.of(subject)
		// Whatever is asked for, the answer is never 404, but an empty index.
		for _, p := range []string{path, "/v2/none/referrers/" + by.of("none")} {
			if got := s.do("ann", "GET", p, "").want(200, "").referrers(); len(got) != 0 {
				s.t.Errorf("%s has referrers: %v", p, got)
			}
		}
		for _, bad := range []string{"x", "sha256:x", "sha512:" + strings.Repeat("x", 128), "v1"} {
			s.do("ann", "GET", "/v2/team/app/referrers/"+bad, "").want(400, "").errorCodes()
		}
		// Referrers may be pushed before their subject; the answer says that they are kept.
		about := `,"subject":` + refBy(by, ociManifest, subject)
		put := func(ref, text, mediaType string) {
			s.do("ann", "PUT", "/v2/team/app/manifests/"+ref, text, "Content-Type: "+mediaType).want(201, "").header("OCI-Subject", by.of(subject))
		}
		for _, blob := range []string{"{}", "sbom", "sig"} {
			s.pushBy(by, "team/app", blob)
		}
		sbom := imageBy(by, "sbom", about, `,"artifactType":"text/sbom","annotations":{"org.example.a":"1","org.example.b":"2"}`)
		sig := imageBy(by, "sig", about) // its artifact type is the config's
		index := fmt.Sprintf(`{"schemaVersion":2,"mediaType":%q,"manifests":[]%s}`, ociIndex, about)
		typed := fmt.Sprintf(`{"schemaVersion":2,"mediaType":%q,"artifactType":"text/list","manifests":[]%s}`, ociIndex, about)
		put(by.of(sbom), sbom, ociManifest)
		put("sig", sig, ociManifest)
		put(by.of(index), index, ociIndex)
		check := func() {
			s.t.Helper()
			found := map[string]referrer{}
			for _, r := range s.do("ann", "GET", path, "").want(200, "").referrers() {
				found[r.Digest] = r
			}
			want := map[string]*string{digestOf(sbom): new("text/sbom"), digestOf(sig): new("application/vnd.oci.image.config.v1+json"), digestOf(index): nil}
			if len(found) != len(want) {
				s.t.Errorf("%d referrers, want %d", len(found), len(want))
			}
			for d, artifact := range want {
				if got := found[d].ArtifactType; (got == nil) != (artifact == nil) || got != nil && *got != *artifact {
					s.t.Errorf("the artifact type of %s is %v, want %v", d, got, artifact)
				}
			}
			if r := found[digestOf(sbom)]; r.MediaType != ociManifest || r.Size != int64(len(sbom)) || len(r.Annotations) != 2 || r.Annotations["org.example.a"] != "1" {
				s.t.Errorf("the descriptor is %+v", r)
			}
		}
		check()
		s.pushImageBy(by, "team/app", "v1", "layer") // the subject comes last
		check()
		put(by.of(typed), typed, ociIndex)

		// A filter that was applied is announced.
		for artifact, want := range map[string][]string{"text/sbom": {digestOf(sbom)}, "text/list": {digestOf(typed)}, "text/none": nil} {
			a := s.do("ann", "GET", path+"?artifactType="+url.QueryEscape(artifact), "").want(200, "").header("OCI-Filters-Applied", "artifactType")
			if got := a.referring(); !slices.Equal(got, want) {
				s.t.Errorf("%s: %v, want %v", artifact, got, want)
			}
		}
		s.do("ann", "GET", path, "").want(200, "").header("OCI-Filters-Applied", "")
		if got := s.follow(path+"?n=1", answer.referring); len(got) != 4 {
			s.t.Errorf("one after another: %v", got)
		}
		if got := s.do("bob", "GET", path, "").want(200, "").referrers(); len(got) != 0 {
			s.t.Errorf("another project sees %v", got)
		}
		// What is deleted does not refer any more.
		s.do("ann", "DELETE", "/v2/team/app/manifests/"+by.of(sbom), "").want(202, "")
		if got := s.do("ann", "GET", path, "").want(200, "").referring(); slices.Contains(got, digestOf(sbom)) || len(got) != 3 {
			s.t.Errorf("after one was deleted: %v", got)
		}
	})
}
