package registry_test

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/compression"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"golang.org/x/sys/unix"

	"github.com/weft-dev/weft"
	"github.com/weft-dev/weft/internal/registry"
)

// layerTar writes a layer in a small language, an entry a line:
//
//	d 0755 path        directory
//	f 0644 path text   file
//	l - path target    symbolic link
//	h - path target    hard link
//	p 0600 path        fifo
//
// A mode may be followed by owner and group, as in 0644:7:8.
func layerTar(t testing.TB, text string) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	kinds := map[string]byte{"d": tar.TypeDir, "f": tar.TypeReg, "l": tar.TypeSymlink, "h": tar.TypeLink, "p": tar.TypeFifo}
	for _, line := range strings.Split(strings.TrimSpace(text), "\n") {
		f := append(strings.SplitN(strings.TrimSpace(line), " ", 4), "")
		h := &tar.Header{Typeflag: kinds[f[0]], Name: f[2], Uid: os.Getuid(), Gid: os.Getgid(), ModTime: time.Unix(1e9, 0), Format: tar.FormatPAX}
		mode, owner, owned := strings.Cut(f[1], ":")
		if _, err := fmt.Sscanf(mode, "%o", &h.Mode); err != nil && mode != "-" {
			t.Fatal(err)
		}
		if owned {
			if _, err := fmt.Sscanf(owner, "%d:%d", &h.Uid, &h.Gid); err != nil {
				t.Fatal(err)
			}
		}
		switch f[0] {
		case "f":
			h.Size = int64(len(f[3]))
		case "l", "h":
			h.Linkname = f[3]
		}
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		if f[0] == "f" {
			if _, err := io.WriteString(w, f[3]); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func imageOf(t testing.TB, layers ...string) v1.Image {
	t.Helper()
	img, err := mutate.Config(empty.Image, v1.Config{User: "1000", Env: []string{"A=b"}, WorkingDir: "/w", Entrypoint: []string{"/e"}, Cmd: []string{"c"}, Labels: map[string]string{"l": "v"}})
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range layers {
		data := layerTar(t, text)
		layer, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(data)), nil })
		if err != nil {
			t.Fatal(err)
		}
		if img, err = mutate.AppendLayers(img, layer); err != nil {
			t.Fatal(err)
		}
	}
	return img
}

// unpacker is a system with unpacked layers.
type unpacker struct {
	*system
	*registry.Layers
	dir string
}

