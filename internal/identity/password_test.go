package identity

import (
	"strings"
	"testing"
	"testing/synctest"

	"golang.org/x/crypto/argon2"

	"github.com/weft-dev/weft"
)

func hashOf(t testing.TB, password string) string {
	t.Helper()
	h, err := HashPassword(password)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func TestPasswordsAreCheckedByTheirHash(t *testing.T) {
	t.Parallel()
	const password = "correct horse battery"
	h := hashOf(t, password)
	if !strings.HasPrefix(h, "$argon2id$v=19$m=19456,t=2,p=1$") {
		t.Errorf("costs are not OWASP's, or not in the hash: %s", h)
	}
	if h == hashOf(t, password) {
		t.Error("there is no salt")
	}
	if err := CheckPassword(h, password); err != nil {
		t.Error(err)
	}
	for _, wrong := range []string{"", "correct horse batter", password + " ", strings.Repeat("x", 1<<20)} {
		if err := CheckPassword(h, wrong); weft.KindOf(err) != weft.Unauthenticated {
			t.Errorf("%.20q: %v", wrong, err)
		}
	}
	if outdated(h) {
		t.Error("a new hash is outdated")
	}
}

func TestHashesOfFormerCostsStillServe(t *testing.T) {
	t.Parallel()
	salt := []byte("0123456789abcdef")
	old := params{memory: 64, time: 1, lanes: 1}
	h := old.encode(salt, argon2.IDKey([]byte("of long ago"), salt, 1, 64, 1, 32))
	if err := CheckPassword(h, "of long ago"); err != nil {
		t.Error(err)
	}
	if !outdated(h) {
		t.Error("nobody would notice that its costs are outdated")
	}
}

func TestPasswordsThatCannotBe(t *testing.T) {
	t.Parallel()
	for _, p := range []string{"", "seven77", "日本語日本語日", strings.Repeat("x", maxPassword+1)} {
		if _, err := HashPassword(p); weft.KindOf(err) != weft.Invalid {
			t.Errorf("%.20q: %v", p, err)
		}
	}
	hashOf(t, "日本語日本語日本")
}

func TestDamagedHashesLetNobodyIn(t *testing.T) {
	t.Parallel()
	good := hashOf(t, "a password")
	for _, h := range []string{
		"", "x", "a password", good[:len(good)-2], strings.Replace(good, "argon2id", "argon2i", 1), strings.Replace(good, "v=19", "v=16", 1),
		strings.Replace(good, "m=19456", "m=999999999", 1), strings.Replace(good, "t=2", "t=0", 1), strings.Replace(good, "p=1", "p=0", 1),
		"$argon2id$v=19$m=19456,t=2,p=1$$",
	} {
		if err := CheckPassword(h, "a password"); err == nil {
			t.Errorf("%q lets in", h)
		}
	}
}

func TestGuessingTakesTurns(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newCrowd(2, 3)
		inside, sentAway := 0, 0
		var leaves []func()
		for range 6 {
			go func() {
				leave, err := c.enter()
				if weft.KindOf(err) == weft.Unavailable {
					sentAway++
					return
				}
				inside++
				leaves = append(leaves, leave)
			}()
			synctest.Wait()
		}
		if inside != 2 || sentAway != 1 {
			t.Errorf("%d are inside, %d were sent away", inside, sentAway)
		}
		for len(leaves) > 0 {
			leave := leaves[0]
			leaves = leaves[1:]
			leave()
			synctest.Wait()
		}
		if inside != 5 {
			t.Errorf("%d had their turn", inside)
		}
	})
}

func BenchmarkCheckPassword(b *testing.B) {
	h := hashOf(b, "a password")
	for b.Loop() {
		if err := CheckPassword(h, "a password"); err != nil {
			b.Fatal(err)
		}
	}
}
