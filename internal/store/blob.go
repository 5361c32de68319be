package store

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/weft-dev/weft"
)

// Blobs and trees are collected without a race by this protocol, on either database.
//
// What refers to a blob are rows: of tree_blob, of the registry's tables, and pins. A
// reference is added only in a transaction that holds the blob's row with a shared lock
// and has seen that its state is not deleting (holdBlobs, Reserve). The collector locks
// the row exclusively, and only then, in a further statement, looks for references: on
// PostgreSQL a statement that waited for a lock would go on with what it saw before it
// waited, but a new one sees all that was committed. So either the collector sees the
// reference, or who refers sees deleting. Trees are alike; their references are data.tree
// and pins.
//
// SQLite has one writer, which makes all of this trivial.

// The states of a blob and of a tree, as stored. A tree is never pending.
const (
	blobPending  = 0
	blobPresent  = 1
	blobDeleting = 2
)

// pinned values of blob_pin.tree.
const (
	pinsBlob = 0
	pinsTree = 1
)

// ledger runs fn in a transaction. Where there is more than one writer it is a
// transaction of its own, so that the order in which fn locks rows is the order in which
// the transaction does, and transactions do not deadlock.
func (s *Store) ledger(ctx context.Context, fn func(ctx context.Context, t *tx) error) error {
	if s.db.lanes() > 1 {
		return s.writeAlone(ctx, fn)
	}
	return s.write(ctx, fn)
}

// changeLedger is ledger, for what somebody asked for (see change).
func (s *Store) changeLedger(ctx context.Context, fn func(ctx context.Context, t *tx) error) error {
	return s.audited(ctx, s.db.lanes() > 1, fn)
}

// Reserve pins each blob under the name pin until a time, so that its bytes may be put
// and relied on, and tells whether they are there. A blob that is being removed is not
// pinned. Reserving again under the same pin moves the time on.
func (s *Store) Reserve(ctx context.Context, pin string, until time.Time, blobs []weft.Blob) ([]weft.BlobState, error) {
	sizes := make(map[weft.Digest]int64, len(blobs))
	for _, b := range blobs {
		sizes[b.Digest] = b.Size
	}
	digests := sortedDigests(sizes)
	var states map[weft.Digest]int
	err := s.ledger(ctx, func(ctx context.Context, t *tx) (err error) {
		if states, err = t.reserve(ctx, digests, sizes); err != nil {
			return err
		}
		held := slices.DeleteFunc(slices.Clone(digests), func(d weft.Digest) bool { return states[d] == blobDeleting })
		return t.pin(ctx, pin, until, pinsBlob, held)
	})
	if err != nil {
		return nil, fmt.Errorf("reserve blobs: %w", err)
	}
	out := make([]weft.BlobState, len(blobs))
	for i, b := range blobs {
		switch states[b.Digest] {
		case blobPresent:
			out[i] = weft.BlobPresent
		case blobDeleting:
			out[i] = weft.BlobDeleting
		default:
			out[i] = weft.BlobAbsent
		}
	}
	return out, nil
}

func sortedDigests[V any](set map[weft.Digest]V) []weft.Digest {
	digests := make([]weft.Digest, 0, len(set))
	for d := range set {
		digests = append(digests, d)
	}
	slices.SortFunc(digests, compareDigests)
	return digests
}

func compareDigests(a, b weft.Digest) int { return bytes.Compare(a[:], b[:]) }

// reserve locks the rows of the digests, makes those that are not there, and returns the
// state of each. Another transaction may make or remove a row between two statements of
// this one; hence the loop.
func (t *tx) reserve(ctx context.Context, digests []weft.Digest, sizes map[weft.Digest]int64) (map[weft.Digest]int, error) {
	states := make(map[weft.Digest]int, len(digests))
	for missing := digests; len(missing) > 0; {
		var resized []weft.Digest
		err := t.blobRows(ctx, missing, func(d weft.Digest, size int64, state int) {
			states[d] = state
			if state == blobPending && size != sizes[d] {
				resized = append(resized, d)
			}
		})
		if err != nil {
			return nil, err
		}
		for _, d := range resized { // whoever reserved it before has not sent it: his size need not be right
			if _, err := t.exec(ctx, "UPDATE blob SET size = $1 WHERE digest = $2 AND state = $3", sizes[d], d, blobPending); err != nil {
				return nil, err
			}
		}
		missing = absentFrom(missing, states)
		if err := t.insertPending(ctx, missing, sizes, states); err != nil {
			return nil, err
		}
		missing = absentFrom(missing, states)
	}
	return states, nil
}

// absentFrom returns the digests that are not in the map.
func absentFrom[V any](digests []weft.Digest, found map[weft.Digest]V) []weft.Digest {
	var out []weft.Digest
	for _, d := range digests {
		if _, ok := found[d]; !ok {
			out = append(out, d)
		}
	}
	return out
}

