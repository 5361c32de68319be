//go:build e2e

package app_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/md5"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/weft-dev/weft/api"
	"github.com/weft-dev/weft/internal/content"
	"github.com/weft-dev/weft/internal/store"
)

// An entry is one of an archive; without a kind it is a file.
type entry struct {
	name, body, link string
	kind             byte
}

func tarOf(t testing.TB, entries ...entry) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, e := range entries {
		h := &tar.Header{Name: e.name, Mode: 0o644, Size: int64(len(e.body)), Linkname: e.link, Typeflag: e.kind}
		if e.kind == 0 {
			h.Typeflag = tar.TypeReg
		}
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(w, e.body); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func gzipped(b []byte) []byte {
	var out bytes.Buffer
	w, err := gzip.NewWriterLevel(&out, gzip.NoCompression)
	if err == nil {
		_, err = w.Write(b)
	}
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		panic(err) // a buffer takes everything
	}
	return out.Bytes()
}

// TestBadUploads sends what must be refused, as knit sends it and by our own protocol.
// Nothing may be left behind: no data, no run, no content.
func TestBadUploads(t *testing.T) {
	t.Parallel()
	ctx, m := patiently(t), newMachine(t)
	m.pushTagged("kind:a")
	before := m.inventory(ctx)

	good := tarOf(t, entry{name: "a", body: "first"}, entry{name: "b", body: strings.Repeat("second", 100_000)})
	damaged := gzipped(good)
	damaged[len(damaged)/2] ^= 1
	for _, c := range []struct {
		name string
		body []byte
		md5  string
		says string
	}{
		{"cut off in gzip", gzipped(good)[:300_000], "", "archive: it is cut off"},
		{"cut off in tar", gzipped(good[:300_000]), "", "archive: it is cut off"},
		{"damaged", damaged, "", "archive: it is damaged"},
		{"not compressed", good, "", "archive: it is not compressed by gzip"},
		{"empty", nil, "", "archive: it is"},
		{"another checksum", gzipped(good), strings.Repeat("0", 32), "the archive arrived damaged: its MD5 is"},
		{"out of the directory", gzipped(tarOf(t, entry{name: "a", body: "x"}, entry{name: "../escaped", body: "x"})), "", `"../escaped" leads out of the directory`},
		{"out of it on the way", gzipped(tarOf(t, entry{name: "a/../../escaped", body: "x"})), "", `leads out of the directory`},
		{"absolute", gzipped(tarOf(t, entry{name: "/tmp/escaped", body: "x"})), "", `"/tmp/escaped" is absolute`},
		{"through a link", gzipped(tarOf(t, entry{name: "l", link: "/tmp", kind: tar.TypeSymlink}, entry{name: "l/escaped", body: "x"})), "", "would be written through"},
		{"hard link outwards", gzipped(tarOf(t, entry{name: "h", link: "/etc/passwd", kind: tar.TypeLink})), "", "is absolute"},
		{"device", gzipped(tarOf(t, entry{name: "null", kind: tar.TypeChar})), "", `"null" is a device`},
		{"disk", gzipped(tarOf(t, entry{name: "sda", kind: tar.TypeBlock})), "", `"sda" is a device`},
		{"pipe", gzipped(tarOf(t, entry{name: "fifo", kind: tar.TypeFifo})), "", `"fifo" is a named pipe`},
	} {
		status, message := m.postArchive(ctx, c.body, c.md5)
		if status != http.StatusBadRequest || !strings.Contains(message, c.says) {
			t.Errorf("%s: %d %q; want 400 and %q", c.name, status, message, c.says)
		}
	}
	m.badBatches(ctx)
	if diff := cmp.Diff(before, m.inventory(ctx)); diff != "" {
		t.Errorf("something was left behind (-before +after):\n%s", diff)
	}
	if _, err := os.Lstat("/tmp/escaped"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("/tmp/escaped: %v", err)
	}

	// After all of this, what is right is taken.
	if status, message := m.postArchive(ctx, gzipped(good), ""); status != http.StatusOK {
		t.Errorf("a good archive: %d %s", status, message)
	}
}

