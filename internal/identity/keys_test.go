package identity

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/weft-dev/weft"
)

func newKeys(t testing.TB) *Keys {
	t.Helper()
	ks, err := OpenKeys(filepath.Join(t.TempDir(), "keys.json"))
	if err != nil {
		t.Fatal(err)
	}
	return ks
}

func TestWhatIsSealedOpensForItsPurposeOnly(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "keys.json")
	ks, err := OpenKeys(path)
	if err != nil {
		t.Fatal(err)
	}
	sealed, err := ks.Seal("secret", []byte("of a plan"))
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(sealed, []byte("plan")) {
		t.Error("it can be read")
	}
	again, err := OpenKeys(path) // the next start
	if err != nil {
		t.Fatal(err)
	}
	if plain, err := again.Open("secret", sealed); err != nil || string(plain) != "of a plan" {
		t.Errorf("opened: %q, %v", plain, err)
	}
	if _, err := ks.Open("webhook", sealed); weft.KindOf(err) != weft.Invalid {
		t.Errorf("another purpose: %v", err)
	}
	if _, err := newKeys(t).Open("secret", sealed); weft.KindOf(err) != weft.Invalid {
		t.Errorf("another server: %v", err)
	}
	for i := range sealed {
		broken := bytes.Clone(sealed)
		broken[i] ^= 1
		if _, err := ks.Open("secret", broken); weft.KindOf(err) != weft.Invalid {
			t.Errorf("byte %d changed: %v", i, err)
		}
		if _, err := ks.Open("secret", sealed[:i]); weft.KindOf(err) != weft.Invalid {
			t.Errorf("cut at %d: %v", i, err)
		}
	}
}

func TestAKeyRingIsPrivate(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "keys.json")
	for range 2 {
		if _, err := OpenKeys(path); err != nil {
			t.Fatal(err)
		}
		info, err := os.Stat(path)
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("mode %v, %v", info.Mode(), err)
		}
		if err := os.Chmod(path, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for _, text := range []string{"", "{}", "nonsense", `{"keys":[{"id":"xx","secret":""}]}`} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := OpenKeys(path); weft.KindOf(err) != weft.Invalid {
			t.Errorf("%q: %v", text, err)
		}
	}
}

func TestAnotherKeyFollowsWithoutLoss(t *testing.T) {
	t.Parallel()
	path, other := filepath.Join(t.TempDir(), "keys.json"), filepath.Join(t.TempDir(), "keys.json")
	first, err := OpenKeys(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := OpenKeys(other); err != nil {
		t.Fatal(err)
	}
	sealed, err := first.Seal("x", []byte("old"))
	if err != nil {
		t.Fatal(err)
	}
	signed, err := first.Sign("x", jwt.RegisteredClaims{Subject: "old"})
	if err != nil {
		t.Fatal(err)
	}
	var both keyFile
	for _, name := range []string{path, other} {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		var f keyFile
		if err := json.Unmarshal(text, &f); err != nil {
			t.Fatal(err)
		}
		both.Keys = append(both.Keys, f.Keys...)
	}
	text, err := json.Marshal(both)
	if err == nil {
		err = os.WriteFile(path, text, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	second, err := OpenKeys(path)
	if err != nil {
		t.Fatal(err)
	}
	if plain, err := second.Open("x", sealed); err != nil || string(plain) != "old" {
		t.Errorf("opened %q, %v", plain, err)
	}
	if err := second.Verify("x", signed, &jwt.RegisteredClaims{}); err != nil {
		t.Error(err)
	}
	newer, err := second.Seal("x", []byte("new"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := first.Open("x", newer); weft.KindOf(err) != weft.Invalid {
		t.Errorf("the newest key did not seal: %v", err)
	}
}

func TestForgedTokensAreRefused(t *testing.T) {
	t.Parallel()
	ks := newKeys(t)
	soon := jwt.NewNumericDate(time.Now().Add(time.Hour))
	good, err := ks.Sign("import", jwt.RegisteredClaims{Subject: "s", ExpiresAt: soon})
	if err != nil {
		t.Fatal(err)
	}
	var claims jwt.RegisteredClaims
	if err := ks.Verify("import", good, &claims); err != nil || claims.Subject != "s" {
		t.Fatalf("%v, %v", claims, err)
	}
	late, err := ks.Sign("import", jwt.RegisteredClaims{ExpiresAt: jwt.NewNumericDate(time.Now().Add(-time.Minute))})
	if err != nil {
		t.Fatal(err)
	}
	foreign, err := newKeys(t).Sign("import", jwt.RegisteredClaims{Subject: "s", ExpiresAt: soon})
	if err != nil {
		t.Fatal(err)
	}
	secret, err := ks.newest.derive("sign", "import")
	if err != nil {
		t.Fatal(err)
	}
	pair, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	by := func(m jwt.SigningMethod, kid any, key any) string {
		tok := jwt.NewWithClaims(m, jwt.RegisteredClaims{Subject: "s", ExpiresAt: soon})
		tok.Header["kid"] = kid
		s, err := tok.SignedString(key)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	parts := strings.Split(good, ".")
	changed := base64.RawURLEncoding.EncodeToString([]byte(`{"sub":"another"}`))
	for name, token := range map[string]string{
		"expired":             late,
		"another server's":    foreign,
		"alg none":            by(jwt.SigningMethodNone, ks.newest.id, jwt.UnsafeAllowNoneSignatureType),
		"alg HS512":           by(jwt.SigningMethodHS512, ks.newest.id, secret),
		"alg RS256":           by(jwt.SigningMethodRS256, ks.newest.id, pair),
		"unknown kid":         by(jwt.SigningMethodHS256, "0000000000000000", secret),
		"kid of another type": by(jwt.SigningMethodHS256, 7, secret),
		"no signature":        parts[0] + "." + parts[1] + ".",
		"other claims":        parts[0] + "." + changed + "." + parts[2],
		"nonsense":            "a.b.c",
		"nothing":             "",
	} {
		if err := ks.Verify("import", token, &jwt.RegisteredClaims{}); weft.KindOf(err) != weft.Unauthenticated {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := ks.Verify("extra", good, &jwt.RegisteredClaims{}); weft.KindOf(err) != weft.Unauthenticated {
		t.Errorf("another purpose: %v", err)
	}
}
