//go:build e2e

package app_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/weft-dev/weft"
	"github.com/weft-dev/weft/internal/content"
	"github.com/weft-dev/weft/internal/registry"
	"github.com/weft-dev/weft/internal/store"
	"github.com/weft-dev/weft/internal/store/storetest"
)

// raceFor is how long everybody fights for the same ten blobs.
const raceFor = time.Minute

// blobRace is ten blobs, brought in by pushes, sealed outputs and the registry, and
// dropped and collected again, all at once.
type blobRace struct {
	t       *testing.T
	store   *store.Store
	dir     *content.Dir
	project weft.ProjectID
	by      weft.PrincipalID
	web     *httptest.Server
	blobs   [10][]byte
}

// TestRaceForBlobs proves that collection never takes what somebody refers to.
func TestRaceForBlobs(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		ctx := t.Context()
		r := newBlobRace(ctx, t, s)
		over, cancel := context.WithTimeout(ctx, raceFor)
		defer cancel()
		g, ctx := errgroup.WithContext(ctx)
		for seed, act := range []func(context.Context, *rand.Rand) error{
			r.push, r.push, r.seal, r.seal, r.registryPush, r.registryPush, r.drop, r.collect,
		} {
			g.Go(func() error {
				rng := rand.New(rand.NewPCG(uint64(seed), uint64(time.Now().UnixNano())))
				for n := 0; over.Err() == nil; n++ {
					if err := act(ctx, rng); err != nil {
						return fmt.Errorf("act %d, time %d: %w", seed, n, err)
					}
				}
				return nil
			})
		}
		if err := g.Wait(); err != nil {
			t.Fatal(err)
		}
		r.verify(t.Context())
	})
}

func newBlobRace(ctx context.Context, t *testing.T, s *store.Store) *blobRace {
	t.Helper()
	r := &blobRace{t: t, store: s}
	dir, err := content.Open(filepath.Join(t.TempDir(), "content"), s, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { dir.Close() })
	project, err := s.DefaultProject(ctx)
	if err != nil {
		t.Fatal(err)
	}
	admin, err := s.EnsureAdmin(ctx, sha256.Sum256([]byte("token")))
	if err != nil {
		t.Fatal(err)
	}
	r.dir, r.project, r.by = dir, project.ID, admin.ID
	h := registry.NewHandler(registry.Config{
		Catalog: s, Content: dir, Log: slog.New(slog.DiscardHandler),
		Authorise: func(*http.Request, weft.Verb) (weft.ProjectID, error) { return project.ID, nil },
	})
	r.web = httptest.NewServer(h)
	t.Cleanup(r.web.Close)
	for i := range r.blobs {
		r.blobs[i] = bytes.Repeat(fmt.Appendf(nil, "blob %d ", i), 1<<(2*i/3))
	}
	return r
}

func (r *blobRace) some(rng *rand.Rand) [][]byte {
	var out [][]byte
	for _, i := range rng.Perm(len(r.blobs))[:1+rng.IntN(4)] {
		out = append(out, r.blobs[i])
	}
	return out
}

func (r *blobRace) record(ctx context.Context, pin string, tree weft.Tree) error {
	_, err := r.store.PushData(ctx, weft.Push{
		Project: r.project, By: r.by, Plan: weft.PlanUploaded, Run: weft.NewID[weft.Run](), Data: weft.NewID[weft.Data](),
		Tree: tree, Pin: pin, At: time.Now(),
	})
	if weft.KindOf(err) == weft.NotFound {
		return nil // drop was quicker than the answer
	}
	return err
}

// push sends some blobs as the files of a Data.
func (r *blobRace) push(ctx context.Context, rng *rand.Rand) error {
	pin, until := weft.NewID[weft.Data]().String(), time.Now().Add(time.Minute)
	var m weft.Manifest
	for i, body := range r.some(rng) {
		b, err := r.dir.Put(ctx, pin, until, weft.Digest{}, -1, bytes.NewReader(body))
		if err != nil {
			return fmt.Errorf("put: %w", err)
		}
		m.Entries = append(m.Entries, weft.Entry{Path: fmt.Sprint(i), Kind: weft.File, Mode: 0o644, Size: b.Size, Digest: b.Digest})
	}
	tree, err := r.dir.PutManifest(ctx, pin, until, m)
	if err != nil {
		return fmt.Errorf("put manifest: %w", err)
	}
	return r.record(ctx, pin, tree)
}

