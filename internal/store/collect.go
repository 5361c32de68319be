package store

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/weft-dev/weft"
)

// removal is how long a collector may take to remove what Doom returned. After that it
// counts as dead, and the same is returned to the next one.
const removal = time.Minute

// sweepChunk is how many rows are looked through by one reading transaction.
const sweepChunk = 5000

// A litter is a table whose rows are collected once nothing refers to them. Its rows
// have digest, state and doomed_at.
type litter struct {
	table string
	pins  int      // blob_pin.tree
	refs  []string // tables and columns that refer to a row
	size  string   // column to be returned
}

var (
	blobLitter = litter{table: "blob", pins: pinsBlob, size: "size",
		refs: []string{"tree_blob.blob", "repo_blob.digest", "image_manifest.digest", "image_ref.digest"}}
	treeLitter = litter{table: "tree", pins: pinsTree, size: "bytes", refs: []string{"data.tree", "run_attempt.log"}}
)

// loose is the condition that nothing refers to a row. Subqueries with LIMIT are looked up
// row by row; PostgreSQL is not to hash a whole table for a few rows.
func (l litter) loose() string {
	cond := fmt.Sprintf("(SELECT 1 FROM blob_pin WHERE blob_pin.digest = %s.digest AND blob_pin.tree = %d LIMIT 1) IS NULL", l.table, l.pins)
	for _, ref := range l.refs {
		table, _, _ := strings.Cut(ref, ".")
		cond += fmt.Sprintf(" AND (SELECT 1 FROM %s WHERE %s = %s.digest LIMIT 1) IS NULL", table, ref, l.table)
	}
	return cond
}

// Doom is the collector's step. It marks blobs and trees to which nothing refers, and
// returns up to limit of each that have been so for longer than grace: they are now
// deleting, and nobody can refer to them any more. The caller removes them within a
// minute, and then calls Forget. What a collector that died did not forget is returned
// again later.
func (s *Store) Doom(ctx context.Context, grace time.Duration, limit int) (blobs []weft.Blob, trees []weft.Digest, err error) {
	if blobs, trees, err = s.condemn(ctx, grace, limit); err == nil && len(blobs) < limit && len(trees) < limit {
		if err = s.sweep(ctx); err == nil {
			var b []weft.Blob
			var t []weft.Digest
			b, t, err = s.condemn(ctx, grace, limit-max(len(blobs), len(trees)))
			blobs, trees = append(blobs, b...), append(trees, t...)
		}
	}
	if err != nil {
		return nil, nil, fmt.Errorf("collect: %w", err)
	}
	return blobs, trees, nil
}

// sweep ends expired pins, marks what has become loose, and takes the mark from what has
// not.
func (s *Store) sweep(ctx context.Context) error {
	err := s.ledger(ctx, func(ctx context.Context, t *tx) error {
		_, err := t.exec(ctx, "DELETE FROM blob_pin WHERE until < $1", micros(t.now))
		return err
	})
	if err != nil {
		return err
	}
	for _, l := range []litter{treeLitter, blobLitter} {
		if err := s.mark(ctx, l); err != nil {
			return err
		}
	}
	return nil
}

// mark looks through the whole table, by reading in pieces, and writes only what changes.
func (s *Store) mark(ctx context.Context, l litter) error {
	query := fmt.Sprintf("SELECT digest, doomed_at IS NOT NULL, (%s) FROM %s WHERE digest > $1 AND state < 2 ORDER BY digest LIMIT %d", l.loose(), l.table, sweepChunk)
	after := []byte{}
	for {
		var doom, spare []weft.Digest
		n := 0
		err := s.read(ctx, func(t *tx) error {
			return t.rows(ctx, func(r scanner) error {
				var d weft.Digest
				var doomed, loose bool
				err := r.Scan(&d, &doomed, &loose)
				switch {
				case loose && !doomed:
					doom = append(doom, d)
				case doomed && !loose:
					spare = append(spare, d)
				}
				n++
				after = append(after[:0], d[:]...)
				return err
			}, query, after)
		})
		if err == nil && len(doom)+len(spare) > 0 {
			err = s.ledger(ctx, func(ctx context.Context, t *tx) error {
				if _, err := t.execDigests(ctx, doom, "UPDATE "+l.table+" SET doomed_at = $1 WHERE doomed_at IS NULL AND digest IN (", ")", micros(t.now)); err != nil {
					return err
				}
				_, err := t.execDigests(ctx, spare, "UPDATE "+l.table+" SET doomed_at = NULL WHERE state < 2 AND digest IN (", ")")
				return err
			})
		}
		if err != nil || n < sweepChunk {
			return err
		}
	}
}

