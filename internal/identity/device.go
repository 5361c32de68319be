package identity

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/weft-dev/weft"
)

// The device flow (RFC 8628): a program without a browser shows a short code; somebody
// who is signed in with a browser, on whatever machine, types it in and allows the
// program in; the program, which asks now and then, gets a token.
const (
	deviceLife     = 10 * time.Minute
	devicePause    = 5 * time.Second        // between its polls
	userCodeLetter = "BCDFGHJKLMNPQRSTVWXZ" // no vowels, so no words; nothing that looks alike
	userCodeLength = 8                      // 34 bits, and few guesses
	maxClient      = 100                    // bytes of what a program calls itself
)

// BeginDevice begins the sign-in of a program, which calls itself client.
func (s *Service) BeginDevice(ctx context.Context, client, from string) (weft.DeviceCodes, error) {
	if err := s.devices.take(from); err != nil {
		return weft.DeviceCodes{}, err
	}
	codes := weft.DeviceCodes{DeviceCode: newSecret(), Life: deviceLife, Pause: s.pause}
	d := weft.Device{Client: shorten(clean(client), maxClient), From: from, ExpiresAt: time.Now().Add(deviceLife), Interval: s.pause}
	for {
		d.UserCode = newUserCode()
		err := s.store.CreateDevice(ctx, d, hashSecret(codes.DeviceCode))
		if weft.KindOf(err) == weft.Conflict {
			continue
		}
		codes.UserCode = shownCode(d.UserCode)
		return codes, err
	}
}

// newUserCode draws a code, each with the same chance.
func newUserCode() string {
	code := make([]byte, 0, userCodeLength)
	for b := make([]byte, 1); len(code) < userCodeLength; {
		rand.Read(b) // never fails
		if n := int(b[0]); n < 256-256%len(userCodeLetter) {
			code = append(code, userCodeLetter[n%len(userCodeLetter)])
		}
	}
	return string(code)
}

// readUserCode makes a code of what somebody has typed.
func readUserCode(typed string) string {
	return strings.Map(func(r rune) rune {
		if strings.ContainsRune(userCodeLetter, r) {
			return r
		}
		return -1
	}, strings.ToUpper(typed))
}

// shownCode is a code as people read it best.
func shownCode(code string) string {
	return code[:userCodeLength/2] + "-" + code[userCodeLength/2:]
}

// FindDevice returns the sign-in that waits under the code that somebody has typed, with
// the code as it is shown. NotFound if there is none; guessing is limited.
func (s *Service) FindDevice(ctx context.Context, typed, from string) (weft.Device, error) {
	d, err := s.findDevice(ctx, typed, from)
	if err == nil {
		d.UserCode = shownCode(d.UserCode)
	}
	return d, err
}

func (s *Service) findDevice(ctx context.Context, typed, from string) (weft.Device, error) {
	if err := s.fails.take(from); err != nil {
		return weft.Device{}, err
	}
	d, err := s.store.DeviceByUserCode(ctx, readUserCode(typed))
	if err == nil {
		s.fails.giveBack(from)
	}
	return d, err
}

// DecideDevice lets a program in as p, or turns it away.
func (s *Service) DecideDevice(ctx context.Context, p weft.Principal, typed, from string, allow bool) error {
	d, err := s.findDevice(ctx, typed, from)
	if err == nil {
		err = s.store.DecideDevice(ctx, d.UserCode, p.ID, allow)
	}
	if err != nil {
		return err
	}
	e := weft.Audit{Who: p.ID, Name: p.Name, From: from, Action: "allow-device", Object: p.Name, Result: weft.AuditDone, Detail: d.Client + ", which asked from " + d.From}
	if !allow {
		e.Action = "deny-device"
	}
	return s.audit(ctx, e)
}

// PollDevice returns the token of a program that was let in, once.
func (s *Service) PollDevice(ctx context.Context, deviceCode, from string) (secret string, k weft.Token, state weft.DeviceState, err error) {
	d, err := s.store.PollDevice(ctx, hashSecret(deviceCode))
	switch {
	case weft.KindOf(err) == weft.NotFound:
		return "", k, weft.DeviceExpired, nil
	case err != nil:
		return "", k, "", err
	case d.Denied:
		return "", k, weft.DeviceDenied, nil
	case d.Owner.IsZero() && !d.PolledAt.IsZero() && time.Since(d.PolledAt) < d.Interval:
		return "", k, weft.DeviceTooFast, nil
	case d.Owner.IsZero():
		return "", k, weft.DeviceWaits, nil
	}
	u, err := s.store.UserByID(ctx, d.Owner)
	if weft.KindOf(err) == weft.NotFound || u.Disabled {
		return "", k, weft.DeviceDenied, nil
	}
	if err == nil {
		secret, k, err = s.MakeToken(ctx, u, tokenName(d.Client))
	}
	if err == nil {
		err = s.audit(ctx, weft.Audit{Who: u.ID, Name: u.Name, From: from, Token: k.ID, Action: ActionSignIn, Object: u.Name, Result: weft.AuditDone, Detail: "by device, " + d.Client})
	}
	return secret, k, weft.DeviceLetIn, err
}

// tokenName is the name of the token of a program.
func tokenName(client string) string {
	if client == "" {
		return "weft login"
	}
	return client
}

func shorten(s string, n int) string {
	for len(s) > n {
		_, size := utf8.DecodeLastRuneInString(s)
		s = s[:len(s)-size]
	}
	return strings.ToValidUTF8(s, "")
}

func encode(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

func decode(s string) ([]byte, error) { return base64.RawURLEncoding.DecodeString(s) }
