package identity

import (
	"io"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"golang.org/x/crypto/argon2"

	"github.com/weft-dev/weft"
	"github.com/weft-dev/weft/internal/store"
	"github.com/weft-dev/weft/internal/store/storetest"
)

// A world is a Service on a real store, with hanako, who has a password.
type world struct {
	*testing.T
	*Service
	db     *store.Store
	hanako weft.User
}

const (
	password = "correct horse battery"
	home     = "192.0.2.7"
)

var hanakosHash = sync.OnceValues(func() (string, error) { return HashPassword(password) })

func newWorld(t *testing.T, db *store.Store, settings Settings, env map[string]string) *world {
	t.Helper()
	if settings.SignIn == (SignIn{}) {
		settings.SignIn = DefaultSignIn()
	}
	s, err := New(Config{
		Store: db, Keys: newKeys(t), Settings: settings, Getenv: func(name string) string { return env[name] }, Log: slog.New(slog.NewTextHandler(io.Discard, nil)),
	})
	if err != nil {
		t.Fatal(err)
	}
	w := &world{T: t, Service: s, db: db}
	if _, err := db.EnsureAdmin(t.Context(), [32]byte{1}); err != nil {
		t.Fatal(err)
	}
	hash, err := hanakosHash()
	if err != nil {
		t.Fatal(err)
	}
	w.hanako = w.user("hanako", hash)
	return w
}

func (w *world) user(name, hash string) weft.User {
	w.Helper()
	u, err := w.db.CreateUser(w.Context(), weft.User{Name: name, Kind: weft.Person}, hash, weft.Member)
	if err != nil {
		w.Fatal(err)
	}
	return u
}

// try signs in and returns the kind of what came of it.
func (w *world) try(name, password, from string) weft.Kind {
	w.Helper()
	u, err := w.SignIn(w.Context(), name, password, from)
	if err == nil && u.ID.IsZero() {
		w.Error("nobody was let in")
	}
	return weft.KindOf(err)
}

// log returns the last entries of the audit log, each as "action name result detail".
func (w *world) log(n int) []string {
	w.Helper()
	all, err := w.db.Audit(w.Context(), weft.AuditQuery{Last: true, Limit: n})
	if err != nil {
		w.Fatal(err)
	}
	var lines []string
	for _, e := range all {
		lines = append(lines, strings.Join([]string{e.Action, e.Name, string(e.Result), e.Detail}, " "))
	}
	return lines
}

func (w *world) logged(want ...string) {
	w.Helper()
	if got := strings.Join(w.log(len(want)), "\n"); got != strings.Join(want, "\n") {
		w.Errorf("the audit log has\n%s\nnot\n%s", got, strings.Join(want, "\n"))
	}
}

// inBubble runs a test with a clock that goes on only when all wait.
func inBubble(t *testing.T, settings Settings, test func(w *world)) {
	t.Helper()
	if _, err := hanakosHash(); err != nil { // outside
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) { test(newWorld(t, storetest.SQLite(t), settings, nil)) })
}

func TestPeopleSignInWithAPassword(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.Store) {
		w := newWorld(t, db, Settings{}, nil)
		u, err := w.SignIn(t.Context(), " Hanako ", password, home)
		if err != nil || u.ID != w.hanako.ID {
			t.Fatalf("%v, %v", u, err)
		}
		w.logged("sign-in hanako done by password")
		for what, c := range map[string]struct{ name, password string }{
			"wrong": {"hanako", "guess guess"}, "empty": {"hanako", ""}, "nobody": {"taro", password}, "no name": {"", password},
			"zero byte": {"hana\x00ko", password}, "no text": {"\xff", password}, "long": {strings.Repeat("x", 10_000), password}, "no password": {"admin", password},
		} {
			if k := w.try(c.name, c.password, home); k != weft.Unauthenticated {
				t.Errorf("%s: %q", what, k)
			}
		}
	})
}

func TestWhoMayNotSignIn(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.Store) {
		w := newWorld(t, db, Settings{}, nil)
		yes := true
		if _, err := db.ChangeUser(t.Context(), "hanako", weft.UserChange{Disabled: &yes}); err != nil {
			t.Fatal(err)
		}
		if k := w.try("hanako", password, home); k != weft.Unauthenticated {
			t.Errorf("disabled: %q", k)
		}
		hash, err := hanakosHash()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := db.CreateUser(t.Context(), weft.User{Name: "robot", Kind: weft.Service}, hash, weft.Member); err != nil {
			t.Fatal(err)
		}
		if k := w.try("robot", password, home); k != weft.Unauthenticated {
			t.Errorf("service: %q", k)
		}
	})
}

func TestAnOldHashIsRenewedAtSignIn(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.Store) {
		w := newWorld(t, db, Settings{}, nil)
		salt := []byte("0123456789abcdef")
		old := params{memory: 64, time: 1, lanes: 1}
		u := w.user("taro", old.encode(salt, argon2.IDKey([]byte(password), salt, 1, 64, 1, 32)))
		secret, _, err := w.BeginSession(t.Context(), u, home, "a browser", "")
		if err != nil {
			t.Fatal(err)
		}
		if k := w.try("taro", "guess guess", home); k != weft.Unauthenticated {
			t.Errorf("%q", k)
		}
		if k := w.try("taro", password, home); k != "" {
			t.Errorf("%q", k)
		}
		c, err := db.Credential(t.Context(), "taro")
		if err != nil || outdated(c.PasswordHash) || CheckPassword(c.PasswordHash, password) != nil {
			t.Errorf("the hash is %s, %v", c.PasswordHash, err)
		}
		if _, err := db.PrincipalBySession(t.Context(), hashSecret(secret), home); err != nil {
			t.Errorf("her sessions go on: %v", err)
		}
	})
}
