//go:build e2e

package app_test

import (
	"context"
	"flag"
	"math/rand/v2"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/weft-dev/weft/api"
	"github.com/weft-dev/weft/internal/store/storetest"
)

var killSeed = flag.Uint64("killseed", uint64(time.Now().UnixNano()), "chooses the instants of the kills")

// TestTwentyKills runs the digits example twenty times, kills the server, and in every
// other round supervisors too, at random instants, and compares where it ends with a
// run that nobody disturbed.
func TestTwentyKills(t *testing.T) {
	const rounds = 20
	ctx, cancel := context.WithTimeout(t.Context(), 15*time.Minute)
	defer cancel()
	calm := newMachine(t)
	calm.digits()
	calm.settle(ctx, func(api.RunDetail) bool { return false })
	want := calm.picture(ctx)
	if runs := slices.IndexFunc(want, func(s string) bool { return strings.HasPrefix(s, "run localhost:30503/digits/evaluator:v1 done") }); runs < 0 {
		t.Fatalf("the undisturbed run came to no end:\n%s", strings.Join(want, "\n"))
	}
	if err := calm.stop(); err != nil {
		t.Errorf("the server ended with %v", err)
	}
	t.Logf("killseed is %d", *killSeed)
	rng := rand.New(rand.NewPCG(*killSeed, 0))
	for round := range rounds {
		m := newMachine(t)
		m.digits()
		for range 1 + rng.IntN(3) {
			pause(ctx, t, time.Duration(rng.IntN(700))*time.Millisecond)
			if round%2 == 1 {
				for _, pid := range m.supervisors() {
					if rng.IntN(2) == 0 {
						syscall.Kill(pid, syscall.SIGKILL)
					}
				}
			}
			m.kill()
			pause(ctx, t, time.Duration(rng.IntN(300))*time.Millisecond)
			m.start()
		}
		// Whose supervisor was killed may have an end that nobody knows; such a run has
		// failed, and says so. Tried again it must come to the same.
		m.settle(ctx, func(r api.RunDetail) bool {
			if r.Exit == nil || r.Exit.Code != 254 || round%2 == 0 {
				t.Fatalf("round %d: run %s failed: %+v", round, r.RunID, r.Exit)
			}
			return true
		})
		if diff := cmp.Diff(want, m.picture(ctx)); diff != "" {
			t.Fatalf("round %d ended elsewhere (-undisturbed +disturbed):\n%s", round, diff)
		}
		m.verifyAll(ctx)
		if err := m.stop(); err != nil {
			t.Errorf("round %d: the server ended with %v", round, err)
		}
		if left := m.supervisors(); len(left) > 0 {
			t.Errorf("round %d left supervisors %v", round, left)
		}
	}
	if out, err := exec.Command("runc", "list", "-q").Output(); err == nil && len(out) > 0 {
		t.Logf("containers that are there now, of whomever: %s", out)
	}
}

// pause lets real time pass: the instants of kills are what this test is about.
func pause(ctx context.Context, t *testing.T, d time.Duration) {
	t.Helper()
	select {
	case <-time.After(d):
	case <-ctx.Done():
		t.Fatal(context.Cause(ctx))
	}
}

// TestDigitsOnEachDatabase takes the example through a server on each database, stops
// it, and finds everything again.
func TestDigitsOnEachDatabase(t *testing.T) {
	storetest.EachURL(t, func(t *testing.T, url string) {
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
		defer cancel()
		var args []string
		if strings.HasPrefix(url, "postgres") {
			args = []string{"--database", url}
		}
		m := newMachine(t, args...)
		m.digits()
		m.settle(ctx, func(api.RunDetail) bool { return false })
		before := m.picture(ctx)
		if err := m.stop(); err != nil {
			t.Errorf("the server ended with %v", err)
		}
		m.start()
		if diff := cmp.Diff(before, m.picture(ctx)); diff != "" {
			t.Errorf("after a restart (-before +after):\n%s", diff)
		}
		m.verifyAll(ctx)
	})
}
