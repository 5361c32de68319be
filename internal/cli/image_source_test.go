package cli

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"io"
	"log"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	ocilayout "github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	gcrtarball "github.com/google/go-containerregistry/pkg/v1/tarball"

	"github.com/weft-dev/weft"
)

func someImage(t *testing.T) v1.Image {
	t.Helper()
	img, err := random.Image(20_000, 2)
	if err != nil {
		t.Fatal(err)
	}
	return img
}

// ociLayout writes a layout directory with one named image and an index.
func ociLayout(t *testing.T, img v1.Image) string {
	t.Helper()
	dir := t.TempDir()
	idx := mutate.AppendManifests(empty.Index,
		mutate.IndexAddendum{Add: img, Descriptor: v1.Descriptor{Annotations: map[string]string{"org.opencontainers.image.ref.name": "app:v1"}}},
		mutate.IndexAddendum{Add: mutate.AppendManifests(empty.Index, mutate.IndexAddendum{Add: someImage(t)})})
	if _, err := ocilayout.Write(dir, idx); err != nil {
		t.Fatal(err)
	}
	return dir
}

// tarOf packs a directory.
func tarOf(t *testing.T, dir string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "image.tar")
	f, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	w := tar.NewWriter(f)
	if err := w.AddFS(os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return name
}

func gzipped(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := w.Write(text); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file+".gz", b.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	return file + ".gz"
}

// pushAll opens a source and pushes all it has to a fresh registry. It returns the
// names in the source, and a way to get what was pushed.
func pushAll(t *testing.T, source string) (names []string, host string) {
	t.Helper()
	s := httptest.NewServer(registry.New(registry.Logger(log.New(io.Discard, "", 0))))
	t.Cleanup(s.Close)
	images, done, err := openImages(t.Context(), source)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := done(); err != nil {
			t.Error(err)
		}
	}()
	for _, img := range images {
		names = append(names, img.name)
		var last, total int64
		called := weft.Image{Repository: "pushed", Tag: "i" + string(rune('0'+len(names)))}
		digest, err := pushImage(t.Context(), pushTarget{base: s.URL, transport: s.Client().Transport}, called, img, func(d, of int64) { last, total = d, of })
		if err != nil {
			t.Fatal(err)
		}
		if last == 0 || last != total {
			t.Errorf("progress ended at %d of %d", last, total)
		}
		ref, err := name.ParseReference(strings.TrimPrefix(s.URL, "http://") + "/pushed@" + digest)
		if err != nil {
			t.Fatal(err)
		}
		got, err := remote.Get(ref)
		if err != nil {
			t.Fatal(err)
		}
		if got.MediaType.IsIndex() {
			continue
		}
		pushed, err := got.Image()
		if err != nil {
			t.Fatal(err)
		}
		readLayers(t, pushed)
	}
	return names, strings.TrimPrefix(s.URL, "http://")
}

// readLayers reads all layers, which verifies them. (Package validate takes every
// layer for a compressed one.)
func readLayers(t *testing.T, img v1.Image) {
	t.Helper()
	layers, err := img.Layers()
	if err != nil || len(layers) != 2 {
		t.Fatalf("%d layers, %v", len(layers), err)
	}
	for _, l := range layers {
		r, err := l.Compressed()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.Copy(io.Discard, r); err != nil {
			t.Error(err)
		}
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	}
}

func TestPushLayout(t *testing.T) {
	t.Parallel()
	img := someImage(t)
	dir := ociLayout(t, img)
	file := tarOf(t, dir)
	want, err := img.Digest()
	if err != nil {
		t.Fatal(err)
	}
	for _, source := range []string{dir, file, gzipped(t, file)} {
		names, host := pushAll(t, source)
		if strings.Join(names, "|") != "app:v1|" {
			t.Errorf("%s: names %q", source, names)
		}
		ref, err := name.ParseReference(host + "/pushed:i1")
		if err != nil {
			t.Fatal(err)
		}
		got, err := remote.Get(ref)
		if err != nil || got.Digest != want {
			t.Errorf("%s: got %v %v, want %s", source, got, err, want)
		}
	}
}

func TestPushSaved(t *testing.T) {
	t.Parallel()
	img := someImage(t)
	file := filepath.Join(t.TempDir(), "saved.tar")
	tag, err := name.NewTag("localhost:30503/team/app:v1")
	if err != nil {
		t.Fatal(err)
	}
	if err := gcrtarball.WriteToFile(file, tag, img); err != nil { // with compressed layers
		t.Fatal(err)
	}
	if names, _ := pushAll(t, file); strings.Join(names, "|") != "localhost:30503/team/app:v1" {
		t.Errorf("names %q", names)
	}
}

// The archive of an old docker save: plain layers, one of them a link to another.
func TestPushOldSaved(t *testing.T) {
	t.Parallel()
	img := someImage(t)
	layers, err := img.Layers()
	if err != nil {
		t.Fatal(err)
	}
	r, err := layers[0].Uncompressed()
	if err != nil {
		t.Fatal(err)
	}
	layer, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	h, err := layers[0].DiffID()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	write := func(name, text string) {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("manifest.json", `[{"Config":"c.json","RepoTags":["app:v1","app:latest"],"Layers":["a/layer.tar","b/layer.tar"]}]`)
	write("c.json", `{"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":["`+h.String()+`","`+h.String()+`"]}}`)
	write("a/layer.tar", string(layer))
	write("b/VERSION", "1.0")
	if err := os.Symlink("../a/layer.tar", filepath.Join(dir, "b/layer.tar")); err != nil {
		t.Fatal(err)
	}
	for _, source := range []string{dir, tarOf(t, dir)} {
		if names, _ := pushAll(t, source); strings.Join(names, "|") != "app:v1|app:latest" {
			t.Errorf("names %q", names)
		}
	}
}

func TestOpenImagesRefuses(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write := func(name, text string) string {
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return file
	}
	whole := tarOf(t, ociLayout(t, someImage(t)))
	text, err := os.ReadFile(whole)
	if err != nil {
		t.Fatal(err)
	}
	partial := ociLayout(t, someImage(t))
	blobs, err := filepath.Glob(filepath.Join(partial, "blobs/sha256/*"))
	if err != nil || len(blobs) == 0 {
		t.Fatal(blobs, err)
	}
	for _, b := range blobs {
		if err := os.Remove(b); err != nil {
			t.Fatal(err)
		}
	}
	for source, kind := range map[string]weft.Kind{
		filepath.Join(dir, "none.tar"):               weft.NotFound,
		write("text", "this is no archive"):          weft.Invalid,
		write("gz", "\x1f\x8bbroken"):                weft.Invalid,
		write("cut.tar", string(text[:len(text)/2])): weft.Invalid,
		t.TempDir(): weft.Invalid,
		partial:     weft.Invalid,
	} {
		if _, _, err := openImages(t.Context(), source); weft.KindOf(err) != kind {
			t.Errorf("%s: got %v, want %s", source, err, kind)
		}
	}
}

func TestImageName(t *testing.T) {
	t.Parallel()
	for from, want := range map[string]string{
		"app":                             "app:latest",
		"app:v1":                          "app:v1",
		"docker.io/library/app:v1":        "app:v1",
		"index.docker.io/team/app:v1":     "team/app:v1",
		"localhost:30503/team/app:v2":     "team/app:v2",
		"registry.example.org/library/ab": "library/ab:latest",
	} {
		got, err := imageName(from)
		if err != nil || got.String() != want {
			t.Errorf("%s: got %s %v, want %s", from, got, err, want)
		}
	}
}
