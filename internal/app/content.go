package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/weft-dev/weft"
	"github.com/weft-dev/weft/internal/content"
	"github.com/weft-dev/weft/internal/executor"
	"github.com/weft-dev/weft/internal/registry"
)

// pinFor is how long what a request or an attempt brought in is held before it is
// recorded. Whoever takes longer renews it, or brings it in again.
const pinFor = time.Hour

// contents is the content store as the server needs it.
type contents struct {
	*content.Dir
}

func (c contents) PutArchive(ctx context.Context, pin string, until time.Time, r io.Reader) (weft.Tree, error) {
	return content.PutTarGz(ctx, c.Dir, pin, until, r)
}

func (c contents) WriteArchive(ctx context.Context, tree weft.Digest, w io.Writer) error {
	m, err := c.ReadManifest(ctx, tree)
	if err != nil {
		return err
	}
	return content.WriteTarGz(ctx, w, m, func(d weft.Digest) (io.ReadCloser, error) {
		f, _, err := c.OpenBlob(ctx, d)
		return f, err
	})
}

func (c contents) Manifest(ctx context.Context, tree weft.Digest) (weft.Manifest, error) {
	return c.ReadManifest(ctx, tree)
}

func (c contents) Verify(ctx context.Context, tree weft.Digest, progress func(done, total int64), found func(path, problem string)) error {
	problems, err := c.Dir.Verify(ctx, tree, progress)
	for _, p := range problems {
		found(p.Path, p.Reason)
	}
	return err
}

// pins gives up what a pin holds; store.Store does.
type pins interface {
	Release(ctx context.Context, pin string) error
}

// works is the content store as the engine needs it: the directories into which
// attempts write.
type works struct {
	dir     *content.Dir
	pins    pins
	secrets secrets
}

func (w works) Close(ctx context.Context, a weft.Attempt) error { return w.dir.CloseWork(a) }

func (w works) Seal(ctx context.Context, r weft.Run) (map[weft.DataID]weft.Tree, []string, error) {
	pin, until := attemptPin(r.Current()), time.Now().Add(pinFor)
	trees := map[weft.DataID]weft.Tree{}
	var problems []string
	for _, id := range r.OutputIDs() {
		var tree weft.Tree
		var found []string
		dir := w.dir.ClosedDir(r.Current(), id)
		_, err := os.Lstat(dir)
		switch {
		case errors.Is(err, fs.ErrNotExist): // it never came to a container
			tree, err = w.dir.PutManifest(ctx, pin, until, weft.Manifest{})
		case err == nil:
			if id == r.Log {
				if err := w.secrets.maskLog(ctx, r.Current(), dir); err != nil {
					return nil, nil, err
				}
			}
			tree, found, err = w.dir.Seal(ctx, pin, until, dir)
		}
		if err != nil {
			return nil, nil, fmt.Errorf("seal data %s: %w", id, err)
		}
		trees[id] = tree
		problems = append(problems, found...)
	}
	return trees, problems, nil
}

func (w works) Discard(ctx context.Context, a weft.Attempt) error {
	return errors.Join(w.dir.RemoveWork(a), w.pins.Release(ctx, attemptPin(a)))
}

func (w works) Works(context.Context) ([]weft.Attempt, error) { return w.dir.ListWork() }

func (w works) Room() error { return w.dir.Room(0) }

// attemptPin is the pin that holds what an attempt was sealed to until it is recorded.
func attemptPin(a weft.Attempt) string { return "attempt " + a.String() }

// places is the content store as an executor needs it.
type places struct{ dir *content.Dir }

func (p places) Work(a weft.Attempt, d weft.DataID) string { return p.dir.WorkDir(a, d) }

func (p places) Tree(ctx context.Context, d weft.Digest) (string, error) { return p.dir.Tree(ctx, d) }

// logs is where the server finds what Runs have printed before it is sealed: with the
// executor, or, between the container's end and the sealing, in the work directory.
type logs struct {
	executor executor.Executor
	dir      *content.Dir
	secrets  secrets
}

func (l logs) OpenLog(ctx context.Context, r weft.Run, follow bool) (io.ReadCloser, error) {
	log, err := l.open(ctx, r, follow)
	if err != nil {
		return nil, err
	}
	return l.secrets.openMasked(ctx, r.Current(), log)
}

func (l logs) open(ctx context.Context, r weft.Run, follow bool) (io.ReadCloser, error) {
	log, err := l.executor.Logs(ctx, r.Current(), follow)
	if weft.KindOf(err) != weft.NotFound {
		return log, err
	}
	f, err := os.Open(filepath.Join(l.dir.ClosedDir(r.Current(), r.Log), executor.LogFile))
	if errors.Is(err, fs.ErrNotExist) {
		f, err = os.Open(filepath.Join(l.dir.WorkDir(r.Current(), r.Log), executor.LogFile))
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil, weft.Errorf(weft.NotFound, "run %s has printed nothing that is there now", r.ID)
	}
	return f, err
}

// collector removes content that nothing refers to, and what was unpacked of images
// that no Run needs.
type collector struct {
	dir    *content.Dir
	layers *registry.Layers
	engine imageCollector // nil: images are not in a container engine
	store  interface {
		RunsIn(ctx context.Context, statuses ...weft.Status) ([]weft.Run, error)
		CollectImages(ctx context.Context, spareFor, unusedFor time.Duration) (manifests, blobs int64, err error)
	}
	grace  time.Duration
	images RegistryConfig
}

// layersKept is how long unpacked layers stay after they were last used: pulling is
// over, but unpacking again takes time.
const layersKept = 7 * 24 * time.Hour

// Collect may do without grace: that something is referred to is seen, and told apart
// from what is about to be, in the transactions that add and remove references. Grace
// only spares uploads, and lets whoever reads what was just removed come to an end.
func (c collector) Collect(ctx context.Context, atOnce bool) error {
	grace := c.grace
	if atOnce {
		grace = 0
	}
	if _, _, err := c.store.CollectImages(ctx, c.images.KeepUntagged, c.images.KeepUnused); err != nil {
		return err
	}
	if _, err := c.dir.Collect(ctx, grace); err != nil {
		return fmt.Errorf("collect content: %w", err)
	}
	runs, err := c.store.RunsIn(ctx, weft.Starting, weft.Running)
	if err != nil {
		return err
	}
	var inUse []weft.Digest
	for _, r := range runs {
		inUse = append(inUse, r.Image)
	}
	if _, err := c.layers.Collect(ctx, inUse, layersKept); err != nil {
		return fmt.Errorf("collect layers: %w", err)
	}
	if c.engine != nil {
		if _, err := c.engine.Collect(ctx, inUse, layersKept); err != nil {
			return err
		}
	}
	return nil
}
