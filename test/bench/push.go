package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/weft-dev/weft"
	"github.com/weft-dev/weft/api"
)

// pushBytes pushes a Data of one file, as `weft data push` does, and returns its id.
func pushBytes(ctx context.Context, s *server, body []byte, tags ...string) (string, error) {
	m := weft.Manifest{Entries: []weft.Entry{{
		Path: "file", Kind: weft.File, Mode: 0o644, Size: int64(len(body)), Digest: sha256.Sum256(body),
	}}}
	text := m.Encode()
	u, err := s.BeginUpload(ctx)
	if err != nil {
		return "", err
	}
	_, err = s.SendBatch(ctx, u.ID, func(w *api.FrameWriter) error {
		if err := w.File(m.Entries[0].Digest, int64(len(body)), bytes.NewReader(body)); err != nil {
			return err
		}
		return w.File(m.Digest(), int64(len(text)), bytes.NewReader(text))
	})
	if err != nil {
		return "", err
	}
	ts := make([]api.Tag, len(tags))
	for i, t := range tags {
		if ts[i], err = api.ParseTag(t); err != nil {
			return "", err
		}
	}
	d, err := s.CommitUpload(ctx, u.ID, m.Digest().String(), ts)
	return d.KnitID, err
}

// measurePush measures pushes of Data of one small file each.
func measurePush(ctx context.Context, l *lab) ([]Figure, error) {
	s, err := l.serve(ctx, l.path("push"))
	if err != nil {
		return nil, err
	}
	defer s.stop()
	var n atomic.Int64
	push := func() error {
		_, err := pushBytes(ctx, s, fmt.Appendf(nil, "file %d", n.Add(1)), "type:small")
		return err
	}
	alone, err := repeat(200, func() (float64, error) { return timed(push) })
	if err != nil {
		return nil, err
	}
	const clients, span = 64, 5 * time.Second
	from, before := time.Now(), n.Load()
	var g errgroup.Group
	for range clients {
		g.Go(func() error {
			for time.Since(from) < span {
				if err := push(); err != nil {
					return err
				}
			}
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	return []Figure{
		atLeast("push of a one-file Data, 64 clients", float64(n.Load()-before)/time.Since(from).Seconds(), "1/s", 300),
		atMost("push of a one-file Data, one after another, median", 1000*median(alone), "ms", 15),
	}, nil
}

// measureSmallFiles measures `weft data push` of 100,000 files of 4 kB, first new and
// then unchanged, beside restic.
func measureSmallFiles(ctx context.Context, l *lab) ([]Figure, error) {
	const files, size = 100_000, 4096
	dir := l.path("files")
	if err := makeFiles(dir, files, size); err != nil {
		return nil, err
	}
	s, err := l.serve(ctx, l.path("small"))
	if err != nil {
		return nil, err
	}
	defer s.stop()
	push := func() error { _, err := l.weft(ctx, s, "data", "push", dir); return err }
	first, err := timed(push)
	if err != nil {
		return nil, err
	}
	again, err := repeat(3, func() (float64, error) { return timed(push) })
	if err != nil {
		return nil, err
	}
	figures := []Figure{
		atLeast("push of 100,000 files of 4 kB", files/first, "files/s", 6000),
		atMost("the same again, unchanged", median(again), "s", 2),
	}
	if r, err := l.restic(ctx, dir); err == nil {
		fmt.Printf("restic backup of the same files, not on the disk when it ends: %.0f files/s\n", files/r)
	} else {
		fmt.Println("without restic:", err)
	}
	return figures, os.RemoveAll(dir)
}

func makeFiles(dir string, files, size int) error {
	body := make([]byte, size)
	for i := range files {
		if i%1000 == 0 {
			if err := os.MkdirAll(filepath.Join(dir, fmt.Sprint(i/1000)), 0o755); err != nil {
				return err
			}
		}
		rand.Read(body)
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprint(i/1000), fmt.Sprint(i)), body, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// restic backs a directory up into a new repository and returns the seconds it took.
func (l *lab) restic(ctx context.Context, dir string) (float64, error) {
	if _, err := exec.LookPath("restic"); err != nil {
		return 0, err
	}
	repo := l.path("restic")
	call := func(args ...string) error {
		cmd := exec.CommandContext(ctx, "restic", append([]string{"--repo", repo, "--quiet", "--no-cache"}, args...)...)
		cmd.Env = append(os.Environ(), "RESTIC_PASSWORD=bench", "HOME="+l.dir)
		out, err := cmd.CombinedOutput()
		if err != nil {
			return fmt.Errorf("restic: %w: %s", err, out)
		}
		return nil
	}
	defer os.RemoveAll(repo)
	if err := call("init"); err != nil {
		return 0, err
	}
	return timed(func() error { return call("backup", dir) })
}

// measureLargeFile measures push and pull of one large file, cold, in turn with `cp`
// and `sync` of the same file, and the tar.gz that the knit command pulls.
func measureLargeFile(ctx context.Context, l *lab) ([]Figure, error) {
	file := l.path("large")
	if err := makeLarge(file, l.large); err != nil {
		return nil, err
	}
	defer os.Remove(file)
	var push, pull []float64
	var archive float64
	for range 3 {
		ratios, mb, err := l.largeOnce(ctx, file)
		if err != nil {
			return nil, err
		}
		push, pull, archive = append(push, ratios[0]), append(pull, ratios[1]), math.Max(archive, mb)
	}
	gb := fmt.Sprintf("%.0f GB", float64(l.large)/(1<<30))
	sortFloats(push, pull)
	return []Figure{
		atLeast("push of a "+gb+" file, speed against cp and sync", median(push), "×", 0.9),
		atLeast("pull of a "+gb+" file, speed against cp and sync", median(pull), "×", 0.9),
		atLeast("pull as tar.gz, as knit does", archive, "MB/s", 150),
	}, nil
}

// largeOnce measures one round; each in a fresh state, with nothing cached.
func (l *lab) largeOnce(ctx context.Context, file string) (ratios [2]float64, mb float64, err error) {
	copied, state, out := l.path("copy"), l.path("large-state"), l.path("pulled")
	defer func() {
		for _, name := range []string{copied, state, out} {
			os.RemoveAll(name)
		}
	}()
	cold := func(f func() error) (float64, error) {
		if err := dropCaches(ctx); err != nil {
			return 0, err
		}
		return timed(func() error {
			if err := f(); err != nil {
				return err
			}
			return run(ctx, "sync")
		})
	}
	cp, err := cold(func() error { return run(ctx, "cp", file, copied) })
	if err != nil {
		return ratios, 0, err
	}
	if err := os.Remove(copied); err != nil {
		return ratios, 0, err
	}
	s, err := l.serve(ctx, state)
	if err != nil {
		return ratios, 0, err
	}
	defer s.stop()
	var id string
	push, err := cold(func() error {
		b, err := l.weft(ctx, s, "data", "push", "-o", "json", file)
		if err != nil {
			return err
		}
		var d api.DataDetail
		err = json.Unmarshal(b, &d)
		id = d.KnitID
		return err
	})
	if err != nil {
		return ratios, 0, err
	}
	pull, err := cold(func() error { _, err := l.weft(ctx, s, "data", "pull", "-x", id, out); return err })
	if err != nil {
		return ratios, 0, err
	}
	if err := os.RemoveAll(out); err != nil {
		return ratios, 0, err
	}
	tar, err := timed(func() error {
		r, err := s.PullArchive(ctx, id)
		if err != nil {
			return err
		}
		defer r.Close()
		_, err = io.Copy(io.Discard, r)
		return err
	})
	return [2]float64{cp / push, cp / pull}, float64(l.large) / 1e6 / tar, err
}

// makeLarge writes a file half of which does not compress.
func makeLarge(name string, size int64) error {
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	defer f.Close()
	block := make([]byte, 1<<20)
	for n := int64(0); n < size; n += int64(len(block)) {
		rand.Read(block[:len(block)/2])
		if _, err := f.Write(block[:min(int64(len(block)), size-n)]); err != nil {
			return err
		}
	}
	return f.Sync()
}

// dropCaches makes the next reads come from the disk, where the kernel lets us.
func dropCaches(ctx context.Context) error {
	if err := run(ctx, "sync"); err != nil {
		return err
	}
	if err := os.WriteFile("/proc/sys/vm/drop_caches", []byte("3"), 0); err != nil {
		fmt.Println("not cold:", err)
	}
	return nil
}
