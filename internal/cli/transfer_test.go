package cli

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/weft-dev/weft"
	"github.com/weft-dev/weft/api"
)

// testLarge is what tests take for a large file.
const testLarge = 4 * chunkBytes

// client returns a client of a world of its own.
func (w *world) client(t testing.TB) *api.Client {
	t.Helper()
	c, err := api.NewClient(w.url, api.Options{Token: w.token})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func startWorld(t testing.TB) *api.Client {
	t.Helper()
	w := newWorld(t, t.TempDir())
	t.Cleanup(w.close)
	return w.client(t)
}

func bytesOf(seed uint64, n int) []byte {
	b := make([]byte, n)
	rand.NewChaCha8(sha256.Sum256(fmt.Append(nil, seed))).Read(b)
	return b
}

// odd fills a directory with everything that names and modes can be.
func odd(t testing.TB, dir string) {
	t.Helper()
	for i, name := range []string{"a b", "line\nbreak", "\xff\xfe", "-rf", "ünïcode", "quote\"'", "back\\slash", "tab\t", ".hidden", "deep/er/and/deeper/file", "name.part", strings.Repeat("x", 255)} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, bytesOf(uint64(i), 100*i), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for path, mode := range map[string]os.FileMode{"a b": 0o600, "-rf": 0o777, "tab\t": 0o400, "deep/er": 0o700, "deep/er/and": 0o555} {
		if err := os.Chmod(filepath.Join(dir, path), mode); err != nil {
			t.Fatal(err)
		}
	}
	for name, target := range map[string]string{"up": "..", "absolute": "/etc/passwd", "dangling": "no\nwhere", "deep/loop": "."} {
		if err := os.Symlink(target, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.MkdirAll(filepath.Join(dir, "empty/er"), 0o700); err != nil {
		t.Fatal(err)
	}
	for name, size := range map[string]int{"middling": smallFile + 1, "middling copy": smallFile + 1} {
		if err := os.WriteFile(filepath.Join(dir, name), bytesOf(99, size), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() { os.Chmod(filepath.Join(dir, "deep/er/and"), 0o755) }) // so that it can be removed
}

func pushDir(t testing.TB, c *api.Client, dir string, tags ...string) api.DataDetail {
	t.Helper()
	d, err := tryPush(t.Context(), c, dir, tags...)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func tryPush(ctx context.Context, c *api.Client, dir string, tags ...string) (api.DataDetail, error) {
	src, err := walk(dir, false)
	if err != nil {
		return api.DataDetail{}, err
	}
	ts, err := weft.ParseTags(tags...)
	if err != nil {
		return api.DataDetail{}, err
	}
	return push(ctx, c, src, ts, testLarge, &progress{})
}

// contentsOf lists a directory with modes and digests.
func contentsOf(t testing.TB, dir string) []weft.Entry {
	t.Helper()
	src, err := walk(dir, false)
	if err != nil {
		t.Fatal(err)
	}
	for i, e := range src.entries {
		if e.Kind == weft.File {
			b, err := os.ReadFile(src.at(e))
			if err != nil {
				t.Fatal(err)
			}
			src.entries[i].Digest = sha256.Sum256(b)
		}
	}
	return src.entries
}

func TestPushPullOddNames(t *testing.T) {
	t.Parallel()
	c := startWorld(t)
	dir := t.TempDir()
	odd(t, dir)
	d := pushDir(t, c, dir, "a:b")
	if want := (weft.Manifest{Entries: contentsOf(t, dir)}).Digest().String(); d.Digest != want {
		t.Errorf("the server has %s, not %s", d.Digest, want)
	}
	target := filepath.Join(t.TempDir(), "out")
	if err := pullFiles(t.Context(), c, d.KnitID, target, &progress{}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.Chmod(filepath.Join(target, "deep/er/and"), 0o755) })
	if diff := cmp.Diff(contentsOf(t, dir), contentsOf(t, target)); diff != "" {
		t.Errorf("-pushed +pulled:\n%s", diff)
	}
	if again := pushDir(t, c, dir); again.Digest != d.Digest || again.KnitID == d.KnitID {
		t.Errorf("pushed again it is %s with digest %s", again.KnitID, again.Digest)
	}
}

// A file of the large kind is hashed on its way.
func TestPushPullLargeFile(t *testing.T) {
	t.Parallel()
	c := startWorld(t)
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "large"), bytesOf(1, 7*chunkBytes+12345), 0o644); err != nil {
		t.Fatal(err)
	}
	d := pushDir(t, c, dir)
	target := filepath.Join(t.TempDir(), "out")
	if err := pullFiles(t.Context(), c, d.KnitID, target, &progress{}); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(contentsOf(t, dir), contentsOf(t, target)); diff != "" {
		t.Errorf("-pushed +pulled:\n%s", diff)
	}
}

// meddler calls meddle as soon as the server hears of an upload.
func meddler(t *testing.T, c *api.Client, meddle func()) *api.Client {
	t.Helper()
	return meddlerOf(t, c, func(path string) {
		if path == "/api/uploads" {
			meddle()
		}
	})
}

// meddlerOf calls meddle with the path of each request before it gets to the server.
func meddlerOf(t *testing.T, c *api.Client, meddle func(path string)) *api.Client {
	t.Helper()
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		meddle(r.URL.Path)
		req := r.Clone(r.Context())
		req.URL.Scheme, req.URL.Host, req.RequestURI = "http", strings.TrimPrefix(c.Base(), "http://"), ""
		res, err := http.DefaultTransport.RoundTrip(req)
		if err != nil {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		defer res.Body.Close()
		for k, v := range res.Header {
			w.Header()[k] = v
		}
		w.WriteHeader(res.StatusCode)
		var b bytes.Buffer
		b.ReadFrom(res.Body)
		w.Write(b.Bytes())
	}))
	t.Cleanup(proxy.Close)
	m, err := api.NewClient(proxy.URL, api.Options{Token: c.Token()})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// What changes while it is pushed is an error that says so, and nothing is kept.
func TestPushOfWhatChanges(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		size int
		do   func(path string) error
		says string
	}{
		"small vanishes":   {10, os.Remove, "vanished"},
		"small grows":      {10, func(p string) error { return os.WriteFile(p, bytesOf(2, 11), 0o644) }, "grew"},
		"small shrinks":    {10, func(p string) error { return os.Truncate(p, 9) }, "shrank"},
		"middling shrinks": {smallFile + 1, func(p string) error { return os.Truncate(p, 9) }, "while it was being pushed"},
		"large vanishes":   {testLarge, os.Remove, "vanished"},
		"large shrinks":    {testLarge, func(p string) error { return os.Truncate(p, testLarge-1) }, "shrank"},
		"large grows":      {testLarge, func(p string) error { return os.Truncate(p, testLarge+1) }, "grew"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := startWorld(t)
			dir := t.TempDir()
			path := filepath.Join(dir, "file")
			f, err := os.Create(path)
			if err == nil {
				err = errors.Join(f.Truncate(int64(c.size)), f.Close())
			}
			if err != nil {
				t.Fatal(err)
			}
			meddled := meddler(t, server, func() {
				if err := c.do(path); err != nil {
					t.Error(err)
				}
			})
			_, err = tryPush(t.Context(), meddled, dir)
			if weft.KindOf(err) != weft.Conflict || !strings.Contains(err.Error(), c.says) {
				t.Errorf("error is %v", err)
			}
			for d, err := range server.FindData(t.Context(), api.DataQuery{}) {
				t.Errorf("left behind: %s (%v)", d.KnitID, err)
			}
		})
	}
}

