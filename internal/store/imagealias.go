package store

import (
	"context"
	"fmt"
	"time"

	"github.com/weft-dev/weft"
)

// SetAlias records that a blob, which pin holds, is also called by its SHA-512, which the
// caller has computed from the bytes.
func (s *Store) SetAlias(ctx context.Context, alias weft.Digest512, d weft.Digest, pin string) error {
	err := s.ledger(ctx, func(ctx context.Context, t *tx) error {
		if err := t.holdBlobs(ctx, []weft.Digest{d}); err != nil {
			return err
		}
		_, err := t.exec(ctx, "INSERT INTO blob_alias (alias, digest) VALUES ($1, $2) ON CONFLICT (alias) DO UPDATE SET digest = excluded.digest", alias, d)
		return err
	})
	if err != nil {
		return fmt.Errorf("name blob by sha512: %w", err)
	}
	return nil
}

// Alias returns the blob that is called so, if some blob was pushed by that name. Whether
// somebody may have it is another question.
func (s *Store) Alias(ctx context.Context, alias weft.Digest512) (d weft.Digest, found bool, err error) {
	err = s.read(ctx, func(t *tx) error {
		found, err = t.row(ctx, "SELECT digest FROM blob_alias WHERE alias = $1", []any{alias}, &d)
		return err
	})
	return d, found, err
}

// useStep is how exact the times are that tell when something was used last, so that
// reading does not mean writing each time.
const useStep = time.Hour

// UseBlob is HasBlob for whoever is about to rely on the answer, as a client does that
// leaves out to push what is there: the blob stays in the repository for as long after
// that as after a push.
func (s *Store) UseBlob(ctx context.Context, project weft.ProjectID, repo string, d weft.Digest) (weft.Blob, bool, error) {
	b, found, used := weft.Blob{Digest: d}, false, int64(0)
	look := func(t *tx) (err error) {
		found, err = t.row(ctx, "SELECT b.size, r.used_at FROM repo_blob r JOIN blob b ON b.digest = r.digest WHERE r.project = $1 AND r.repo = $2 AND r.digest = $3",
			[]any{project, repo, d}, &b.Size, &used)
		return err
	}
	err := s.read(ctx, look)
	if err != nil || !found || time.Since(fromMicros(used)) < useStep {
		return b, found, err
	}
	err = s.write(ctx, func(ctx context.Context, t *tx) error {
		n, err := t.exec(ctx, "UPDATE repo_blob SET used_at = $4 WHERE project = $1 AND repo = $2 AND digest = $3", project, repo, d, micros(t.now))
		found = n > 0
		return err
	})
	return b, found, err
}

// UseManifest is Manifest for whoever is about to rely on the answer: what nothing names
// stays for as long after it was pulled last as after it lost its last name.
func (s *Store) UseManifest(ctx context.Context, project weft.ProjectID, repo string, ref string) (weft.ImageManifest, error) {
	m, err := s.Manifest(ctx, project, repo, ref)
	if err != nil {
		return m, err
	}
	stale := false
	const spare = " FROM image_manifest WHERE project = $1 AND repo = $2 AND digest = $3 AND spare_at < $4"
	err = s.read(ctx, func(t *tx) (err error) {
		stale, err = t.row(ctx, "SELECT 1"+spare, []any{project, repo, m.Digest, micros(time.Now().Add(-useStep))}, new(int))
		return err
	})
	if err != nil || !stale {
		return m, err
	}
	err = s.write(ctx, func(ctx context.Context, t *tx) error {
		n, err := t.exec(ctx, "UPDATE image_manifest SET spare_at = $4 WHERE project = $1 AND repo = $2 AND digest = $3", project, repo, m.Digest, micros(t.now))
		if err == nil && n == 0 {
			return weft.Errorf(weft.NotFound, "image %s has no %s", repo, ref)
		}
		return err
	})
	return m, err
}

// FindBlob returns a blob that some repository of the project has, and its size.
func (s *Store) FindBlob(ctx context.Context, project weft.ProjectID, d weft.Digest) (weft.Blob, bool, error) {
	b, found := weft.Blob{Digest: d}, false
	err := s.read(ctx, func(t *tx) (err error) {
		found, err = t.row(ctx, "SELECT b.size FROM repo_blob r JOIN blob b ON b.digest = r.digest WHERE r.digest = $1 AND r.project = $2 LIMIT 1",
			[]any{d, project}, &b.Size)
		return err
	})
	return b, found, err
}
