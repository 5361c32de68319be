package server

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"io"
	"log/slog"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/weft-dev/weft"
	"github.com/weft-dev/weft/api"
	"github.com/weft-dev/weft/internal/content"
	"github.com/weft-dev/weft/internal/store"
	"github.com/weft-dev/weft/internal/store/storetest"
)

// dirContent is a content.Dir as the server wants it.
type dirContent struct {
	*content.Dir
	full bool // pretend that the disk is
}

func (d *dirContent) PutArchive(ctx context.Context, pin string, until time.Time, r io.Reader) (weft.Tree, error) {
	return content.PutTarGz(ctx, d.Dir, pin, until, r)
}

func (d *dirContent) WriteArchive(ctx context.Context, tree weft.Digest, w io.Writer) error {
	m, err := d.ReadManifest(ctx, tree)
	if err != nil {
		return err
	}
	return content.WriteTarGz(ctx, w, m, func(g weft.Digest) (io.ReadCloser, error) {
		f, _, err := d.OpenBlob(ctx, g)
		return f, err
	})
}

func (d *dirContent) Verify(ctx context.Context, tree weft.Digest, progress func(done, total int64), found func(path, reason string)) error {
	problems, err := d.Dir.Verify(ctx, tree, progress)
	for _, p := range problems {
		found(p.Path, p.Reason)
	}
	return err
}

func (d *dirContent) Room(n int64) error {
	if d.full {
		return weft.Errorf(weft.NoSpace, "the disk is full").WithAdvice("make room")
	}
	return nil
}

func (d *dirContent) Free() (free, total int64, err error) { return 600, 1000, nil }

func (d *dirContent) Reserved() (int64, error) { return 50, nil }

// liveLogs are the logs of Runs that go on. A log that is followed ends when it is
// closed by the writer's end.
type liveLogs struct {
	now    map[weft.RunID]string
	follow map[weft.RunID]io.ReadCloser
}

func (l *liveLogs) OpenLog(_ context.Context, r weft.Run, follow bool) (io.ReadCloser, error) {
	if live, ok := l.follow[r.ID]; ok && follow {
		return live, nil
	}
	if text, ok := l.now[r.ID]; ok {
		return io.NopCloser(strings.NewReader(text)), nil
	}
	return nil, weft.Errorf(weft.NotFound, "no log")
}

// A real server stands on a real Store and real content; only Runs are moved by hand.
type real struct {
	*Server
	http    *httptest.Server
	client  *api.Client
	store   *store.Store
	content *dirContent
	logs    *liveLogs
	project weft.ProjectID
}

func newReal(t testing.TB) *real {
	t.Helper()
	ctx := context.Background()
	s := storetest.SQLite(t)
	dir, err := content.Open(filepath.Join(t.TempDir(), "content"), s, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := dir.Close(); err != nil {
			t.Error(err)
		}
	})
	who, err := s.EnsureAdmin(ctx, HashToken(testToken))
	if err != nil {
		t.Fatal(err)
	}
	r := &real{store: s, content: &dirContent{Dir: dir}, logs: &liveLogs{map[weft.RunID]string{}, map[weft.RunID]io.ReadCloser{}}, project: who.Project}
	r.Server = newServer(t, Config{
		Guard: NewGuard(s, nil), Store: s, Content: r.content, Logs: r.logs, Accounts: s, Passwords: plainPasswords{s}, Version: "1.2.3",
		Offer: func(context.Context) (Offer, error) {
			return Offer{Resources: weft.Resources{"cpu": resource.MustParse("2")}, Labels: []weft.Label{{Key: "disk", Value: "fast"}}}, nil
		},
		RegistryAddresses: []string{"127.0.0.1:5000"},
	})
	r.http, r.client = listen(t, r.Server)
	return r
}

// archive makes a tar.gz of path=text pairs; path->target is a symbolic link.
func archive(t testing.TB, entries ...string) []byte {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	w := tar.NewWriter(z)
	for _, e := range entries {
		h := &tar.Header{Mode: 0o644, Typeflag: tar.TypeReg}
		path, text, _ := strings.Cut(e, "=")
		if from, to, link := strings.Cut(path, "->"); link {
			path, h.Linkname, h.Typeflag = from, to, tar.TypeSymlink
		}
		h.Name, h.Size = path, int64(len(text))
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(w, text); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []io.Closer{w, z} {
		if err := c.Close(); err != nil {
			t.Fatal(err)
		}
	}
	return b.Bytes()
}

// push makes a Data with tags, the knit way.
func (r *real) push(t testing.TB, files []string, tags ...string) api.DataDetail {
	t.Helper()
	d, err := r.client.PushArchive(t.Context(), bytes.NewReader(archive(t, files...)))
	if err != nil {
		t.Fatal(err)
	}
	if len(tags) == 0 {
		return d
	}
	var change api.TagChange
	for _, text := range tags {
		tag, err := api.ParseTag(text)
		if err != nil {
			t.Fatal(err)
		}
		change.Add = append(change.Add, tag)
	}
	if d, err = r.client.TagData(t.Context(), d.KnitID, change); err != nil {
		t.Fatal(err)
	}
	return d
}

// projectAll makes all Runs that are possible.
func (r *real) projectAll(t testing.TB) {
	t.Helper()
	for more := true; more; {
		var err error
		if _, more, err = r.store.Project(t.Context(), 1000); err != nil {
			t.Fatal(err)
		}
	}
}

// move takes a Run through statuses. When it ends, each output has a file out, the
// log one named log.
func (r *real) move(t testing.TB, id weft.RunID, statuses ...weft.Status) {
	t.Helper()
	for _, status := range statuses {
		v, err := r.store.Run(t.Context(), r.project, id)
		if err != nil {
			t.Fatal(err)
		}
		run, err := v.Run.To(status, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		save := weft.Save{Run: run, Rev: v.Run.Rev}
		if status == weft.Done || status == weft.Failed {
			save.Trees = r.seal(t, run)
		}
		if err := r.store.SaveRuns(t.Context(), []weft.Save{save})[0]; err != nil {
			t.Fatal(err)
		}
	}
}

func (r *real) seal(t testing.TB, run weft.Run) map[weft.DataID]weft.Tree {
	t.Helper()
	trees := map[weft.DataID]weft.Tree{}
	for _, id := range run.OutputIDs() {
		dir := r.content.WorkDir(run.Current(), id)
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		name, text := "out", "the output\n"
		if id == run.Log {
			name, text = logFile, "first line\nlast line\n"
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		tree, _, err := r.content.Seal(t.Context(), "test", time.Now().Add(time.Hour), dir)
		if err != nil {
			t.Fatal(err)
		}
		trees[id] = tree
	}
	return trees
}