// behindFirst reads the first byte of r and returns the rest.
func behindFirst(t *testing.T, r io.Reader) io.Reader {
	if _, err := io.ReadFull(r, make([]byte, 1)); err != nil {
		t.Error(err)
	}
	return r
}

// A large file has no digest on its way; that it arrived as it was sent is checked all
// the same.
func TestPushThatIsDamagedOnItsWay(t *testing.T) {
	t.Parallel()
	server := startWorld(t)
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "large"), bytesOf(1, testLarge), 0o644); err != nil {
		t.Fatal(err)
	}
	base, err := url.Parse(server.Base())
	if err != nil {
		t.Fatal(err)
	}
	proxy := httptest.NewServer(&httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(base)
		if strings.HasSuffix(r.Out.URL.Path, "/files/-") {
			r.Out.Body = struct {
				io.Reader
				io.Closer
			}{io.MultiReader(strings.NewReader("?"), behindFirst(t, r.Out.Body)), r.Out.Body}
		}
	}})
	t.Cleanup(proxy.Close)
	c, err := api.NewClient(proxy.URL, api.Options{Token: server.Token()})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tryPush(t.Context(), c, dir); weft.KindOf(err) != weft.Unavailable || !strings.Contains(err.Error(), "arrived damaged") {
		t.Errorf("error is %v", err)
	}
	for d, err := range server.FindData(t.Context(), api.DataQuery{}) {
		t.Errorf("left behind: %s (%v)", d.KnitID, err)
	}
}

