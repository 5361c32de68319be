package content

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/weft-dev/weft"
)

const (
	maxPath = 4095 // of Linux, without the NUL
	maxName = 255
)

// PutManifest brings in a manifest, and pins it with the tree it describes, whose files
// must be there. Whether the one who sent it may use them is for the caller to decide.
func (d *Dir) PutManifest(ctx context.Context, pin string, until time.Time, m weft.Manifest) (weft.Tree, error) {
	b := d.newBatch(pin, until)
	defer b.close()
	desc, err := describe(m)
	if err != nil {
		return weft.Tree{}, err
	}
	if known, err := d.addKnown(ctx, pin, until, desc); known || err != nil {
		return desc.tree, err
	}
	return b.tree(ctx, desc)
}

// A description is a manifest that may be recorded.
type description struct {
	text  []byte
	tree  weft.Tree
	files []weft.Entry // one for each content
}

// describe refuses a manifest that could not be mounted.
func describe(m weft.Manifest) (description, error) {
	if err := checkManifest(m); err != nil {
		return description{}, err
	}
	desc := description{text: m.Encode()}
	desc.tree.Digest = sha256.Sum256(desc.text)
	desc.tree.Files, desc.tree.Bytes = m.Totals()
	sizes := make(map[weft.Digest]int64, len(m.Entries))
	for _, e := range m.Entries {
		if e.Kind != weft.File {
			continue
		}
		size, twice := sizes[e.Digest]
		if !twice {
			sizes[e.Digest] = e.Size
			desc.files = append(desc.files, e)
		} else if size != e.Size {
			return description{}, wrongSize(e, size)
		}
	}
	return desc, nil
}

func wrongSize(e weft.Entry, size int64) error {
	return weft.Errorf(weft.Invalid, "manifest: %q has %d bytes, but its digest is that of content with %d", e.Path, e.Size, size)
}

func (desc description) digests() []weft.Digest {
	list := make([]weft.Digest, len(desc.files))
	for i, e := range desc.files {
		list[i] = e.Digest
	}
	return list
}

// addKnown records a tree if all of its content is there and confirmed. That is one
// transaction, and a short one if the tree is known.
func (d *Dir) addKnown(ctx context.Context, pin string, until time.Time, desc description) (bool, error) {
	if _, _, size, err := d.find(desc.tree.Digest, false); err != nil || size != int64(len(desc.text)) {
		return false, ignoreMissing(err)
	}
	for _, e := range desc.files {
		_, _, size, err := d.find(e.Digest, e.Executable())
		if err != nil {
			return false, ignoreMissing(err)
		}
		if size != e.Size {
			return false, nil
		}
	}
	err := d.addTree(ctx, pin, until, desc.tree, desc.digests())
	if weft.KindOf(err) == weft.Conflict {
		return false, nil
	}
	return err == nil, err
}

func ignoreMissing(err error) error {
	if weft.KindOf(err) == weft.NotFound {
		return nil
	}
	return err
}

// tree adds a manifest, finishes the batch, and records the tree. Files of it that are
// not in the batch are reserved with it, and must be there.
func (b *batch) tree(ctx context.Context, desc description) (weft.Tree, error) {
	if err := b.addStored(ctx, desc); err != nil {
		return weft.Tree{}, err
	}
	blob := weft.Blob{Digest: desc.tree.Digest, Size: int64(len(desc.text))}
	if err := b.add(ctx, dataItem(blob, false, desc.text)); err != nil {
		return weft.Tree{}, err
	}
	if err := b.finish(ctx); err != nil {
		return weft.Tree{}, err
	}
	return desc.tree, b.d.addTree(ctx, b.pin, b.until, desc.tree, desc.digests())
}

// addStored adds those files of a manifest that are not in the batch.
func (b *batch) addStored(ctx context.Context, desc description) error {
	for _, e := range desc.files {
		if _, added := b.seen[e.Digest]; added {
			continue // its size is what was hashed
		}
		_, _, size, err := b.d.find(e.Digest, e.Executable())
		if weft.KindOf(err) == weft.NotFound {
			return notSent(e.Digest)
		}
		if err != nil {
			return err
		}
		if size != e.Size {
			return wrongSize(e, size)
		}
		if err := b.add(ctx, item{blob: weft.Blob{Digest: e.Digest, Size: size}, exec: e.Executable()}); err != nil {
			return err
		}
	}
	return nil
}

func notSent(g weft.Digest) error {
	return weft.Errorf(weft.Conflict, "the content %s has not been sent", g).WithAdvice("send it, and then the manifest again")
}

func (d *Dir) addTree(ctx context.Context, pin string, until time.Time, t weft.Tree, files []weft.Digest) error {
	for try := range reserveTries {
		err := d.ledger.AddTree(ctx, pin, until, t, files)
		if err == nil {
			return nil
		}
		if weft.KindOf(err) != weft.Unavailable {
			return fmt.Errorf("record tree: %w", err)
		}
		if err := d.endDeletion(ctx, try); err != nil {
			return err
		}
	}
	return weft.Errorf(weft.Unavailable, "a tree that is being deleted was sent again").WithAdvice("try again in a minute")
}

// checkManifest refuses what could not be mounted.
func checkManifest(m weft.Manifest) error {
	if err := m.Validate(); err != nil {
		return err
	}
	for _, e := range m.Entries {
		if err := checkLength(e.Path); err != nil {
			return err
		}
		if len(e.Target) > maxPath {
			return weft.Errorf(weft.Invalid, "the target of link %q is longer than %d bytes", e.Path, maxPath)
		}
	}
	return nil
}

func checkLength(p string) error {
	if len(p) > maxPath {
		return weft.Errorf(weft.Invalid, "the path %q… is longer than %d bytes", p[:64], maxPath)
	}
	if len(p) <= maxName {
		return nil
	}
	for name := range strings.SplitSeq(p, "/") {
		if len(name) > maxName {
			return weft.Errorf(weft.Invalid, "the name %q… is longer than %d bytes", name[:64], maxName)
		}
	}
	return nil
}

// ReadManifest reads and verifies a tree's manifest.
func (d *Dir) ReadManifest(ctx context.Context, g weft.Digest) (weft.Manifest, error) {
	f, _, err := d.OpenBlob(ctx, g)
	if err != nil {
		return weft.Manifest{}, err
	}
	defer f.Close()
	text, err := io.ReadAll(f)
	if err != nil {
		return weft.Manifest{}, fmt.Errorf("read manifest: %w", err)
	}
	if sha256.Sum256(text) != g {
		return weft.Manifest{}, fmt.Errorf("read manifest: content %s is damaged", g)
	}
	return weft.DecodeManifest(text)
}

// WithParents returns m with the directories that paths of m imply, mode 0755, in
// order: so trees have the same manifest whether their directories were listed or not.
func WithParents(m weft.Manifest) weft.Manifest {
	m.Entries = slices.Clone(m.Entries)
	folders := make(map[string]bool)
	for _, e := range m.Entries {
		if e.Kind == weft.Folder {
			folders[e.Path] = true
		}
	}
	for _, e := range m.Entries {
		for dir := parent(e.Path); dir != "." && !folders[dir]; dir = parent(dir) {
			folders[dir] = true
			m.Entries = append(m.Entries, weft.Entry{Path: dir, Kind: weft.Folder, Mode: uint32(dirMode)})
		}
	}
	m.Sort()
	return m
}

// parent is the directory of a clean path; "." for a name alone.
func parent(p string) string {
	if slash := strings.LastIndexByte(p, '/'); slash >= 0 {
		return p[:slash]
	}
	return "."
}
