package weft

import (
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// hide feeds text to a Mask in pieces of the given length.
func hide(m Mask, text string, piece int) string {
	var out, rest []byte
	for i := 0; i < len(text); i += piece {
		rest = append(rest, text[i:min(i+piece, len(text))]...)
		var used int
		out, used = m.Hide(out, rest, false)
		rest = rest[used:]
	}
	out, _ = m.Hide(out, rest, true)
	return string(out)
}

func TestSecretsAreMaskedHoweverTheLogIsCut(t *testing.T) {
	t.Parallel()
	key := "-----BEGIN KEY-----\nMIIEvQIBADANBg\nkqhkiG9w0BAQ\n}\n-----END KEY-----\n"
	for _, c := range []struct {
		name    string
		secrets []string
		log     string
		want    string
	}{
		{"nothing to hide", nil, "a log", "a log"},
		{"a value", []string{"hunter22"}, "pass hunter22, again hunter22\n", "pass ***, again ***\n"},
		{"at the ends", []string{"hunter22"}, "hunter22 and hunter22", "*** and ***"},
		{"one beginning with another", []string{"abcd", "abcdef"}, "abcd abcdef abcde", "*** *** ***e"},
		{"a beginning only", []string{"hunter22"}, "hunter hunter2", "hunter hunter2"},
		{"one that begins within a false beginning", []string{"aaab"}, "aaaab", "a***"},
		{"a final newline that is not printed", []string{"hunter22\n"}, "<hunter22>", "<***>"},
		{"several lines as a whole", []string{key}, "x" + key + "y", "x***y"},
		{"several lines one by one", []string{key}, "1: MIIEvQIBADANBg\n2: kqhkiG9w0BAQ\n3: }\n", "1: ***\n2: ***\n3: }\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			m := NewMask(c.secrets)
			for piece := 1; piece <= len(c.log); piece++ {
				if got := hide(m, c.log, piece); got != c.want {
					t.Fatalf("in pieces of %d: %q; want %q", piece, got, c.want)
				}
			}
		})
	}
}

func TestMaskingDoesNotDependOnThePieces(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		secrets := rapid.SliceOfN(rapid.StringMatching(`[ab\n]{4,9}`), 1, 3).Draw(t, "secrets")
		log := rapid.StringMatching(`[abc\n]{0,60}`).Draw(t, "log")
		m := NewMask(secrets)
		whole := hide(m, log, len(log)+1)
		if got := hide(m, log, rapid.IntRange(1, 7).Draw(t, "piece")); got != whole {
			t.Fatalf("%q in pieces, %q as a whole", got, whole)
		}
		for _, s := range secrets {
			if strings.Contains(whole, s) {
				t.Fatalf("%q is still in %q", s, whole)
			}
		}
	})
}
