package registry_test

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/weft-dev/weft"
)

// A memory is a Catalog and a content.Ledger that forgets when the test ends.
type memory struct {
	mu    sync.Mutex
	repos map[repoKey]*repository
	blobs map[weft.Digest]*row
	pins  map[string][]weft.Digest
}

type repoKey struct {
	project weft.ProjectID
	name    string
}

type repository struct {
	blobs     map[weft.Digest]bool
	manifests map[weft.Digest]weft.ImageManifest
	tags      map[string]weft.Digest
}

type row struct {
	size  int64
	state weft.BlobState
}

func newMemory() *memory {
	return &memory{repos: map[repoKey]*repository{}, blobs: map[weft.Digest]*row{}, pins: map[string][]weft.Digest{}}
}

// repo returns a repository; with make, it is made if it is not there.
func (m *memory) repo(project weft.ProjectID, name string, make bool) *repository {
	k := repoKey{project, name}
	if m.repos[k] == nil && make {
		m.repos[k] = &repository{map[weft.Digest]bool{}, map[weft.Digest]weft.ImageManifest{}, map[string]weft.Digest{}}
	}
	return m.repos[k]
}

var errAbsent = weft.Errorf(weft.NotFound, "not in the catalog")

func (m *memory) LinkBlob(_ context.Context, project weft.ProjectID, repo string, d weft.Digest, pin string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !slices.Contains(m.pins[pin], d) {
		return weft.Errorf(weft.Conflict, "pin %s does not hold %s", pin, d)
	}
	m.repo(project, repo, true).blobs[d] = true
	return nil
}

func (m *memory) HasBlob(_ context.Context, project weft.ProjectID, repo string, d weft.Digest) (weft.Blob, bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	r := m.repo(project, repo, false)
	if r == nil || !r.blobs[d] {
		return weft.Blob{}, false, nil
	}
	return weft.Blob{Digest: d, Size: m.blobs[d].size}, true, nil
}

func (m *memory) UnlinkBlob(_ context.Context, project weft.ProjectID, repo string, d weft.Digest) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.repo(project, repo, true).blobs, d)
	return nil
}

func (m *memory) PutManifest(_ context.Context, project weft.ProjectID, repo string, im weft.ImageManifest, tag string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	r := m.repo(project, repo, true)
	r.manifests[im.Digest] = im
	if tag != "" {
		r.tags[tag] = im.Digest
	}
	return nil
}

func (r *repository) find(ref string) (weft.ImageManifest, bool) {
	d, ok := r.tags[ref]
	if parsed, err := weft.ParseDigest(ref); err == nil {
		d, ok = parsed, true
	}
	im, found := r.manifests[d]
	return im, ok && found
}

func (m *memory) Manifest(_ context.Context, project weft.ProjectID, repo, ref string) (weft.ImageManifest, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if r := m.repo(project, repo, false); r != nil {
		if im, ok := r.find(ref); ok {
			return im, nil
		}
	}
	return weft.ImageManifest{}, errAbsent
}

func (m *memory) DeleteManifest(_ context.Context, project weft.ProjectID, repo, ref string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	r := m.repo(project, repo, true)
	im, ok := r.find(ref)
	if !ok {
		return errAbsent
	}
	if strings.Contains(ref, ":") {
		delete(r.manifests, im.Digest)
		maps.DeleteFunc(r.tags, func(_ string, d weft.Digest) bool { return d == im.Digest })
		return nil
	}
	delete(r.tags, ref)
	return nil
}

func (m *memory) Referrers(_ context.Context, project weft.ProjectID, repo string, subject weft.Digest) ([]weft.ImageManifest, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var found []weft.ImageManifest
	if r := m.repo(project, repo, false); r != nil {
		for _, im := range r.manifests {
			if im.Subject == subject {
				found = append(found, im)
			}
		}
	}
	slices.SortFunc(found, func(a, b weft.ImageManifest) int { return cmp.Compare(a.Digest.Hex(), b.Digest.Hex()) })
	return found, nil
}

func (m *memory) Tags(_ context.Context, project weft.ProjectID, repo, after string, n int) ([]string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	r := m.repo(project, repo, false)
	if r == nil {
		return nil, errAbsent
	}
	return firstAfter(maps.Keys(r.tags), after, n), nil
}

func (m *memory) Repositories(_ context.Context, project weft.ProjectID, after string, n int) ([]string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	names := func(yield func(string) bool) {
		for k := range m.repos {
			if k.project == project && !yield(k.name) {
				return
			}
		}
	}
	return firstAfter(names, after, n), nil
}

func firstAfter(names func(func(string) bool), after string, n int) []string {
	var out []string
	for _, s := range slices.Sorted(names) {
		if s > after && len(out) < n {
			out = append(out, s)
		}
	}
	return out
}

func (m *memory) Reserve(_ context.Context, pin string, _ time.Time, blobs []weft.Blob) ([]weft.BlobState, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var states []weft.BlobState
	for _, b := range blobs {
		if m.blobs[b.Digest] == nil {
			m.blobs[b.Digest] = &row{size: b.Size}
		}
		if state := m.blobs[b.Digest].state; state != weft.BlobDeleting {
			m.pins[pin] = append(m.pins[pin], b.Digest)
		}
		states = append(states, m.blobs[b.Digest].state)
	}
	return states, nil
}

func (m *memory) Confirm(_ context.Context, ds []weft.Digest) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, d := range ds {
		m.blobs[d].state = weft.BlobPresent
	}
	return nil
}

func (m *memory) Release(_ context.Context, pin string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.pins, pin)
	return nil
}

// AddTree, Doom and Forget complete a content.Ledger; images have no trees, and
// these tests collect nothing.
func (m *memory) AddTree(context.Context, string, time.Time, weft.Tree, []weft.Digest) error {
	return nil
}

func (m *memory) Doom(context.Context, time.Duration, int) ([]weft.Blob, []weft.Digest, error) {
	return nil, nil, nil
}

func (m *memory) Forget(context.Context, []weft.Digest, []weft.Digest) error { return nil }

// pinned returns how many pins are held.
func (m *memory) pinned() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.pins)
}
