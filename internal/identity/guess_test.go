package identity

import (
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/weft-dev/weft"
	"github.com/weft-dev/weft/internal/store"
	"github.com/weft-dev/weft/internal/store/storetest"
)

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
		for range 10 { // so that the next one locks the name for longer than this test takes
			if _, err := db.SignInFailed(t.Context(), "hanako", func(int) time.Duration { return 0 }); err != nil {
				t.Fatal(err)
			}
		}
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
		if kinds[weft.Unauthenticated] != 1 || kinds[weft.Unavailable] != 14 {
			t.Errorf("%v: not just one was looked at", kinds)
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

func TestALockSurvivesARestart(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.Store) {
		w := newWorld(t, db, Settings{}, nil)
		for range freeFailures + 10 {
			if _, err := db.SignInFailed(t.Context(), "hanako", lockFor); err != nil {
				t.Fatal(err)
			}
		}
		again, err := New(Config{Store: db, Keys: newKeys(t), Settings: Settings{SignIn: DefaultSignIn()}, Getenv: func(string) string { return "" }, Log: w.Service.log})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := again.SignIn(t.Context(), "hanako", password, home); weft.KindOf(err) != weft.Unavailable {
			t.Errorf("%v", err)
		}
		if err := db.ClearSignInFailures(t.Context(), "hanako"); err != nil { // as an administrator does
			t.Fatal(err)
		}
		if _, err := again.SignIn(t.Context(), "hanako", password, home); err != nil {
			t.Error(err)
		}
	})
}
