package registry

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"mime"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/weft-dev/weft"
)

// maxManifest is the size up to which the specification has registries accept
// manifests.
const maxManifest = 4 << 20

// Media types of manifests, in OCI's words and in Docker's.
const (
	ociManifest    = "application/vnd.oci.image.manifest.v1+json"
	ociIndex       = "application/vnd.oci.image.index.v1+json"
	dockerManifest = "application/vnd.docker.distribution.manifest.v2+json"
	dockerList     = "application/vnd.docker.distribution.manifest.list.v2+json"
)

func isIndex(mediaType string) bool { return mediaType == ociIndex || mediaType == dockerList }

func isImage(mediaType string) bool { return mediaType == ociManifest || mediaType == dockerManifest }

// A document is the text of a manifest or of an index; each uses some fields.
type document struct {
	SchemaVersion int               `json:"schemaVersion"`
	MediaType     string            `json:"mediaType"`
	ArtifactType  string            `json:"artifactType"`
	Config        *descriptor       `json:"config"`
	Layers        []descriptor      `json:"layers"`
	Manifests     []descriptor      `json:"manifests"`
	Subject       *descriptor       `json:"subject"`
	Annotations   map[string]string `json:"annotations"`
}

// A descriptor points to content.
type descriptor struct {
	MediaType    string            `json:"mediaType"`
	Digest       string            `json:"digest"`
	Size         int64             `json:"size"`
	URLs         []string          `json:"urls,omitempty"`
	ArtifactType string            `json:"artifactType,omitempty"`
	Annotations  map[string]string `json:"annotations,omitempty"`
	Platform     *platform         `json:"platform,omitempty"`
}

// A platform is what an image of an index is for.
type platform struct {
	Architecture string `json:"architecture"`
	OS           string `json:"os"`
	Variant      string `json:"variant,omitempty"`
}

var errManifestUnknown = &failure{http.StatusNotFound, manifestUnknown, "no such manifest in this repository"}

// findManifest looks the reference up. What could never be a reference is unknown,
// too.
func (c *call) findManifest(find func(context.Context, weft.ProjectID, string, string) (weft.ImageManifest, error)) (weft.ImageManifest, called, error) {
	n, tag, err := parseReference(c.ref)
	if err != nil && !strings.Contains(c.ref, ":") {
		return weft.ImageManifest{}, n, errManifestUnknown
	}
	if err != nil {
		return weft.ImageManifest{}, n, err
	}
	ref := tag
	if tag == "" {
		d, known, err := c.lookUp(c.ctx, n)
		if err != nil || !known {
			return weft.ImageManifest{}, n, orUnknown(err, errManifestUnknown)
		}
		ref = d.String()
	}
	m, err := find(c.ctx, c.project, c.repo, ref)
	if weft.KindOf(err) == weft.NotFound {
		return m, n, errManifestUnknown
	}
	if tag != "" {
		n = calledBy(m.Digest)
	}
	return m, n, err
}

// getManifest sends what was pushed, byte for byte, whatever the client says it accepts:
// the digest would not be right for anything else.
func (c *call) getManifest() error {
	m, n, err := c.findManifest(c.catalog.UseManifest)
	if err != nil {
		return err
	}
	return c.serveContent(m.Digest, n, m.MediaType)
}

// deleteManifest removes a tag, or a manifest and all of its tags.
func (c *call) deleteManifest() error {
	m, _, err := c.findManifest(c.catalog.Manifest)
	if err != nil {
		return err
	}
	ref := c.ref
	if strings.Contains(ref, ":") {
		ref = m.Digest.String()
	}
	err = c.catalog.DeleteManifest(c.ctx, c.project, c.repo, ref)
	if weft.KindOf(err) == weft.NotFound { // by another request just now
		return errManifestUnknown
	}
	if err != nil {
		return err
	}
	c.w.WriteHeader(http.StatusAccepted)
	return nil
}

// putManifest stores a manifest whose parts are all in the repository.
func (c *call) putManifest() error {
	want, tag, err := parseReference(c.ref)
	if err != nil {
		return err
	}
	text, err := c.manifestBody()
	if err != nil {
		return err
	}
	m, err := readManifest(text, c.r.Header.Get("Content-Type"), func(n called) (weft.Digest, error) {
		d, known, err := c.lookUp(c.ctx, n)
		if err != nil || !known {
			return d, orUnknown(err, &failure{http.StatusNotFound, manifestBlobUnknown, "the repository does not have " + n.String()})
		}
		return d, nil
	})
	if err != nil {
		return err
	}
	if tag != "" {
		want = calledBy(m.Digest)
	}
	if err := c.checkParts(m); err != nil {
		return err
	}
	err = pinned(c.ctx, c.catalog, func(pin string, until time.Time) error {
		got, err := c.content.Put(c.ctx, pin, until, m.Digest, m.Size, bytes.NewReader(text))
		if err != nil {
			return fmt.Errorf("keep manifest: %w", err)
		}
		if err := c.check(c.ctx, want, got, pin); err != nil {
			return err
		}
		return c.catalog.PutManifest(c.ctx, c.project, c.repo, m, tag)
	})
	if weft.KindOf(err) == weft.NotFound { // a part was deleted just now
		return fail(http.StatusNotFound, manifestBlobUnknown, err.Error())
	}
	if err != nil {
		return err
	}
	head := c.w.Header()
	if subject := (called{m.Subject, m.Subject512}); subject != (called{}) {
		head.Set("Oci-Subject", subject.String()) // says that referrers are kept
	}
	head.Set("Location", "/v2/"+c.repo+"/manifests/"+want.String())
	head.Set(digestHeader, want.String())
	head.Set("Content-Length", "0")
	c.w.WriteHeader(http.StatusCreated)
	return nil
}

