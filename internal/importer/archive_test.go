package importer_test

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"testing"

	"github.com/klauspost/compress/zstd"
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// pack makes a tar of names and texts.
func pack(t testing.TB, files ...[2]string) string {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, f := range files {
		must(t, w.WriteHeader(&tar.Header{Name: f[0], Mode: 0o644, Size: int64(len(f[1]))}))
		_, err := w.Write([]byte(f[1]))
		must(t, err)
	}
	must(t, w.Close())
	return b.String()
}

func zipped(t testing.TB, files ...[2]string) string {
	t.Helper()
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	for _, f := range files {
		e, err := w.Create(f[0])
		must(t, err)
		_, err = e.Write([]byte(f[1]))
		must(t, err)
	}
	must(t, w.Close())
	return b.String()
}

func gzipped(t testing.TB, text string) string {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, err := w.Write([]byte(text))
	must(t, err)
	must(t, w.Close())
	return b.String()
}

// archives are of every kind, by name, with the same files.
func archives(t testing.TB) map[string]string {
	t.Helper()
	files := [][2]string{{"a", "one"}, {"d/b", "two"}}
	plain := pack(t, files...)
	z, err := zstd.NewWriter(nil)
	must(t, err)
	return map[string]string{
		"x.tar": plain, "x.tar.gz": gzipped(t, plain), "x.TGZ": gzipped(t, plain), "x.tar.zst": string(z.EncodeAll([]byte(plain), nil)),
		"x.zip": zipped(t, append(files, [2]string{"empty/", ""})...),
	}
}

// tricks are archives that would write elsewhere.
func tricks(t testing.TB) map[string]string {
	t.Helper()
	return map[string]string{
		"up.tar": pack(t, [2]string{"../x", "x"}), "root.tar": pack(t, [2]string{"/etc/x", "x"}), "deep.tar.gz": gzipped(t, pack(t, [2]string{"a/../../x", "x"})),
		"up.zip": zipped(t, [2]string{"../x", "x"}), "root.zip": zipped(t, [2]string{"/x", "x"}), "over.tar": pack(t, [2]string{"a", "x"}, [2]string{"a/b", "x"}),
	}
}