// blobRows locks the rows against removal and reads them.
func (t *tx) blobRows(ctx context.Context, digests []weft.Digest, found func(d weft.Digest, size int64, state int)) error {
	return t.byDigests(ctx, digests, "SELECT digest, size, state FROM blob WHERE digest IN (", ") ORDER BY digest"+t.s.forShare,
		func(r scanner) error {
			var d weft.Digest
			var size int64
			var state int
			err := r.Scan(&d, &size, &state)
			found(d, size, state)
			return err
		})
}

// insertPending makes rows, and notes those that it made.
func (t *tx) insertPending(ctx context.Context, digests []weft.Digest, sizes map[weft.Digest]int64, states map[weft.Digest]int) error {
	args := make([]any, 0, 3*len(digests))
	for _, d := range digests {
		args = append(args, d, sizes[d], blobPending)
	}
	return t.inChunks(3, args, func(rows int, args []any) error {
		query := t.s.values.text("INSERT INTO blob (digest, size, state) VALUES ", "", 3, rows, " ON CONFLICT (digest) DO NOTHING RETURNING digest")
		t.wrote = true
		return t.rows(ctx, func(r scanner) error {
			var d weft.Digest
			err := r.Scan(&d)
			states[d] = blobPending
			return err
		}, query, args...)
	})
}

// pin writes pins, or moves those on that are there.
func (t *tx) pin(ctx context.Context, pin string, until time.Time, what int, digests []weft.Digest) error {
	args := make([]any, 0, 4*len(digests))
	for _, d := range digests {
		args = append(args, pin, d, what, micros(until))
	}
	return t.insert(ctx, "INSERT INTO blob_pin (pin, digest, tree, until) VALUES ", 4, args,
		" ON CONFLICT (pin, digest, tree) DO UPDATE SET until = excluded.until WHERE blob_pin.until < excluded.until")
}

// byDigests runs a query that asks for a list of digests, in pieces.
func (t *tx) byDigests(ctx context.Context, digests []weft.Digest, before, after string, scan func(scanner) error) error {
	return t.inChunks(1, digestArgs(digests), func(n int, args []any) error {
		return t.rows(ctx, scan, before+params(1, n)+after, args...)
	})
}

// execDigests runs a statement on a list of digests, in pieces, and counts the rows. The
// first parameters are given, the list follows them.
func (t *tx) execDigests(ctx context.Context, digests []weft.Digest, before, after string, first ...any) (int64, error) {
	var total int64
	err := t.inChunks(1, digestArgs(digests), func(n int, args []any) error {
		touched, err := t.exec(ctx, before+params(len(first)+1, n)+after, append(slices.Clone(first), args...)...)
		total += touched
		return err
	})
	return total, err
}

func digestArgs(digests []weft.Digest) []any {
	args := make([]any, len(digests))
	for i, d := range digests {
		args[i] = d
	}
	return args
}

// holdBlobs makes sure, until the transaction ends, that the blobs are there and are not
// removed. It is to be called before references to them are written.
func (t *tx) holdBlobs(ctx context.Context, digests []weft.Digest) error {
	wanted := map[weft.Digest]bool{}
	for _, d := range digests {
		wanted[d] = true
	}
	err := t.blobRows(ctx, sortedDigests(wanted), func(d weft.Digest, _ int64, state int) {
		if state == blobPresent {
			delete(wanted, d)
		}
	})
	if err != nil {
		return err
	}
	for d := range wanted {
		return weft.Errorf(weft.Conflict, "blob %s is not there (any more)", d).WithAdvice("send it again")
	}
	return nil
}

// holdTrees returns which of the trees are there, and makes sure that those are not
// removed until the transaction ends. It is to be called before Data refer to them.
func (t *tx) holdTrees(ctx context.Context, digests []weft.Digest) (map[weft.Digest]bool, error) {
	wanted := map[weft.Digest]bool{}
	for _, d := range digests {
		wanted[d] = true
	}
	held := make(map[weft.Digest]bool, len(wanted))
	err := t.byDigests(ctx, sortedDigests(wanted), "SELECT digest FROM tree WHERE state = 1 AND digest IN (", ") ORDER BY digest"+t.s.forShare,
		func(r scanner) error {
			var d weft.Digest
			err := r.Scan(&d)
			held[d] = true
			return err
		})
	return held, err
}

// Confirm records that the bytes of reserved blobs are in place. It fails, with
// Conflict, for a blob whose pin has expired so long ago that it was removed.
func (s *Store) Confirm(ctx context.Context, digests []weft.Digest) error {
	sorted := slices.Compact(slices.SortedFunc(slices.Values(digests), compareDigests))
	err := s.ledger(ctx, func(ctx context.Context, t *tx) error {
		made, err := t.execDigests(ctx, sorted, "UPDATE blob SET state = $1 WHERE state = $2 AND digest IN (", ")", blobPresent, blobPending)
		if err != nil || made == int64(len(sorted)) { // then all are there, and held
			return err
		}
		return t.holdBlobs(ctx, sorted)
	})
	if err != nil {
		return fmt.Errorf("confirm blobs: %w", err)
	}
	return nil
}

