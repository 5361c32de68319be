package store_test

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/weft-dev/weft"
	"github.com/weft-dev/weft/internal/store/storetest"
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
		got, err := l.Referrers(ctx, p, "tool", blob("manifest").Digest, weft.Digest512{})
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

// now collects what nothing uses, whatever its age.
func (l ledger) collectImages() string {
	l.Helper()
	manifests, blobs, err := l.CollectImages(l.Context(), time.Nanosecond, time.Nanosecond)
	l.must(err)
	return fmt.Sprint(manifests, blobs)
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
		if got := l.collectImages(); got != "0 1" {
			l.Errorf("collected %s, want the blob of the first image only", got)
		}
		l.wantDoomed([]string{"first", "only first"}, nil)
		l.must(l.DeleteManifest(ctx, p, "tool", "v1"))
		if _, err := l.Manifest(ctx, p, "tool", second.Digest.String()); err != nil {
			l.Errorf("without its tag the image is gone: %v", err)
		}
		if got := l.collectImages(); got != "1 2" {
			l.Errorf("collected %s, want the image that lost its tag, with its blobs", got)
		}
		l.wantDoomed([]string{"second", "shared", "only second"}, nil)
	})
}

// What a push that was given up leaves in a repository goes, too, but not while it may go on.
func TestAbandonedPushesAreCollected(t *testing.T) {
	eachLedger(t, func(l ledger) {
		ctx, p := l.Context(), weft.NewID[weft.Project]()
		l.put("push", "layer")
		l.must(l.LinkBlob(ctx, p, "tool", blob("layer").Digest, "push"))
		l.must(l.Release(ctx, "push"))
		if manifests, blobs, err := l.CollectImages(ctx, time.Hour, time.Hour); err != nil || manifests+blobs != 0 {
			l.Errorf("collected %d manifests and %d blobs of a push that goes on: %v", manifests, blobs, err)
		}
		if manifests, blobs, err := l.CollectImages(ctx, 0, 0); err != nil || manifests+blobs != 0 {
			l.Errorf("collected %d manifests and %d blobs that are to be kept for ever: %v", manifests, blobs, err)
		}
		l.wantDoomed(nil, nil)
		if got := l.collectImages(); got != "0 1" {
			l.Errorf("collected %s, want the blob", got)
		}
		if _, ok, err := l.UseBlob(ctx, p, "tool", blob("layer").Digest); ok || err != nil {
			l.Errorf("the blob is still there: %v", err)
		}
		l.wantDoomed([]string{"layer"}, nil)
	})
}

// Not collected is what something else needs: a tag, an index, a subject, a Run.
func TestNeededImagesAreKept(t *testing.T) {
	eachWorld(t, func(w *world) {
		l := ledger{w.T, w.s}
		ctx, p := w.Context(), w.project
		for _, name := range []string{"child", "running", "subject"} {
			_, err := l.image(p, "tool", name, map[string]string{"subject": "v1"}[name], "layer")
			l.must(err)
		}
		l.put("p", "index", "about", "about more")
		put := func(m weft.ImageManifest, tag string) {
			m.MediaType, m.Size = "x", 1
			l.must(l.PutManifest(ctx, p, "tool", m, tag))
		}
		put(weft.ImageManifest{Digest: blob("index").Digest, Manifests: digestsOf("child")}, "all")
		put(weft.ImageManifest{Digest: blob("about").Digest, Subject: blob("subject").Digest}, "")
		long := weft.Digest512{1}
		l.must(l.SetAlias(ctx, long, blob("subject").Digest, "p"))
		put(weft.ImageManifest{Digest: blob("about more").Digest, Subject512: long}, "")
		plan := w.plan("type:csv -> type:model")
		w.push("type:csv")
		w.projection()
		id := w.runs(plan.ID)[0].ID
		w.start(id, blob("running").Digest)
		if got := l.collectImages(); got != "0 0" {
			l.Errorf("collected %s of what is needed", got)
		}
		w.become(id, weft.Completing)
		l.must(l.DeleteManifest(ctx, p, "tool", "all"))
		l.must(l.DeleteManifest(ctx, p, "tool", "v1"))
		for _, want := range []string{"3 0", "3 1"} { // the index and the subject; then what needed those
			got := l.collectImages()
			if want == "3 0" && got != "3 0" || want == "3 1" && got != "3 1" {
				l.Errorf("collected %s, want %s", got, want)
			}
		}
	})
}

// start has a Run running, made of an image.
func (w *world) start(id weft.RunID, image weft.Digest) {
	w.Helper()
	r := w.become(id, weft.Ready)
	r.Image = image
	w.save(r, weft.Starting)
	w.become(id, weft.Running)
}

