package server

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/weft-dev/weft"
	"github.com/weft-dev/weft/api"
)

// kindOf is the kind of a client's error.
func kindOf(err error) api.ErrorKind {
	var e *api.Error
	if errors.As(err, &e) {
		return e.Kind
	}
	return ""
}

func blobOf(text string) (weft.Digest, api.BlobRef) {
	d := weft.Digest(sha256.Sum256([]byte(text)))
	return d, api.BlobRef{Digest: d.String(), Size: int64(len(text))}
}

// manifestFor describes a directory of files with these texts.
func manifestFor(files map[string]string) weft.Manifest {
	var m weft.Manifest
	for path, text := range files {
		d, ref := blobOf(text)
		m.Entries = append(m.Entries, weft.Entry{Path: path, Kind: weft.File, Mode: 0o644, Size: ref.Size, Digest: d})
	}
	m.Sort()
	return m
}

// sendBatch sends texts in one batch.
func sendBatch(t testing.TB, c *api.Client, upload string, texts ...string) error {
	t.Helper()
	_, err := c.SendBatch(t.Context(), upload, func(w *api.FrameWriter) error {
		for _, text := range texts {
			if err := w.File(sha256.Sum256([]byte(text)), int64(len(text)), strings.NewReader(text)); err != nil {
				return err
			}
		}
		return nil
	})
	return err
}

