package identity

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/golang-jwt/jwt/v5"

	"github.com/weft-dev/weft"
	"github.com/weft-dev/weft/internal/store"
	"github.com/weft-dev/weft/internal/store/storetest"
)

// corp are settings with one provider, whose secret is in a file.
func corp(t *testing.T, issuer string) Settings {
	t.Helper()
	file := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(file, []byte(clientSecret+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return Settings{OIDC: OIDC{Providers: []Provider{{
		Name: "corp", Title: "Example Corporation", Issuer: issuer, ClientID: clientID, ClientSecretFile: file, Scopes: []string{"groups"},
		Groups: Groups{SignIn: []string{"staff"}, Admin: []string{"admins"}, Roles: []GroupRole{{"ml", "default", "member"}, {"leads", "default", "manager"}}},
	}}}}
}

var yoko = subject{id: "0815", name: "Yoko", full: "Yoko Example", email: "yoko@example.org", groups: []string{"staff", "ml"}}

// begin begins a sign-in at the provider corp.
func (w *world) begin() (to, state string) {
	w.Helper()
	to, state, err := w.BeginOIDC(w.Context(), "corp", redirectTo, "/device?user_code=X")
	if err != nil {
		w.Fatal(err)
	}
	return to, state
}

func (w *world) finish(state string, back url.Values) (weft.User, error) {
	u, next, err := w.FinishOIDC(w.Context(), "corp", state, back, home)
	if err == nil && next != "/device?user_code=X" {
		w.Errorf("it goes on at %q", next)
	}
	return u, err
}

func TestPeopleSignInAtAProvider(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.Store) {
		i := newIssuer(t)
		w := newWorld(t, db, corp(t, i.server.URL), nil)
		signIn := func() (weft.User, error) {
			to, state := w.begin()
			return w.finish(state, i.visit(to))
		}
		role := func() string {
			ms, err := db.Members(t.Context(), weft.ProjectID{}, mustUser(w, "yoko").ID)
			if err != nil || len(ms) > 1 {
				t.Fatal(ms, err)
			}
			if len(ms) == 0 {
				return "none"
			}
			return ms[0].Role.String()
		}
		i.signsIn(yoko)
		u, err := signIn()
		if err != nil || u.Name != "yoko" || u.FullName != "Yoko Example" || u.Email != "yoko@example.org" || u.HasPassword || u.Admin || role() != "member" {
			t.Fatalf("%+v, %v", u, err)
		}
		w.logged("sign-in yoko done by corp")
		lead := yoko
		lead.full, lead.groups = "Yoko Exemplar", []string{"STAFF", "leads", "ml", "admins"}
		i.signsIn(lead)
		again, err := signIn()
		if err != nil || again.ID != u.ID || again.FullName != "Yoko Exemplar" || !again.Admin || role() != "manager" {
			t.Errorf("%+v, %v", again, err)
		}
		lead.groups = []string{"staff"}
		i.signsIn(lead)
		if again, err = signIn(); err != nil || again.Admin || role() != "none" {
			t.Errorf("what groups give no longer: %+v, %v", again, err)
		}
		lead.groups = nil
		i.signsIn(lead)
		if _, err := signIn(); weft.KindOf(err) != weft.Forbidden {
			t.Errorf("in no group that may: %v", err)
		}
		if k := w.try("yoko", password, home); k != weft.Unauthenticated {
			t.Errorf("she has no password here: %q", k)
		}
	})
}

func mustUser(w *world, name string) weft.User {
	w.Helper()
	u, err := w.db.User(w.Context(), name)
	if err != nil {
		w.Fatal(err)
	}
	return u
}

func TestANameAloneTakesOverNothing(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.Store) {
		i := newIssuer(t)
		w := newWorld(t, db, corp(t, i.server.URL), nil)
		if _, err := db.CreateUser(t.Context(), weft.User{Name: "robot", Kind: weft.Service}, "", weft.Member); err != nil {
			t.Fatal(err)
		}
		waiting := w.user("waiting", "")
		if _, err := db.CreateUser(t.Context(), weft.User{Name: "root", Kind: weft.Person, Admin: true}, "", weft.NoRole); err != nil {
			t.Fatal(err)
		}
		for name, want := range map[string]weft.Kind{"hanako": weft.Forbidden, "robot": weft.Forbidden, "root": weft.Forbidden, "admin": weft.Forbidden, "no name": weft.Invalid, "": "", "waiting": ""} {
			who := yoko
			who.id, who.name = "id-of-"+name, name
			i.signsIn(who)
			to, state := w.begin()
			u, err := w.finish(state, i.visit(to))
			if weft.KindOf(err) != want {
				t.Errorf("%q: %v", name, err)
			}
			if name == "waiting" && u.ID != waiting.ID {
				t.Error("an account made for that is not taken")
			}
			if name == "" && u.Name != "yoko@example.org" {
				t.Errorf("without a name, it is %q", u.Name)
			}
		}
		thief := yoko
		thief.id, thief.name = "another", "waiting"
		i.signsIn(thief)
		to, state := w.begin()
		if _, err := w.finish(state, i.visit(to)); weft.KindOf(err) != weft.Forbidden {
			t.Errorf("the second of a name: %v", err)
		}
	})
}

