package server

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/weft-dev/weft"
	"github.com/weft-dev/weft/api"
	"github.com/weft-dev/weft/internal/identity"
	"github.com/weft-dev/weft/internal/store"
	"github.com/weft-dev/weft/internal/store/storetest"
)

const testPassword = "correct horse battery"

// An entrance is a Server at which people can sign in, with hanako, who has a password.
type entrance struct {
	*testing.T
	*Server
	db  *store.Store
	log *testLog
}

func newEntrance(t *testing.T) *entrance {
	t.Helper()
	return newEntranceBy(t, "http://127.0.0.1:1")
}

func newEntranceBy(t *testing.T, issuer string) *entrance {
	t.Helper()
	db := storetest.SQLite(t)
	if _, err := db.EnsureAdmin(t.Context(), HashToken(testToken)); err != nil {
		t.Fatal(err)
	}
	keys, err := identity.OpenKeys(t.TempDir() + "/keys.json")
	if err != nil {
		t.Fatal(err)
	}
	signIn, err := identity.New(identity.Config{Store: db, Keys: keys, Getenv: func(string) string { return "" }, Settings: identity.Settings{
		SignIn: identity.DefaultSignIn(),
		OIDC:   identity.OIDC{Providers: []identity.Provider{{Name: "corp", Title: "<Corp>", Issuer: issuer, ClientID: "weft"}}},
	}, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	hash, err := identity.HashPassword(testPassword)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := db.CreateUser(t.Context(), weft.User{Name: "hanako", Kind: weft.Person}, hash, weft.Member); err != nil {
		t.Fatal(err)
	}
	guard := NewGuard(db, nil)
	guard.AcceptSessions(db)
	e := &entrance{t, newServer(t, Config{Guard: guard, SignIn: signIn}), db, &testLog{}}
	e.Server.log = slog.New(slog.NewTextHandler(e.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	t.Cleanup(func() { e.unsaid(testPassword, "guess guess") })
	return e
}

// unsaid checks that secrets are not in the log.
func (e *entrance) unsaid(secrets ...string) {
	e.Helper()
	for _, secret := range secrets {
		if secret == "" || strings.Contains(e.log.String(), secret) {
			e.Errorf("the log has %q", secret)
		}
	}
}

// A browser keeps cookies and says where its requests come from.
type browser struct {
	e       *entrance
	https   bool
	cookies map[string]*http.Cookie
	from    string // Sec-Fetch-Site
}

func (e *entrance) browser(https bool) *browser {
	return &browser{e, https, map[string]*http.Cookie{}, "same-origin"}
}

// do makes a request; with a form it is a POST.
func (b *browser) do(path string, form url.Values) *httptest.ResponseRecorder {
	b.e.Helper()
	scheme, method, text := "http", http.MethodGet, ""
	if b.https {
		scheme = "https"
	}
	if form != nil {
		method, text = http.MethodPost, form.Encode()
	}
	r := httptest.NewRequest(method, scheme+"://weft.example.org"+path, strings.NewReader(text))
	r.RequestURI = path
	if form != nil {
		r.Header.Set("Content-Type", formType)
	}
	if b.from != "" {
		r.Header.Set("Sec-Fetch-Site", b.from)
	}
	for _, c := range b.cookies {
		r.AddCookie(&http.Cookie{Name: c.Name, Value: c.Value})
	}
	w := httptest.NewRecorder()
	b.e.ServeHTTP(w, r)
	for _, c := range w.Result().Cookies() {
		b.cookies[c.Name] = c
		if c.MaxAge < 0 {
			delete(b.cookies, c.Name)
		}
	}
	return w
}

func (b *browser) signIn(next string) *httptest.ResponseRecorder {
	return b.do("/sign-in", url.Values{"name": {"hanako"}, "password": {testPassword}, "next": {next}})
}

// expect checks an answer: its status, where it leads, and that it contains a text.
func expect(t *testing.T, what string, w *httptest.ResponseRecorder, status int, location, text string) {
	t.Helper()
	if w.Code != status || w.Header().Get("Location") != location || !strings.Contains(w.Body.String(), text) {
		t.Errorf("%s: %d, to %q\n%s", what, w.Code, w.Header().Get("Location"), w.Body)
	}
}

func TestABrowserSignsInAndOut(t *testing.T) {
	t.Parallel()
	e := newEntrance(t)
	for _, https := range []bool{false, true} {
		b := e.browser(https)
		expect(t, "not yet", b.do("/account", nil), 303, "/sign-in?next=%2Faccount", "")
		expect(t, "the form", b.do("/sign-in?next=%2Fdevice", nil), 200, "", `name="next" value="/device"`)
		expect(t, "signed in", b.signIn("/device"), 303, "/device", "")
		name := sessionCookie
		if https {
			name = "__Host-" + sessionCookie
		}
		c := b.cookies[name]
		if c == nil || !c.HttpOnly || c.Secure != https || c.SameSite != http.SameSiteLaxMode || c.Path != "/" || c.Domain != "" || c.MaxAge <= 0 {
			t.Fatalf("cookies %v", b.cookies)
		}
		expect(t, "the account", b.do("/account", nil), 200, "", "<strong>hanako</strong>")
		expect(t, "the API", b.do("/api/version", nil), 200, "", "knitfab")
		expect(t, "the form again", b.do("/sign-in?next=%2Fdevice", nil), 303, "/device", "")
		former := *c
		expect(t, "signed in again", b.signIn(""), 303, "/account", "")
		e.unsaid(former.Value, b.cookies[name].Value)
		if b.cookies[name].Value == former.Value {
			t.Error("the session is the same")
		}
		stale := e.browser(https)
		stale.cookies[name] = &former
		expect(t, "the former session", stale.do("/api/version", nil), 401, "", "session has ended")
		expect(t, "the beginning", b.do("/", nil), 303, "/account", "")
		expect(t, "signed out", b.do("/sign-out", url.Values{}), 303, "/sign-in", "")
		if len(b.cookies) > 0 {
			t.Errorf("cookies %v", b.cookies)
		}
		expect(t, "afterwards", b.do("/api/version", nil), 401, "", "")
	}
}

func TestSigningOutOfEveryBrowser(t *testing.T) {
	t.Parallel()
	e := newEntrance(t)
	one, other := e.browser(true), e.browser(true)
	one.signIn("")
	other.signIn("")
	expect(t, "sign out", one.do("/sign-out", url.Values{"everywhere": {"yes"}}), 303, "/sign-in", "")
	expect(t, "the other", other.do("/account", nil), 303, "/sign-in?next=%2Faccount", "")
}

func TestASessionCannotBeFixed(t *testing.T) {
	t.Parallel()
	e := newEntrance(t)
	b := e.browser(true)
	b.cookies["__Host-"+sessionCookie] = &http.Cookie{Name: "__Host-" + sessionCookie, Value: "prepared"}
	b.signIn("")
	if v := b.cookies["__Host-"+sessionCookie].Value; v == "prepared" || len(v) < 40 {
		t.Errorf("the session is %q", v)
	}
	// Another host can set cookies for this one, but none with the prefix.
	mallory := e.browser(true)
	mallory.signIn("")
	victim := e.browser(true)
	victim.cookies[sessionCookie] = &http.Cookie{Name: sessionCookie, Value: mallory.cookies["__Host-"+sessionCookie].Value}
	expect(t, "a cookie without the prefix", victim.do("/api/version", nil), 401, "", "")
	r := httptest.NewRequest(http.MethodGet, "/api/version", nil)
	r.Header.Set("Cookie", sessionCookie+"=a; "+sessionCookie+"=b")
	w := httptest.NewRecorder()
	e.ServeHTTP(w, r)
	expect(t, "two cookies", w, 401, "", "")
}

func TestOtherSitesCannotUseASession(t *testing.T) {
	t.Parallel()
	e := newEntrance(t)
	b := e.browser(true)
	b.signIn("")
	forms := map[string]url.Values{
		"/sign-in": {"name": {"hanako"}, "password": {testPassword}}, "/sign-out": {}, "/device": {"user_code": {"BCDFGHJK"}, "decision": {"allow"}}, "/api/plans": {},
	}
	for path, form := range forms {
		for _, from := range []string{"cross-site", "same-site", ""} {
			b.from = from
			if w := b.do(path, form); w.Code != http.StatusForbidden || !strings.Contains(w.Body.String(), "another site may not") {
				t.Errorf("%s from %q: %d %s", path, from, w.Code, w.Body)
			}
		}
	}
	b.from = "same-origin"
	expect(t, "the session goes on", b.do("/account", nil), 200, "", "hanako")
	old := func(origin string) int { // a browser that knows nothing of Sec-Fetch-Site
		r := httptest.NewRequest(http.MethodPost, "https://weft.example.org/sign-out", nil)
		r.Header.Set("Origin", origin)
		w := httptest.NewRecorder()
		e.ServeHTTP(w, r)
		return w.Code
	}
	for origin, want := range map[string]int{"https://weft.example.org": 303, "https://evil.example.org": 403, "null": 403} {
		if got := old(origin); got != want {
			t.Errorf("from %s: %d", origin, got)
		}
	}
	b.from = "cross-site"
	r := httptest.NewRequest(http.MethodGet, "https://weft.example.org/api/version", nil)
	r.Header.Set("Upgrade", "websocket")
	r.Header.Set("Sec-Fetch-Site", "same-site")
	for _, c := range b.cookies {
		r.AddCookie(&http.Cookie{Name: c.Name, Value: c.Value})
	}
	w := httptest.NewRecorder()
	e.ServeHTTP(w, r)
	expect(t, "a connection for a page of another host", w, 403, "", "")
}

func TestNobodyIsSentElsewhere(t *testing.T) {
	t.Parallel()
	e := newEntrance(t)
	for next, want := range map[string]string{
		"": accountPage, "/device?user_code=A-B": "/device?user_code=A-B", "/": "/", "/a%2fb": "/a%2fb",
		"https://evil.example.org": accountPage, "//evil.example.org": accountPage, `/\evil.example.org`: accountPage, `\\evil.example.org`: accountPage,
		"///evil.example.org": accountPage, "/%09/evil.example.org": "/%09/evil.example.org", "/\t/evil.example.org": accountPage, "javascript:alert(1)": accountPage,
		"evil.example.org": accountPage, "https:evil.example.org": accountPage, "/\r\nSet-Cookie: a=b": accountPage, "http://weft.example.org@evil.example.org/": accountPage, "/%zz": accountPage,
	} {
		b := e.browser(true)
		if got := b.signIn(next).Header().Get("Location"); got != want {
			t.Errorf("%q leads to %q", next, got)
		}
		if got := b.do("/sign-in?next="+url.QueryEscape(next), nil).Header().Get("Location"); got != want {
			t.Errorf("signed in already, %q leads to %q", next, got)
		}
	}
}

func TestPagesAreStrict(t *testing.T) {
	t.Parallel()
	e := newEntrance(t)
	b := e.browser(true)
	b.signIn("")
	for _, who := range []*browser{b, e.browser(true)} {
		for _, path := range []string{"/sign-in", "/account", "/device", "/device?user_code=x", "/sign-in/oidc/corp", "/sign-in/oidc/other", "/sign-in/oidc/corp/callback?state=x&code=y"} {
			w := who.do(path, nil)
			h := w.Header()
			if !strings.Contains(h.Get("Content-Security-Policy"), "default-src 'none'") || !strings.Contains(h.Get("Content-Security-Policy"), "frame-ancestors 'none'") ||
				h.Get("Cache-Control") != "no-store" || h.Get("X-Content-Type-Options") != "nosniff" {
				t.Errorf("%s: %v", path, h)
			}
			if w.Code != http.StatusSeeOther && !strings.HasPrefix(h.Get("Content-Type"), "text/html") {
				t.Errorf("%s: %d %s", path, w.Code, h.Get("Content-Type"))
			}
			if strings.Contains(w.Body.String(), "<script") || strings.Contains(w.Body.String(), "<Corp>") || strings.Contains(w.Body.String(), " style=") {
				t.Errorf("%s:\n%s", path, w.Body)
			}
		}
	}
	expect(t, "the style", b.do("/sign-in/style.css", nil), 200, "", "main")
	expect(t, "markup in a name", b.do("/sign-in", url.Values{"name": {`"><b>`}, "password": {"guess guess"}}), 401, "", `value="&#34;&gt;&lt;b&gt;"`)
	expect(t, "a large form", b.do("/sign-in", url.Values{"name": {strings.Repeat("x", maxForm)}}), 400, "", "cannot be read")
}

func TestAWrongPasswordShowsTheFormAgain(t *testing.T) {
	t.Parallel()
	e := newEntrance(t)
	b := e.browser(false)
	w := b.do("/sign-in", url.Values{"name": {"hanako"}, "password": {"guess guess"}, "next": {"/device"}})
	expect(t, "wrong", w, 401, "", `role="alert"`)
	for _, part := range []string{`value="hanako"`, `value="/device"`, "the name or the password is not right", "Sign in with &lt;Corp&gt;"} {
		if !strings.Contains(w.Body.String(), part) {
			t.Errorf("%s is missing:\n%s", part, w.Body)
		}
	}
	if strings.Contains(w.Body.String(), "guess guess") || len(b.cookies) > 0 {
		t.Errorf("%v\n%s", b.cookies, w.Body)
	}
	expect(t, "an issuer that is not there", b.do("/sign-in/oidc/corp", nil), 503, "", "&lt;Corp&gt; cannot be reached just now</p>")
	expect(t, "by password all the same", b.signIn(""), 303, accountPage, "")
}

func TestAProgramIsLetInWithABrowser(t *testing.T) {
	t.Parallel()
	e := newEntrance(t)
	post := func(path string, form url.Values, answer any) int {
		t.Helper()
		r := httptest.NewRequest(http.MethodPost, "https://weft.example.org"+path, strings.NewReader(form.Encode()))
		r.Header.Set("Content-Type", formType)
		w := httptest.NewRecorder()
		e.ServeHTTP(w, r)
		if err := json.Unmarshal(w.Body.Bytes(), answer); err != nil {
			t.Fatalf("%s: %s", path, w.Body)
		}
		return w.Code
	}
	var d api.DeviceAuthorization
	if code := post("/api/oauth/device_authorization", url.Values{"client_name": {"<weft> login"}}, &d); code != 200 || d.VerificationURI != "https://weft.example.org/device" || d.Interval != 5 || d.ExpiresIn != 600 {
		t.Fatalf("%d %+v", code, d)
	}
	poll := func() (api.AccessToken, string) {
		var both struct {
			api.AccessToken
			api.OAuthError
		}
		code := post("/api/oauth/token", url.Values{"grant_type": {deviceGrant}, "device_code": {d.DeviceCode}}, &both)
		if (code == 200) != (both.OAuthError.Error == "") || code != 200 && code != 400 {
			t.Errorf("%d %+v", code, both)
		}
		return both.AccessToken, both.OAuthError.Error
	}
	if _, state := poll(); state != "authorization_pending" {
		t.Errorf("at first: %q", state)
	}
	var refused api.OAuthError
	if code := post("/api/oauth/token", url.Values{"grant_type": {"password"}}, &refused); code != 400 || refused.Error != "unsupported_grant_type" {
		t.Errorf("%d %+v", code, refused)
	}
	path := strings.TrimPrefix(d.VerificationURIComplete, "https://weft.example.org")
	b := e.browser(true)
	w := b.do(path, nil)
	expect(t, "not signed in", w, 303, "/sign-in?"+url.Values{"next": {path}}.Encode(), "")
	expect(t, "signed in", b.signIn(path), 303, path, "")
	expect(t, "the page", b.do(path, nil), 200, "", "&lt;weft&gt; login")
	expect(t, "a wrong code", b.do("/device?user_code=BBBB-BBBB", nil), 404, "", "no sign-in waits")
	expect(t, "let in", b.do("/device", url.Values{"user_code": {d.UserCode}, "decision": {"allow"}}), 200, "", "let in")
	expect(t, "let in twice", b.do("/device", url.Values{"user_code": {d.UserCode}, "decision": {"allow"}}), 404, "", "")
	expect(t, "not signed in", e.browser(true).do("/device", url.Values{"user_code": {d.UserCode}, "decision": {"allow"}}), 401, "", "")
	token, state := poll()
	if state != "" || token.TokenType != "Bearer" || token.ExpiresIn <= 0 {
		t.Fatalf("%q %+v", state, token)
	}
	e.unsaid(token.AccessToken, d.DeviceCode)
	if _, state := poll(); state != "expired_token" {
		t.Errorf("again: %q", state)
	}
	p, err := e.db.PrincipalByToken(context.Background(), HashToken(token.AccessToken), "")
	if err != nil || p.Name != "hanako" || p.Token != "<weft> login" {
		t.Errorf("%+v, %v", p, err)
	}
	if code := post("/api/oauth/revoke", url.Values{"token": {token.AccessToken}}, &struct{}{}); code != 200 {
		t.Errorf("revoke: %d", code)
	}
	if _, err := e.db.PrincipalByToken(context.Background(), HashToken(token.AccessToken), ""); weft.KindOf(err) != weft.Unauthenticated {
		t.Errorf("revoked: %v", err)
	}
}

func TestANameAndAPasswordGiveAToken(t *testing.T) {
	t.Parallel()
	e := newEntrance(t)
	h, _ := listen(t, e)
	c, err := api.NewClient(h.URL, api.Options{})
	if err != nil {
		t.Fatal(err)
	}
	in, err := c.SignIn(t.Context(), api.SignIn{Name: "hanako", Password: testPassword})
	if err != nil || in.User != "hanako" || time.Until(in.ExpiresAt.Time) < 24*time.Hour {
		t.Fatalf("%+v, %v", in, err)
	}
	if c, err = api.NewClient(h.URL, api.Options{Token: in.Token}); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Version(t.Context()); err != nil {
		t.Error(err)
	}
	if err := c.RevokeToken(t.Context()); err != nil {
		t.Error(err)
	}
	if _, err := c.Version(t.Context()); err == nil {
		t.Error("the token is good after it was revoked")
	}
	for _, body := range []api.SignIn{{Name: "hanako", Password: "guess guess"}, {Name: "nobody", Password: testPassword}, {}} {
		if _, err := c.SignIn(t.Context(), body); err == nil || !strings.Contains(err.Error(), "the name or the password is not right") {
			t.Errorf("%+v: %v", body, err)
		}
	}
}

// newIssuer starts an OpenID provider at which everyone is yoko. It gives one code, which
// is good for the sign-in that was begun last.
func newIssuer(t *testing.T) *httptest.Server {
	t.Helper()
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	var begun url.Values
	var h *httptest.Server
	mux := http.NewServeMux()
	mux.HandleFunc("GET /.well-known/openid-configuration", func(w http.ResponseWriter, _ *http.Request) {
		writeJSON(w, 200, map[string]string{"issuer": h.URL, "authorization_endpoint": h.URL + "/auth", "token_endpoint": h.URL + "/token", "jwks_uri": h.URL + "/keys"}, slog.Default())
	})
	mux.HandleFunc("GET /keys", func(w http.ResponseWriter, _ *http.Request) {
		key := map[string]string{"kty": "OKP", "crv": "Ed25519", "kid": "k", "x": base64.RawURLEncoding.EncodeToString(public)}
		writeJSON(w, 200, map[string]any{"keys": []any{key}}, slog.Default())
	})
	mux.HandleFunc("GET /auth", func(w http.ResponseWriter, r *http.Request) {
		begun = r.URL.Query()
		http.Redirect(w, r, begun.Get("redirect_uri")+"?"+url.Values{"state": {begun.Get("state")}, "code": {"the-code"}}.Encode(), http.StatusFound)
	})
	mux.HandleFunc("POST /token", func(w http.ResponseWriter, r *http.Request) {
		sum := sha256.Sum256([]byte(r.PostFormValue("code_verifier")))
		if r.PostFormValue("code") != "the-code" || begun.Get("code_challenge") != base64.RawURLEncoding.EncodeToString(sum[:]) || r.PostFormValue("redirect_uri") != begun.Get("redirect_uri") {
			writeJSON(w, 400, map[string]string{"error": "invalid_grant"}, slog.Default())
			return
		}
		tok := jwt.NewWithClaims(jwt.SigningMethodEdDSA, jwt.MapClaims{"iss": h.URL, "aud": "weft", "sub": "0815", "exp": time.Now().Add(time.Hour).Unix(), "nonce": begun.Get("nonce"),
			"preferred_username": "yoko", "groups": []string{}})
		tok.Header["kid"] = "k"
		text, err := tok.SignedString(private)
		if err != nil {
			t.Error(err)
		}
		writeJSON(w, 200, map[string]any{"access_token": "a", "token_type": "Bearer", "id_token": text}, slog.Default())
	})
	h = httptest.NewServer(mux)
	t.Cleanup(h.Close)
	return h
}

func TestABrowserSignsInAtAProvider(t *testing.T) {
	t.Parallel()
	issuer := newIssuer(t)
	e := newEntranceBy(t, issuer.URL)
	b := e.browser(true)
	begin := b.do("/sign-in/oidc/corp?next=%2Fdevice", nil)
	at := begin.Header().Get("Location")
	if begin.Code != 303 || !strings.HasPrefix(at, issuer.URL+"/auth?") || !strings.Contains(at, url.QueryEscape("https://weft.example.org/sign-in/oidc/corp/callback")) {
		t.Fatalf("%d to %s", begin.Code, at)
	}
	c := b.cookies["__Host-"+flowCookie]
	if c == nil || !c.HttpOnly || !c.Secure || c.SameSite != http.SameSiteLaxMode || strings.Contains(c.Value, "corp") {
		t.Fatalf("%+v", b.cookies)
	}
	there := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	res, err := there.Get(at)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	back, err := res.Location()
	if err != nil {
		t.Fatal(err)
	}
	mallory := e.browser(true)
	expect(t, "another browser", mallory.do(back.RequestURI(), nil), 401, "", "not begun by this browser")
	b.from = "cross-site" // the provider sends it
	expect(t, "back", b.do(back.RequestURI(), nil), 303, "/device", "")
	if b.cookies["__Host-"+flowCookie] != nil || b.cookies["__Host-"+sessionCookie] == nil {
		t.Errorf("%+v", b.cookies)
	}
	b.from = "same-origin"
	expect(t, "signed in", b.do("/account", nil), 200, "", "<strong>yoko</strong>")
	b.cookies["__Host-"+flowCookie] = c
	expect(t, "replayed", b.do(back.RequestURI(), nil), 401, "", "is over")
	e.unsaid("the-code", c.Value, back.Query().Get("state"))
}

// FuzzLocalPage looks for a page to go to that leads to another host.
func FuzzLocalPage(f *testing.F) {
	for _, next := range []string{"/", "/device?user_code=A", "//evil.example.org", `/\evil.example.org`, "/\t/evil.example.org", "https://evil.example.org", "/%2f/x", "/a?b=//c#d"} {
		f.Add(next)
	}
	base, err := url.Parse("https://weft.example.org/sign-in")
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, next string) {
		page := localPage(next)
		to, err := base.Parse(page)
		if err != nil || to.Host != base.Host || to.Scheme != base.Scheme || to.User != nil {
			t.Errorf("%q leads to %v, %v", next, to, err)
		}
		// Browsers take a backslash for a slash, and leave out tabs and newlines.
		if !strings.HasPrefix(page, "/") || strings.HasPrefix(page, "//") || strings.ContainsFunc(page, func(r rune) bool { return r <= ' ' || r == '\\' || r == 0x7f }) {
			t.Errorf("%q leads to %q", next, page)
		}
		if again := localPage(page); again != page {
			t.Errorf("%q leads to %q, which leads to %q", next, page, again)
		}
	})
}
