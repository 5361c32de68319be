package importer_test

import (
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"testing"

	"github.com/weft-dev/weft"
)

func TestDirectory(t *testing.T) {
	each(t, func(h *harbour) {
		name := h.file("set/a", "one")
		h.file("set/sub/b", "two")
		if err := os.Symlink("a", filepath.Join(h.root, "set/link")); err != nil {
			h.t.Fatal(err)
		}
		before, err := os.Stat(name)
		if err != nil {
			h.t.Fatal(err)
		}
		i := h.ask(filepath.Join(h.root, "set"), func(i *weft.Import) { i.Tags = h.tags("type:x", "lang:en") })
		v := h.holds(i, "a=one link->a sub/b=two")
		if !slices.Equal(v.Data.Tags, h.tags("type:x", "lang:en")) {
			h.t.Errorf("its tags are %v", v.Data.Tags)
		}
		if v.Upstream.Plan.Name != weft.PlanImported || v.Upstream.Run.ID != i.ID || v.Upstream.Run.Cause.Kind != weft.CauseImport {
			h.t.Errorf("it was made by %+v", v.Upstream.Run)
		}
		if o := v.Origin; o == nil || o.URL != "file://"+filepath.Join(h.root, "set") || o.By != h.by || o.Who != "admin" || o.At.IsZero() {
			h.t.Errorf("its origin is %+v", v.Origin)
		}
		l, err := h.store.Lineage(h.t.Context(), weft.LineageQuery{Project: h.project, Start: i.Data, Upstream: true})
		if err != nil || l.Origins[i.Data].URL != v.Origin.URL {
			h.t.Errorf("the lineage says %+v, %v", l.Origins, err)
		}
		after, err := os.Stat(name)
		if err != nil || after.Mode() != before.Mode() || after.Sys().(*syscall.Stat_t).Nlink != 1 {
			h.t.Errorf("the source was changed: %v, %v", after, err)
		}
		if err := os.WriteFile(name, []byte("changed"), 0o640); err != nil {
			h.t.Fatal(err)
		}
		h.holds(i, "a=one link->a sub/b=two")
	})
}

func TestArchivesOnTheServer(t *testing.T) {
	each(t, func(h *harbour) {
		for name, text := range archives(h.t) {
			h.holds(h.ask(h.file(name, text)), "a=one d/b=two")
		}
		h.holds(h.ask(h.file("plain.csv", "a,b")), "plain.csv=a,b")
		for name, text := range map[string]string{"cut.tar.gz": archives(h.t)["x.tar.gz"][:40], "none.tar.gz": "nothing", "none.zip": "nothing", "none.tar.zst": "nothing"} {
			h.fails(h.ask(h.file(name, text)), "archive")
		}
		for name, text := range tricks(h.t) {
			h.fails(h.ask(h.file(name, text)), "archive")
		}
	})
}

// Nothing is imported but what is below an allowed directory, whatever links there are.
func TestNoWayOutOfTheRoot(t *testing.T) {
	each(t, func(h *harbour) {
		outside := t.TempDir()
		secret := filepath.Join(outside, "secret")
		if err := os.WriteFile(secret, []byte("secret"), 0o600); err != nil {
			h.t.Fatal(err)
		}
		for name, to := range map[string]string{"dir": outside, "file": secret, "up": "../" + filepath.Base(outside)} {
			if err := os.Symlink(to, filepath.Join(h.root, name)); err != nil {
				h.t.Fatal(err)
			}
		}
		if err := syscall.Mkfifo(filepath.Join(h.root, "pipe"), 0o600); err != nil {
			h.t.Fatal(err)
		}
		for _, source := range []string{
			secret, outside, "/", "/etc/passwd", h.root + "/../" + filepath.Base(outside), h.root + "x", "file://" + h.root + "/../x", "file://host" + h.root,
			"relative", "", h.root + "/a\x00b", "ftp://host/x", "http://", "https://user:password@host/x", "s3://", "data:text/plain,x", "http://host/x#y",
		} {
			if _, err := h.Ask(h.t.Context(), weft.Import{Project: h.project, By: h.by, From: source}); weft.KindOf(err) != weft.Invalid && weft.KindOf(err) != weft.Forbidden {
				h.t.Errorf("%q: %v", source, err)
			}
		}
		for _, name := range []string{"dir", "file", "up", "dir/secret", "up/secret"} {
			h.fails(h.ask(filepath.Join(h.root, name)), "link")
		}
		h.fails(h.ask(filepath.Join(h.root, "none")), "not there")
		h.fails(h.ask(filepath.Join(h.root, "pipe")), "neither a directory nor a file")
		h.fails(h.ask(h.root), "named pipe") // not kept silently
		if err := os.Remove(filepath.Join(h.root, "pipe")); err != nil {
			h.t.Fatal(err)
		}
		h.holds(h.ask(h.root), "dir->"+outside+" file->"+secret+" up->../"+filepath.Base(outside)) // links stay links
	})
}
