package server

import (
	"strings"
	"testing"
	"time"

	"github.com/weft-dev/weft"
	"github.com/weft-dev/weft/api"
)

// pushImage makes the registry's rows of an image with one layer.
func (r *real) pushImage(t testing.TB, repo, tag string) {
	t.Helper()
	until := time.Now().Add(time.Hour)
	put := func(text string) weft.Blob {
		b, err := r.content.Put(t.Context(), "image", until, weft.Digest{}, -1, strings.NewReader(text))
		if err != nil {
			t.Fatal(err)
		}
		if err := r.store.LinkBlob(t.Context(), r.project, repo, b.Digest, "image"); err != nil {
			t.Fatal(err)
		}
		return b
	}
	layer, manifest := put("a layer"), put("the manifest of "+repo+":"+tag)
	m := weft.ImageManifest{Digest: manifest.Digest, Size: manifest.Size, MediaType: "application/vnd.oci.image.manifest.v1+json", Blobs: []weft.Digest{layer.Digest}}
	if err := r.store.PutManifest(t.Context(), r.project, repo, m, tag); err != nil {
		t.Fatal(err)
	}
}

func TestImagesAreListedAndRemoved(t *testing.T) {
	t.Parallel()
	r := newReal(t)
	r.pushImage(t, "team/trainer", "v1")
	r.pushImage(t, "team/trainer", "v2")
	r.pushImage(t, "evaluator", "v1")
	names := func() (got []string) {
		for img, err := range r.client.Images(t.Context()) {
			if err != nil {
				t.Fatal(err)
			}
			if _, err := weft.ParseImage(img.Image); err != nil || img.Size <= int64(len("a layer")) {
				t.Errorf("%+v %v", img, err)
			}
			got = append(got, img.Image)
		}
		return got
	}
	if got := strings.Join(names(), " "); got != "localhost:30503/evaluator:v1 localhost:30503/team/trainer:v1 localhost:30503/team/trainer:v2" {
		t.Errorf("%s", got)
	}
	if err := r.client.DeleteImage(t.Context(), "localhost:30503/team/trainer:v1"); err != nil {
		t.Error(err)
	}
	if err := r.client.DeleteImage(t.Context(), "127.0.0.1:5000/evaluator:v1"); err != nil {
		t.Error(err)
	}
	for image, kind := range map[string]api.ErrorKind{
		"localhost:30503/team/trainer:v1": api.KindNotFound, "docker.io/library/python:3": api.KindNotFound, "x": api.KindInvalid, "": api.KindInvalid,
	} {
		if err := r.client.DeleteImage(t.Context(), image); kindOf(err) != kind {
			t.Errorf("%q: %v", image, err)
		}
	}
	if got := strings.Join(names(), " "); got != "localhost:30503/team/trainer:v2" {
		t.Errorf("%s", got)
	}
}
