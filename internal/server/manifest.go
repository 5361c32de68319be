package server

import (
	"context"
	"slices"
	"sync"

	"github.com/weft-dev/weft"
)

// Bounds of what is remembered of manifests.
const (
	keptManifests = 16
	keptEntries   = 400_000 // over all of them; about 60 MB
)

// manifests remembers the manifests that were read last, since one who reads the
// files of a Data one by one needs its manifest for each.
type manifests struct {
	content Content

	mu   sync.Mutex
	kept []keptManifest // the last used one last
}

type keptManifest struct {
	tree weft.Digest
	m    weft.Manifest
}

func newManifests(c Content) *manifests { return &manifests{content: c} }

// read returns a manifest, which must not be changed.
func (c *manifests) read(ctx context.Context, tree weft.Digest) (weft.Manifest, error) {
	if m, ok := c.find(tree); ok {
		return m, nil
	}
	m, err := c.content.ReadManifest(ctx, tree)
	if err != nil {
		return m, err
	}
	c.keep(keptManifest{tree, m})
	return m, nil
}

func (c *manifests) find(tree weft.Digest) (weft.Manifest, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	i := slices.IndexFunc(c.kept, func(k keptManifest) bool { return k.tree == tree })
	if i < 0 {
		return weft.Manifest{}, false
	}
	k := c.kept[i]
	c.kept = append(slices.Delete(c.kept, i, i+1), k)
	return k.m, true
}

func (c *manifests) keep(k keptManifest) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(k.m.Entries) > keptEntries {
		return
	}
	c.kept = append(c.kept, k)
	entries := 0
	for _, other := range c.kept {
		entries += len(other.m.Entries)
	}
	for len(c.kept) > keptManifests || entries > keptEntries {
		entries -= len(c.kept[0].m.Entries)
		c.kept = slices.Delete(c.kept, 0, 1)
	}
}
