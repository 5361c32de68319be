package weft

import (
	"bytes"
	"encoding/json"
	"testing"
)

// Every tag that parses has a text that means the same tag.
func FuzzParseTag(f *testing.F) {
	for _, s := range []string{"type:csv", " a : b:c ", ":", "knit#timestamp:2026-01-02T03:04:05.678+09:00", "knit#transient:failed", "a:\"\\\n"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		tag, err := ParseTag(text)
		if err != nil {
			if KindOf(err) != Invalid {
				t.Fatalf("%q: %v is %s", text, err, KindOf(err))
			}
			return
		}
		if again, err := ParseTag(tag.String()); err != nil || again != tag {
			t.Fatalf("%q is read as %q, and that as %q, %v", text, tag, again, err)
		}
		encoded, err := json.Marshal(tag)
		if err != nil {
			t.Fatal(err)
		}
		var back Tag
		if err := json.Unmarshal(encoded, &back); err != nil || back != tag {
			t.Fatalf("%q became %q in JSON, %v", tag, back, err)
		}
		if set := NewTags(tag, tag); len(set) != 1 || !set.Has(tag) {
			t.Fatalf("%q is not itself", tag)
		}
	})
}

// Every manifest that can be read is what its text says, byte for byte, and stays
// inside its directory.
func FuzzDecodeManifest(f *testing.F) {
	f.Add([]byte(manifestHeader))
	f.Add(Manifest{[]Entry{
		{Path: "a", Kind: Folder, Mode: 0o755},
		{Path: "a/\xff", Kind: File, Mode: 0o644, Size: 3, Digest: Digest{1}},
		{Path: "b", Kind: Symlink, Target: "../\n"},
	}}.Encode())
	f.Fuzz(func(t *testing.T, text []byte) {
		m, err := DecodeManifest(text)
		if err != nil {
			if KindOf(err) != Invalid {
				t.Fatalf("%v is %s", err, KindOf(err))
			}
			return
		}
		if !bytes.Equal(m.Encode(), text) {
			t.Fatalf("%q is read, but %q is written", text, m.Encode())
		}
		if _, size := m.Totals(); size < 0 {
			t.Fatalf("the sizes add up to %d", size)
		}
		for _, e := range m.Entries {
			if found, ok := m.Find(e.Path); !ok || found != e {
				t.Fatalf("%q is not found", e.Path)
			}
		}
	})
}

// Every image that parses has a text that means the same image.
func FuzzParseImage(f *testing.F) {
	for _, s := range []string{"trainer", "localhost:30503/trainer:v1", "ghcr.io/org/tool:1.0_x-y", "[::1]:5000/ab", "a__b/c-d"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		img, err := ParseImage(text)
		if err != nil {
			if KindOf(err) != Invalid {
				t.Fatalf("%q: %v is %s", text, err, KindOf(err))
			}
			return
		}
		if again, err := ParseImage(img.String()); err != nil || again != img {
			t.Fatalf("%q is read as %+v, and that as %+v, %v", text, img, again, err)
		}
		if host := img.Registry(); host != "" && host+"/"+img.Path() != img.Repository {
			t.Fatalf("%q is not %q and %q", img.Repository, host, img.Path())
		}
	})
}