func (c *call) manifestBody() ([]byte, error) {
	tooLarge := fail(http.StatusRequestEntityTooLarge, sizeInvalid, "a manifest has at most 4 MiB")
	if c.r.ContentLength > maxManifest {
		return nil, tooLarge
	}
	text, err := io.ReadAll(io.LimitReader(body(c.w, c.r), maxManifest+1))
	if err != nil {
		return nil, fail(http.StatusBadRequest, manifestInvalid, "the body broke off")
	}
	if len(text) > maxManifest {
		return nil, tooLarge
	}
	return text, nil
}

// checkParts refuses a manifest that names what the repository does not have. A
// subject need not exist (yet).
func (c *call) checkParts(m weft.ImageManifest) error {
	for _, d := range m.Blobs {
		if _, ok, err := c.catalog.HasBlob(c.ctx, c.project, c.repo, d); err != nil {
			return err
		} else if !ok {
			return fail(http.StatusNotFound, manifestBlobUnknown, "the repository does not have the blob "+d.String())
		}
	}
	for _, d := range m.Manifests {
		_, err := c.catalog.Manifest(c.ctx, c.project, c.repo, d.String())
		if weft.KindOf(err) == weft.NotFound {
			return fail(http.StatusNotFound, manifestBlobUnknown, "the repository does not have the manifest "+d.String())
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// A resolver finds the address of what a manifest calls by some name.
type resolver func(called) (weft.Digest, error)

// sha256Only is for manifests of other registries, whose parts are pulled by their address.
func sha256Only(n called) (weft.Digest, error) {
	if !n.long.IsZero() {
		return weft.Digest{}, fail(http.StatusBadRequest, unsupported, "images of other registries are pulled by sha256 only, not by "+n.String())
	}
	return n.digest, nil
}

// readManifest checks a manifest's text and tells what it refers to.
func readManifest(text []byte, contentType string, resolve resolver) (weft.ImageManifest, error) {
	bad := func(why string) (weft.ImageManifest, error) {
		return weft.ImageManifest{}, fail(http.StatusBadRequest, manifestInvalid, why)
	}
	var doc document
	if err := json.Unmarshal(text, &doc); err != nil {
		return bad("the manifest is not JSON: " + err.Error())
	}
	mediaType, _, err := mime.ParseMediaType(contentType)
	if err != nil {
		mediaType = doc.MediaType
	}
	switch {
	case doc.SchemaVersion != 2:
		return bad("only schemaVersion 2 is supported")
	case doc.MediaType != "" && doc.MediaType != mediaType:
		return bad("mediaType is " + doc.MediaType + ", but the Content-Type is " + mediaType)
	case isImage(mediaType) && (doc.Config == nil || doc.Manifests != nil):
		return bad("a manifest of an image has a config and no manifests")
	case isIndex(mediaType) && (doc.Config != nil || doc.Layers != nil):
		return bad("an index has manifests, but no config and no layers")
	case !isImage(mediaType) && !isIndex(mediaType):
		return bad("the media type " + mediaType + " is not that of a manifest or an index")
	}
	m := weft.ImageManifest{Digest: sha256.Sum256(text), MediaType: mediaType, Size: int64(len(text)), ArtifactType: doc.ArtifactType}
	if m.ArtifactType == "" && doc.Config != nil {
		m.ArtifactType = doc.Config.MediaType
	}
	return refer(m, doc, resolve)
}

// refer fills in the digests that the document refers to, each once. The subject may be
// something that is not there, so it stays what it is called.
func refer(m weft.ImageManifest, doc document, resolve resolver) (weft.ImageManifest, error) {
	parts := doc.Layers
	if doc.Config != nil {
		parts = append([]descriptor{*doc.Config}, parts...)
	}
	var err error
	if m.Blobs, err = digests(parts, resolve); err != nil {
		return m, err
	}
	if m.Manifests, err = digests(doc.Manifests, resolve); err != nil {
		return m, err
	}
	if doc.Subject != nil {
		subject, err := parseDigest(doc.Subject.Digest)
		m.Subject, m.Subject512 = subject.digest, subject.long
		return m, err
	}
	return m, nil
}

func digests(ds []descriptor, resolve resolver) ([]weft.Digest, error) {
	var out []weft.Digest
	for _, desc := range ds {
		n, err := parseDigest(desc.Digest)
		if err != nil {
			return nil, err
		}
		if len(desc.URLs) > 0 { // it is kept elsewhere
			continue
		}
		d, err := resolve(n)
		if err != nil {
			return nil, err
		}
		if !slices.Contains(out, d) {
			out = append(out, d)
		}
	}
	return out, nil
}
