package registry

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"time"

	"github.com/google/uuid"

	"github.com/weft-dev/weft"
)

const digestHeader = "Docker-Content-Digest"

var errBlobUnknown = &failure{http.StatusNotFound, blobUnknown, "the blob is not in this repository"}

// getBlob answers GET and HEAD, whole or a range.
func (c *call) getBlob() error {
	d, err := parseDigest(c.ref)
	if err != nil {
		return err
	}
	if _, ok, err := c.catalog.HasBlob(c.ctx, c.project, c.repo, d); err != nil {
		return err
	} else if !ok {
		return errBlobUnknown
	}
	return c.serveContent(d, "application/octet-stream")
}

// serveContent sends the bytes with the digest, which the caller may read.
func (c *call) serveContent(d weft.Digest, mediaType string) error {
	f, _, err := c.content.OpenBlob(c.ctx, d)
	if err != nil {
		return err
	}
	defer f.Close()
	head := c.w.Header()
	head.Set("Content-Type", mediaType)
	head.Set(digestHeader, d.String())
	head.Set("Etag", `"`+d.String()+`"`)
	head.Set("Cache-Control", "private, max-age=31536000, immutable")
	http.ServeContent(c.w, c.r, "", time.Time{}, f)
	return nil
}

// deleteBlob takes the blob out of the repository. Its bytes stay as long as
// anything else refers to them.
func (c *call) deleteBlob() error {
	d, err := parseDigest(c.ref)
	if err != nil {
		return err
	}
	if _, ok, err := c.catalog.HasBlob(c.ctx, c.project, c.repo, d); err != nil {
		return err
	} else if !ok {
		return errBlobUnknown
	}
	if err := c.catalog.UnlinkBlob(c.ctx, c.project, c.repo, d); err != nil {
		return err
	}
	c.w.WriteHeader(http.StatusAccepted)
	return nil
}

// mountBlob links a blob of another repository of the project, if it is there, and
// reports whether it did. Which blobs exist elsewhere stays unknown to the client.
func (c *call) mountBlob(from string, d weft.Digest) (bool, error) {
	if len(from) > maxName || !namePattern.MatchString(from) {
		return false, nil
	}
	b, ok, err := c.catalog.HasBlob(c.ctx, c.project, from, d)
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
