package app

import (
	"bytes"
	"path/filepath"
	"strings"
	"testing"

	"github.com/weft-dev/weft/internal/identity"
	"github.com/weft-dev/weft/internal/store"
	"github.com/weft-dev/weft/internal/store/storetest"
)

// TestTheFirstPasswordIsPrintedOnce starts three times on one database, with the
// administrator's password taken away before the last.
func TestTheFirstPasswordIsPrintedOnce(t *testing.T) {
	t.Parallel()
	url := "sqlite:" + filepath.Join(t.TempDir(), "weft.db")
	start := func() (*store.Store, string) {
		s := storetest.Open(t, url, store.Options{NoSync: true})
		if _, err := s.EnsureAdmin(t.Context(), [32]byte{1}); err != nil {
			t.Fatal(err)
		}
		password, err := firstPassword(t.Context(), s)
		if err != nil {
			t.Fatal(err)
		}
		var out bytes.Buffer
		if err := announce(&out, &process{url: "http://127.0.0.1:1", password: password}); err != nil {
			t.Fatal(err)
		}
		if !strings.HasPrefix(out.String(), "weft is ready at http://127.0.0.1:1\n") || (password != "") != strings.Contains(out.String(), "sign in as admin with the password "+password) {
			t.Errorf("it says %q", out.String())
		}
		return s, password
	}
	s, password := start()
	c, err := s.Credential(t.Context(), "admin")
	if err != nil {
		t.Fatal(err)
	}
	if len(password) < 20 || identity.CheckPassword(c.PasswordHash, password) != nil {
		t.Errorf("the password %q does not open", password)
	}
	if _, again := start(); again != "" {
		t.Error("the second start makes another password")
	}
	if err := s.SetPassword(t.Context(), c.ID, "", [16]byte{}); err != nil {
		t.Fatal(err)
	}
	if _, again := start(); again != "" {
		t.Error("what was taken away comes back")
	}
}
