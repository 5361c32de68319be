package registry

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"

	"github.com/weft-dev/weft"
)

// maxPage is how many names an answer has at most, whatever is asked for.
const maxPage = 1000

// page reads the parameters of a listing: how many names, and after which.
func (c *call) page() (after string, n int, err error) {
	q := c.r.URL.Query()
	n = maxPage
	if q.Has("n") {
		n, err = strconv.Atoi(q.Get("n"))
		if err != nil || n < 0 {
			return "", 0, fail(http.StatusBadRequest, unsupported, "n is a number of names")
		}
		n = min(n, maxPage)
	}
	return q.Get("last"), n, nil
}

// names gets a page of names by list, and announces the next page if there is one.
func (c *call) names(list func(after string, n int) ([]string, error)) ([]string, error) {
	after, n, err := c.page()
	if err != nil {
		return nil, err
	}
	found, err := list(after, n+1) // one more tells whether there is a next page
	if err != nil {
		return nil, err
	}
	if len(found) > n {
		found = found[:n]
		if n > 0 {
			c.linkNext(url.Values{"n": {strconv.Itoa(n)}, "last": {found[n-1]}})
		}
	}
	return append([]string{}, found...), nil // an empty list, not null
}

// linkNext says where the next page is (RFC 8288).
func (c *call) linkNext(next url.Values) {
	c.w.Header().Set("Link", fmt.Sprintf(`<%s?%s>; rel="next"`, c.r.URL.Path, next.Encode()))
}

func (c *call) listTags() error {
	tags, err := c.names(func(after string, n int) ([]string, error) {
		return c.catalog.Tags(c.ctx, c.project, c.repo, after, n)
	})
	if weft.KindOf(err) == weft.NotFound {
		return fail(http.StatusNotFound, nameUnknown, "no such repository")
	} else if err != nil {
		return err
	}
	answerJSON(c.w, c.r, http.StatusOK, "application/json", struct {
		Name string   `json:"name"`
		Tags []string `json:"tags"`
	}{c.repo, tags})
	return nil
}

func (c *call) listRepositories() error {
	repos, err := c.names(func(after string, n int) ([]string, error) {
		return c.catalog.Repositories(c.ctx, c.project, after, n)
	})
	if err != nil {
		return err
	}
	answerJSON(c.w, c.r, http.StatusOK, "application/json", map[string][]string{"repositories": repos})
	return nil
}

// listReferrers answers with an index of the manifests that have the subject: an empty
// one when there are none, even if there is no such subject or repository.
func (c *call) listReferrers() error {
	subject, err := parseDigest(c.ref)
	if err != nil {
		return err
	}
	after, n, err := c.page()
	if err != nil {
		return err
	}
	known, found, err := c.lookUp(c.ctx, subject)
	if err != nil {
		return err
	}
	if !found {
		known = weft.Digest{}
	}
	all, err := c.catalog.Referrers(c.ctx, c.project, c.repo, known, subject.long)
	if err != nil && weft.KindOf(err) != weft.NotFound {
		return err
	}
	only := c.r.URL.Query().Get("artifactType")
	all = slices.DeleteFunc(all, func(m weft.ImageManifest) bool {
		return only != "" && m.ArtifactType != only || m.Digest.String() <= after
	})
	if only != "" {
		c.w.Header().Set("Oci-Filters-Applied", "artifactType")
	}
	if len(all) > n {
		all = all[:n]
		if n > 0 {
			next := url.Values{"n": {strconv.Itoa(n)}, "last": {all[n-1].Digest.String()}}
			if only != "" {
				next.Set("artifactType", only)
			}
			c.linkNext(next)
		}
	}
	list, err := c.describe(all)
	if err != nil {
		return err
	}
	answerJSON(c.w, c.r, http.StatusOK, ociIndex, struct {
		SchemaVersion int          `json:"schemaVersion"`
		MediaType     string       `json:"mediaType"`
		Manifests     []descriptor `json:"manifests"`
	}{2, ociIndex, list})
	return nil
}

// describe makes the entries of an index.
func (c *call) describe(ms []weft.ImageManifest) ([]descriptor, error) {
	list := []descriptor{}
	for _, m := range ms {
		var doc document
		if err := readJSON(c.ctx, c.content, m.Digest, &doc); err != nil {
			return nil, err
		}
		list = append(list, descriptor{MediaType: m.MediaType, Digest: m.Digest.String(), Size: m.Size, ArtifactType: m.ArtifactType, Annotations: doc.Annotations})
	}
	return list, nil
}
