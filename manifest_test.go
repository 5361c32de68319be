package weft

import (
	"math"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestManifestText(t *testing.T) {
	t.Parallel()
	m := Manifest{Entries: []Entry{
		{Path: "link", Kind: Symlink, Target: "../outside\nof \"it\""},
		{Path: "a b/\xff\n", Kind: File, Mode: 0o755, Size: 12, Digest: Digest{0xab}},
		{Path: "empty", Kind: Folder, Mode: 0o700},
		{Path: "a b", Kind: Folder, Mode: 0o755},
	}}
	m.Sort()
	want := "weft manifest 1\n" +
		"d 0755 \"a b\"\n" +
		"f 0755 12 ab" + strings.Repeat("0", 62) + " \"a b/\\xff\\n\"\n" +
		"d 0700 \"empty\"\n" +
		"l \"../outside\\nof \\\"it\\\"\" \"link\"\n"
	if got := string(m.Encode()); got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
	got, err := DecodeManifest([]byte(want))
	if err != nil || !slices.Equal(got.Entries, m.Entries) {
		t.Errorf("decoded %+v, %v", got, err)
	}
	if files, size := m.Totals(); files != 1 || size != 12 {
		t.Errorf("%d files, %d bytes", files, size)
	}
	if e, ok := m.Find("a b/\xff\n"); !ok || !e.Executable() {
		t.Errorf("found %+v, %v", e, ok)
	}
	if _, ok := m.Find("a"); ok {
		t.Error("found what is not there")
	}
}

func TestManifestsThatNoDirectoryHas(t *testing.T) {
	t.Parallel()
	file := func(path string) Entry { return Entry{Path: path, Kind: File, Mode: 0o644, Digest: Digest{1}} }
	for name, entries := range map[string][]Entry{
		"absolute":         {file("/etc/passwd")},
		"outside":          {file("../x")},
		"outside by a way": {file("a/../../x")},
		"the parent":       {{Path: "..", Kind: Folder}},
		"itself":           {{Path: ".", Kind: Folder}},
		"no path":          {file("")},
		"not clean":        {file("a//b")},
		"a trailing slash": {file("a/")},
		"NUL":              {file("a\x00b")},
		"out of order":     {file("b"), file("a")},
		"twice":            {file("a"), file("a")},
		"below a file":     {file("a"), file("a/b")},
		"far below a file": {file("a"), file("a-"), file("a/b/c/d")},
		"below a link":     {{Path: "a", Kind: Symlink, Target: "/etc"}, file("a/passwd")},
		"set-id bits":      {{Path: "a", Kind: File, Mode: 0o4755, Digest: Digest{1}}},
		"no digest":        {{Path: "a", Kind: File}},
		"a negative size":  {{Path: "a", Kind: File, Size: -1, Digest: Digest{1}}},
		"no target":        {{Path: "a", Kind: Symlink}},
		"NUL in a target":  {{Path: "a", Kind: Symlink, Target: "\x00"}},
		"an unknown kind":  {{Path: "a", Kind: 'p'}},
		"more than can be": {{Path: "a", Kind: File, Size: math.MaxInt64, Digest: Digest{1}}, {Path: "b", Kind: File, Size: 1, Digest: Digest{1}}},
	} {
		if err := (Manifest{entries}).Validate(); KindOf(err) != Invalid {
			t.Errorf("%s: %v; want Invalid", name, err)
		}
	}
	if err := (Manifest{[]Entry{file("..a"), file("a-"), {Path: "a", Kind: Folder}, file("a/b"), file("c…")}}).Validate(); err == nil {
		t.Error("byte order is not the order of a-, a and a/b")
	}
}

func TestManifestTextThatIsRefused(t *testing.T) {
	t.Parallel()
	digest := strings.Repeat("ab", 32)
	for name, text := range map[string]string{
		"nothing":             "",
		"another header":      "weft manifest 2\n",
		"cut short":           "weft manifest 1\nd 0755 \"a\"",
		"an empty line":       "weft manifest 1\n\n",
		"an unknown kind":     "weft manifest 1\np 0755 \"a\"\n",
		"a short file":        "weft manifest 1\nf 0755 1 \"a\"\n",
		"no mode":             "weft manifest 1\nd \"a\"\n",
		"a mode of 5 digits":  "weft manifest 1\nd 00755 \"a\"\n",
		"a size with a sign":  "weft manifest 1\nf 0644 +1 " + digest + " \"a\"\n",
		"an upper-case digit": "weft manifest 1\nf 0644 1 " + strings.ToUpper(digest) + " \"a\"\n",
		"another quoting":     "weft manifest 1\nd 0755 `a`\n",
		"an idle escape":      "weft manifest 1\nd 0755 \"\\x61\"\n",
		"a carriage return":   "weft manifest 1\nd 0755 \"a\"\r\n",
		"a link cut short":    "weft manifest 1\nl \"a\"\n",
		"a path outside":      "weft manifest 1\nd 0755 \"../a\"\n",
		"something after":     "weft manifest 1\nd 0755 \"a\" \n",
	} {
		if _, err := DecodeManifest([]byte(text)); KindOf(err) != Invalid {
			t.Errorf("%s: %v; want Invalid", name, err)
		}
	}
}

// What Encode wrote is read back, and different manifests have different text.
func TestManifestProperty(t *testing.T) {
	t.Parallel()
	name := rapid.OneOf(rapid.StringMatching(`[a-c]{1,2}`), rapid.Custom(func(t *rapid.T) string {
		s := strings.NewReplacer("/", "_", "\x00", "_").Replace(string(rapid.SliceOfN(rapid.Byte(), 1, 6).Draw(t, "bytes")))
		if s == "." || s == ".." {
			return "dots"
		}
		return s
	}))
	entry := rapid.Custom(func(t *rapid.T) Entry {
		e := Entry{Path: strings.Join(rapid.SliceOfN(name, 1, 3).Draw(t, "path"), "/")}
		switch e.Kind = rapid.SampledFrom([]EntryKind{File, Folder, Symlink}).Draw(t, "kind"); e.Kind {
		case File:
			e.Size = rapid.Int64Range(0, 1<<40).Draw(t, "size")
			e.Digest = Digest{1 + rapid.Byte().Draw(t, "digest")&0x7f}
			e.Mode = rapid.Uint32Range(0, 0o777).Draw(t, "mode")
		case Folder:
			e.Mode = rapid.Uint32Range(0, 0o777).Draw(t, "mode")
		case Symlink:
			e.Target = name.Draw(t, "target")
		}
		return e
	})
	texts := map[string][]Entry{}
	rapid.Check(t, func(t *rapid.T) {
		m := Manifest{rapid.SliceOfN(entry, 0, 6).Draw(t, "entries")}
		m.Sort()
		text := m.Encode()
		got, err := DecodeManifest(text)
		if invalid := m.Validate(); invalid != nil {
			if err == nil {
				t.Fatalf("%v, but it can be decoded", invalid)
			}
			return
		}
		if err != nil || !slices.Equal(got.Entries, m.Entries) || got.Digest() != m.Digest() {
			t.Fatalf("%+v became %+v, %v", m, got, err)
		}
		if other, ok := texts[string(text)]; ok && !slices.Equal(other, m.Entries) {
			t.Fatalf("%+v and %+v have the same text", other, m.Entries)
		}
		texts[string(text)] = m.Entries
	})
}
