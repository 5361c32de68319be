package registry

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/weft-dev/weft"
)

const digestHeader = "Docker-Content-Digest"

var errBlobUnknown = &failure{http.StatusNotFound, blobUnknown, "the blob is not in this repository"}

// findBlob returns the blob that the path names.
func (c *call) findBlob(has func(context.Context, weft.ProjectID, string, weft.Digest) (weft.Blob, bool, error)) (weft.Blob, called, error) {
	n, err := parseDigest(c.ref)
	if err != nil {
		return weft.Blob{}, n, err
	}
	d, known, err := c.lookUp(c.ctx, n)
	if err != nil || !known {
		return weft.Blob{}, n, orUnknown(err, errBlobUnknown)
	}
	b, ok, err := has(c.ctx, c.project, c.repo, d)
	if err != nil || !ok {
		return weft.Blob{}, n, orUnknown(err, errBlobUnknown)
	}
	return b, n, nil
}

// orUnknown is err, or what is answered when there is no error but nothing was found.
func orUnknown(err error, unknown *failure) error {
	if err != nil {
		return err
	}
	return unknown
}

// getBlob answers GET and HEAD, whole or a range. A client that asks by HEAD may leave
// out to push the blob.
func (c *call) getBlob() error {
	has := c.catalog.HasBlob
	if c.r.Method == http.MethodHead {
		has = c.catalog.UseBlob
	}
	b, n, err := c.findBlob(has)
	if err != nil {
		return err
	}
	return c.serveContent(b.Digest, n, "application/octet-stream")
}

// serveContent sends the bytes with the digest, which the caller may read and calls n.
func (c *call) serveContent(d weft.Digest, n called, mediaType string) error {
	f, _, err := c.content.OpenBlob(c.ctx, d)
	if err != nil {
		return err
	}
	defer f.Close()
	head := c.w.Header()
	head.Set("Content-Type", mediaType)
	head.Set(digestHeader, n.String())
	head.Set("Etag", `"`+n.String()+`"`)
	head.Set("Cache-Control", "private, max-age=31536000, immutable")
	if !strings.Contains(c.ref, ":") { // a tag may come to mean something else
		head.Set("Cache-Control", "private, no-cache")
	}
	http.ServeContent(c.w, c.r, "", time.Time{}, f)
	return nil
}

// deleteBlob takes the blob out of the repository. Its bytes stay as long as
// anything else refers to them.
func (c *call) deleteBlob() error {
	b, _, err := c.findBlob(c.catalog.HasBlob)
	if err != nil {
		return err
	}
	if err := c.catalog.UnlinkBlob(c.ctx, c.project, c.repo, b.Digest); err != nil {
		return err
	}
	c.w.WriteHeader(http.StatusAccepted)
	return nil
}

// mountBlob links a blob of another repository of the project, if it is there, and
// reports whether it did. Which blobs exist elsewhere stays unknown to the client. Without
// a name any repository of the project will do.
func (c *call) mountBlob(from string, n called) (bool, error) {
	if from != "" && (len(from) > maxName || !namePattern.MatchString(from)) {
		return false, nil
	}
	d, known, err := c.lookUp(c.ctx, n)
	if err != nil || !known {
		return false, err
	}
	var b weft.Blob
	var ok bool
	if from == "" {
		b, ok, err = c.catalog.FindBlob(c.ctx, c.project, d)
	} else {
		b, ok, err = c.catalog.HasBlob(c.ctx, c.project, from, d)
	}
	if err != nil || !ok {
		return false, err
	}
	mounted := false
	err = pinned(c.ctx, c.catalog, func(pin string, until time.Time) error {
		states, err := c.catalog.Reserve(c.ctx, pin, until, []weft.Blob{b})
		if err != nil || states[0] != weft.BlobPresent {
			return err // it has just gone: the client sends it
		}
		mounted = true
		return c.catalog.LinkBlob(c.ctx, c.project, c.repo, d, pin)
	})
	return mounted, err
}

// pinLife is how long a pin holds a blob whose pusher died before the row that
// replaces the pin was written.
const pinLife = time.Hour

// newPin returns a name for a pin, which nobody else has.
func newPin() string { return "registry-" + uuid.NewString() }

// pinned runs f with a pin that is released afterwards.
func pinned(ctx context.Context, c Catalog, f func(pin string, until time.Time) error) error {
	pin := newPin()
	err := f(pin, time.Now().Add(pinLife))
	// Also when the client went away: else the pin would keep what nobody wants.
	return errors.Join(err, c.Release(context.WithoutCancel(ctx), pin))
}

// maxDocument is how much JSON is read of a blob.
const maxDocument = 16 << 20

// readJSON reads a blob that is a JSON document.
func readJSON(ctx context.Context, c Content, d weft.Digest, into any) error {
	f, size, err := c.OpenBlob(ctx, d)
	if err != nil {
		return err
	}
	defer f.Close()
	if size > maxDocument {
		return weft.Errorf(weft.Invalid, "%s has %d bytes, too many for a manifest or a configuration", d, size)
	}
	if err := json.NewDecoder(f).Decode(into); err != nil {
		return weft.Errorf(weft.Invalid, "%s is not a JSON document: %w", d, err)
	}
	return nil
}
