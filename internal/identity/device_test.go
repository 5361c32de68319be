package identity

import (
	"strings"
	"testing"
	"time"

	"github.com/weft-dev/weft"
)

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