// pushOwn pushes a directory by our own protocol, and returns how many contents were
// missing.
func pushOwn(t testing.TB, c *api.Client, files map[string]string, tags ...api.Tag) (api.DataDetail, int) {
	t.Helper()
	u, err := c.BeginUpload(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var refs []api.BlobRef
	var texts []string
	for _, text := range files {
		_, ref := blobOf(text)
		refs, texts = append(refs, ref), append(texts, text)
	}
	missing, err := c.MissingBlobs(t.Context(), u.ID, refs)
	if err != nil {
		t.Fatal(err)
	}
	var lacking []string
	for _, i := range missing.Missing {
		lacking = append(lacking, texts[i])
	}
	manifest := string(manifestFor(files).Encode())
	if err := sendBatch(t, c, u.ID, append(lacking, manifest)...); err != nil {
		t.Fatal(err)
	}
	_, ref := blobOf(manifest)
	d, err := c.CommitUpload(t.Context(), u.ID, ref.Digest, tags)
	if err != nil {
		t.Fatal(err)
	}
	again, err := c.CommitUpload(t.Context(), u.ID, ref.Digest, tags)
	if err != nil || again.KnitID != d.KnitID {
		t.Errorf("committing again gives %s, %v; at first it was %s", again.KnitID, err, d.KnitID)
	}
	return d, len(lacking)
}

func TestPushSendsOnlyWhatIsMissing(t *testing.T) {
	t.Parallel()
	r := newReal(t)
	files := map[string]string{"a": "one", "b/c": "two", "b/d": "two", "odd \xff name": "three"}
	d, sent := pushOwn(t, r.client, files, api.Tag{Key: "type", Value: "dataset"})
	if sent != 4 || d.Files != 4 || d.Bytes != 14 || d.Digest != manifestFor(files).Digest().String() || d.Tags[2].String() != "type:dataset" {
		t.Errorf("%d sent, %+v", sent, d)
	}
	files["new"] = "four"
	if _, sent = pushOwn(t, r.client, files); sent != 1 {
		t.Errorf("%d sent the second time", sent)
	}
	var rest []string
	for f, err := range r.client.Files(t.Context(), d.KnitID) {
		if err != nil {
			t.Fatal(err)
		}
		name := f.Path
		if f.RawPath != nil {
			name = string(f.RawPath)
		}
		body, err := r.client.File(t.Context(), d.KnitID, name, 1)
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(body)
		if err != nil || body.Close() != nil {
			t.Fatal(err)
		}
		rest = append(rest, string(text))
	}
	if strings.Join(rest, " ") != "ne wo wo hree" {
		t.Errorf("files from their second byte on: %q", rest)
	}
}

// What some data is already can be pushed again by the digest of its manifest alone;
// that of a manifest which is only a file cannot.
func TestPushKnownManifest(t *testing.T) {
	t.Parallel()
	r := newReal(t)
	files := map[string]string{"a": "one", "b": "two"}
	known := string(manifestFor(files).Encode())
	stranger := string(manifestFor(map[string]string{"stolen": "secret"}).Encode())
	first, _ := pushOwn(t, r.client, files)
	pushOwn(t, r.client, map[string]string{"file": stranger})
	for _, c := range []struct {
		manifest string
		kind     api.ErrorKind
	}{{known, ""}, {stranger, api.KindInvalid}} {
		u, err := r.client.BeginUpload(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		_, ref := blobOf(c.manifest)
		missing, err := r.client.MissingBlobs(t.Context(), u.ID, []api.BlobRef{ref})
		if err != nil || len(missing.Missing) > 0 {
			t.Fatalf("missing %v, %v", missing.Missing, err)
		}
		d, err := r.client.CommitUpload(t.Context(), u.ID, ref.Digest, nil)
		var refused *api.Error
		switch {
		case c.kind == "" && (err != nil || d.Digest != first.Digest || d.KnitID == first.KnitID):
			t.Errorf("the known one: %+v, %v", d, err)
		case c.kind != "" && (!errors.As(err, &refused) || refused.Kind != c.kind):
			t.Errorf("the other one: %v", err)
		}
	}
}

func TestPullByDigest(t *testing.T) {
	t.Parallel()
	r := newReal(t)
	d, _ := pushOwn(t, r.client, map[string]string{"a": "one", "b": "two"})
	text, err := r.client.Manifest(t.Context(), d.KnitID)
	if err != nil {
		t.Fatal(err)
	}
	defer text.Close()
	b, err := io.ReadAll(text)
	if err != nil {
		t.Fatal(err)
	}
	m, err := weft.DecodeManifest(b)
	if err != nil || m.Digest().String() != d.Digest {
		t.Fatalf("%v %s", err, b)
	}
	batch, err := r.client.Batch(t.Context(), d.KnitID, []string{m.Entries[1].Digest.String(), m.Entries[0].Digest.String()})
	if err != nil {
		t.Fatal(err)
	}
	defer batch.Close()
	var got []string
	for {
		_, _, content, err := batch.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(content)
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, string(text))
	}
	if strings.Join(got, " ") != "two one" {
		t.Errorf("%q", got)
	}
	blob, err := r.client.Blob(t.Context(), d.KnitID, m.Entries[0].Digest.String(), 2)
	if err != nil {
		t.Fatal(err)
	}
	defer blob.Close()
	if b, err := io.ReadAll(blob); err != nil || string(b) != "e" {
		t.Errorf("%q %v", b, err)
	}
	_, unknown := blobOf("never pushed")
	if _, err := r.client.Blob(t.Context(), d.KnitID, unknown.Digest, 0); kindOf(err) != api.KindNotFound {
		t.Errorf("%v", err)
	}
	if _, err := r.client.Batch(t.Context(), d.KnitID, []string{m.Entries[0].Digest.String(), unknown.Digest}); kindOf(err) != api.KindNotFound {
		t.Errorf("%v", err)
	}
}

func TestADigestIsNotARight(t *testing.T) {
	t.Parallel()
	r := newReal(t)
	u, err := r.client.BeginUpload(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := sendBatch(t, r.client, u.ID, "a secret"); err != nil { // stored, but no data's yet
		t.Fatal(err)
	}
	other, err := r.client.BeginUpload(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	_, ref := blobOf("a secret")
	missing, err := r.client.MissingBlobs(t.Context(), other.ID, []api.BlobRef{ref})
	if err != nil || len(missing.Missing) != 1 {
		t.Errorf("what another upload sent is told to be there: %v %v", missing, err)
	}
	manifest := string(manifestFor(map[string]string{"stolen": "a secret"}).Encode())
	if err := sendBatch(t, r.client, other.ID, manifest); err != nil {
		t.Fatal(err)
	}
	_, digest := blobOf(manifest)
	if _, err := r.client.CommitUpload(t.Context(), other.ID, digest.Digest, nil); kindOf(err) != api.KindInvalid || !strings.Contains(err.Error(), "was not sent") {
		t.Errorf("%v", err)
	}
}

func TestOneLargeFile(t *testing.T) {
	t.Parallel()
	r := newReal(t)
	text := strings.Repeat("0123456789abcdef", 300_000)
	_, want := blobOf(text)
	sum := api.NewChecksum()
	io.WriteString(sum, text)
	checked := want
	checked.Checksum = api.ChecksumText(sum)
	for name, c := range map[string]struct {
		digest string
		size   int64
		want   api.BlobRef
		kind   api.ErrorKind
	}{
		"digest unknown":   {"", -1, checked, ""},
		"digest known":     {want.Digest, int64(len(text)), want, ""},
		"wrong digest":     {strings.Replace(want.Digest, want.Digest[7:9], "00", 1), -1, want, api.KindInvalid},
		"no digest at all": {"sha256:no", -1, want, api.KindInvalid},
	} {
		t.Run(name, func(t *testing.T) {
			u, err := r.client.BeginUpload(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			got, err := r.client.SendFile(t.Context(), u.ID, c.digest, c.size, strings.NewReader(text))
			if kindOf(err) != c.kind || c.kind == "" && got != c.want {
				t.Errorf("%+v %v", got, err)
			}
		})
	}
}

func TestUploadsThatAreNotUnderWay(t *testing.T) {
	t.Parallel()
	r := newReal(t)
	u, err := r.client.BeginUpload(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := r.client.CancelUpload(t.Context(), u.ID); err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{u.ID, "never"} {
		_, err := r.client.MissingBlobs(t.Context(), id, nil)
		if kindOf(err) != api.KindNotFound || !strings.Contains(err.Error(), "push again") {
			t.Errorf("%s: %v", id, err)
		}
		if err := sendBatch(t, r.client, id, "x"); kindOf(err) != api.KindNotFound {
			t.Errorf("%s: %v", id, err)
		}
		if err := r.client.CancelUpload(t.Context(), id); kindOf(err) != api.KindNotFound {
			t.Errorf("%s: %v", id, err)
		}
	}
}

func TestBadBatchesAreRefused(t *testing.T) {
	t.Parallel()
	r := newReal(t)
	u, err := r.client.BeginUpload(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var wrong bytes.Buffer
	w := api.NewFrameWriter(&wrong)
	if err := errors.Join(w.File([32]byte{1}, 3, strings.NewReader("one")), w.Close()); err != nil {
		t.Fatal(err)
	}
	for name, stream := range map[string]string{
		"empty": "", "no end": "f", "unknown kind": "?", "content of another digest": wrong.String(), "cut off": wrong.String()[:43],
	} {
		status, text, _ := ask(t, http.MethodPost, r.http.URL+"/api/uploads/"+u.ID+"/files", stream)
		if status != http.StatusBadRequest {
			t.Errorf("%s: %d %s", name, status, text)
		}
	}
	for name, body := range map[string]string{
		"no digest": `{"blobs":[{"digest":"x","size":1}]}`, "negative size": `{"blobs":[{"digest":"` + weft.Digest{1}.String() + `","size":-1}]}`, "no JSON": "x",
	} {
		if status, text, _ := ask(t, http.MethodPost, r.http.URL+"/api/uploads/"+u.ID+"/missing", body); status != http.StatusBadRequest {
			t.Errorf("%s: %d %s", name, status, text)
		}
	}
}

func TestFullDiskRefusesUploadsAtOnce(t *testing.T) {
	t.Parallel()
	r := newReal(t)
	r.content.full = true
	_, err := r.client.PushArchive(t.Context(), bytes.NewReader(archive(t, "a=b")))
	var e *api.Error
	if !errors.As(err, &e) || e.Status != http.StatusInsufficientStorage || e.Kind != api.KindNoSpace || e.Advice() != "make room" {
		t.Errorf("%v", err)
	}
	if _, err := r.client.BeginUpload(t.Context()); kindOf(err) != api.KindNoSpace {
		t.Errorf("%v", err)
	}
	// knit does not wait for permission; it must get the reason all the same.
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, r.http.URL+"/api/data", io.LimitReader(zeros{}, 100<<20))
	if err != nil {
		t.Fatal(err)
	}
	req.SetBasicAuth("", testToken)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusInsufficientStorage {
		t.Errorf("%d", res.StatusCode)
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}
