package weft

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestParseTag(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]Tag{
		"type:csv":                            {"type", "csv"},
		" type : csv ":                        {"type", "csv"},
		"a:b:c":                               {"a", "b:c"},
		"url:http://x":                        {"url", "http://x"},
		":":                                   {"", ""},
		"key:":                                {"key", ""},
		":value":                              {"", "value"},
		"say:\"hi\"\\\n<b>":                   {"say", "\"hi\"\\\n<b>"},
		"знак:🎈":                              {"знак", "🎈"},
		"knit#timestamp:2026-01-02T03:04:05Z": {KeyTimestamp, "2026-01-02T03:04:05Z"},
		"knit#transient:failed":               {KeyTransient, "failed"},
		"knit#other:x":                        {"knit#other", "x"},
		strings.Repeat("ж", MaxTagKey) + ":":  {strings.Repeat("ж", MaxTagKey), ""},
		"k:" + strings.Repeat("ж", MaxTagValue/2): {"k", strings.Repeat("ж", MaxTagValue/2)},
	} {
		got, err := ParseTag(text)
		if err != nil || got != want {
			t.Errorf("ParseTag(%.40q) = %.40v, %v; want %.40v", text, got, err, want)
		}
	}
	for text, want := range map[string]string{
		"no colon":                             "no colon",
		"":                                     "no colon",
		"knit#timestamp:yesterday":             "not a time",
		"knit#timestamp:2026-01-02T03:04:05":   "not a time",
		"knit#transient:purged":                "is \"purged\"",
		"a\x00:b":                              "NUL",
		"a:\xff":                               "UTF-8",
		strings.Repeat("k", MaxTagKey+1) + ":": "longer than 1024",
		"k:" + strings.Repeat("v", MaxTagValue) + "vv": "longer than 1048576",
	} {
		if _, err := ParseTag(text); KindOf(err) != Invalid || !strings.Contains(err.Error(), want) {
			t.Errorf("ParseTag(%.40q): %v; want Invalid with %q", text, err, want)
		}
	}
	if _, err := NewTag("a:b", "c"); KindOf(err) != Invalid {
		t.Errorf("a key with a colon: %v", err)
	}
}

func TestTagTextSurvives(t *testing.T) {
	t.Parallel()
	want, err := NewTag(" spaced ", "\tvalue\n")
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(want)
	if err != nil {
		t.Fatal(err)
	}
	var got Tag
	if err := json.Unmarshal(text, &got); err != nil || got != want {
		t.Errorf("%s became %q, %v; want %q", text, got, err, want)
	}
}

func TestTagsAreASet(t *testing.T) {
	t.Parallel()
	got := tags(t, "b:2", "knit#timestamp:2026-01-02T03:04:05.678Z", "a:1", "b:10", "a:1", "knit#timestamp:2026-01-02T04:04:05.6789+01:00")
	if want := "a:1 b:10 b:2 knit#timestamp:2026-01-02T03:04:05.678Z"; strings.Join(got.Strings(), " ") != want {
		t.Errorf("got %v; want %s", got.Strings(), want)
	}
	if !got.Has(tag(t, "knit#timestamp:2026-01-01T22:04:05.678-05:00")) {
		t.Error("one instant in another zone is not found")
	}
	if got.Has(tag(t, "knit#timestamp:2026-01-02T03:04:05.677Z")) {
		t.Error("another instant is found")
	}
	if user, system := got.User(), got.System(); len(user) != 3 || len(system) != 1 {
		t.Errorf("user tags %v, system tags %v", user, system)
	}
}

func TestSystemTagsSortAmongUserTags(t *testing.T) {
	t.Parallel()
	d := Data{ID: id[Data](7), Tags: tags(t, "mode:x", "format:csv"), Source: Source{Status: Running}}
	want := "format:csv knit#id:" + d.ID.String() + " knit#transient:processing mode:x"
	if got := strings.Join(d.AllTags().Strings(), " "); got != want {
		t.Errorf("got %s; want %s", got, want)
	}
}

