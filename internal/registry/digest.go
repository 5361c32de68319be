package registry

import (
	"context"
	"crypto/sha512"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/weft-dev/weft"
)

// A called is the digest by which a client calls a blob or manifest: one of its two fields
// is set. Content is kept under its SHA-256; the SHA-512 of what was pushed by that is an
// alias that leads there.
type called struct {
	digest weft.Digest
	long   weft.Digest512
}

func (n called) String() string {
	if n.long.IsZero() {
		return n.digest.String()
	}
	return n.long.String()
}

func calledBy(d weft.Digest) called { return called{digest: d} }

// parseDigest reads the digest of a blob or manifest.
func parseDigest(s string) (n called, err error) {
	algorithm, _, _ := strings.Cut(s, ":")
	switch algorithm {
	case "sha512":
		n.long, err = weft.ParseDigest512(s)
		if err == nil && n.long.IsZero() {
			return n, fail(http.StatusBadRequest, digestInvalid, "no content has that digest")
		}
	case "sha384":
		return n, fail(http.StatusBadRequest, unsupported, "only sha256 and sha512 digests are supported")
	default:
		n.digest, err = weft.ParseDigest(s)
	}
	if err != nil {
		return n, fail(http.StatusBadRequest, digestInvalid, "this is not a digest: sha256: and 64, or sha512: and 128 lower-case hexadecimal digits")
	}
	return n, nil
}

// parseReference reads what stands behind /manifests/: a digest or a tag.
func parseReference(s string) (n called, tag string, err error) {
	if strings.Contains(s, ":") {
		n, err = parseDigest(s)
		return n, "", err
	}
	if !tagPattern.MatchString(s) {
		return n, "", fail(http.StatusBadRequest, manifestInvalid, "this is not a tag: up to 128 letters, digits and . _ -")
	}
	return n, s, nil
}

// lookUp returns the address of what is called n; false, if nothing is called so. It does
// not tell whether the client may have it.
func (h *Handler) lookUp(ctx context.Context, n called) (weft.Digest, bool, error) {
	if n.long.IsZero() {
		return n.digest, true, nil
	}
	return h.catalog.Alias(ctx, n.long)
}

// Aliases finds the blob that is called by a SHA-512. A Catalog does.
type Aliases interface {
	Alias(ctx context.Context, alias weft.Digest512) (weft.Digest, bool, error)
}

// address is lookUp where whatever is called so must be there.
func address(ctx context.Context, a Aliases, n called) (weft.Digest, error) {
	if n.long.IsZero() {
		return n.digest, nil
	}
	d, known, err := a.Alias(ctx, n.long)
	if err == nil && !known {
		err = weft.Errorf(weft.NotFound, "%s is not stored", n)
	}
	return d, err
}

// check makes sure that a blob that has been stored, and is held by pin, is what the
// client calls n, and notes that name.
func (h *Handler) check(ctx context.Context, n called, got weft.Blob, pin string) error {
	if n.long.IsZero() {
		if n.digest != got.Digest {
			return wrongDigest(got.Digest.String())
		}
		return nil
	}
	f, _, err := h.content.OpenBlob(ctx, got.Digest)
	if err != nil {
		return err
	}
	defer f.Close()
	hash := sha512.New()
	if _, err := io.CopyBuffer(hash, struct{ io.Reader }{f}, make([]byte, copyBuffer)); err != nil {
		return fmt.Errorf("hash blob: %w", err)
	}
	if long := weft.Digest512(hash.Sum(nil)); long != n.long {
		return wrongDigest(long.String())
	}
	return h.catalog.SetAlias(ctx, n.long, got.Digest, pin)
}

func wrongDigest(is string) error {
	return fail(http.StatusBadRequest, digestInvalid, "the bytes that arrived have the digest "+is)
}
