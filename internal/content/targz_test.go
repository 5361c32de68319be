package content

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/weft-dev/weft"
)

// archive makes a gzipped tar of entries, whose contents are given after "=":
// "f name=text", "x name=text" (executable), "d name/", "l name=target", "h name=target",
// and "c", "b", "p" for devices and pipes.
func archive(t testing.TB, entries ...string) []byte {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	w := tar.NewWriter(z)
	types := map[byte]byte{'f': tar.TypeReg, 'x': tar.TypeReg, 'd': tar.TypeDir, 'l': tar.TypeSymlink, 'h': tar.TypeLink,
		'c': tar.TypeChar, 'b': tar.TypeBlock, 'p': tar.TypeFifo, '?': 'Q'}
	for _, e := range entries {
		name, text, _ := strings.Cut(e[2:], "=")
		h := &tar.Header{Name: name, Typeflag: types[e[0]], Mode: 0o644, Format: tar.FormatGNU}
		if e[0] == 'x' || e[0] == 'd' {
			h.Mode = 0o4750 // the set-id bit is to be dropped
		}
		if h.Typeflag == tar.TypeReg {
			h.Size = int64(len(text))
		} else {
			h.Linkname = text
		}
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		if h.Size > 0 {
			if _, err := io.WriteString(w, text); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := errors.Join(w.Close(), z.Close()); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// listed is a manifest in the form of archive's entries.
func listed(t testing.TB, d *Dir, m weft.Manifest) []string {
	t.Helper()
	var list []string
	for _, e := range m.Entries {
		switch {
		case e.Kind == weft.Folder:
			list = append(list, "d "+e.Path)
		case e.Kind == weft.Symlink:
			list = append(list, "l "+e.Path+"="+e.Target)
		case e.Executable():
			list = append(list, "x "+e.Path+"="+read(t, d, e.Digest))
		default:
			list = append(list, "f "+e.Path+"="+read(t, d, e.Digest))
		}
	}
	return list
}

func TestReadTarGz(t *testing.T) {
	t.Parallel()
	big := strings.Repeat("0123456789", smallFile/5)
	long := strings.Repeat("long/", 60) + "name"
	for name, c := range map[string]struct{ in, want []string }{
		"nothing":           {nil, nil},
		"as knit writes it": {[]string{"f a=1", "f b/c=2", "l b/l=../a"}, []string{"f a=1", "d b", "f b/c=2", "l b/l=../a"}},
		"as tar writes it":  {[]string{"d ./", "f ./a=1", "d ./e/", "x ./x=#!"}, []string{"f a=1", "d e", "x x=#!"}},
		"any link text":     {[]string{"l l=/etc/passwd", "l m=../../..", "l n=\xff\n"}, []string{"l l=/etc/passwd", "l m=../../..", "l n=\xff\n"}},
		"odd names":         {[]string{"f \xff=1", "f new\nline=2", "f  =3", "f ..a=4", "f a..=5"}, []string{"f  =3", "f ..a=4", "f a..=5", "f new\nline=2", "f \xff=1"}},
		"hard links":        {[]string{"x a=1", "h b=a", "l s=a", "h t=s"}, []string{"x a=1", "x b=1", "l s=a", "l t=a"}},
		"the later counts":  {[]string{"f a=1", "f a=2", "l b=x", "f b=3", "d c/", "d c/"}, []string{"f a=2", "f b=3", "d c"}},
		"large":             {[]string{"f big=" + big, "f small=1"}, []string{"f big=" + big, "f small=1"}},
		"directory later":   {[]string{"f a/b=1", "d a/"}, []string{"d a", "f a/b=1"}},
		"long name":         {[]string{"f " + long + "=1"}, nil},
		"empty file":        {[]string{"f a="}, []string{"f a="}},
	} {
		d, _ := setup(t)
		m, err := ReadTarGz(t.Context(), d, "p", later(), bytes.NewReader(archive(t, c.in...)))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if got := listed(t, d, m); name != "long name" && !slices.Equal(got, c.want) {
			t.Errorf("%s: got %.200q, want %.200q", name, got, c.want)
		}
		if _, ok := m.Find(long); name == "long name" && !ok {
			t.Errorf("%s: not found", name)
		}
		tree, err := d.PutManifest(t.Context(), "p", later(), m)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		mount(t, d, tree.Digest)
		same, err := PutTarGz(t.Context(), d, "q", later(), bytes.NewReader(archive(t, c.in...)))
		if err != nil || same != tree {
			t.Errorf("%s: put in one: %v %v, not %v", name, same, err, tree)
		}
		if left := leftovers(t, d); len(left) > 0 {
			t.Errorf("%s: left behind %v", name, left)
		}
	}
}

func TestReadTarGzRefuses(t *testing.T) {
	t.Parallel()
	whole := archive(t, "f a="+string(noise(1, 100_000)))
	flipped := slices.Clone(whole)
	flipped[len(flipped)/2] ^= 1
	checksum := slices.Clone(whole)
	checksum[len(checksum)-6] ^= 1
	var noTar bytes.Buffer
	z := gzip.NewWriter(&noTar)
	z.Write(bytes.Repeat([]byte("this is no tar. "), 100))
	z.Close()
	d, l := setup(t)
	for name, c := range map[string]struct {
		in   []byte
		says string
	}{
		"climbs out":             {archive(t, "f ../evil=1"), "../evil"},
		"climbs out in between":  {archive(t, "f a/../../evil=1"), "leads out"},
		"climbs, stays":          {archive(t, "f a/../b=1"), "leads out"},
		"absolute":               {archive(t, "f /etc/passwd=1"), "/etc/passwd"},
		"through a link":         {archive(t, "l a=/etc", "f a/passwd=1"), `"a/passwd"`},
		"through a deeper link":  {archive(t, "l a/b=/etc", "f a/b/c/passwd=1"), `"a/b"`},
		"link over a directory":  {archive(t, "f a/f=1", "l a=/etc"), `"a"`},
		"through a file":         {archive(t, "f a=1", "f a/b=1"), "is a file"},
		"directory at a file":    {archive(t, "f a=1", "d a/", "f a/b=1", "f a=2"), `"a"`},
		"character device":       {archive(t, "f ok=1", "c dev/null"), `"dev/null" is a device`},
		"block device":           {archive(t, "b sda"), `"sda" is a device`},
		"pipe":                   {archive(t, "p fifo"), `"fifo" is a named pipe`},
		"unknown type":           {archive(t, "? what"), "unknown type"},
		"hard link to nothing":   {archive(t, "h a=b"), "hard link"},
		"hard link to later":     {archive(t, "h a=b", "f b=1"), "hard link"},
		"hard link to directory": {archive(t, "d b/", "h a=b"), "hard link"},
		"hard link outside":      {archive(t, "h a=/etc/shadow"), "/etc/shadow"},
		"file with no name":      {archive(t, "f .=1"), "no name"},
		"link to nothing":        {archive(t, "l a="), "target"},
		"long name":              {archive(t, "f "+strings.Repeat("n", 256)+"=1"), "longer"},
		"not gzip":               {[]byte("hello, this is not gzip"), "gzip"},
		"nothing at all":         {nil, "cut off"},
		"not tar":                {noTar.Bytes(), "damaged"},
		"cut in the middle":      {whole[:len(whole)/2], "cut off"},
		"cut at the checksum":    {whole[:len(whole)-4], "cut off"},
		"a bit flipped":          {flipped, "damaged"},
		"wrong checksum":         {checksum, "damaged"},
	} {
		_, err := PutTarGz(t.Context(), d, "p", later(), bytes.NewReader(c.in))
		if weft.KindOf(err) != weft.Invalid || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v (%s), want %q", name, err, weft.KindOf(err), c.says)
		}
		if left := leftovers(t, d); len(left) > 0 || len(l.trees) > 0 {
			t.Errorf("%s: left behind %v, %d trees", name, left, len(l.trees))
		}
		l.release("p")
		if _, err := d.Collect(t.Context(), 0); err != nil || countObjects(t, d) > 0 {
			t.Errorf("%s: %d objects left: %v", name, countObjects(t, d), err)
		}
	}
}

func TestReadTarGzPassesOnWhatBrokeTheLine(t *testing.T) {
	t.Parallel()
	whole := archive(t, "f a="+string(noise(1, 3<<20)))
	for _, at := range []int{0, 5, 1000, len(whole) - 3} {
		d, _ := setup(t)
		r := io.MultiReader(bytes.NewReader(whole[:at]), iotest.ErrReader(errBroken))
		if _, err := PutTarGz(t.Context(), d, "p", later(), r); !errors.Is(err, errBroken) {
			t.Errorf("broken at %d: %v", at, err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		r = io.MultiReader(bytes.NewReader(whole[:at]), readerFunc(func([]byte) (int, error) { cancel(); return 0, nil }), bytes.NewReader(whole[at:]))
		if _, err := PutTarGz(ctx, d, "p", later(), r); weft.KindOf(err) != weft.Canceled {
			t.Errorf("cancelled at %d: %v", at, err)
		}
		if left := leftovers(t, d); len(left) > 0 {
			t.Errorf("left behind %v", left)
		}
	}
}

func TestReadTarGzReadsToTheEnd(t *testing.T) {
	t.Parallel()
	d, _ := setup(t)
	r := bytes.NewReader(append(archive(t, "f a=1"), archive(t)...)) // two gzip members, the second after tar's end
	if _, err := PutTarGz(t.Context(), d, "p", later(), r); err != nil || r.Len() != 0 {
		t.Errorf("%d bytes are left: %v", r.Len(), err)
	}
}

func TestTarGzThereAndBack(t *testing.T) {
	t.Parallel()
	d, _ := setup(t)
	in := archive(t, "f a=1", "x b/run=#!", "l b/l=../a", "d empty/", "f \xff\n=odd", "f "+strings.Repeat("long/", 50)+"f=deep", "l far="+strings.Repeat("x", 300))
	m, err := ReadTarGz(t.Context(), d, "p", later(), bytes.NewReader(in))
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := WriteTarGz(t.Context(), &out, m, d.reader(t.Context())); err != nil {
		t.Fatal(err)
	}
	checkKnitCanUnpack(t, out.Bytes())
	back, err := ReadTarGz(t.Context(), d, "p", later(), &out)
	if err != nil {
		t.Fatal(err)
	}
	m.Entries = slices.DeleteFunc(m.Entries, func(e weft.Entry) bool { return e.Path == "empty" }) // which knit cannot carry
	if back.Digest() == m.Digest() {
		return
	}
	t.Errorf("came back as %q, not %q", listed(t, d, back), listed(t, d, m))
}

// reader is OpenBlob as WriteTarGz wants it.
func (d *Dir) reader(ctx context.Context) func(weft.Digest) (io.ReadCloser, error) {
	return func(g weft.Digest) (io.ReadCloser, error) {
		f, _, err := d.OpenBlob(ctx, g)
		return f, err
	}
}

func checkKnitCanUnpack(t *testing.T, b []byte) {
	t.Helper()
	z, err := gzip.NewReader(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	for r := tar.NewReader(z); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		if h.Typeflag != tar.TypeReg && h.Typeflag != tar.TypeSymlink || strings.HasPrefix(h.Name, "./") {
			t.Errorf("knit cannot unpack %q of type %q", h.Name, h.Typeflag)
		}
	}
}

func TestWriteTarGzThatFailsHasNoEnd(t *testing.T) {
	t.Parallel()
	d, _ := setup(t)
	g := put(t, d, "p", "text")
	good := weft.Entry{Path: "a", Kind: weft.File, Size: 4, Digest: g}
	for name, bad := range map[string]weft.Entry{
		"missing": {Path: "b", Kind: weft.File, Size: 4, Digest: weft.Digest{1}},
		"short":   {Path: "b", Kind: weft.File, Size: 5, Digest: g},
		"long":    {Path: "b", Kind: weft.File, Size: 3, Digest: g},
	} {
		var out bytes.Buffer
		if err := WriteTarGz(t.Context(), &out, weft.Manifest{Entries: []weft.Entry{good, bad}}, d.reader(t.Context())); err == nil {
			t.Errorf("%s: no error", name)
		}
		if _, err := ReadTarGz(t.Context(), d, "p", later(), &out); weft.KindOf(err) != weft.Invalid {
			t.Errorf("%s: what was written looks whole: %v", name, err)
		}
	}
	broken := writerFunc(func([]byte) (int, error) { return 0, errBroken })
	if err := WriteTarGz(t.Context(), broken, weft.Manifest{Entries: []weft.Entry{good}}, d.reader(t.Context())); !errors.Is(err, errBroken) {
		t.Error(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := WriteTarGz(ctx, io.Discard, weft.Manifest{Entries: []weft.Entry{good}}, d.reader(t.Context())); weft.KindOf(err) != weft.Canceled {
		t.Error(err)
	}
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

// FuzzReadTarGz feeds damaged tars. Whatever is accepted must be a directory that can
// be mounted, written and read again; whatever is not must be refused as Invalid.
func FuzzReadTarGz(f *testing.F) {
	for _, entries := range [][]string{
		nil, {"f a=1", "x b/c=2", "l b/l=../a"}, {"l a=/etc", "f a/b=1"}, {"f ../a=1"}, {"h a=b"}, {"d a/", "f a/b=1"}, {"c null"},
		{"f " + strings.Repeat("x/", 200) + "y=1"}, {"f a=1", "h b=a"},
	} {
		z, err := gzip.NewReader(bytes.NewReader(archive(f, entries...)))
		if err != nil {
			f.Fatal(err)
		}
		b, err := io.ReadAll(z)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	d := open(f, filepath.Join(tmpfs(f, "size=64m"), "content"), newMemory())
	d.statfs = func() (int64, int64, error) { return 1 << 20, 64 << 20, nil } // sparse files can be huge
	f.Fuzz(func(t *testing.T, b []byte) {
		var packed bytes.Buffer
		z := gzip.NewWriter(&packed)
		z.Write(b)
		z.Close()
		m, err := ReadTarGz(t.Context(), d, "p", later(), &packed)
		if err != nil {
			if k := weft.KindOf(err); k != weft.Invalid && k != weft.NoSpace {
				t.Fatalf("%v is %s", err, k)
			}
			return
		}
		tree, err := d.PutManifest(t.Context(), "p", later(), m)
		if err != nil {
			t.Fatal(err)
		}
		at, err := d.Tree(t.Context(), tree.Digest)
		if err != nil {
			t.Fatal(err)
		}
		compareWithDisk(t, at, m)
		if err := WriteTarGz(t.Context(), io.Discard, m, d.reader(t.Context())); err != nil {
			t.Fatal(err)
		}
		if err := d.removeMounted(tree.Digest); err != nil {
			t.Fatal(err)
		}
	})
}

func compareWithDisk(t *testing.T, at string, m weft.Manifest) {
	t.Helper()
	root, err := os.OpenRoot(at)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	want := make(map[string]weft.EntryKind)
	for _, e := range m.Entries {
		want[e.Path] = e.Kind
	}
	for p, kind := range maps.All(want) {
		info, err := root.Lstat(p)
		if err != nil {
			t.Fatal(err)
		}
		if info.IsDir() != (kind == weft.Folder) || info.Mode().IsRegular() != (kind == weft.File) {
			t.Errorf("%q is %v", p, info.Mode())
		}
	}
}