// postArchive sends an archive as knit does, and returns the answer's status and
// message. With no checksum given, that of the body is sent.
func (m *machine) postArchive(ctx context.Context, body []byte, sum string) (int, string) {
	m.t.Helper()
	if sum == "" {
		h := md5.Sum(body)
		sum = hex.EncodeToString(h[:])
	}
	req, err := http.NewRequestWithContext(ctx, "POST", m.url+"/api/data", io.NopCloser(bytes.NewReader(body))) // chunked
	if err != nil {
		m.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/tar+gzip")
	req.Trailer = http.Header{"X-Checksum-Md5": {sum}}
	req.SetBasicAuth("anybody", m.token)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		m.t.Fatal(err)
	}
	var answer struct{ Message string }
	text := readAll(m.t, resp.Body, nil)
	if resp.StatusCode != http.StatusOK {
		answer = decodeAs[struct{ Message string }](m.t, []byte(text))
	}
	return resp.StatusCode, answer.Message
}

// badBatches sends by our own protocol what is cut off, damaged, missing or not ours.
func (m *machine) badBatches(ctx context.Context) {
	m.t.Helper()
	up, err := m.BeginUpload(ctx)
	if err != nil {
		m.t.Fatal(err)
	}
	body := []byte("the content of a file")
	digest := sha256.Sum256(body)
	refused := func(what string, err error, says string) {
		m.t.Helper()
		var refusal *api.Error
		if !errors.As(err, &refusal) || refusal.Status != http.StatusBadRequest || !strings.Contains(refusal.Message, says) {
			m.t.Errorf("%s: %v; want 400 and %q", what, err, says)
		}
	}
	_, err = m.SendBatch(ctx, up.ID, func(f *api.FrameWriter) error {
		if err := f.File(digest, int64(len(body)), bytes.NewReader(body)); err != nil {
			return err
		}
		return f.File(sha256.Sum256(nil), 1, strings.NewReader("x"))
	})
	refused("a batch with another content", err, "")
	_, err = m.SendBatch(ctx, up.ID, func(f *api.FrameWriter) error { return f.Fail("the file vanished") })
	refused("a batch that the sender gives up", err, "the file vanished")
	status, message := m.raw(ctx, "POST", "/api/uploads/"+up.ID+"/files", api.FrameType, []byte("f and then nothing"))
	if status != http.StatusBadRequest || !strings.Contains(message, "not whole") {
		m.t.Errorf("a batch that is cut off: %d %s", status, message)
	}
	_, err = m.SendFile(ctx, up.ID, fmt.Sprintf("sha256:%x", digest), int64(len(body)), strings.NewReader("the content of a fibe"))
	refused("a file with another content", err, "")
	_, err = m.CommitUpload(ctx, up.ID, fmt.Sprintf("sha256:%x", digest), nil)
	refused("a manifest that was not sent", err, "was not sent in this upload")

	sent, err := m.SendFile(ctx, up.ID, "", -1, strings.NewReader("this is no manifest"))
	if err != nil {
		m.t.Fatal(err)
	}
	_, err = m.CommitUpload(ctx, up.ID, sent.Digest, nil)
	refused("a manifest that is none", err, "")
	_, err = m.CommitUpload(ctx, up.ID, sent.Digest, []api.Tag{{Key: "knit#id", Value: "x"}})
	refused("a reserved tag", err, "knit#id")
	if err := m.CancelUpload(ctx, up.ID); err != nil {
		m.t.Error(err)
	}
	if _, err := m.SendFile(ctx, up.ID, "", -1, strings.NewReader("late")); err == nil {
		m.t.Error("an upload that was given up goes on")
	}
}

// raw makes a request as any program can, and returns the answer's status and text.
func (m *machine) raw(ctx context.Context, method, path, kind string, body []byte) (int, string) {
	m.t.Helper()
	req, err := http.NewRequestWithContext(ctx, method, m.url+path, bytes.NewReader(body))
	if err != nil {
		m.t.Fatal(err)
	}
	req.Header.Set("Content-Type", kind)
	req.SetBasicAuth("anybody", m.token)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		m.t.Fatal(err)
	}
	return resp.StatusCode, readAll(m.t, resp.Body, nil)
}

