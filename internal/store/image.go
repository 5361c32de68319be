package store

import (
	"context"
	"database/sql"
	"fmt"
	"slices"

	"github.com/weft-dev/weft"
)

// kinds of image_ref.
const (
	refBlob     = 0
	refManifest = 1
)

// LinkBlob records that a repository has a blob, which pin holds: only by such a row can
// it be read there.
func (s *Store) LinkBlob(ctx context.Context, project weft.ProjectID, repo string, d weft.Digest, pin string) error {
	err := s.ledger(ctx, func(ctx context.Context, t *tx) error {
		if err := t.holdBlobs(ctx, []weft.Digest{d}); err != nil {
			return err
		}
		held := 0
		if _, err := t.row(ctx, "SELECT 1 FROM blob_pin WHERE pin = $1 AND digest = $2 AND tree = $3", []any{pin, d, pinsBlob}, &held); err != nil {
			return err
		}
		if held == 0 {
			return weft.Errorf(weft.Conflict, "blob %s is not held by this upload (any more)", d).WithAdvice("send it again")
		}
		_, err := t.exec(ctx, "INSERT INTO repo_blob (project, repo, digest, used_at) VALUES ($1, $2, $3, $4)"+
			" ON CONFLICT (project, repo, digest) DO UPDATE SET used_at = excluded.used_at", project, repo, d, micros(t.now))
		return err
	})
	if err != nil {
		return fmt.Errorf("link blob: %w", err)
	}
	return nil
}

// HasBlob reports whether a repository has a blob, and its size.
func (s *Store) HasBlob(ctx context.Context, project weft.ProjectID, repo string, d weft.Digest) (weft.Blob, bool, error) {
	b, found := weft.Blob{Digest: d}, false
	err := s.read(ctx, func(t *tx) (err error) {
		found, err = t.row(ctx, "SELECT b.size FROM repo_blob r JOIN blob b ON b.digest = r.digest WHERE r.project = $1 AND r.repo = $2 AND r.digest = $3",
			[]any{project, repo, d}, &b.Size)
		return err
	})
	return b, found, err
}

// UnlinkBlob takes a blob out of a repository, unless it is part of an image that is
// protected (see DeleteManifest). Its bytes are collected once nothing else refers to them.
func (s *Store) UnlinkBlob(ctx context.Context, project weft.ProjectID, repo string, d weft.Digest) error {
	return s.change(ctx, func(ctx context.Context, t *tx) error {
		if err := t.refuseUsedBlob(ctx, project, repo, d); err != nil {
			return err
		}
		_, err := t.exec(ctx, "DELETE FROM repo_blob WHERE project = $1 AND repo = $2 AND digest = $3", project, repo, d)
		return err
	})
}

// PutManifest records a manifest, whose text is a confirmed blob and whose parts the
// repository has, and gives it a tag, unless that is empty.
func (s *Store) PutManifest(ctx context.Context, project weft.ProjectID, repo string, m weft.ImageManifest, tag string) error {
	err := s.changeLedger(ctx, func(ctx context.Context, t *tx) error {
		if err := t.holdBlobs(ctx, append(slices.Clone(m.Blobs), m.Digest)); err != nil {
			return err
		}
		if err := t.putManifest(ctx, project, repo, m); err != nil {
			return err
		}
		if err := t.hasParts(ctx, project, repo, m); err != nil || tag == "" {
			return err
		}
		_, err := t.exec(ctx, "INSERT INTO image_tag (project, repo, tag, digest) VALUES ($1, $2, $3, $4)"+
			" ON CONFLICT (project, repo, tag) DO UPDATE SET digest = excluded.digest", project, repo, tag, m.Digest)
		return err
	})
	if err != nil {
		return fmt.Errorf("put manifest: %w", err)
	}
	return nil
}