func TestPushIsInterrupted(t *testing.T) {
	t.Parallel()
	server := startWorld(t)
	dir := t.TempDir()
	odd(t, dir)
	ctx, stop := context.WithCancel(t.Context())
	_, err := tryPush(ctx, meddler(t, server, stop), dir)
	if !errors.Is(err, context.Canceled) {
		t.Errorf("error is %v", err)
	}
	for d, err := range server.FindData(t.Context(), api.DataQuery{}) {
		t.Errorf("left behind: %s (%v)", d.KnitID, err)
	}
}

func TestWalkRefuses(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, "a/b"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("../..", filepath.Join(dir, "a/b/up")); err != nil {
		t.Fatal(err)
	}
	if _, err := walk(dir, true); weft.KindOf(err) != weft.Invalid || !strings.Contains(err.Error(), "leads back") {
		t.Errorf("a loop: %v", err)
	}
	if err := syscall.Mkfifo(filepath.Join(dir, "pipe"), 0o644); err != nil {
		t.Fatal(err)
	}
	src, err := walk(dir, false)
	if err != nil || len(src.skipped) != 1 {
		t.Errorf("a pipe: %v, skipped %v", err, src.skipped)
	}
	if _, err := walk(filepath.Join(dir, "pipe"), false); weft.KindOf(err) != weft.Invalid {
		t.Errorf("only a pipe: %v", err)
	}
	if _, err := walk(filepath.Join(dir, "nothing"), false); weft.KindOf(err) != weft.NotFound {
		t.Errorf("nothing: %v", err)
	}
}

