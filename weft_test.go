package weft

import (
	"encoding/binary"
	"strings"
	"testing"
)

// tester is what the helpers need of testing.T, testing.B and rapid.T.
type tester interface {
	Helper()
	Fatal(args ...any)
	Fatalf(format string, args ...any)
}

// id returns the n-th id of its type.
func id[T any](n int) ID[T] {
	var v ID[T]
	binary.BigEndian.PutUint64(v[8:], uint64(n))
	return v
}

func tag(t tester, text string) Tag {
	t.Helper()
	return tags(t, text)[0]
}

func tags(t tester, texts ...string) Tags {
	t.Helper()
	ts, err := ParseTags(texts...)
	if err != nil {
		t.Fatal(err)
	}
	return ts
}

// words reads tags separated by spaces.
func words(t tester, text string) Tags { return tags(t, strings.Fields(text)...) }

// plan reads a plan in a few words: mounts as "path=tag,tag", inputs left of the
// arrow, outputs right of it, "log" among them for the log, "@" before an image, as in
//
//	@img:v1 /in/a=type:csv,mode:x -> /out=type:model log=type:log
func plan(t tester, text string) Plan {
	t.Helper()
	p := Plan{Image: Image{"localhost:30503/trainer", "v1"}, Active: true}
	output := false
	for _, word := range strings.Fields(text) {
		mount, list, _ := strings.Cut(word, "=")
		var ts Tags
		if list != "" {
			ts = tags(t, strings.Split(list, ",")...)
		}
		switch {
		case word == "->":
			output = true
		case strings.HasPrefix(word, "@"):
			img, err := ParseImage(word[1:])
			if err != nil {
				t.Fatal(err)
			}
			p.Image = img
		case mount == "log":
			p.Log = &Log{ts}
		case output:
			p.Outputs = append(p.Outputs, Output{mount, ts})
		default:
			p.Inputs = append(p.Inputs, Input{Path: mount, Tags: ts})
		}
	}
	return p.Normalize()
}

func TestIDs(t *testing.T) {
	t.Parallel()
	made := NewID[Data]()
	got, err := ParseID[Data](made.String())
	if err != nil || got != made {
		t.Errorf("ParseID(%s) = %s, %v", made, got, err)
	}
	if later := NewID[Data](); later.String() <= made.String() {
		t.Errorf("%s does not come after %s", later, made)
	}
	for _, text := range []string{"", "x", "{" + made.String() + "}", strings.ReplaceAll(made.String(), "-", ""), "urn:uuid:" + made.String()} {
		if _, err := ParseID[Data](text); KindOf(err) != NotFound {
			t.Errorf("ParseID(%q): %v; want NotFound", text, err)
		}
	}
	var scanned DataID
	if err := scanned.Scan(made[:]); err != nil || scanned != made {
		t.Errorf("scanned %s, %v; want %s", scanned, err, made)
	}
	if err := scanned.Scan(made[:15]); err == nil {
		t.Error("15 bytes are taken for an id")
	}
	if err := scanned.Scan(nil); err != nil || !scanned.IsZero() {
		t.Errorf("NULL became %s, %v", scanned, err)
	}
}

func TestDigests(t *testing.T) {
	t.Parallel()
	d := Digest{1, 2, 0xff}
	got, err := ParseDigest(d.String())
	if err != nil || got != d {
		t.Errorf("ParseDigest(%s) = %s, %v", d, got, err)
	}
	for _, text := range []string{"", d.Hex(), d.String() + "0", strings.ToUpper(d.Hex()), "sha256:" + strings.ToUpper(d.Hex()), "sha512:" + d.Hex(), "sha256:" + strings.Repeat("g", 64)} {
		if _, err := ParseDigest(text); KindOf(err) != Invalid {
			t.Errorf("ParseDigest(%q): %v; want Invalid", text, err)
		}
	}
}
