package registry

import (
	"context"
	"io"
	"os"
	"time"

	"github.com/weft-dev/weft"
)

// A Catalog knows which blobs and manifests are in which repository of which
// project. The relational store implements it. What is not there is NotFound.
type Catalog interface {
	// LinkBlob records that the repository has the blob, which the pin holds.
	LinkBlob(ctx context.Context, project weft.ProjectID, repo string, d weft.Digest, pin string) error
	// HasBlob tells whether the repository has the blob, and its size.
	HasBlob(ctx context.Context, project weft.ProjectID, repo string, d weft.Digest) (weft.Blob, bool, error)
	// UseBlob is HasBlob for clients that will rely on the answer: the blob then stays in
	// the repository for a while, even if no manifest has it.
	UseBlob(ctx context.Context, project weft.ProjectID, repo string, d weft.Digest) (weft.Blob, bool, error)
	// FindBlob tells whether any repository of the project has the blob.
	FindBlob(ctx context.Context, project weft.ProjectID, d weft.Digest) (weft.Blob, bool, error)
	// UnlinkBlob removes what LinkBlob recorded. It is a Conflict for what an image needs
	// that a Plan names.
	UnlinkBlob(ctx context.Context, project weft.ProjectID, repo string, d weft.Digest) error

	// SetAlias records the SHA-512 of a blob that the pin holds; Alias finds the blob.
	SetAlias(ctx context.Context, alias weft.Digest512, d weft.Digest, pin string) error
	Alias(ctx context.Context, alias weft.Digest512) (weft.Digest, bool, error)

	// PutManifest records a manifest, and the tag (if any) as a name for it.
	PutManifest(ctx context.Context, project weft.ProjectID, repo string, m weft.ImageManifest, tag string) error
	// Manifest finds a manifest by tag or digest.
	Manifest(ctx context.Context, project weft.ProjectID, repo string, ref string) (weft.ImageManifest, error)
	// UseManifest is Manifest for clients that will rely on the answer, as UseBlob.
	UseManifest(ctx context.Context, project weft.ProjectID, repo string, ref string) (weft.ImageManifest, error)
	// DeleteManifest removes a tag, or a manifest with all of its tags. It is a Conflict for
	// what a Plan names or a Run is made of.
	DeleteManifest(ctx context.Context, project weft.ProjectID, repo string, ref string) error
	// Referrers returns the manifests whose subject is called by one of the digests, in the
	// order of their own.
	Referrers(ctx context.Context, project weft.ProjectID, repo string, subject weft.Digest, subject512 weft.Digest512) ([]weft.ImageManifest, error)

	// Tags and Repositories return up to n names after a name, in byte order.
	Tags(ctx context.Context, project weft.ProjectID, repo string, after string, n int) ([]string, error)
	Repositories(ctx context.Context, project weft.ProjectID, after string, n int) ([]string, error)

	// Reserve pins blobs, and says what is known of their bytes; Release gives up
	// what a pin holds.
	Reserve(ctx context.Context, pin string, until time.Time, blobs []weft.Blob) ([]weft.BlobState, error)
	Release(ctx context.Context, pin string) error
}

// Content holds the bytes; content.Dir implements it.
type Content interface {
	// Put brings in what r gives, and pins it. A want that is not zero and a size that
	// is not negative are what it must have; otherwise it is Invalid.
	Put(ctx context.Context, pin string, until time.Time, want weft.Digest, size int64, r io.Reader) (weft.Blob, error)
	// OpenBlob opens the bytes with a digest, and tells their size.
	OpenBlob(ctx context.Context, d weft.Digest) (*os.File, int64, error)
}