func TestASignInAtAProviderIsGoodOnceAndForOneBrowser(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.Store) {
		i := newIssuer(t)
		i.signsIn(yoko)
		w := newWorld(t, db, corp(t, i.server.URL), nil)
		to, state := w.begin()
		back := i.visit(to)
		_, stateOfAnother := w.begin()
		with := func(name, value string) url.Values {
			v := maps.Clone(back)
			v.Set(name, value)
			return v
		}
		refused := func(what, state string, q url.Values) {
			t.Helper()
			if _, err := w.finish(state, q); weft.KindOf(err) != weft.Unauthenticated {
				t.Errorf("%s: %v", what, err)
			}
		}
		refused("another browser", stateOfAnother, back)
		refused("no cookie", "", back)
		refused("a forged cookie", encode([]byte(`{"p":"corp"}`)), back)
		if _, err := w.finish(state, back); err != nil {
			t.Fatal(err)
		}
		refused("replayed", state, back)
		_, state = w.begin()
		refused("a code of another sign-in", state, with("state", "x"))
		to, state = w.begin()
		back2 := i.visit(to)
		back2.Set("code", back.Get("code"))
		refused("a code again", state, back2)
		to, state = w.begin()
		back = i.visit(to)
		refused("of another issuer", state, with("iss", "https://evil.example.org"))
		to, state = w.begin()
		back = i.visit(to)
		refused("denied there", state, url.Values{"state": back["state"], "error": {"access_denied"}})
		if _, _, err := w.FinishOIDC(t.Context(), "other", state, back, home); weft.KindOf(err) != weft.NotFound {
			t.Errorf("another provider: %v", err)
		}
	})
}

func TestAnUnreachableIssuerStopsNobodyElse(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	i.signsIn(yoko)
	i.isDown(true)
	w := newWorld(t, storetest.SQLite(t), corp(t, i.server.URL), nil)
	if _, _, err := w.BeginOIDC(t.Context(), "corp", redirectTo, "/"); weft.KindOf(err) != weft.Unavailable {
		t.Errorf("%v", err)
	}
	if k := w.try("hanako", password, home); k != "" {
		t.Errorf("by password: %q", k)
	}
	i.isDown(false)
	p := w.now.Load().providers[0]
	p.next = time.Now().Add(time.Hour)
	if _, _, err := w.BeginOIDC(t.Context(), "corp", redirectTo, "/"); weft.KindOf(err) != weft.Unavailable {
		t.Errorf("it is asked before its pause is over: %v", err)
	}
	p.next = time.Now()
	to, state := w.begin()
	back := i.visit(to)
	i.isDown(true)
	if _, err := w.finish(state, back); weft.KindOf(err) == "" {
		t.Errorf("down for the code: %v", err)
	}
	i.isDown(false)
	to, state = w.begin()
	if _, err := w.finish(state, i.visit(to)); err != nil {
		t.Error(err)
	}
}

func TestAnIssuerIsLeftAloneForLongerAndLonger(t *testing.T) {
	t.Parallel()
	p, err := newProvider(Provider{Name: "corp", Issuer: "http://127.0.0.1:1", ClientID: clientID}, func(string) string { return "" })
	if err != nil {
		t.Fatal(err)
	}
	var pauses []time.Duration
	for range 7 {
		p.next = time.Time{}
		if _, err := p.discover(t.Context()); weft.KindOf(err) != weft.Unavailable {
			t.Fatal(err)
		}
		pauses = append(pauses, p.pause)
	}
	if pauses[0] != firstPause || pauses[1] != 2*firstPause || pauses[6] != lastPause {
		t.Errorf("pauses %v", pauses)
	}
}

func TestSignInsAtAProviderTakeNotForEver(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	p, err := newProvider(corp(t, i.server.URL).OIDC.Providers[0], func(string) string { return "" })
	if err != nil {
		t.Fatal(err)
	}
	f := flow{Redirect: redirectTo}
	if _, err := p.begin(t.Context(), &f); err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		f.Until = time.Now().Add(flowLife)
		time.Sleep(flowLife + 1)
		if _, err := p.finish(t.Context(), f, url.Values{"state": {f.State}, "code": {"x"}}); weft.KindOf(err) != weft.Unauthenticated {
			t.Errorf("%v", err)
		}
	})
}

// A rogue is a provider that gives whatever token it is told to.
func rogue(t *testing.T) (issuer string, key *ecdsa.PrivateKey, give func(string)) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	var token string
	var server *httptest.Server
	answer := func(w http.ResponseWriter, v any) {
		w.Header().Set("Content-Type", "application/json")
		if err := json.NewEncoder(w).Encode(v); err != nil {
			t.Error(err)
		}
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/.well-known/openid-configuration", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, map[string]any{"issuer": server.URL, "authorization_endpoint": server.URL + "/auth", "token_endpoint": server.URL + "/token", "jwks_uri": server.URL + "/keys",
			"id_token_signing_alg_values_supported": []string{"none", "HS256", "ES256"}})
	})
	mux.HandleFunc("/keys", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: &key.PublicKey, KeyID: "good", Algorithm: "ES256", Use: "sig"}}})
	})
	mux.HandleFunc("/token", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, map[string]any{"access_token": "a", "token_type": "Bearer", "id_token": token})
	})
	server = httptest.NewServer(mux)
	t.Cleanup(server.Close)
	return server.URL, key, func(s string) { token = s }
}