func TestTransient(t *testing.T) {
	t.Parallel()
	want := map[Status]string{
		Deactivated: "processing", Waiting: "processing", Ready: "processing", Starting: "processing", Running: "processing",
		Completing: "processing", Aborting: "processing", Done: "", Failed: "failed", Invalidated: "failed",
	}
	for _, s := range Statuses {
		if got := (Data{Source: Source{Status: s}}).Transient(); got != want[s] {
			t.Errorf("%s: %q; want %q", s, got, want[s])
		}
	}
}

func TestTagChange(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, have, add, remove, keys, want string }{
		{"adds", "a:1", "b:2", "", "", "a:1 b:2"},
		{"adds what is there", "a:1", "a:1", "", "", "a:1"},
		{"removes", "a:1 a:2", "", "a:1", "", "a:2"},
		{"removes what is not there", "a:1", "", "z:1", "y", "a:1"},
		{"removes a key", "a:1 a:2 b:1", "", "", "a", "b:1"},
		{"removes first, then adds", "a:1", "a:2", "a:2", "a", "a:2"},
	} {
		change := TagChange{Add: words(t, c.add), Remove: words(t, c.remove), RemoveKey: strings.Fields(c.keys)}
		if err := change.Validate(); err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
		if got := strings.Join(change.Apply(words(t, c.have)).Strings(), " "); got != c.want {
			t.Errorf("%s: got %q; want %q", c.name, got, c.want)
		}
	}
	for _, change := range []TagChange{
		{Add: words(t, "knit#id:x")}, {Remove: words(t, "knit#whatever:x")}, {RemoveKey: []string{"knit#"}},
	} {
		if err := change.Validate(); KindOf(err) != Invalid || !strings.Contains(err.Error(), "reserved") {
			t.Errorf("%v: %v; want Invalid", change, err)
		}
	}
}

func TestTimes(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"2026-11-22T06:50:48.3829Z":       "2026-11-22T06:50:48.382+00:00",
		"2026-11-22T06:50:48.320+00:00":   "2026-11-22T06:50:48.32+00:00",
		"2026-11-22T06:50:48Z":            "2026-11-22T06:50:48+00:00",
		"2026-11-22T06:50:48.0001+09:00":  "2026-11-21T21:50:48+00:00",
		"1969-12-31T23:59:59.9999Z":       "1969-12-31T23:59:59.999+00:00",
		"2026-11-22T06:50:48.999999-0:00": "",
	} {
		at, err := ParseTime(text)
		if want == "" {
			if KindOf(err) != Invalid {
				t.Errorf("ParseTime(%s): %v; want Invalid", text, err)
			}
			continue
		}
		if got := FormatTime(at); err != nil || got != want {
			t.Errorf("%s became %s, %v; want %s", text, got, err, want)
		}
	}
}

// Whatever is a set of tags is found in itself and does not depend on order.
func TestTagsProperty(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		texts := rapid.SliceOf(rapid.OneOf(
			rapid.StringMatching(`[ab]:[12 ]{0,2}`),
			rapid.Custom(func(t *rapid.T) string {
				at := time.UnixMicro(rapid.Int64Range(0, 5000).Draw(t, "µs")).In(time.FixedZone("", rapid.IntRange(-3, 3).Draw(t, "zone")*3600))
				return KeyTimestamp + ":" + at.Format(time.RFC3339Nano)
			}))).Draw(t, "texts")
		set, err := ParseTags(texts...)
		if err != nil {
			t.Fatal(err)
		}
		other, err := ParseTags(rapid.Permutation(texts).Draw(t, "shuffled")...)
		if err != nil {
			t.Fatal(err)
		}
		if !set.Equal(other) || !other.HasAll(set) {
			t.Fatalf("%v differs from %v", set, other)
		}
		for i, tag := range set {
			if !set.Has(tag) || i > 0 && compareTags(set[i-1], tag) >= 0 {
				t.Fatalf("%v is not a sorted set that holds %v", set, tag)
			}
		}
	})
}
