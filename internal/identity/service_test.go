package identity

import (
	"io"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

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

func TestFailuresTellNothing(t *testing.T) {
	t.Parallel()
	inBubble(t, Settings{}, func(w *world) {
		said := map[string]bool{}
		for _, name := range []string{"hanako", "taro", "admin"} {
			begin := time.Now()
			_, err := w.SignIn(w.Context(), name, "guess guess", home)
			if took := time.Since(begin); took != failAfter { // hashing takes no time in here
				w.Errorf("%s: took %s", name, took)
			}
			said[err.Error()] = true
		}
		if len(said) != 1 {
			w.Errorf("they say %v", said)
		}
		w.logged("sign-in admin denied failure 1 in a row", "sign-in  denied a name that nobody has", "sign-in hanako denied failure 1 in a row")
	})
}

func TestGuessingLocksANameForLongerAndLonger(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"hanako", "nobody"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inBubble(t, Settings{}, func(w *world) {
				for n := range 12 { // from an address each: those are limited too
					if k := w.try(name, "guess guess", "192.0.2."+string(rune('1'+n%9))); k != weft.Unauthenticated {
						w.Fatalf("guess %d: %q", n+1, k)
					}
					wait := lockFor(n + 1)
					if wait == 0 {
						continue
					}
					time.Sleep(wait - failAfter - time.Millisecond)
					if k := w.try(name, password, home); k != weft.Unavailable {
						w.Errorf("after failure %d: even the right password must wait %s; %q", n+1, wait, k)
					}
					time.Sleep(2 * time.Millisecond)
				}
				if name == "hanako" {
					if k := w.try(name, password, home); k != "" {
						w.Errorf("when the time is up: %q", k)
					}
					if k := w.try(name, "guess guess", home); k != weft.Unauthenticated {
						w.Errorf("after a success all is forgotten: %q", k)
					}
				}
			})
		})
	}
}

func TestLocksLast(t *testing.T) {
	t.Parallel()
	for n, want := range map[int]time.Duration{0: 0, 4: 0, 5: time.Second, 6: 2 * time.Second, 10: 32 * time.Second, 15: 15 * time.Minute, 1000: 15 * time.Minute} {
		if got := lockFor(n); got != want {
			t.Errorf("%d failures: %s", n, got)
		}
	}
}

// Guesses at the same time must not slip through before any is counted.
func TestGuessesAtOnceAreCounted(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.Store) {
		w := newWorld(t, db, Settings{}, nil)
		var guesses sync.WaitGroup
		var mu sync.Mutex
		kinds := map[weft.Kind]int{}
		for n := range 15 {
			guesses.Go(func() {
				k := w.try("hanako", "guess guess", "192.0.2."+string(rune('1'+n%9)))
				mu.Lock()
				defer mu.Unlock()
				kinds[k]++
			})
		}
		guesses.Wait()
		if n := kinds[weft.Unauthenticated]; n != freeFailures+1 || kinds[weft.Unavailable] != 15-n {
			t.Errorf("%v: more than %d were looked at", kinds, freeFailures+1)
		}
	})
}

func TestAnAddressThatGuessesIsLimited(t *testing.T) {
	t.Parallel()
	inBubble(t, Settings{}, func(w *world) {
		for n := range failBurst {
			if k := w.try("name"+string(rune('a'+n)), "guess guess", "2001:db8::"+string(rune('1'+n%9))); k != weft.Unauthenticated {
				w.Fatalf("guess %d: %q", n, k)
			}
		}
		if k := w.try("hanako", password, "2001:db8::ffff"); k != weft.Unavailable {
			w.Errorf("the same network goes on: %q", k)
		}
		if k := w.try("hanako", password, "2001:db8:0:1::1"); k != "" {
			w.Errorf("another network: %q", k)
		}
		time.Sleep(failRefill)
		for range 2 * failBurst { // successes use nothing up
			if k := w.try("hanako", password, "2001:db8::ffff"); k != "" {
				w.Errorf("later: %q", k)
			}
		}
	})
}