func TestTokensOfAProviderAreVerified(t *testing.T) {
	t.Parallel()
	at, key, give := rogue(t)
	other, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	p, err := newProvider(Provider{Name: "corp", Issuer: at, ClientID: clientID}, func(name string) string {
		if name != "WEFT_OIDC_CORP_SECRET" {
			t.Errorf("the secret is looked for in %s", name)
		}
		return clientSecret
	})
	if err != nil || p.secret != clientSecret {
		t.Fatal(err)
	}
	f := flow{Redirect: redirectTo}
	if _, err := p.begin(t.Context(), &f); err != nil {
		t.Fatal(err)
	}
	claims := func(change ...any) jwt.MapClaims {
		c := jwt.MapClaims{"iss": at, "aud": clientID, "sub": "0815", "exp": time.Now().Add(time.Hour).Unix(), "iat": time.Now().Unix(), "nonce": f.Nonce,
			"preferred_username": "yoko", "email": "yoko@example.org", "groups": []string{"staff"}}
		for n := 0; n+1 < len(change); n += 2 {
			c[change[n].(string)] = change[n+1]
		}
		return c
	}
	sign := func(m jwt.SigningMethod, kid string, key any, c jwt.MapClaims) string {
		tok := jwt.NewWithClaims(m, c)
		tok.Header["kid"] = kid
		s, err := tok.SignedString(key)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	good := func(c jwt.MapClaims) string { return sign(jwt.SigningMethodES256, "good", key, c) }
	try := func(token string) (Person, error) {
		give(token)
		return p.finish(t.Context(), f, url.Values{"state": {f.State}, "code": {"x"}})
	}
	if who, err := try(good(claims())); err != nil || who.Name != "yoko" || who.Identity != (weft.Identity{Issuer: at, Subject: "0815"}) {
		t.Fatalf("%+v, %v", who, err)
	}
	genuine := strings.Split(good(claims()), ".")
	for what, token := range map[string]string{
		"none":               sign(jwt.SigningMethodNone, "good", jwt.UnsafeAllowNoneSignatureType, claims()),
		"HS256, our secret":  sign(jwt.SigningMethodHS256, "good", []byte(clientSecret), claims()),
		"unknown kid":        sign(jwt.SigningMethodES256, "bad", other, claims()),
		"another key":        sign(jwt.SigningMethodES256, "good", other, claims()),
		"no signature":       genuine[0] + "." + genuine[1] + ".",
		"another's claims":   genuine[0] + "." + strings.Split(good(claims("sub", "1")), ".")[1] + "." + genuine[2],
		"expired":            good(claims("exp", time.Now().Add(-time.Hour).Unix())),
		"not yet":            good(claims("nbf", time.Now().Add(time.Hour).Unix())),
		"another audience":   good(claims("aud", "another")),
		"another issuer":     good(claims("iss", "https://another.example.org")),
		"another's nonce":    good(claims("nonce", "x")),
		"no nonce":           good(claims("nonce", nil)),
		"for another client": good(claims("aud", []string{clientID, "another"}, "azp", "another")),
		"nobody":             good(claims("sub", "")),
		"another access":     good(claims("at_hash", "x")),
		"nothing":            "",
		"nonsense":           "a.b.c",
	} {
		if who, err := try(token); weft.KindOf(err) != weft.Unauthenticated {
			t.Errorf("%s: %+v, %v", what, who, err)
		}
	}
	for _, verified := range []any{false, nil, "true"} {
		if who, err := try(good(claims("email_verified", verified, "preferred_username", nil))); weft.KindOf(err) != weft.Invalid {
			t.Errorf("an address that was not verified is no name: %+v, %v", who, err)
		}
	}
}

func TestClaimsAreFound(t *testing.T) {
	t.Parallel()
	var c claims
	if err := json.Unmarshal([]byte(`{"sub":"1","upn":"Y.Example","realm_access":{"roles":["a","b"]},"https://example.org/groups":"one","bad":7,"email":"y@example.org","email_verified":true}`), &c); err != nil {
		t.Fatal(err)
	}
	for _, row := range []struct{ name, groups, wantName, wantGroups string }{
		{"upn", "realm_access.roles", "y.example", "a b"},
		{"", "https://example.org/groups", "y@example.org", "one"},
		{"", "bad", "y@example.org", ""},
		{"", "realm_access.nothing", "y@example.org", ""},
	} {
		p := &provider{Provider: Provider{NameClaim: row.name, GroupsClaim: row.groups}}
		who, err := p.person(c)
		if err != nil || who.Name != row.wantName || strings.Join(who.Groups, " ") != row.wantGroups {
			t.Errorf("%+v: %+v, %v", row, who, err)
		}
	}
}
