package store

import (
	"context"
	"fmt"
	"time"

	"github.com/weft-dev/weft"
)

// Repositories are collected by marking and by time, without a race with pushes:
//
// A manifest is spare while it has no tag, no index lists it, what it is about is not
// there, and no Run is made of it. One that has been spare for long, and was neither
// pulled nor pushed again meanwhile, is removed. A blob that no manifest of its
// repository has stays for a while after a push relied upon it: by sending it, or by
// asking whether it is there (UseBlob).
//
// Whoever makes a reference locks the row that it refers to with a shared lock, or writes
// that row; the collector locks it exclusively and only then, in a further statement,
// looks for references, as in blob.go.

// collectAtOnce is how many rows one transaction collects.
const collectAtOnce = 500

// spare is the condition that nothing needs a row of image_manifest.
func spare() string {
	return fmt.Sprintf(`NOT EXISTS (SELECT 1 FROM image_tag g WHERE g.digest = image_manifest.digest AND g.project = image_manifest.project AND g.repo = image_manifest.repo)
		AND NOT EXISTS (SELECT 1 FROM image_ref r WHERE r.digest = image_manifest.digest AND r.kind = %d AND r.project = image_manifest.project AND r.repo = image_manifest.repo)
		AND NOT EXISTS (SELECT 1 FROM image_manifest s WHERE s.project = image_manifest.project AND s.repo = image_manifest.repo AND s.digest = image_manifest.subject)
		AND NOT EXISTS (SELECT 1 FROM blob_alias a JOIN image_manifest s ON s.digest = a.digest
			WHERE a.alias = image_manifest.subject512 AND s.project = image_manifest.project AND s.repo = image_manifest.repo)
		AND NOT EXISTS (SELECT 1 FROM run WHERE run.project = image_manifest.project AND run.status IN (%d, %d) AND run.image = image_manifest.digest)`,
		refManifest, statusCode(usesImage[0]), statusCode(usesImage[1]))
}

const unusedBlob = `NOT EXISTS (SELECT 1 FROM image_ref r
	WHERE r.digest = repo_blob.digest AND r.kind = 0 AND r.project = repo_blob.project AND r.repo = repo_blob.repo)`

// CollectImages removes manifests that nothing has named for longer than spareFor, and
// then the blobs that no manifest of their repository has and on which no push relied for
// longer than unusedFor. A duration of 0 keeps all of its kind. Bytes are freed by Doom.
func (s *Store) CollectImages(ctx context.Context, spareFor, unusedFor time.Duration) (manifests, blobs int64, err error) {
	if spareFor > 0 {
		manifests, err = s.collectManifests(ctx, spareFor)
	}
	if err == nil && unusedFor > 0 {
		blobs, err = s.collectRepoBlobs(ctx, unusedFor)
	}
	if err != nil {
		return manifests, blobs, fmt.Errorf("collect images: %w", err)
	}
	return manifests, blobs, nil
}

func (s *Store) collectManifests(ctx context.Context, spareFor time.Duration) (int64, error) {
	if err := s.markSpare(ctx); err != nil {
		return 0, err
	}
	return s.eachRepoRow(ctx, "image_manifest", "spare_at", spareFor, func(ctx context.Context, t *tx, r repoRow) (int64, error) {
		found, err := t.row(ctx, "SELECT 1 FROM image_manifest WHERE project = $1 AND repo = $2 AND digest = $3 AND "+spare(), r.args(), new(int))
		if err != nil || !found {
			return 0, err
		}
		return 1, t.deleteManifest(ctx, r.project, r.repo, r.digest)
	})
}

// markSpare notes since when manifests are spare. It only writes what changes.
func (s *Store) markSpare(ctx context.Context) error {
	for _, m := range []struct {
		found, change string
		args          func(t *tx) []any
	}{
		{"spare_at IS NULL AND " + spare(), "spare_at = $1", func(t *tx) []any { return []any{micros(t.now)} }},
		{"spare_at IS NOT NULL AND NOT (" + spare() + ")", "spare_at = NULL", func(*tx) []any { return nil }},
	} {
		some := false
		err := s.read(ctx, func(t *tx) (err error) {
			some, err = t.row(ctx, "SELECT 1 FROM image_manifest WHERE "+m.found+" LIMIT 1", nil, new(int))
			return err
		})
		if err == nil && some {
			err = s.ledger(ctx, func(ctx context.Context, t *tx) error {
				_, err := t.exec(ctx, "UPDATE image_manifest SET "+m.change+" WHERE "+m.found, m.args(t)...)
				return err
			})
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (s *Store) collectRepoBlobs(ctx context.Context, unusedFor time.Duration) (int64, error) {
	err := s.ledger(ctx, func(ctx context.Context, t *tx) error { // what an earlier program linked has its time, too
		_, err := t.exec(ctx, "UPDATE repo_blob SET used_at = $1 WHERE used_at = 0", micros(t.now))
		return err
	})
	if err != nil {
		return 0, err
	}
	return s.eachRepoRow(ctx, "repo_blob", "used_at", unusedFor, func(ctx context.Context, t *tx, r repoRow) (int64, error) {
		return t.exec(ctx, "DELETE FROM repo_blob WHERE project = $1 AND repo = $2 AND digest = $3 AND "+unusedBlob, r.args()...)
	}, unusedBlob)
}

// A repoRow is what a repository has.
type repoRow struct {
	project weft.ProjectID
	repo    string
	digest  weft.Digest
}

func (r repoRow) args() []any { return []any{r.project, r.repo, r.digest} }

// eachRepoRow locks, some at a time, the rows of a table whose time in a column is longer
// ago than age, and hands each to f; those that another transaction has are left for later.
func (s *Store) eachRepoRow(ctx context.Context, table, column string, age time.Duration, f func(context.Context, *tx, repoRow) (int64, error), also ...string) (int64, error) {
	query := "SELECT project, repo, digest FROM " + table + " WHERE " + column + " <= $1"
	for _, cond := range also {
		query += " AND " + cond
	}
	query += " AND (project, repo, digest) > ($2, $3, $4) ORDER BY project, repo, digest LIMIT $5" + s.skipLocked
	var total int64
	after := []any{[]byte{}, "", []byte{}}
	for {
		var found []repoRow
		var n int64
		err := s.ledger(ctx, func(ctx context.Context, t *tx) error {
			found, n = nil, 0
			err := t.rows(ctx, func(r scanner) error {
				var row repoRow
				err := r.Scan(&row.project, &row.repo, &row.digest)
				found = append(found, row)
				return err
			}, query, append([]any{micros(t.now.Add(-age))}, append(after, collectAtOnce)...)...)
			for _, r := range found {
				if err != nil {
					return err
				}
				var removed int64
				removed, err = f(ctx, t, r)
				n += removed
			}
			return err
		})
		total += n
		if err != nil || len(found) < collectAtOnce {
			return total, err
		}
		after = found[len(found)-1].args()
	}
}
