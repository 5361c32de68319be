package identity

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/weft-dev/weft"
	"github.com/weft-dev/weft/internal/store"
	"github.com/weft-dev/weft/internal/store/storetest"
)

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