// inventory stops the server, collects what nothing refers to, lists what is there
// then, and starts the server again.
func (m *machine) inventory(ctx context.Context) (things []string) {
	m.t.Helper()
	for d, err := range m.FindData(ctx, api.DataQuery{}) {
		if err != nil {
			m.t.Fatal(err)
		}
		things = append(things, "data "+d.KnitID)
	}
	for r, err := range m.FindRuns(ctx, api.RunQuery{}) {
		if err != nil {
			m.t.Fatal(err)
		}
		things = append(things, "run "+r.RunID+" "+r.Status)
	}
	for p, err := range m.FindPlans(ctx, api.PlanQuery{}) {
		if err != nil {
			m.t.Fatal(err)
		}
		things = append(things, "plan "+p.PlanID)
	}
	if err := m.stop(); err != nil {
		m.t.Fatal(err)
	}
	m.collect(ctx)
	root := filepath.Join(m.state, "content")
	err := filepath.WalkDir(root, func(name string, e fs.DirEntry, err error) error {
		if err == nil && !e.IsDir() {
			things = append(things, strings.TrimPrefix(name, root))
		}
		return err
	})
	if err != nil {
		m.t.Fatal(err)
	}
	m.start()
	return things
}

// collect removes what nothing refers to from the state of a server that is stopped.
func (m *machine) collect(ctx context.Context) {
	m.t.Helper()
	log := slog.New(slog.DiscardHandler)
	s, err := store.Open(ctx, "sqlite:"+filepath.Join(m.state, "weft.db"), store.Options{Log: log})
	if err != nil {
		m.t.Fatal(err)
	}
	defer s.Close()
	dir, err := content.Open(filepath.Join(m.state, "content"), s, log)
	if err != nil {
		m.t.Fatal(err)
	}
	defer dir.Close()
	if _, err := dir.Collect(ctx, 0); err != nil {
		m.t.Fatal(err)
	}
}

// TestLikeKnit pushes and pulls as knit does: HTTP/1.1, the token as a password, the
// checksum of the body behind it.
func TestLikeKnit(t *testing.T) {
	t.Parallel()
	ctx, m := patiently(t), newMachine(t)
	if status, message := m.postArchive(ctx, gzipped(tarOf(t, entry{name: "a/b", body: "content"})), ""); status != http.StatusOK {
		t.Fatalf("push: %d %s", status, message)
	}
	found := decodeAs[[]struct{ KnitID string }](t, []byte(m.get(ctx, "/api/data")))
	if len(found) != 1 {
		t.Fatalf("there are %d data", len(found))
	}
	tagged := `{"add":["kind:a"],"remove":null,"remove_key":null}`
	if status, text := m.raw(ctx, "PUT", "/api/data/"+found[0].KnitID, "application/json", []byte(tagged)); status != http.StatusOK {
		t.Errorf("tag: %d %s", status, text)
	}

	req, err := http.NewRequestWithContext(ctx, "GET", m.url+"/api/data/"+found[0].KnitID, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.SetBasicAuth("", m.token)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	body := readAll(t, resp.Body, nil)
	if resp.ProtoMajor != 1 || resp.ProtoMinor != 1 {
		t.Errorf("the protocol is %s", resp.Proto)
	}
	if got, want := resp.Trailer.Get("X-Checksum-Md5"), fmt.Sprintf("%x", md5.Sum([]byte(body))); got != want {
		t.Errorf("the trailer is %q; the body's MD5 is %s", got, want)
	}
	z, err := gzip.NewReader(strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r := tar.NewReader(z)
	if h, err := r.Next(); err != nil || h.Name != "a/b" || readAll(t, io.NopCloser(r), nil) != "content" {
		t.Errorf("the first entry is %+v, %v", h, err)
	}
	if _, err := r.Next(); err != io.EOF {
		t.Errorf("then comes %v", err)
	}
}

// get reads a path as knit does, which must go well.
func (m *machine) get(ctx context.Context, path string) string {
	m.t.Helper()
	status, text := m.raw(ctx, "GET", path, "", nil)
	if status != http.StatusOK {
		m.t.Fatalf("GET %s: %d %s", path, status, text)
	}
	return text
}