// hasParts makes sure that the repository has the parts of a manifest, and keeps them from
// being collected (see collectimage.go) until the transaction ends.
func (t *tx) hasParts(ctx context.Context, project weft.ProjectID, repo string, m weft.ImageManifest) error {
	for _, part := range []struct {
		what, table string
		digests     []weft.Digest
	}{{"blob", "repo_blob", m.Blobs}, {"manifest", "image_manifest", m.Manifests}} {
		for _, d := range part.digests {
			found, err := t.row(ctx, "SELECT 1 FROM "+part.table+" WHERE project = $1 AND repo = $2 AND digest = $3"+t.s.forShare, []any{project, repo, d}, new(int))
			if err != nil {
				return err
			}
			if !found {
				return weft.Errorf(weft.NotFound, "repository %s has no %s %s", repo, part.what, d).WithAdvice("push it first")
			}
		}
	}
	return nil
}

func (t *tx) putManifest(ctx context.Context, project weft.ProjectID, repo string, m weft.ImageManifest) error {
	_, err := t.exec(ctx, "INSERT INTO image_manifest (project, repo, digest, media_type, size, subject, subject512, artifact_type, created_at)"+
		" VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT (project, repo, digest) DO UPDATE SET media_type = excluded.media_type, spare_at = NULL",
		project, repo, m.Digest, m.MediaType, m.Size, m.Subject, m.Subject512, m.ArtifactType, micros(t.now))
	if err != nil {
		return err
	}
	var args []any
	add := func(kind int, digests []weft.Digest) {
		for _, d := range digests {
			args = append(args, project, repo, m.Digest, len(args)/6, kind, d)
		}
	}
	add(refBlob, m.Blobs)
	add(refManifest, m.Manifests)
	return t.insert(ctx, "INSERT INTO image_ref (project, repo, manifest, nth, kind, digest) VALUES ", 6, args, " ON CONFLICT DO NOTHING")
}

const manifestColumns = "m.digest, m.media_type, m.size, m.subject, m.subject512, m.artifact_type"

func scanManifest(r scanner) (m weft.ImageManifest, err error) {
	err = r.Scan(&m.Digest, &m.MediaType, &m.Size, &m.Subject, &m.Subject512, &m.ArtifactType)
	return m, err
}

// Manifest finds a manifest by tag or digest.
func (s *Store) Manifest(ctx context.Context, project weft.ProjectID, repo string, ref string) (weft.ImageManifest, error) {
	var m weft.ImageManifest
	err := s.read(ctx, func(t *tx) (err error) {
		m, err = t.manifest(ctx, project, repo, ref)
		return err
	})
	return m, err
}

func (t *tx) manifest(ctx context.Context, project weft.ProjectID, repo, ref string) (m weft.ImageManifest, err error) {
	query, arg := "SELECT "+manifestColumns+" FROM image_tag g JOIN image_manifest m ON m.project = g.project AND m.repo = g.repo AND m.digest = g.digest"+
		" WHERE g.project = $1 AND g.repo = $2 AND g.tag = $3", any(ref)
	if d, err := weft.ParseDigest(ref); err == nil {
		query, arg = "SELECT "+manifestColumns+" FROM image_manifest m WHERE m.project = $1 AND m.repo = $2 AND m.digest = $3", d
	}
	found := false
	err = t.rows(ctx, func(r scanner) (err error) {
		found = true
		m, err = scanManifest(r)
		return err
	}, query, project, repo, arg)
	if err != nil {
		return m, err
	}
	if !found {
		return m, weft.Errorf(weft.NotFound, "image %s has no %s", repo, ref)
	}
	return m, t.manifestParts(ctx, project, repo, &m)
}

func (t *tx) manifestParts(ctx context.Context, project weft.ProjectID, repo string, m *weft.ImageManifest) error {
	return t.rows(ctx, func(r scanner) error {
		var kind int
		var d weft.Digest
		err := r.Scan(&kind, &d)
		if kind == refBlob {
			m.Blobs = append(m.Blobs, d)
		} else {
			m.Manifests = append(m.Manifests, d)
		}
		return err
	}, "SELECT kind, digest FROM image_ref WHERE project = $1 AND repo = $2 AND manifest = $3 ORDER BY nth", project, repo, m.Digest)
}

