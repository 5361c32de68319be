//go:build e2e

package registry_test

import (
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/validate"
)

func skopeo(t *testing.T, args ...string) {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "skopeo", append([]string{"--insecure-policy"}, args...)...).CombinedOutput()
	if err != nil {
		t.Fatalf("skopeo %v: %v\n%s", args, err, out)
	}
}

// Skopeo copies an image into the registry, within it, and out again, and deletes it.
func TestSkopeo(t *testing.T) {
	t.Parallel()
	s := setup(t)
	img := randomImage(t)
	dir := t.TempDir()
	in, out := filepath.Join(dir, "in"), filepath.Join(dir, "out")
	l, err := layout.Write(in, randomIndex(t, img))
	if err != nil {
		t.Fatal(err)
	}
	if err := l.AppendImage(img, layout.WithAnnotations(map[string]string{"org.opencontainers.image.ref.name": "v1"})); err != nil {
		t.Fatal(err)
	}
	at := "docker://" + s.host + "/team/"
	to := []string{"--dest-tls-verify=false", "--dest-creds=ann:secret"}
	from := []string{"--src-tls-verify=false", "--src-creds=ann:secret"}
	push := append([]string{"copy"}, to...)
	within := append(append([]string{"copy"}, from...), to...)

	skopeo(t, append(push, "oci:"+in+":v1", at+"app:v1")...)
	skopeo(t, append(within, at+"app:v1", at+"copy:v2")...)
	skopeo(t, append(within, "--format=v2s2", at+"app:v1", at+"docker:v2")...)
	skopeo(t, append(append([]string{"copy"}, from...), at+"copy:v2", "oci:"+out+":v2")...)
	skopeo(t, append(append([]string{"copy"}, from...), at+"docker:v2", "dir:"+filepath.Join(dir, "plain"))...)
	skopeo(t, append(push, "dir:"+filepath.Join(dir, "plain"), at+"again:v1")...)

	for _, name := range []string{"team/app:v1", "team/copy:v2", "team/docker:v2", "team/again:v1"} {
		got, err := remote.Image(s.ref(name), as("ann"))
		if err != nil {
			t.Fatal(err)
		}
		if err := validate.Image(got); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	back, err := layout.ImageIndexFromPath(out)
	if err != nil {
		t.Fatal(err)
	}
	index, err := back.IndexManifest()
	if err != nil {
		t.Fatal(err)
	}
	want, err := img.Digest()
	if err != nil {
		t.Fatal(err)
	}
	if len(index.Manifests) != 1 || index.Manifests[0].Digest != want {
		t.Errorf("what came out is %v, what went in %s", index.Manifests, want)
	}
	skopeo(t, "delete", "--tls-verify=false", "--creds=ann:secret", at+"copy:v2")
	if _, err := remote.Head(s.ref("team/copy:v2"), as("ann")); err == nil {
		t.Error("the deleted image is still there")
	}
	s.nothingUnfinished()
}