func TestImagesInUseAreProtected(t *testing.T) {
	eachWorld(t, func(w *world) {
		l := ledger{w.T, w.s}
		ctx, p := w.Context(), w.project
		named := must(weft.ParseImage("localhost:30503/team/tool:v_1"))(w)
		plan := w.define("type:csv -> type:model")
		plan.Image = named
		must(w.s.CreatePlan(ctx, plan, w.by))(w)
		m, err := l.image(p, "team/tool", "manifest", "v_1", "layer")
		l.must(err)
		l.put("p", "index")
		l.must(l.PutManifest(ctx, p, "team/tool", weft.ImageManifest{Digest: blob("index").Digest, MediaType: "x", Size: 1, Manifests: []weft.Digest{m.Digest}}, "v_1"))
		for what, err := range map[string]error{
			"the tag":            l.DeleteManifest(ctx, p, "team/tool", "v_1"),
			"the index":          l.DeleteManifest(ctx, p, "team/tool", blob("index").Digest.String()),
			"what the index has": l.DeleteManifest(ctx, p, "team/tool", m.Digest.String()),
			"a layer":            l.UnlinkBlob(ctx, p, "team/tool", blob("layer").Digest),
		} {
			if weft.KindOf(err) != weft.Conflict || !strings.Contains(err.Error(), plan.ID.String()) {
				l.Errorf("%s: %v; want a Conflict that says which plan", what, err)
			}
		}
		for _, other := range []struct{ repo, tag string }{{"team/tool", "vx1"}, {"tool", "v_1"}} {
			_, err := l.image(p, other.repo, "other "+other.repo, other.tag, "layer")
			l.must(err)
			l.must(l.DeleteManifest(ctx, p, other.repo, other.tag))
		}
		_, err = l.image(p, "team/tool", "newer", "v_1", "layer") // a tag may be pushed again
		l.must(err)
		l.must(l.DeleteManifest(ctx, p, "team/tool", blob("index").Digest.String()))
	})
}

func TestImagesOfRunsAreProtected(t *testing.T) {
	eachWorld(t, func(w *world) {
		l := ledger{w.T, w.s}
		m, err := l.image(w.project, "tool", "manifest", "", "layer")
		l.must(err)
		plan := w.plan("type:csv -> type:model")
		w.push("type:csv")
		w.projection()
		id := w.runs(plan.ID)[0].ID
		w.start(id, m.Digest)
		err = l.DeleteManifest(w.Context(), w.project, "tool", m.Digest.String())
		if weft.KindOf(err) != weft.Conflict || !strings.Contains(err.Error(), id.String()) {
			l.Errorf("got %v; want a Conflict that says which run", err)
		}
		w.become(id, weft.Completing)
		l.must(l.DeleteManifest(w.Context(), w.project, "tool", m.Digest.String()))
	})
}

func TestAliases(t *testing.T) {
	eachLedger(t, func(l ledger) {
		ctx, long := l.Context(), weft.Digest512{1, 2}
		l.put("p", "blob")
		if _, found, err := l.Alias(ctx, long); found || err != nil {
			l.Errorf("an alias nobody set is found: %v", err)
		}
		if err := l.SetAlias(ctx, long, blob("absent").Digest, "p"); weft.KindOf(err) != weft.Conflict {
			l.Errorf("an alias of what is not there: %v", err)
		}
		l.must(l.SetAlias(ctx, long, blob("blob").Digest, "p"))
		if d, found, err := l.Alias(ctx, long); d != blob("blob").Digest || !found || err != nil {
			l.Errorf("the alias means %s, %v, %v", d, found, err)
		}
		l.must(l.Release(ctx, "p"))
		blobs, trees := l.doom()
		l.must(l.Forget(ctx, blobs, trees))
		if _, found, err := l.Alias(ctx, long); found || err != nil {
			l.Errorf("the alias outlives the blob: %v", err)
		}
	})
}

// Whoever asks for a blob or a manifest, so as to rely on it, gets the time to.
func TestUseKeepsImages(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := ledger{t, storetest.SQLite(t)}
		ctx, p := l.Context(), weft.NewID[weft.Project]()
		m, err := l.image(p, "tool", "manifest", "", "in it")
		l.must(err)
		l.put("p", "loose")
		l.must(l.LinkBlob(ctx, p, "tool", blob("loose").Digest, "p"))
		l.must(l.Release(ctx, "p"))
		collect := func() string {
			manifests, blobs, err := l.CollectImages(ctx, 24*time.Hour, 24*time.Hour)
			l.must(err)
			return fmt.Sprint(manifests, blobs)
		}
		collect()
		for range 3 {
			time.Sleep(20 * time.Hour)
			if _, ok, err := l.UseBlob(ctx, p, "tool", blob("loose").Digest); !ok || err != nil {
				l.Fatalf("the blob is gone: %v", err)
			}
			if _, err := l.UseManifest(ctx, p, "tool", m.Digest.String()); err != nil {
				l.Fatal(err)
			}
			if got := collect(); got != "0 0" {
				l.Fatalf("collected %s of what is used", got)
			}
		}
		time.Sleep(25 * time.Hour)
		if got := collect(); got != "1 2" {
			l.Errorf("collected %s, want all", got)
		}
	})
}
