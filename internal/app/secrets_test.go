package app

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/weft-dev/weft"
	"github.com/weft-dev/weft/internal/executor"
	"github.com/weft-dev/weft/internal/identity"
	"github.com/weft-dev/weft/internal/store"
	"github.com/weft-dev/weft/internal/store/storetest"
)

func newSecrets(t *testing.T, s *store.Store) (secrets, weft.ProjectID) {
	t.Helper()
	keys, err := identity.OpenKeys(filepath.Join(t.TempDir(), "keys.json"))
	if err != nil {
		t.Fatal(err)
	}
	project, err := s.DefaultProject(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return secrets{s, keys}, project.ID
}

func TestSecretsAreGivenAndMaskedAsTheyWere(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, st *store.Store) {
		ctx := t.Context()
		s, project := newSecrets(t, st)
		set := func(name, value string) {
			t.Helper()
			if err := s.Set(ctx, weft.Secret{Project: project, Name: name}, value); err != nil {
				t.Fatal(err)
			}
		}
		set("db", "first-password")
		if missing, err := s.Missing(ctx, project, []string{"db", "key"}); err != nil || !slices.Equal(missing, []string{"key"}) {
			t.Errorf("missing are %v, %v", missing, err)
		}
		a := weft.Attempt{Run: weft.NewID[weft.Run](), Number: 1}
		if _, err := s.Give(ctx, project, a, []string{"db", "key"}); weft.KindOf(err) != weft.Unavailable {
			t.Errorf("a secret that is not there: %v", err)
		}
		for _, value := range []string{"first-password", "first-password", "second-password"} { // its start is repeated, and the secret replaced
			set("db", value)
			if got, err := s.Give(ctx, project, a, []string{"db"}); err != nil || got["db"] != value {
				t.Errorf("given is %v, %v", got, err)
			}
		}
		if err := s.Remove(ctx, project, "db"); err != nil {
			t.Fatal(err)
		}
		dir := filepath.Join(t.TempDir(), "data")
		log := filepath.Join(dir, executor.LogFile)
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(log, []byte("with first-password, then second-password\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		for range 2 { // sealing is repeated after a crash
			if err := s.maskLog(ctx, a, dir); err != nil {
				t.Fatal(err)
			}
			if got, err := os.ReadFile(log); err != nil || string(got) != "with ***, then ***\n" {
				t.Errorf("sealed is %q, %v", got, err)
			}
		}
		if err := s.Sweep(ctx); err != nil { // there is no such run any more
			t.Fatal(err)
		}
		if had, err := s.given(ctx, a); err != nil || len(had) > 0 {
			t.Errorf("kept of an attempt that is over: %v, %v", had, err)
		}
	})
}

func TestASecretIsBoundToItsName(t *testing.T) {
	t.Parallel()
	st := storetest.SQLite(t)
	s, project := newSecrets(t, st)
	if err := s.Set(t.Context(), weft.Secret{Project: project, Name: "mine"}, "a value"); err != nil {
		t.Fatal(err)
	}
	sealed, err := st.SealedSecrets(t.Context(), project, []string{"mine"})
	if err != nil || bytes.Contains(sealed["mine"], []byte("a value")) {
		t.Fatalf("kept is %q, %v", sealed, err)
	}
	if err := st.SetSecret(t.Context(), weft.Secret{Project: project, Name: "yours"}, sealed["mine"]); err != nil {
		t.Fatal(err)
	}
	a := weft.Attempt{Run: weft.NewID[weft.Run](), Number: 1}
	if got, err := s.Give(t.Context(), project, a, []string{"yours"}); err == nil {
		t.Errorf("a row of the database under another name gives %q", got)
	}
}

func TestALogIsMaskedWhileItIsRead(t *testing.T) {
	t.Parallel()
	text := strings.Repeat("line with s3cret-value and more\n", 5000)
	m := &masked{log: io.NopCloser(iotest.HalfReader(strings.NewReader(text))), mask: weft.NewMask([]string{"s3cret-value"})}
	got, err := io.ReadAll(iotest.OneByteReader(m))
	if want := strings.ReplaceAll(text, "s3cret-value", "***"); err != nil || string(got) != want {
		t.Errorf("%d bytes, %v; want %d", len(got), err, len(want))
	}
	r, w := io.Pipe()
	m = &masked{log: r, mask: weft.NewMask([]string{"s3cret-value"})}
	go w.Write([]byte("done.\n"))
	line := make([]byte, 6)
	if _, err := io.ReadFull(m, line); err != nil || string(line) != "done.\n" { // what cannot be a secret comes at once
		t.Errorf("followed is %q, %v", line, err)
	}
	w.Close()
}

func TestRegistryLogin(t *testing.T) {
	t.Parallel()
	s, project := newSecrets(t, storetest.SQLite(t))
	if _, _, found, err := s.login(t.Context(), project, "ghcr.io"); found || err != nil {
		t.Errorf("before any was kept: %v, %v", found, err)
	}
	set := func(host, value string) {
		t.Helper()
		if err := s.Set(t.Context(), weft.Secret{Project: project, Name: weft.RegistrySecret(host)}, value); err != nil {
			t.Fatal(err)
		}
	}
	set("Registry.Example.org:5000", "ann:pass:word")
	user, password, found, err := s.login(t.Context(), project, "registry.example.org:5000")
	if user != "ann" || password != "pass:word" || !found || err != nil {
		t.Errorf("got %q %q %v %v", user, password, found, err)
	}
	if _, _, found, err := s.login(t.Context(), weft.NewID[weft.Project](), "registry.example.org:5000"); found || err != nil {
		t.Errorf("another project: %v, %v", found, err)
	}
	set("ghcr.io", "no colon")
	if _, _, _, err := s.login(t.Context(), project, "ghcr.io"); weft.KindOf(err) != weft.Invalid || strings.Contains(err.Error(), "no colon") {
		t.Errorf("of another form: %v", err)
	}
}