// Extend moves the end of a pin on.
func (s *Store) Extend(ctx context.Context, pin string, until time.Time) error {
	err := s.ledger(ctx, func(ctx context.Context, t *tx) error {
		_, err := t.exec(ctx, "UPDATE blob_pin SET until = $1 WHERE pin = $2 AND until < $1", micros(until), pin)
		return err
	})
	if err != nil {
		return fmt.Errorf("extend pin: %w", err)
	}
	return nil
}

// Release ends a pin. Releasing an unknown one is no error.
func (s *Store) Release(ctx context.Context, pin string) error {
	err := s.ledger(ctx, func(ctx context.Context, t *tx) error {
		_, err := t.exec(ctx, "DELETE FROM blob_pin WHERE pin = $1", pin)
		return err
	})
	if err != nil {
		return fmt.Errorf("release pin: %w", err)
	}
	return nil
}

// AddTree records a sealed directory: a tree refers to its manifest, which is the blob
// of the same digest, and to its files, all of which were reserved under pin and are
// confirmed. From then on pin holds the tree too. A tree that is known stays as it is.
func (s *Store) AddTree(ctx context.Context, pin string, until time.Time, tree weft.Tree, files []weft.Digest) error {
	refs := slices.Compact(slices.SortedFunc(slices.Values(append(slices.Clone(files), tree.Digest)), compareDigests))
	err := s.ledger(ctx, func(ctx context.Context, t *tx) error {
		if err := t.addTree(ctx, tree, refs); err != nil {
			return err
		}
		return t.pin(ctx, pin, until, pinsTree, []weft.Digest{tree.Digest})
	})
	if err != nil {
		return fmt.Errorf("add tree: %w", err)
	}
	return nil
}

func (t *tx) addTree(ctx context.Context, tree weft.Tree, refs []weft.Digest) error {
	made, err := t.exec(ctx, "INSERT INTO tree (digest, files, bytes, state) VALUES ($1, $2, $3, $4) ON CONFLICT (digest) DO NOTHING",
		tree.Digest, tree.Files, tree.Bytes, blobPresent)
	if err != nil {
		return err
	}
	if made == 0 {
		state := -1
		if _, err := t.row(ctx, "SELECT state FROM tree WHERE digest = $1"+t.s.forShare, []any{tree.Digest}, &state); err != nil {
			return err
		}
		if state != blobPresent {
			return weft.Errorf(weft.Unavailable, "tree %s is being removed", tree.Digest).WithAdvice("try again shortly")
		}
		return nil
	}
	if err := t.holdBlobs(ctx, refs); err != nil {
		return err
	}
	args := make([]any, 0, 2*len(refs))
	for _, d := range refs {
		args = append(args, d, tree.Digest)
	}
	return t.insert(ctx, "INSERT INTO tree_blob (blob, tree) VALUES ", 2, args, "")
}

// Readable tells of each blob whether a Data of the project has it. A digest is not a
// right: nobody is to learn or get by one what he could not read otherwise.
func (s *Store) Readable(ctx context.Context, project weft.ProjectID, digests []weft.Digest) ([]bool, error) {
	readable := make(map[weft.Digest]bool, len(digests))
	err := s.read(ctx, func(t *tx) error {
		return t.inChunks(1, digestArgs(digests), func(n int, args []any) error {
			return t.rows(ctx, func(r scanner) error {
				var d weft.Digest
				err := r.Scan(&d)
				readable[d] = true
				return err
			}, "SELECT b.digest FROM blob b WHERE b.digest IN ("+params(2, n)+") AND b.state = 1 AND EXISTS ("+
				"SELECT 1 FROM tree_blob r JOIN data d ON d.tree = r.tree WHERE r.blob = b.digest AND (d.project = $1 OR "+sharedHere+"))",
				append([]any{project}, args...)...)
		})
	})
	if err != nil {
		return nil, fmt.Errorf("find readable blobs: %w", err)
	}
	out := make([]bool, len(digests))
	for i, d := range digests {
		out[i] = readable[d]
	}
	return out, nil
}

// sharedHere is the condition that a Data, a row named d, is shared with the project $1.
const sharedHere = "EXISTS (SELECT 1 FROM data_share s WHERE s.project = $1 AND s.data = d.id)"

// HasTree reports whether a Data that the project may read has that tree. Who can read the Data may
// refer to everything in it.
func (s *Store) HasTree(ctx context.Context, project weft.ProjectID, tree weft.Digest) (found bool, err error) {
	err = s.read(ctx, func(t *tx) error {
		one := 0
		found, err = t.row(ctx, "SELECT 1 FROM data d WHERE d.tree = $2 AND (d.project = $1 OR "+sharedHere+") LIMIT 1", []any{project, tree}, &one)
		return err
	})
	if err != nil {
		return false, fmt.Errorf("find tree: %w", err)
	}
	return found, nil
}

// BlobTotals returns how many blobs there are and the sum of their sizes.
func (s *Store) BlobTotals(ctx context.Context) (count, bytes int64, err error) {
	err = s.read(ctx, func(t *tx) error {
		_, err := t.row(ctx, "SELECT count(*), CAST(coalesce(sum(size), 0) AS bigint) FROM blob WHERE state = $1", []any{blobPresent}, &count, &bytes)
		return err
	})
	return count, bytes, err
}