func TestALimitForgetsAddresses(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := newLimit(2, time.Second)
		for a := range 3 * maxBuckets {
			ip := "10." + strings.Join([]string{digits(a / 65536), digits(a / 256 % 256), digits(a % 256)}, ".")
			if err := l.take(ip); err != nil {
				t.Fatal(err)
			}
		}
		if n := len(l.from); n > maxBuckets {
			t.Errorf("%d addresses are remembered", n)
		}
		for _, odd := range []string{"", "nonsense"} {
			if err := l.take(odd); err != nil {
				t.Error(err)
			}
		}
	})
}

func digits(n int) string {
	if n < 10 {
		return string(rune('0' + n))
	}
	return digits(n/10) + string(rune('0'+n%10))
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

func TestASessionIsANewOne(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.Store) {
		w := newWorld(t, db, Settings{}, nil)
		who := func(secret string) weft.Kind {
			p, err := db.PrincipalBySession(t.Context(), hashSecret(secret), home)
			if err == nil && p.Name != "hanako" {
				t.Errorf("it is %s", p.Name)
			}
			return weft.KindOf(err)
		}
		begin := func(former string) string {
			secret, _, err := w.BeginSession(t.Context(), w.hanako, home, strings.Repeat("long ", 100), former)
			if err != nil {
				t.Fatal(err)
			}
			return secret
		}
		first := begin("")
		second := begin(first)
		if second == first || who(first) != weft.Unauthenticated || who(second) != "" {
			t.Error("signing in again does not end the session that was there")
		}
		if fixed := begin("chosen by somebody else"); fixed == "chosen by somebody else" || who("chosen by somebody else") != weft.Unauthenticated {
			t.Error("a secret can be chosen")
		}
		third, fourth := begin(""), begin("")
		p := weft.Principal{ID: w.hanako.ID, Name: "hanako"}
		if err := w.EndSession(t.Context(), p, third, home, false); err != nil || who(third) != weft.Unauthenticated || who(fourth) != "" {
			t.Errorf("sign out: %v", err)
		}
		w.logged("sign-out hanako done this browser")
		if err := w.EndSession(t.Context(), p, fourth, home, true); err != nil || who(second) != weft.Unauthenticated {
			t.Errorf("sign out everywhere: %v", err)
		}
	})
}

func TestSessionsEnd(t *testing.T) {
	t.Parallel()
	inBubble(t, Settings{SignIn: SignIn{SessionIdle: time.Hour, SessionLife: 3 * time.Hour, TokenLife: time.Hour}}, func(w *world) {
		begin := func() string {
			secret, _, err := w.BeginSession(w.Context(), w.hanako, home, "", "")
			if err != nil {
				w.Fatal(err)
			}
			return secret
		}
		who := func(secret string) weft.Kind {
			_, err := w.db.PrincipalBySession(w.Context(), hashSecret(secret), home)
			synctest.Wait() // its use is stored aside
			return weft.KindOf(err)
		}
		idle, busy := begin(), begin()
		for n := range 5 {
			time.Sleep(30 * time.Minute)
			if k := who(busy); k != "" {
				w.Errorf("in use, after %d half hours: %q", n+1, k)
			}
		}
		if k := who(idle); k != weft.Unauthenticated {
			w.Errorf("idle: %q", k)
		}
		time.Sleep(30 * time.Minute)
		if k := who(busy); k != weft.Unauthenticated {
			w.Errorf("after its life: %q", k)
		}
	})
}