func setupLayers(t testing.TB) *unpacker {
	t.Helper()
	s := setup(t)
	u := &unpacker{system: s, dir: filepath.Join(t.TempDir(), "layers")}
	var err error
	u.Layers, err = registry.OpenLayers(u.dir, s.content, s.catalog, s.content.Room, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	return u
}

// push pushes an image, and returns its digest.
func (u *unpacker) push(img v1.Image) weft.Digest {
	u.t.Helper()
	if err := remote.Write(u.ref("app:v1"), img, as("ann")); err != nil {
		u.t.Fatal(err)
	}
	return digestOfImage(u.t, img)
}

// unpackLayers pushes and unpacks an image of such layers.
func (u *unpacker) unpackLayers(layers ...string) registry.Image {
	u.t.Helper()
	img, err := u.Unpack(u.t.Context(), u.push(imageOf(u.t, layers...)))
	if err != nil {
		u.t.Fatal(err)
	}
	return img
}

// list describes a directory: path, mode, and text of a file or target of a link.
func list(t testing.TB, dir string) string {
	t.Helper()
	var lines []string
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || path == dir {
			return err
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		line := fmt.Sprintf("%s %s", strings.TrimPrefix(path, dir+"/"), info.Mode())
		switch {
		case info.Mode().IsRegular():
			text, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			line += " " + string(text)
		case info.Mode()&fs.ModeSymlink != 0:
			target, err := os.Readlink(path)
			if err != nil {
				return err
			}
			line += " " + target
		}
		lines = append(lines, line)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return strings.Join(lines, "\n")
}

func wantList(t testing.TB, dir, want string) {
	t.Helper()
	var lines []string
	for _, l := range strings.Split(strings.TrimSpace(want), "\n") {
		lines = append(lines, strings.TrimSpace(l))
	}
	if got, want := list(t, dir), strings.Join(lines, "\n"); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestUnpack(t *testing.T) {
	t.Parallel()
	u := setupLayers(t)
	img := u.unpackLayers("d 0755 bin\nf 0755 bin/sh shell\nl - sh /bin/sh", `
		d 0555 ro
		f 0444 ro/file text
		h - ro/same ro/file
		f 4755 su root
		p 0600 pipe
		f 0600 deep/er/file x`)
	if len(img.Layers) != 2 {
		t.Fatalf("%d layers", len(img.Layers))
	}
	wantList(t, img.Layers[1], "bin drwxr-xr-x\nbin/sh -rwxr-xr-x shell\nsh Lrwxrwxrwx /bin/sh")
	wantList(t, img.Layers[0], `
		deep drwxr-xr-x
		deep/er drwxr-xr-x
		deep/er/file -rw------- x
		pipe prw-------
		ro dr-xr-xr-x
		ro/file -r--r--r-- text
		ro/same -r--r--r-- text
		su urwxr-xr-x root`)
	c := img.Config
	if c.User != "1000" || c.WorkDir != "/w" || !slices.Equal(c.Env, []string{"A=b"}) || !slices.Equal(c.Entrypoint, []string{"/e"}) ||
		!slices.Equal(c.Cmd, []string{"c"}) || c.Labels["l"] != "v" {
		t.Errorf("config: %+v", c)
	}
	info, err := os.Stat(filepath.Join(img.Layers[0], "ro"))
	if err != nil || !info.ModTime().Equal(time.Unix(1e9, 0)) {
		t.Errorf("time of a folder: %v %v", info.ModTime(), err)
	}
}

// Links are followed as if the layer were the whole file system.
func TestUnpackStaysInside(t *testing.T) {
	t.Parallel()
	u := setupLayers(t)
	outside := filepath.Join(t.TempDir(), "outside")
	if err := os.Mkdir(outside, 0o755); err != nil {
		t.Fatal(err)
	}
	img := u.unpackLayers(`
		d 0755 usr/lib
		l - lib /usr/lib
		f 0644 lib/a 1
		l - up ../../../../../..
		f 0644 up/b 2
		l - out ` + outside + `
		f 0644 out/c 3
		f 0644 ../../../d 4
		f 0644 /e 5`)
	if left := list(t, outside); left != "" {
		t.Errorf("written outside: %s", left)
	}
	got := list(t, img.Layers[0])
	for _, want := range []string{"usr/lib/a -rw-r--r-- 1", "\nb -rw-r--r-- 2", outside[1:] + "/c -rw-r--r-- 3", "\nd -rw-r--r-- 4", "\ne -rw-r--r-- 5"} {
		if !strings.Contains("\n"+got, want) {
			t.Errorf("%q is missing in\n%s", want, got)
		}
	}
}

func TestUnpackRefuses(t *testing.T) {
	t.Parallel()
	u := setupLayers(t)
	for _, layer := range []string{
		"l - a b\nl - b a\nf 0644 a/x x", // links in a circle
		"f 0644 a x\nf 0644 a/b x",       // below a file
		"h - a ../../../etc/passwd",      // a hard link outside
		"l - . /",                        // another root
		"f 0644 .wh... x",                // removes ".."
	} {
		if _, err := u.Unpack(t.Context(), u.push(imageOf(t, layer))); weft.KindOf(err) != weft.Invalid {
			t.Errorf("%q: %v", layer, err)
		}
	}
	if left, err := filepath.Glob(u.dir + "/*"); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v %v", left, err)
	}
}

func TestUnpackWhiteouts(t *testing.T) {
	t.Parallel()
	needRoot(t)
	u := setupLayers(t)
	img := u.unpackLayers("d 0755 a\nf 0644 a/x x\nd 0755 b\nf 0644 b/y y\nd 0755 c\nf 0644 c/z z\nf 0644 gone/dir/z z", `
		d 0755 a
		f 0644 a/.wh.x
		d 0755 b
		f 0644 b/.wh..wh..opq
		f 0644 b/new new
		f 0644 .wh.c
		d 0755 c
		f 0644 c/other other
		f 0644 .wh..wh.plnk
		f 0644 gone/.wh.dir`)
	var s unix.Stat_t
	for _, path := range []string{"a/x", "gone/dir"} {
		if err := unix.Lstat(filepath.Join(img.Layers[0], path), &s); err != nil || s.Mode&unix.S_IFMT != unix.S_IFCHR || s.Rdev != 0 {
			t.Errorf("%s is not a whiteout: %v", path, err)
		}
	}
	for _, path := range []string{"b", "c"} {
		value := make([]byte, 8)
		n, err := unix.Lgetxattr(filepath.Join(img.Layers[0], path), "trusted.overlay.opaque", value)
		if err != nil || string(value[:n]) != "y" {
			t.Errorf("%s is not opaque: %v", path, err)
		}
	}
	merged := filepath.Join(t.TempDir(), "merged")
	if err := os.Mkdir(merged, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount("overlay", merged, "overlay", 0, "lowerdir="+strings.Join(img.Layers, ":")); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := unix.Unmount(merged, 0); err != nil {
			t.Error(err)
		}
	}()
	wantList(t, merged, "a drwxr-xr-x\nb drwxr-xr-x\nb/new -rw-r--r-- new\nc drwxr-xr-x\nc/other -rw-r--r-- other\ngone drwxr-xr-x")
}

// needRoot spares those who run `go test` as themselves; make test runs as root.
func needRoot(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("only root makes whiteouts and gives files away")
	}
}

func TestUnpackOwners(t *testing.T) {
	t.Parallel()
	needRoot(t)
	u := setupLayers(t)
	img := u.unpackLayers("d 0700:7:8 home\nf 6755:7:8 home/su x")
	info, err := os.Stat(filepath.Join(img.Layers[0], "home/su"))
	if err != nil {
		t.Fatal(err)
	}
	if s := info.Sys().(*syscall.Stat_t); s.Uid != 7 || s.Gid != 8 || info.Mode()&fs.ModeSetuid == 0 || info.Mode()&fs.ModeSetgid == 0 {
		t.Errorf("owner %d:%d, mode %s", s.Uid, s.Gid, info.Mode())
	}
}

// A layer without an entry for a directory must not change that of the layers below,
// and so the same layer differs by what it lies on.
func TestUnpackImpliedFolders(t *testing.T) {
	t.Parallel()
	needRoot(t)
	u := setupLayers(t)
	top := "f 0644 tmp/x x"
	open := u.unpackLayers("d 1777 tmp", top)
	closed := u.unpackLayers("d 0700:7:8 tmp", top)
	alone := u.unpackLayers(top)
	for _, tt := range []struct {
		img  registry.Image
		want string
	}{{open, "dtrwxrwxrwx"}, {closed, "drwx------"}, {alone, "drwxr-xr-x"}} {
		info, err := os.Stat(filepath.Join(tt.img.Layers[0], "tmp"))
		if err != nil || info.Mode().String() != tt.want {
			t.Errorf("got %s %v, want %s", info.Mode(), err, tt.want)
		}
	}
}

func TestUnpackOnce(t *testing.T) {
	t.Parallel()
	u := setupLayers(t)
	d := u.push(imageOf(t, "f 0644 a 1", "f 0644 b 2"))
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			if _, err := u.Unpack(t.Context(), d); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	first, err := u.Unpack(t.Context(), d)
	if err != nil {
		t.Fatal(err)
	}
	u.push(imageOf(t, "f 0644 a 1", "f 0644 c 3"))
	second := u.unpackLayers("f 0644 a 1", "f 0644 c 3")
	if first.Layers[1] != second.Layers[1] || first.Layers[0] == second.Layers[0] {
		t.Errorf("layers: %v, %v", first.Layers, second.Layers)
	}
}

func TestUnpackZstd(t *testing.T) {
	t.Parallel()
	u := setupLayers(t)
	plain := layerTar(t, "f 0644 a zstd")
	open := func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(plain)), nil }
	layer, err := tarball.LayerFromOpener(open, tarball.WithCompression(compression.ZStd), tarball.WithMediaType(types.OCILayerZStd))
	if err != nil {
		t.Fatal(err)
	}
	img, err := mutate.AppendLayers(empty.Image, layer)
	if err != nil {
		t.Fatal(err)
	}
	got, err := u.Unpack(t.Context(), u.push(img))
	if err != nil {
		t.Fatal(err)
	}
	wantList(t, got.Layers[0], "a -rw-r--r-- zstd")
}