// seal makes some blobs the output of a program.
func (r *blobRace) seal(ctx context.Context, rng *rand.Rand) error {
	a := weft.Attempt{Run: weft.NewID[weft.Run](), Number: 1}
	data := weft.NewID[weft.Data]()
	if err := r.dir.MakeWork(a, data, 0, 0, 0o755); err != nil {
		return err
	}
	for i, body := range r.some(rng) {
		if err := os.WriteFile(filepath.Join(r.dir.WorkDir(a, data), fmt.Sprint("out", i)), body, 0o644); err != nil {
			return err
		}
	}
	tree, _, err := r.dir.Seal(ctx, a.String(), time.Now().Add(time.Minute), r.dir.WorkDir(a, data))
	if err != nil {
		return fmt.Errorf("seal: %w", err)
	}
	if err := r.record(ctx, a.String(), tree); err != nil {
		return err
	}
	if err := r.store.Release(ctx, a.String()); err != nil {
		return err
	}
	return r.dir.RemoveWork(a)
}

// registryPush pushes blobs over HTTP, names them by a manifest, reads one back, and
// deletes the manifest and the blobs again, now and then.
func (r *blobRace) registryPush(ctx context.Context, rng *rand.Rand) error {
	repo := fmt.Sprintf("race/%d", rng.IntN(2))
	var layers []string
	for _, body := range r.some(rng) {
		digest := weft.Digest(sha256.Sum256(body)).String()
		if err := r.post(ctx, repo, digest, body); err != nil {
			return err
		}
		layers = append(layers, fmt.Sprintf(`{"mediaType":"application/vnd.oci.image.layer.v1.tar","digest":%q,"size":%d}`, digest, len(body)))
	}
	manifest := fmt.Sprintf(`{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":%s,"layers":[%s]}`,
		layers[0], strings.Join(layers, ","))
	status, _, err := r.call(ctx, "PUT", "/v2/"+repo+"/manifests/latest", "application/vnd.oci.image.manifest.v1+json", []byte(manifest))
	if err != nil || status != http.StatusCreated && status != http.StatusNotFound && status != http.StatusBadRequest {
		return fmt.Errorf("put image: %d %w", status, err) // another may have unlinked a blob in between
	}
	if rng.IntN(6) == 0 {
		_, _, err = r.call(ctx, "DELETE", "/v2/"+repo+"/manifests/latest", "", nil)
	}
	return err
}

func (r *blobRace) post(ctx context.Context, repo, digest string, body []byte) error {
	status, text, err := r.call(ctx, "POST", "/v2/"+repo+"/blobs/uploads/?digest="+digest, "application/octet-stream", body)
	if err != nil || status != http.StatusCreated {
		return fmt.Errorf("push blob: %d %s %w", status, text, err)
	}
	return nil
}

func (r *blobRace) call(ctx context.Context, method, path, kind string, body []byte) (int, []byte, error) {
	req, err := http.NewRequestWithContext(ctx, method, r.web.URL+path, bytes.NewReader(body))
	if err != nil {
		return 0, nil, err
	}
	req.Header.Set("Content-Type", kind)
	resp, err := r.web.Client().Do(req)
	if err != nil {
		return 0, nil, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	return resp.StatusCode, text, err
}

// drop deletes the oldest Data, so that there is something to collect, and leaves some.
func (r *blobRace) drop(ctx context.Context, _ *rand.Rand) error {
	const left = 50
	var runs []weft.RunID
	for v, err := range r.store.FindRuns(ctx, weft.RunQuery{Project: r.project, Page: weft.Page{Limit: 2 * left}}) {
		if err != nil {
			return err
		}
		runs = append(runs, v.Run.ID)
	}
	for _, id := range runs[:max(0, len(runs)-left)] {
		if err := r.store.DeleteRun(ctx, r.project, id, r.by); err != nil && weft.KindOf(err) != weft.NotFound {
			return err
		}
	}
	return nil
}

func (r *blobRace) collect(ctx context.Context, _ *rand.Rand) error {
	_, err := r.dir.Collect(ctx, 0)
	return err
}

// verify reads everything that is referred to.
func (r *blobRace) verify(ctx context.Context) {
	trees := 0
	for v, err := range r.store.FindData(ctx, weft.DataQuery{Project: r.project}) {
		if err != nil {
			r.t.Fatal(err)
		}
		problems, err := r.dir.Verify(ctx, v.Data.Tree, nil)
		if err != nil || len(problems) > 0 {
			r.t.Errorf("data %s: %v %v", v.Data.ID, problems, err)
		}
		trees++
	}
	images := 0
	for _, repo := range []string{"race/0", "race/1"} {
		m, err := r.store.Manifest(ctx, r.project, repo, "latest")
		if err != nil {
			continue // deleted last
		}
		for _, d := range append(m.Blobs, m.Digest) {
			f, _, err := r.dir.OpenBlob(ctx, d)
			if err != nil {
				r.t.Errorf("image %s: %v", repo, err)
				continue
			}
			h := sha256.New()
			if _, err := io.Copy(h, f); err != nil || weft.Digest(h.Sum(nil)) != d {
				r.t.Errorf("image %s: blob %s is damaged (%v)", repo, d, err)
			}
			f.Close()
		}
		images++
	}
	r.t.Logf("verified %d data and %d images", trees, images)
	if trees == 0 {
		r.t.Error("nothing was left to verify")
	}
}
