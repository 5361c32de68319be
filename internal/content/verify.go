package content

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/weft-dev/weft"
)

// A Problem is what Verify found wrong with one file of a tree.
type Problem struct {
	Path   string // in the tree; empty for the manifest itself
	Digest weft.Digest
	Reason string
}

// Verify reads a tree's manifest and all of its files again, those it is mounted with
// as well, and compares their digests. It calls progress, which may be nil, after each
// file with the bytes verified so far and in all.
func (d *Dir) Verify(ctx context.Context, tree weft.Digest, progress func(done, total int64)) ([]Problem, error) {
	m, err := d.ReadManifest(ctx, tree)
	if err != nil {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		return []Problem{{Digest: tree, Reason: err.Error()}}, nil
	}
	if progress == nil {
		progress = func(int64, int64) {}
	}
	mounted, err := os.OpenRoot(d.tree(tree))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("verify: %w", err)
	}
	if mounted != nil {
		defer mounted.Close()
	}
	v := verifier{d: d, mounted: mounted, read: make(map[weft.Digest]string)}
	_, total := m.Totals()
	var list []Problem
	var done int64
	for _, e := range m.Entries {
		if e.Kind != weft.File {
			continue
		}
		reason, err := v.file(ctx, e)
		if err != nil {
			return nil, err
		}
		if reason != "" {
			list = append(list, Problem{Path: e.Path, Digest: e.Digest, Reason: reason})
		}
		done += e.Size
		progress(done, total)
	}
	return list, nil
}

// A verifier reads each object of a tree once.
type verifier struct {
	d       *Dir
	mounted *os.Root               // nil if the tree was never mounted
	read    map[weft.Digest]string // reason, empty if good
}

func (v *verifier) file(ctx context.Context, e weft.Entry) (reason string, err error) {
	reason, known := v.read[e.Digest]
	if !known {
		if reason, err = v.d.verifyObject(ctx, e); err != nil {
			return "", err
		}
		v.read[e.Digest] = reason
	}
	if reason != "" || v.mounted == nil {
		return reason, nil
	}
	return v.d.verifyMounted(ctx, v.mounted, e)
}

// verifyObject reads the forms of an object that are there.
func (d *Dir) verifyObject(ctx context.Context, e weft.Entry) (reason string, err error) {
	found := false
	for _, exec := range []bool{false, true} {
		reason, err := verifyFile(ctx, d.object(e.Digest, exec), e)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil || reason != "" {
			return reason, err
		}
		found = true
	}
	if !found {
		return "its content is missing", nil
	}
	return "", nil
}

// verifyMounted looks at the file that programs see. Mostly it is the object itself.
func (d *Dir) verifyMounted(ctx context.Context, root *os.Root, e weft.Entry) (reason string, err error) {
	info, err := root.Lstat(e.Path)
	if errors.Is(err, fs.ErrNotExist) {
		return "it is missing in the tree that is mounted", nil
	}
	if err != nil {
		return "", fmt.Errorf("verify: %w", err)
	}
	if object, err := os.Lstat(d.object(e.Digest, e.Executable())); err == nil && os.SameFile(info, object) {
		return "", nil
	}
	if !info.Mode().IsRegular() {
		return "it is not a file in the tree that is mounted", nil
	}
	f, err := root.Open(e.Path)
	if err != nil {
		return "", fmt.Errorf("verify: %w", err)
	}
	defer f.Close()
	return compare(ctx, f, e)
}

func verifyFile(ctx context.Context, name string, e weft.Entry) (reason string, err error) {
	f, err := os.Open(name)
	if err != nil {
		return "", err
	}
	defer f.Close()
	return compare(ctx, f, e)
}

// compare reads a file. That it cannot be read is a finding, not an error.
func compare(ctx context.Context, f *os.File, e weft.Entry) (reason string, err error) {
	got, err := hashFile(ctx, f, e.Size)
	switch {
	case ctx.Err() != nil:
		return "", ctx.Err()
	case err != nil:
		return fmt.Sprintf("it cannot be read: %v", err), nil
	case got.Digest != e.Digest:
		return fmt.Sprintf("it is damaged: its digest is %s", got.Digest), nil
	case got.Size != e.Size:
		return fmt.Sprintf("it has %d bytes, not %d", got.Size, e.Size), nil
	}
	return "", nil
}
