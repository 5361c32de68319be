package registry_test

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"testing"

	"github.com/google/go-containerregistry/pkg/compression"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/weft-dev/weft"
	"github.com/weft-dev/weft/internal/registry"
)

// withZstd puts a layer that is compressed with zstd on top of an image.
func withZstd(t testing.TB, img v1.Image, text string) v1.Image {
	t.Helper()
	plain := layerTar(t, text)
	layer, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(plain)), nil },
		tarball.WithCompression(compression.ZStd), tarball.WithMediaType(types.OCILayerZStd))
	if err != nil {
		t.Fatal(err)
	}
	if img, err = mutate.AppendLayers(img, layer); err != nil {
		t.Fatal(err)
	}
	return img
}

// TestArchive reads an archive as others read those of "docker save".
func TestArchive(t *testing.T) {
	t.Parallel()
	u := setupLayers(t)
	a := registry.Archives{Content: u.content, Aliases: u.catalog, Temp: t.TempDir()}
	img := withZstd(t, imageOf(t, "f 0644 a one", "f 0644 b two", "f 0644 a one"), "f 0644 c three") // a layer twice
	digest := u.push(img)
	file := filepath.Join(t.TempDir(), "image.tar")
	to, err := os.Create(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(a.Write(t.Context(), digest, "localhost/weft/image:x", to), to.Close()); err != nil {
		t.Fatal(err)
	}
	got, err := tarball.ImageFromPath(file, nil)
	if err != nil {
		t.Fatal(err)
	}
	var want, have [2]any
	for i, img := range []v1.Image{img, got} {
		name, err1 := img.ConfigName()
		config, err2 := img.ConfigFile()
		if err := errors.Join(err1, err2); err != nil {
			t.Fatal(err)
		}
		[]*[2]any{&want, &have}[i][0], []*[2]any{&want, &have}[i][1] = name, config.RootFS.DiffIDs
	}
	if !reflect.DeepEqual(want, have) {
		t.Errorf("the archive has %v; want %v", have, want)
	}
	layers, err := got.Layers()
	if err != nil || len(layers) != 4 {
		t.Fatalf("layers %v, %v; want 4", layers, err)
	}
	for i, text := range []string{"one", "two", "one", "three"} {
		r, err := layers[i].Uncompressed()
		if err != nil {
			t.Fatal(err)
		}
		tr := tar.NewReader(r)
		if _, err := tr.Next(); err != nil {
			t.Fatal(err)
		}
		if b, err := io.ReadAll(tr); err != nil || string(b) != text {
			t.Errorf("layer %d has %q, %v; want %q", i, b, err, text)
		}
	}
	if left, err := os.ReadDir(a.Temp); err != nil || len(left) > 0 {
		t.Errorf("temporary files %v, %v are left", left, err)
	}
}

func TestArchiveTellsHowToRun(t *testing.T) {
	t.Parallel()
	u := setupLayers(t)
	a := registry.Archives{Content: u.content, Aliases: u.catalog, Temp: t.TempDir()}
	img := imageOf(t, "f 0644 a one", "f 0644 b two")
	config, layers, err := a.Image(t.Context(), u.push(img))
	if err != nil {
		t.Fatal(err)
	}
	if config.User != "1000" || config.WorkDir != "/w" || !reflect.DeepEqual(config.Entrypoint, []string{"/e"}) || !reflect.DeepEqual(config.Cmd, []string{"c"}) {
		t.Errorf("config %+v", config)
	}
	file, err := img.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	for i, diff := range file.RootFS.DiffIDs {
		if layers[i] != diff.String() {
			t.Errorf("layers %q; want %v", layers, file.RootFS.DiffIDs)
		}
	}
	if _, _, err := a.Image(t.Context(), weft.Digest{1}); weft.KindOf(err) != weft.NotFound {
		t.Errorf("an image that is not there: %v; want NotFound", err)
	}
	if err := a.Write(t.Context(), weft.Digest{1}, "x:y", io.Discard); weft.KindOf(err) != weft.NotFound {
		t.Errorf("an archive of an image that is not there: %v; want NotFound", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := a.Write(ctx, u.push(img), "x:y", io.Discard); !errors.Is(err, context.Canceled) {
		t.Errorf("an archive that nobody wants any more: %v; want canceled", err)
	}
}
