package weft

import (
	"strings"
	"testing"
)

func TestParseImage(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]struct{ registry, path, tag string }{
		"trainer":                    {"", "trainer", "latest"},
		"trainer:v1":                 {"", "trainer", "v1"},
		"localhost:30503/trainer:v1": {"localhost:30503", "trainer", "v1"},
		"localhost/a/b_c:V.1-x":      {"localhost", "a/b_c", "V.1-x"},
		"ghcr.io/org/tool":           {"ghcr.io", "org/tool", "latest"},
		"org/tool:1":                 {"", "org/tool", "1"},
		"[::1]:5000/tool:1":          {"[::1]:5000", "tool", "1"},
		"10.0.0.1:5000/tool:1":       {"10.0.0.1:5000", "tool", "1"},
	} {
		img, err := ParseImage(text)
		if err != nil || img.Registry() != want.registry || img.Path() != want.path || img.Tag != want.tag {
			t.Errorf("ParseImage(%s) = %+v (%s, %s), %v; want %v", text, img, img.Registry(), img.Path(), err, want)
		}
	}
	digest := "@sha256:" + strings.Repeat("ab", 32)
	for text, want := range map[string]string{
		"":                                    "not an image name",
		"Trainer:v1":                          "not an image name",
		"trainer:":                            "not an image name",
		"a b":                                 "not an image name",
		"-x:v1":                               "not an image name",
		"x:v1":                                "2 to 255",
		"localhost:30503/x:v1":                "2 to 255",
		"FOO/bar":                             "2 to 255",
		"trainer" + digest:                    "names a digest",
		"trainer:v1" + digest:                 "names a digest",
		"trainer:" + strings.Repeat("v", 129): "not an image name",
		strings.Repeat("a/", 128) + "a":       "",
	} {
		if _, err := ParseImage(text); KindOf(err) != Invalid || !strings.Contains(err.Error(), want) {
			t.Errorf("ParseImage(%.60q): %v; want Invalid with %q", text, err, want)
		}
	}
}
