package store_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/weft-dev/weft"
)

// image pushes an image of some blobs and returns its manifest.
func (l ledger) image(project weft.ProjectID, repo, name, tag string, blobs ...string) (weft.ImageManifest, error) {
	l.Helper()
	pin := "push " + repo + name
	l.put(pin, append(blobs, name)...)
	for _, b := range blobs {
		l.must(l.LinkBlob(l.Context(), project, repo, blob(b).Digest, pin))
	}
	m := weft.ImageManifest{Digest: blob(name).Digest, MediaType: "application/vnd.oci.image.manifest.v1+json", Size: blob(name).Size, Blobs: digestsOf(blobs...)}
	err := l.PutManifest(l.Context(), project, repo, m, tag)
	l.must(l.Release(l.Context(), pin))
	return m, err
}

func TestImages(t *testing.T) {
	eachLedger(t, func(l ledger) {
		ctx, p := l.Context(), weft.NewID[weft.Project]()
		m, err := l.image(p, "team/tool", "manifest", "v1", "config", "layer 2", "layer 1")
		l.must(err)
		for _, ref := range []string{"v1", m.Digest.String()} {
			got, err := l.Manifest(ctx, p, "team/tool", ref)
			if err != nil || fmt.Sprint(got) != fmt.Sprint(m) {
				l.Errorf("%s is %+v, %v; want %+v", ref, got, err, m)
			}
		}
		b, ok, err := l.HasBlob(ctx, p, "team/tool", blob("config").Digest)
		if err != nil || !ok || b.Size != 6 {
			l.Errorf("the config is %+v, %v, %v", b, ok, err)
		}
		for what, absent := range map[string]struct {
			project weft.ProjectID
			repo    string
		}{"another repository": {p, "team/other"}, "another project": {weft.NewID[weft.Project](), "team/tool"}} {
			if _, ok, err := l.HasBlob(ctx, absent.project, absent.repo, blob("config").Digest); err != nil || ok {
				l.Errorf("%s has the blob: %v, %v", what, ok, err)
			}
			if _, err := l.Manifest(ctx, absent.project, absent.repo, m.Digest.String()); weft.KindOf(err) != weft.NotFound {
				l.Errorf("%s has the manifest: %v", what, err)
			}
		}
		if err := l.LinkBlob(ctx, p, "team/other", blob("config").Digest, "no pin"); weft.KindOf(err) != weft.Conflict {
			l.Errorf("linked by its digest alone: %v", err)
		}
		l.wantDoomed(nil, nil)
	})
}

func TestImageParts(t *testing.T) {
	eachLedger(t, func(l ledger) {
		ctx, p := l.Context(), weft.NewID[weft.Project]()
		l.put("p", "index", "manifest", "elsewhere")
		index := weft.ImageManifest{Digest: blob("index").Digest, MediaType: "index", Size: 5, Subject: blob("manifest").Digest, ArtifactType: "signature"}
		for what, broken := range map[string]weft.ImageManifest{
			"a blob of no repository": {Digest: index.Digest, Blobs: digestsOf("elsewhere")},
			"a manifest that is not":  {Digest: index.Digest, Manifests: digestsOf("manifest")},
		} {
			if err := l.PutManifest(ctx, p, "tool", broken, "v1"); weft.KindOf(err) != weft.NotFound {
				l.Errorf("%s: %v; want NotFound", what, err)
			}
		}
		if err := l.PutManifest(ctx, p, "tool", weft.ImageManifest{Digest: blob("not sent").Digest}, ""); weft.KindOf(err) != weft.Conflict {
			l.Errorf("a manifest without text: %v; want Conflict", err)
		}
		_, err := l.image(p, "tool", "manifest", "", "layer")
		l.must(err)
		index.Manifests = digestsOf("manifest")
		l.must(l.PutManifest(ctx, p, "tool", index, "all"))
		l.must(l.PutManifest(ctx, p, "tool", index, "all")) // again
		got, err := l.Referrers(ctx, p, "tool", blob("manifest").Digest)
		if err != nil || len(got) != 1 || fmt.Sprint(got[0]) != fmt.Sprint(index) {
			l.Errorf("referrers are %+v, %v; want %+v", got, err, index)
		}
	})
}

func TestImageNames(t *testing.T) {
	eachLedger(t, func(l ledger) {
		ctx, p := l.Context(), weft.NewID[weft.Project]()
		for _, name := range []string{"b:2", "b:10", "b:1", "a:x", "B:y"} {
			repo, tag, _ := strings.Cut(name, ":")
			_, err := l.image(p, repo, "image "+tag, tag, "layer")
			l.must(err)
		}
		for _, c := range []struct {
			repo, after, want string
			n                 int
		}{
			{"b", "", "1 10 2", 9}, {"b", "", "1 10", 2}, {"b", "10", "2", 2}, {"b", "2", "", 2}, {"a", "", "x", 1},
		} {
			if got, err := l.Tags(ctx, p, c.repo, c.after, c.n); err != nil || strings.Join(got, " ") != c.want {
				l.Errorf("%d tags of %s after %q: %v, %v; want %s", c.n, c.repo, c.after, got, err, c.want)
			}
		}
		if _, err := l.Tags(ctx, p, "c", "", 9); weft.KindOf(err) != weft.NotFound {
			l.Errorf("tags of an unknown repository: %v", err)
		}
		if got, err := l.Repositories(ctx, p, "B", 9); err != nil || strings.Join(got, " ") != "a b" {
			l.Errorf("repositories are %v, %v", got, err)
		}
	})
}

func TestDeletedImagesAreCollected(t *testing.T) {
	eachLedger(t, func(l ledger) {
		ctx, p := l.Context(), weft.NewID[weft.Project]()
		_, err := l.image(p, "tool", "first", "v1", "shared", "only first")
		l.must(err)
		second, err := l.image(p, "tool", "second", "v1", "shared", "only second") // takes the tag
		l.must(err)
		first := blob("first").Digest.String()
		l.must(l.DeleteManifest(ctx, p, "tool", first))
		if err := l.DeleteManifest(ctx, p, "tool", first); weft.KindOf(err) != weft.NotFound {
			l.Errorf("deleted twice: %v", err)
		}
		l.wantDoomed([]string{"first", "only first"}, nil)
		l.must(l.DeleteManifest(ctx, p, "tool", "v1"))
		if _, err := l.Manifest(ctx, p, "tool", second.Digest.String()); err != nil {
			l.Errorf("without its tag the image is gone: %v", err)
		}
		l.must(l.DeleteManifest(ctx, p, "tool", second.Digest.String()))
		l.wantDoomed([]string{"second", "shared", "only second"}, nil)
	})
}