func TestUnpackDamaged(t *testing.T) {
	t.Parallel()
	u := setupLayers(t)
	img := imageOf(t, "f 0644 a text")
	config, err := img.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	config = config.DeepCopy()
	config.RootFS.DiffIDs[0].Hex = strings.Repeat("ab", 32)
	lying, err := mutate.ConfigFile(img, config)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := u.Unpack(t.Context(), u.push(lying)); weft.KindOf(err) != weft.Invalid {
		t.Errorf("a wrong diff id: %v", err)
	}
	if _, err := u.Unpack(t.Context(), weft.Digest{1}); weft.KindOf(err) != weft.NotFound {
		t.Errorf("an image that is not there: %v", err)
	}
	full := weft.Errorf(weft.NoSpace, "full")
	layers, err := registry.OpenLayers(filepath.Join(t.TempDir(), "l"), u.content, u.catalog, func(int64) error { return full }, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	big := imageOf(t, "f 0644 big "+strings.Repeat("x", 65<<20))
	if _, err := layers.Unpack(t.Context(), u.push(big)); !errors.Is(err, full) {
		t.Errorf("no room: %v", err)
	}
}

func TestCollectLayers(t *testing.T) {
	t.Parallel()
	u := setupLayers(t)
	kept, gone := imageOf(t, "f 0644 a 1", "f 0644 b 2"), imageOf(t, "f 0644 a 1", "f 0644 c 3")
	keptDigest := u.push(kept)
	if _, err := u.Unpack(t.Context(), keptDigest); err != nil {
		t.Fatal(err)
	}
	goneDigest := u.push(gone)
	image, err := u.Unpack(t.Context(), goneDigest)
	if err != nil {
		t.Fatal(err)
	}
	inUse := []weft.Digest{keptDigest}
	if n, err := u.Collect(t.Context(), inUse, time.Hour); n != 0 || err != nil {
		t.Errorf("collected %d just used, %v", n, err)
	}
	if n, err := u.Collect(t.Context(), inUse, 0); n != 1 || err != nil {
		t.Errorf("collected %d, %v", n, err)
	}
	if _, err := os.Stat(image.Layers[0]); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the unused layer: %v", err)
	}
	if again, err := u.Unpack(t.Context(), goneDigest); err != nil || again.Layers[1] != image.Layers[1] {
		t.Errorf("unpacked again: %v %v", again, err)
	}
	for what, unused := range map[string]time.Duration{"just now": time.Hour, "long ago": 0} {
		if n, err := u.Collect(t.Context(), []weft.Digest{keptDigest, goneDigest}, unused); n != 0 || err != nil {
			t.Errorf("collected %d in use, used %s, %v", n, what, err)
		}
	}
	if n, err := u.Collect(t.Context(), nil, 0); n != 3 || err != nil {
		t.Errorf("collected %d, %v", n, err)
	}
	if left, err := os.ReadDir(u.dir); len(left) != 0 || err != nil {
		t.Errorf("left: %v %v", left, err)
	}
}

// What was unpacked stays usable when the image has left the registry.
func TestUnpackedOutlivesImage(t *testing.T) {
	t.Parallel()
	u := setupLayers(t)
	d := u.push(imageOf(t, "f 0644 a 1"))
	first, err := u.Unpack(t.Context(), d)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(filepath.Join(u.system.dir, "objects")); err != nil {
		t.Fatal(err)
	}
	second, err := u.Unpack(t.Context(), d)
	if err != nil || !reflect.DeepEqual(first, second) {
		t.Errorf("got %v %v, want %v", second, err, first)
	}
}