// With --dereference what links lead to is pushed, each time anew.
func TestWalkFollows(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write(t, filepath.Join(dir, "real/file"), "x")
	for name, target := range map[string]string{"one": "real", "two": "real", "file": "real/file"} {
		if err := os.Symlink(target, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	src, err := walk(dir, true)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, e := range src.entries {
		got = append(got, string(e.Kind)+" "+e.Path)
	}
	if want := []string{"f file", "d one", "f one/file", "d real", "f real/file", "d two", "f two/file"}; !cmp.Equal(got, want) {
		t.Errorf("got %q", got)
	}
}

// A hostile server cannot write outside of the directory, nor through a link.
func TestPullFromHostileServer(t *testing.T) {
	t.Parallel()
	file := func(path, text string) weft.Entry {
		return weft.Entry{Path: path, Kind: weft.File, Mode: 0o644, Size: int64(len(text)), Digest: sha256.Sum256([]byte(text))}
	}
	link := func(path, target string) weft.Entry {
		return weft.Entry{Path: path, Kind: weft.Symlink, Target: target}
	}
	for name, entries := range map[string][]weft.Entry{
		"up":                 {file("../evil", "evil")},
		"up inside":          {file("a/../../evil", "evil")},
		"absolute":           {file("/tmp/evil", "evil")},
		"dot":                {file("./evil", "evil")},
		"through a link":     {link("a", ".."), file("a/evil", "evil")},
		"link after":         {file("a/evil", "evil"), link("a", "..")},
		"a directory's link": {link("d", "/"), {Path: "d", Kind: weft.Folder, Mode: 0o755}},
		"set-id":             {{Path: "x", Kind: weft.File, Mode: 0o4755, Size: 4, Digest: sha256.Sum256([]byte("evil"))}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			target := filepath.Join(dir, "out")
			err := pullFiles(t.Context(), hostile(t, weft.Manifest{Entries: entries}, "evil"), "x", target, &progress{})
			if weft.KindOf(err) != weft.Invalid {
				t.Errorf("error is %v", err)
			}
			if _, err := os.Stat(target); err == nil {
				t.Error("something was pulled")
			}
			if evil, _ := filepath.Glob(filepath.Join(dir, "*evil*")); len(evil) > 0 {
				t.Errorf("written outside: %v", evil)
			}
		})
	}
	t.Run("other content", func(t *testing.T) {
		t.Parallel()
		target := filepath.Join(t.TempDir(), "out")
		err := pullFiles(t.Context(), hostile(t, weft.Manifest{Entries: []weft.Entry{file("a", "good")}}, "evil"), "x", target, &progress{})
		if weft.KindOf(err) != weft.Unavailable || !strings.Contains(err.Error(), "arrived damaged") {
			t.Errorf("error is %v", err)
		}
		if _, err := os.Stat(target); err == nil {
			t.Error("something was pulled")
		}
	})
}

// hostile is a server that has one data with that manifest, valid or not, and gives
// one text for whatever file is asked for, under the digest that was asked for.
func hostile(t *testing.T, m weft.Manifest, text string) *api.Client {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case strings.HasSuffix(r.URL.Path, "/detail"):
			json.NewEncoder(w).Encode(api.DataDetail{KnitID: "x", Digest: m.Digest().String()})
		case strings.HasSuffix(r.URL.Path, "/manifest"):
			w.Write(m.Encode())
		case strings.HasSuffix(r.URL.Path, "/batch"):
			var in api.BatchRequest
			json.NewDecoder(r.Body).Decode(&in)
			f := api.NewFrameWriter(w)
			for _, text2 := range in.Digests {
				d, err := weft.ParseDigest(text2)
				if err == nil {
					err = f.File(d, int64(len(text)), strings.NewReader(text))
				}
				if err != nil {
					t.Error(err)
				}
			}
			f.Close()
		}
	}))
	t.Cleanup(s.Close)
	c, err := api.NewClient(s.URL, api.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// Many small files that are data already are pushed without sending one.
func TestPushOfWhatIsKnown(t *testing.T) {
	t.Parallel()
	server := startWorld(t)
	dir := t.TempDir()
	for i := range 3 * knownFiles {
		write(t, filepath.Join(dir, fmt.Sprint(i)), fmt.Sprint("file ", i))
	}
	var batches atomic.Int64
	c := meddlerOf(t, server, func(path string) {
		if strings.HasSuffix(path, "/files") {
			batches.Add(1)
		}
	})
	first := pushDir(t, c, dir)
	if batches.Load() == 0 {
		t.Fatal("nothing was sent")
	}
	batches.Store(0)
	if again := pushDir(t, c, dir, "a:b"); again.Digest != first.Digest || again.KnitID == first.KnitID || batches.Load() > 0 {
		t.Errorf("again: %d requests sent files, %+v", batches.Load(), again)
	}
	write(t, filepath.Join(dir, "7"), "changed")
	if other := pushDir(t, c, dir); other.Digest == first.Digest || batches.Load() != 1 || other.Files != first.Files {
		t.Errorf("one changed: %d requests sent files, %+v", batches.Load(), other)
	}
}

// A pull that broke off goes on from where it was.
func TestPullGoesOn(t *testing.T) {
	t.Parallel()
	c := startWorld(t)
	dir := t.TempDir()
	odd(t, dir)
	d := pushDir(t, c, dir)
	target := filepath.Join(t.TempDir(), "out")
	part := target + partSuffix
	write(t, filepath.Join(part, "middling"), string(bytesOf(99, smallFile+1))) // whole
	write(t, filepath.Join(part, "middling copy"), "the begin")                 // not
	before, err := os.Stat(filepath.Join(part, "middling"))
	if err != nil {
		t.Fatal(err)
	}
	if err := pullFiles(t.Context(), c, d.KnitID, target, &progress{}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.Chmod(filepath.Join(target, "deep/er/and"), 0o755) })
	if diff := cmp.Diff(contentsOf(t, dir), contentsOf(t, target)); diff != "" {
		t.Errorf("-pushed +pulled:\n%s", diff)
	}
	after, err := os.Stat(filepath.Join(target, "middling"))
	if err != nil || !os.SameFile(before, after) {
		t.Errorf("what was there was pulled again (%v)", err)
	}
}

func BenchmarkPushSmallFiles(b *testing.B) {
	dir := b.TempDir()
	for i := range 2000 {
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprint(i)), bytesOf(uint64(i), 4096), 0o644); err != nil {
			b.Fatal(err)
		}
	}
	c := startWorld(b)
	for b.Loop() {
		pushDir(b, c, dir)
	}
	b.ReportMetric(float64(2000*b.N)/b.Elapsed().Seconds(), "files/s")
}