// condemn makes deleting what has been marked for longer than grace and is still loose.
func (s *Store) condemn(ctx context.Context, grace time.Duration, limit int) (blobs []weft.Blob, trees []weft.Digest, err error) {
	if limit <= 0 {
		return nil, nil, nil
	}
	err = s.ledger(ctx, func(ctx context.Context, t *tx) error {
		blobs, trees = nil, nil
		if blobs, err = t.condemn(ctx, blobLitter, grace, limit); err != nil {
			return err
		}
		gone, err := t.condemn(ctx, treeLitter, grace, limit)
		for _, b := range gone {
			trees = append(trees, b.Digest)
		}
		return err
	})
	return blobs, trees, err
}

func (t *tx) condemn(ctx context.Context, l litter, grace time.Duration, limit int) ([]weft.Blob, error) {
	var locked []weft.Digest
	err := t.rows(ctx, func(r scanner) error {
		var d weft.Digest
		err := r.Scan(&d)
		locked = append(locked, d)
		return err
	}, "SELECT digest FROM "+l.table+" WHERE doomed_at IS NOT NULL AND (state < 2 AND doomed_at <= $1 OR state = 2 AND doomed_at <= $2)"+
		" ORDER BY doomed_at, digest LIMIT $3"+t.s.skipLocked, micros(t.now.Add(-grace)), micros(t.now.Add(-removal)), limit)
	if err != nil || len(locked) == 0 {
		return nil, err
	}
	slices.SortFunc(locked, compareDigests)
	sizes := map[weft.Digest]int64{}
	err = t.inChunks(1, digestArgs(locked), func(n int, args []any) error { // a statement of its own: see the protocol in blob.go
		t.wrote = true
		return t.rows(ctx, func(r scanner) error {
			var b weft.Blob
			err := r.Scan(&b.Digest, &b.Size)
			sizes[b.Digest] = b.Size
			return err
		}, "UPDATE "+l.table+" SET state = 2, doomed_at = $1 WHERE digest IN ("+params(2, n)+") AND "+l.loose()+" RETURNING digest, "+l.size,
			append([]any{micros(t.now)}, args...)...)
	})
	if err != nil {
		return nil, err
	}
	var out []weft.Blob
	for _, d := range locked {
		if size, ok := sizes[d]; ok {
			out = append(out, weft.Blob{Digest: d, Size: size})
		}
	}
	_, err = t.execDigests(ctx, absentFrom(locked, sizes), "UPDATE "+l.table+" SET doomed_at = NULL WHERE digest IN (", ")")
	return out, err
}

// Forget removes the rows of what Doom returned and the caller has removed.
func (s *Store) Forget(ctx context.Context, blobs []weft.Digest, trees []weft.Digest) error {
	err := s.ledger(ctx, func(ctx context.Context, t *tx) error {
		for _, d := range slices.SortedFunc(slices.Values(trees), compareDigests) {
			n, err := t.exec(ctx, "DELETE FROM tree WHERE digest = $1 AND state = $2", d, blobDeleting)
			if err == nil && n > 0 {
				_, err = t.exec(ctx, "DELETE FROM tree_blob WHERE tree = $1", d)
			}
			if err != nil {
				return err
			}
		}
		sorted := slices.SortedFunc(slices.Values(blobs), compareDigests)
		if _, err := t.execDigests(ctx, sorted, "DELETE FROM blob WHERE state = $1 AND digest IN (", ")", blobDeleting); err != nil {
			return err
		}
		_, err := t.execDigests(ctx, sorted, "DELETE FROM blob_alias WHERE NOT EXISTS (SELECT 1 FROM blob b WHERE b.digest = blob_alias.digest) AND digest IN (", ")")
		return err
	})
	if err != nil {
		return fmt.Errorf("forget: %w", err)
	}
	return nil
}
