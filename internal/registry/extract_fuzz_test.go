package registry

import (
	"archive/tar"
	"bytes"
	"os"
	"path/filepath"
	"testing"
)

// Whatever a layer's tar says, nothing is written outside of its directory.
func FuzzExtract(f *testing.F) {
	for _, entries := range [][]tar.Header{
		{{Typeflag: tar.TypeReg, Name: "../../x"}, {Typeflag: tar.TypeDir, Name: "/a/../../b", Mode: 0o755}},
		{{Typeflag: tar.TypeSymlink, Name: "up", Linkname: ".."}, {Typeflag: tar.TypeReg, Name: "up/x"}},
		{{Typeflag: tar.TypeSymlink, Name: "a", Linkname: "b"}, {Typeflag: tar.TypeLink, Name: "b", Linkname: "../a"}},
		{{Typeflag: tar.TypeReg, Name: ".wh..."}, {Typeflag: tar.TypeReg, Name: "a/.wh..wh..opq"}, {Typeflag: tar.TypeReg, Name: ".wh.a"}},
		{{Typeflag: tar.TypeDir, Name: "d"}, {Typeflag: tar.TypeSymlink, Name: "d", Linkname: "/.."}, {Typeflag: tar.TypeReg, Name: "d/x"}},
	} {
		var b bytes.Buffer
		w := tar.NewWriter(&b)
		for _, h := range entries {
			h.Uid, h.Gid = os.Getuid(), os.Getgid()
			if err := w.WriteHeader(&h); err != nil {
				f.Fatal(err)
			}
		}
		if err := w.Close(); err != nil {
			f.Fatal(err)
		}
		f.Add(b.Bytes())
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		base := t.TempDir()
		root := filepath.Join(base, "deep", "root")
		if err := os.MkdirAll(root, 0o755); err != nil {
			t.Fatal(err)
		}
		x := &extractor{root: root, room: func(int64) error { return nil }}
		if err := x.extract(bytes.NewReader(data)); err != nil {
			t.Log(err) // most are no archives
		}
		for dir, want := range map[string]string{base: "deep", filepath.Join(base, "deep"): "root"} {
			entries, err := os.ReadDir(dir)
			if err != nil || len(entries) != 1 || entries[0].Name() != want {
				t.Fatalf("%s has %v, %v", dir, entries, err)
			}
		}
	})
}