// DeleteManifest removes a tag or, by digest, a manifest with all of its tags. What a
// Plan names, or a Run is made of, is not removed but is a Conflict that says so. Blobs
// that no other manifest has leave the repository by CollectImages, so as not to be taken
// from a push that goes on.
func (s *Store) DeleteManifest(ctx context.Context, project weft.ProjectID, repo, ref string) error {
	err := s.changeLedger(ctx, func(ctx context.Context, t *tx) error {
		m, err := t.manifest(ctx, project, repo, ref)
		if err != nil {
			return err
		}
		if err := t.refuseUsed(ctx, project, repo, m.Digest, ref); err != nil {
			return err
		}
		if _, err := weft.ParseDigest(ref); err != nil {
			_, err := t.exec(ctx, "DELETE FROM image_tag WHERE project = $1 AND repo = $2 AND tag = $3", project, repo, ref)
			return err
		}
		return t.deleteManifest(ctx, project, repo, m.Digest)
	})
	if err != nil {
		return fmt.Errorf("delete manifest: %w", err)
	}
	return nil
}

func (t *tx) deleteManifest(ctx context.Context, project weft.ProjectID, repo string, d weft.Digest) error {
	for _, query := range []string{
		"DELETE FROM image_tag WHERE project = $1 AND repo = $2 AND digest = $3",
		"DELETE FROM image_ref WHERE project = $1 AND repo = $2 AND manifest = $3",
		"DELETE FROM image_manifest WHERE project = $1 AND repo = $2 AND digest = $3",
	} {
		if _, err := t.exec(ctx, query, project, repo, d); err != nil {
			return err
		}
	}
	return nil
}

// Referrers returns the manifests of the repository whose subject is what is called by
// either digest; one of them may be zero.
func (s *Store) Referrers(ctx context.Context, project weft.ProjectID, repo string, subject weft.Digest, subject512 weft.Digest512) ([]weft.ImageManifest, error) {
	var found []weft.ImageManifest
	err := s.read(ctx, func(t *tx) error {
		err := t.rows(ctx, func(r scanner) error {
			m, err := scanManifest(r)
			found = append(found, m)
			return err
		}, "SELECT "+manifestColumns+" FROM image_manifest m WHERE m.project = $1 AND m.repo = $2"+
			" AND (m.subject = $3 OR m.subject512 = $4 OR m.subject512 IN (SELECT alias FROM blob_alias WHERE digest = $3)) ORDER BY m.digest",
			project, repo, subject, subject512)
		for i := range found {
			if err == nil {
				err = t.manifestParts(ctx, project, repo, &found[i])
			}
		}
		return err
	})
	return found, err
}

// Tags returns up to n tags of a repository that come after a text, in byte order.
func (s *Store) Tags(ctx context.Context, project weft.ProjectID, repo string, after string, n int) ([]string, error) {
	var tags []string
	err := s.read(ctx, func(t *tx) error {
		known := sql.NullInt64{}
		_, err := t.row(ctx, "SELECT coalesce((SELECT 1 FROM image_manifest WHERE project = $1 AND repo = $2 LIMIT 1),"+
			" (SELECT 1 FROM repo_blob WHERE project = $1 AND repo = $2 LIMIT 1))", []any{project, repo}, &known)
		if err != nil {
			return err
		}
		if !known.Valid {
			return weft.Errorf(weft.NotFound, "image %s is not found", repo)
		}
		tags, err = t.texts(ctx, "SELECT tag FROM image_tag WHERE project = $1 AND repo = $2 AND tag > $3 ORDER BY tag LIMIT $4", project, repo, after, n)
		return err
	})
	return tags, err
}

// Repositories returns up to n repositories that have an image and come after a text, in
// byte order.
func (s *Store) Repositories(ctx context.Context, project weft.ProjectID, after string, n int) ([]string, error) {
	var repos []string
	err := s.read(ctx, func(t *tx) (err error) {
		repos, err = t.texts(ctx, "SELECT DISTINCT repo FROM image_manifest WHERE project = $1 AND repo > $2 ORDER BY repo LIMIT $3", project, after, n)
		return err
	})
	return repos, err
}

func (t *tx) texts(ctx context.Context, query string, args ...any) ([]string, error) {
	var out []string
	err := t.rows(ctx, func(r scanner) error {
		var s string
		err := r.Scan(&s)
		out = append(out, s)
		return err
	}, query, args...)
	return out, err
}