func TestProgramsAreLetInByACode(t *testing.T) {
	t.Parallel()
	inBubble(t, Settings{}, func(w *world) {
		ctx := w.Context()
		poll := func(code string) (string, weft.DeviceState) {
			secret, _, state, err := w.PollDevice(ctx, code, home)
			if err != nil {
				w.Fatal(err)
			}
			return secret, state
		}
		p := weft.Principal{ID: w.hanako.ID, Name: "hanako"}
		codes, err := w.BeginDevice(ctx, "weft login on laptop", "198.51.100.1")
		if err != nil {
			w.Fatal(err)
		}
		time.Sleep(codes.Pause)
		if _, state := poll(codes.DeviceCode); state != weft.DeviceWaits {
			w.Errorf("at first %q", state)
		}
		time.Sleep(time.Second)
		if _, state := poll(codes.DeviceCode); state != weft.DeviceTooFast {
			w.Errorf("too early %q", state)
		}
		if _, state := poll(codes.UserCode); state != weft.DeviceExpired {
			w.Errorf("by the wrong code %q", state)
		}
		d, err := w.FindDevice(ctx, " "+strings.ToLower(codes.UserCode), home)
		if err != nil || d.Client != "weft login on laptop" || d.From != "198.51.100.1" {
			w.Errorf("%+v, %v", d, err)
		}
		if err := w.DecideDevice(ctx, p, codes.UserCode, home, true); err != nil {
			w.Fatal(err)
		}
		w.logged("allow-device hanako done weft login on laptop, which asked from 198.51.100.1")
		if err := w.DecideDevice(ctx, p, codes.UserCode, home, true); weft.KindOf(err) != weft.NotFound {
			w.Errorf("decided twice: %v", err)
		}
		time.Sleep(time.Minute)
		secret, state := poll(codes.DeviceCode)
		who, err := w.db.PrincipalByToken(ctx, hashSecret(secret), home)
		if state != weft.DeviceLetIn || err != nil || who.Name != "hanako" || who.Expires.IsZero() || who.Token != "weft login on laptop" {
			w.Errorf("%q: %+v, %v", state, who, err)
		}
		w.logged("sign-in hanako done by device, weft login on laptop")
		if _, state := poll(codes.DeviceCode); state != weft.DeviceExpired {
			w.Errorf("a code is good for one token: %q", state)
		}
		if err := w.Revoke(ctx, secret, home); err != nil {
			w.Error(err)
		}
		if _, err := w.db.PrincipalByToken(ctx, hashSecret(secret), home); weft.KindOf(err) != weft.Unauthenticated {
			w.Errorf("revoked: %v", err)
		}
		if err := w.Revoke(ctx, secret, home); err != nil {
			w.Errorf("again: %v", err)
		}
	})
}

func TestProgramsThatAreNotLetIn(t *testing.T) {
	t.Parallel()
	inBubble(t, Settings{}, func(w *world) {
		ctx := w.Context()
		p := weft.Principal{ID: w.hanako.ID, Name: "hanako"}
		begin := func() weft.DeviceCodes {
			codes, err := w.BeginDevice(ctx, "a \x00 program", home)
			if err != nil {
				w.Fatal(err)
			}
			return codes
		}
		state := func(c weft.DeviceCodes) weft.DeviceState {
			secret, _, state, err := w.PollDevice(ctx, c.DeviceCode, home)
			if err != nil || secret != "" {
				w.Errorf("%v", err)
			}
			return state
		}
		denied, late, disabled := begin(), begin(), begin()
		if err := w.DecideDevice(ctx, p, denied.UserCode, home, false); err != nil {
			w.Fatal(err)
		}
		if s := state(denied); s != weft.DeviceDenied {
			w.Errorf("denied: %q", s)
		}
		if err := w.DecideDevice(ctx, p, disabled.UserCode, home, true); err != nil {
			w.Fatal(err)
		}
		yes := true
		if _, err := w.db.ChangeUser(ctx, "hanako", weft.UserChange{Disabled: &yes}); err != nil {
			w.Fatal(err)
		}
		if s := state(disabled); s != weft.DeviceDenied && s != weft.DeviceExpired {
			w.Errorf("of a disabled account: %q", s)
		}
		time.Sleep(deviceLife)
		if s := state(late); s != weft.DeviceExpired {
			w.Errorf("late: %q", s)
		}
		if err := w.DecideDevice(ctx, p, late.UserCode, home, true); weft.KindOf(err) != weft.NotFound {
			w.Errorf("late: %v", err)
		}
	})
}

func TestGuessingCodesIsLimited(t *testing.T) {
	t.Parallel()
	inBubble(t, Settings{}, func(w *world) {
		for n := range failBurst {
			if _, err := w.FindDevice(w.Context(), "BCDFGHJ"+string(userCodeLetter[n%20]), home); weft.KindOf(err) != weft.NotFound {
				w.Errorf("guess %d: %v", n, err)
			}
		}
		if _, err := w.FindDevice(w.Context(), "BCDFGHJK", home); weft.KindOf(err) != weft.Unavailable {
			w.Errorf("it goes on: %v", err)
		}
		for range deviceBurst {
			if _, err := w.BeginDevice(w.Context(), "", home); err != nil {
				w.Error(err)
			}
		}
		if _, err := w.BeginDevice(w.Context(), "", home); weft.KindOf(err) != weft.Unavailable {
			w.Errorf("one address begins any number: %v", err)
		}
	})
}
