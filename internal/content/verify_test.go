package content

import (
	"bytes"
	"context"
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/weft-dev/weft"
)

func TestVerifyFindsDamage(t *testing.T) {
	t.Parallel()
	damage := func(name string) error { // as a bad disk would: the file keeps its size
		f, err := os.OpenFile(name, os.O_WRONLY, 0)
		if err != nil {
			return err
		}
		defer f.Close()
		_, err = f.WriteAt([]byte("X"), 0)
		return err
	}
	for name, c := range map[string]struct {
		do    func(d *Dir, file weft.Digest, at string) error
		says  string
		files int
	}{
		"nothing":          {func(*Dir, weft.Digest, string) error { return nil }, "", 0},
		"object damaged":   {func(d *Dir, g weft.Digest, _ string) error { return damage(d.object(g, false)) }, "damaged", 2},
		"object truncated": {func(d *Dir, g weft.Digest, _ string) error { return os.Truncate(d.object(g, false), 1) }, "damaged", 2},
		"object missing":   {func(d *Dir, g weft.Digest, _ string) error { return d.unlink(g) }, "missing", 2},
		"mount incomplete": {func(_ *Dir, _ weft.Digest, at string) error { return os.Remove(at + "/d/b") }, "missing in the tree", 1},
		"mount damaged": {func(_ *Dir, _ weft.Digest, at string) error {
			return errors.Join(os.Remove(at+"/a"), os.WriteFile(at+"/a", []byte("same!"), 0o444))
		}, "damaged", 1},
		"mount a link": {func(_ *Dir, _ weft.Digest, at string) error {
			return errors.Join(os.Remove(at+"/a"), os.Symlink("/etc/passwd", at+"/a"))
		}, "not a file", 1},
	} {
		d, _ := setup(t)
		tree, err := PutTarGz(t.Context(), d, "p", later(), bytes.NewReader(archive(t, "f a=same", "f d/b=same", "f c=other", "l l=a")))
		if err != nil {
			t.Fatal(err)
		}
		at := mount(t, d, tree.Digest)
		if err := c.do(d, put(t, d, "p", "same"), at); err != nil {
			t.Fatal(err)
		}
		var last int64
		problems, err := d.Verify(t.Context(), tree.Digest, func(done, total int64) {
			if done < last || total != tree.Bytes {
				t.Errorf("%s: progress %d of %d", name, done, total)
			}
			last = done
		})
		if err != nil || len(problems) != c.files || last != tree.Bytes {
			t.Errorf("%s: %v %v, %d bytes", name, problems, err, last)
		}
		for _, p := range problems {
			if !strings.Contains(p.Reason, c.says) {
				t.Errorf("%s: %v", name, p)
			}
		}
	}
}

func TestVerifyOfAManifest(t *testing.T) {
	t.Parallel()
	d, _ := setup(t)
	if p, err := d.Verify(t.Context(), weft.Digest{1}, nil); err != nil || len(p) != 1 || !strings.Contains(p[0].Reason, "not stored") {
		t.Error(p, err)
	}
	tree, err := d.PutManifest(t.Context(), "p", later(), weft.Manifest{})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(d.object(tree.Digest, false), 3); err != nil {
		t.Fatal(err)
	}
	if p, err := d.Verify(t.Context(), tree.Digest, nil); err != nil || len(p) != 1 || !strings.Contains(p[0].Reason, "damaged") {
		t.Error(p, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := d.Verify(ctx, tree.Digest, nil); weft.KindOf(err) != weft.Canceled {
		t.Error(err)
	}
}
