//go:build e2e

package app_test

import (
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"
	"testing"

	"github.com/weft-dev/weft/api"
)

// TestSignInSecretsDoNotShow signs in by each way that this server has of its own, and
// looks for what is secret about it in the server's log and in every file of its state.
func TestSignInSecretsDoNotShow(t *testing.T) {
	t.Parallel()
	ctx, m := patiently(t), newLab(t, "--log-level", "debug")
	const password, guess = "the-password-of-hanako", "a-guess-at-the-password"
	if _, err := m.CreateUser(ctx, api.NewUser{Name: "hanako", Password: password}); err != nil {
		t.Fatal(err)
	}
	in, err := m.SignIn(ctx, api.SignIn{Name: "hanako", Password: password})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := m.SignIn(ctx, api.SignIn{Name: "hanako", Password: guess}); err == nil {
		t.Error("a guess signs in")
	}
	device, err := m.BeginDevice(ctx, "a program")
	if err != nil {
		t.Fatal(err)
	}
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	post := func(path string, form url.Values) {
		t.Helper()
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, m.url+path, strings.NewReader(form.Encode()))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		req.Header.Set("Origin", m.url)
		res, err := (&http.Client{Jar: jar}).Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		if res.StatusCode != http.StatusOK {
			t.Errorf("%s: %s", path, res.Status)
		}
	}
	post("/sign-in", url.Values{"name": {"hanako"}, "password": {password}})
	post("/device", url.Values{"user_code": {device.UserCode}, "decision": {"allow"}})
	let, err := m.AwaitDevice(ctx, device)
	if err != nil {
		t.Fatal(err)
	}
	secrets := []string{password, guess, in.Token, device.DeviceCode, let.AccessToken}
	at, err := url.Parse(m.url)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range jar.Cookies(at) {
		secrets = append(secrets, c.Value)
	}
	if len(secrets) != 6 {
		t.Errorf("the browser has %v", jar.Cookies(at))
	}
	if err := m.stop(); err != nil {
		t.Errorf("the server ended with %v", err)
	}
	places := map[string]string{"the server's log": m.log.String()}
	readState(t, m.state, places)
	for name, text := range places {
		for _, secret := range secrets {
			if i := strings.Index(text, secret); i >= 0 {
				t.Errorf("%s has a secret: …%q…", name, text[max(0, i-80):i])
			}
		}
	}
}
