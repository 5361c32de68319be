package server

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/weft-dev/weft"
)

// The people of these tests, by their tokens.
const (
	viewerToken   = "of-a-viewer-0123456789"
	memberToken   = "of-a-member-0123456789"
	strangerToken = "of-a-stranger-01234567"
	readingToken  = "of-a-member-for-reading"
)

// A world is a server with endpoints before a service.
type world struct {
	t       *testing.T
	server  *Server
	front   *httptest.Server
	service *httptest.Server
	key     *ecdsa.PrivateKey
}

// newExtra makes a server with one endpoint for each of list, whose targets begin at the
// service when they name no host.
func newExtra(t *testing.T, service http.HandlerFunc, list ...Extra) *world {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	person := func(name string, role weft.Role, scope weft.Scope) weft.Principal {
		p := weft.Principal{ID: weft.NewID[weft.Principal](), Name: name, Kind: weft.Person, Project: testProject, Scope: scope, Roles: map[weft.ProjectID]weft.Role{}}
		if role != weft.NoRole {
			p.Roles[testProject] = role
		}
		return p
	}
	who := tokens{
		testToken: admin(), viewerToken: person("vera", weft.Viewer, ""), memberToken: person("mia", weft.Member, ""),
		strangerToken: person("stan", weft.NoRole, ""), readingToken: person("mia", weft.Member, weft.ScopeRead),
	}
	w := &world{t: t, key: key, service: httptest.NewServer(service), server: newServer(t, Config{Guard: NewGuard(who, nil), ExtraKey: key})}
	t.Cleanup(w.service.Close)
	for i := range list {
		if list[i].Target.Host == "" {
			list[i].Target = w.target(list[i].Target.String())
		}
	}
	if err := w.server.SetExtra(list); err != nil {
		t.Fatal(err)
	}
	w.front, _ = listen(t, w.server)
	return w
}

// target is a URL at the service.
func (w *world) target(path string) *url.URL { return mustURL(w.t, w.service.URL+path) }

func mustURL(t *testing.T, text string) *url.URL {
	t.Helper()
	u, err := url.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

// ask sends a request with more header fields, "Name: value" each.
func (w *world) ask(method, path, token, body string, fields ...string) *http.Response {
	w.t.Helper()
	req, err := http.NewRequestWithContext(w.t.Context(), method, w.front.URL, strings.NewReader(body))
	if err != nil {
		w.t.Fatal(err)
	}
	req.URL.Opaque = "//" + req.URL.Host + path // as it is, whatever it is
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	for _, f := range fields {
		name, value, _ := strings.Cut(f, ": ")
		req.Header.Add(name, value)
	}
	res, err := (&http.Transport{DisableCompression: true}).RoundTrip(req)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { res.Body.Close() })
	return res
}

func textOf(t *testing.T, res *http.Response) string {
	t.Helper()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// echo answers with what it was asked for.
func echo(w http.ResponseWriter, r *http.Request) {
	b, _ := io.ReadAll(r.Body)
	fmt.Fprintf(w, "%s %s %s", r.Method, r.RequestURI, b)
}

func at(path string) Extra { return Extra{Path: path, Target: &url.URL{Path: "/"}} }

func to(path, target string) Extra { return Extra{Path: path, Target: &url.URL{Path: target}} }

func TestExtraPaths(t *testing.T) {
	t.Parallel()
	w := newExtra(t, echo, to("/extra", "/base"), to("/extra/deep", "/other/"), to("/root", ""))
	slash := to("/slash", "/api/sub")
	slash.TrailingSlash = true
	slash.Target = w.target("/api/sub")
	list := []Extra{slash}
	for _, e := range w.server.endpoints() {
		list = append(list, e.Extra)
	}
	if err := w.server.SetExtra(list); err != nil {
		t.Fatal(err)
	}
	for asked, want := range map[string]string{
		"/extra":                     "GET /base ",
		"/extra/":                    "GET /base/ ",
		"/extra/a/b":                 "GET /base/a/b ",
		"/extra/a/b/":                "GET /base/a/b/ ",
		"/extra?q=1&q=2;x&%zz":       "GET /base?q=1&q=2;x&%zz ",
		"/extra/a?":                  "GET /base/a? ",
		"/extra/deep":                "GET /other/ ",
		"/extra/deep/x":              "GET /other/x ",
		"/extra/deeper":              "GET /base/deeper ",
		"/extra/a%20b%3Fc/%E3%81%82": "GET /base/a%20b%3Fc/%E3%81%82 ",
		"/extra/a+b,c;d=e:@!$&'()*":  "GET /base/a+b,c;d=e:@!$&'()* ",
		"/extra/..a/...":             "GET /base/..a/... ",
		"/root":                      "GET / ",
		"/root/x":                    "GET /x ",
		"/slash":                     "GET /api/sub/ ",
		"/slash/x?y":                 "GET /api/sub/x/?y ",
		"/%65xtra/x":                 "GET /base/x ",
	} {
		if res := w.ask("GET", asked, viewerToken, ""); res.StatusCode != 200 {
			t.Errorf("%s: %d %s", asked, res.StatusCode, textOf(t, res))
		} else if got := textOf(t, res); got != want {
			t.Errorf("%s became %q, want %q", asked, got, want)
		}
	}
	for _, method := range []string{"POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PROPFIND"} {
		if got := textOf(t, w.ask(method, "/extra/a", memberToken, "text")); got != method+" /base/a text" {
			t.Errorf("%s: %q", method, got)
		}
	}
	for _, path := range []string{"/extrax", "/ext", "/", "/EXTRA", "/other"} {
		if res := w.ask("GET", path, viewerToken, ""); res.StatusCode != 404 {
			t.Errorf("%s: %d", path, res.StatusCode)
		}
	}
}

// What a service could take for another path than was decided about is refused.
func TestExtraPathTricks(t *testing.T) {
	t.Parallel()
	w := newExtra(t, func(http.ResponseWriter, *http.Request) { t.Error("it was passed on") }, to("/extra", "/base"))
	for _, path := range []string{
		"/extra/..", "/extra/../secret", "/extra/a/../../secret", "/extra/./a", "/extra/.", "/extra/%2e%2e/secret", "/extra/.%2E/secret",
		"/extra%2fx", "/extra/..%2fsecret", "/extra/a%2Fb", "/extra/a%5cb", `/extra/a\b`, "/extra/..%5c..%5csecret",
		"/extra/%252e%252e/secret", "/extra/%252fsecret", "/extra/%25%32%65", "/extra/a%00b", "/extra/a%0d%0aX-Weft-Identity:%20x", "/extra/%7f",
		"/extra//secret", "/extra//evil.example/", "/extra/a//b", "/extra/..;/secret", "/extra/..;x=y/secret", "/extra/.;/a",
	} {
		if res := w.ask("GET", path, viewerToken, ""); res.StatusCode != 400 {
			t.Errorf("%s: %d %s", path, res.StatusCode, textOf(t, res))
		}
	}
}

func TestExtraRights(t *testing.T) {
	t.Parallel()
	member, manager, system, public := at("/member"), at("/manager"), at("/system"), at("/public")
	member.Role, manager.Role, system.Admin, public.Public = weft.Member, weft.Manager, true, true
	w := newExtra(t, echo, at("/viewer"), member, manager, system, public)
	for _, c := range []struct {
		method, path, token string
		status              int
	}{
		{"GET", "/viewer", "", 401},
		{"GET", "/viewer", "forged", 401},
		{"GET", "/viewer", strangerToken, 403},
		{"GET", "/viewer", viewerToken, 200},
		{"POST", "/viewer", viewerToken, 200},
		{"GET", "/viewer", readingToken, 200},
		{"POST", "/viewer", readingToken, 403},
		{"DELETE", "/viewer/x", readingToken, 403},
		{"GET", "/member", viewerToken, 403},
		{"GET", "/member", memberToken, 200},
		{"POST", "/member", memberToken, 200},
		{"GET", "/manager", memberToken, 403},
		{"GET", "/manager", testToken, 200},
		{"GET", "/system", memberToken, 403},
		{"GET", "/system", testToken, 200},
		{"GET", "/public", "", 200},
		{"POST", "/public/x", "", 200},
	} {
		if res := w.ask(c.method, c.path, c.token, ""); res.StatusCode != c.status {
			t.Errorf("%s %s by %q: %d %s; want %d", c.method, c.path, c.token, res.StatusCode, textOf(t, res), c.status)
		}
	}
}

// The service learns who asks from a header that only Weft can have written.
func TestExtraIdentity(t *testing.T) {
	t.Parallel()
	shared, open, all := at("/shared"), at("/open"), at("/all")
	shared.Secret, open.Public = []byte("a secret of thirty-two bytes or more"), true
	all.Authorization, all.Cookies = true, true
	headers := func(w http.ResponseWriter, r *http.Request) {
		http.SetCookie(w, &http.Cookie{Name: "theirs", Value: "1"})
		http.SetCookie(w, &http.Cookie{Name: "weft_session", Value: "stolen"})
		http.SetCookie(w, &http.Cookie{Name: "__Host-weft-session", Value: "stolen", Secure: true, Path: "/"})
		w.Header().Set("Access-Control-Allow-Origin", "*")
		w.Header().Set("X-Weft-Project", "forged")
		json.NewEncoder(w).Encode(r.Header)
	}
	w := newExtra(t, headers, at("/extra"), shared, open, all)
	ask := func(path string, fields ...string) (http.Header, *http.Response) {
		res := w.ask("GET", path, viewerToken, "", append(fields, "X-Weft-Identity: forged", "x-weft-anything: forged", "X-Forwarded-For: 203.0.113.9",
			"Cookie: theirs=1; weft_session=secret; __Host-weft-session=secret")...)
		var got http.Header
		if err := json.Unmarshal([]byte(textOf(t, res)), &got); err != nil {
			t.Fatal(err)
		}
		return got, res
	}

	got, res := ask("/extra/x")
	if got.Get("X-Weft-Anything") != "" || got.Get("Authorization") != "" || got.Get("Cookie") != "" || len(got.Values("X-Weft-Identity")) != 1 {
		t.Errorf("the service got %v", got)
	}
	if got.Get("X-Forwarded-For") != "127.0.0.1" || got.Get("X-Forwarded-Proto") != "http" || got.Get("X-Forwarded-Prefix") != "/extra" {
		t.Errorf("the service is told that it was forwarded from %v", got)
	}
	if h := res.Header; h.Get("Set-Cookie") != "" || h.Get("Access-Control-Allow-Origin") != "" || h.Get("X-Weft-Project") != "" {
		t.Errorf("the client got %v", h)
	}
	var c claims
	public := func(tok *jwt.Token) (any, error) {
		if tok.Header["kid"] != keyID(w.key) {
			return nil, errors.New("another key")
		}
		return &w.key.PublicKey, nil
	}
	if _, err := jwt.ParseWithClaims(got.Get(IdentityHeader), &c, public, jwt.WithValidMethods([]string{"ES256"}), jwt.WithAudience("/extra"), jwt.WithExpirationRequired()); err != nil {
		t.Fatal(err)
	}
	if c.Name != "vera" || c.Role != "viewer" || c.Admin || c.ProjectID != testProject.String() || time.Until(c.ExpiresAt.Time) > identityLife || c.ID != res.Header.Get("X-Request-Id") {
		t.Errorf("it claims %+v", c)
	}

	got, _ = ask("/shared")
	if _, err := jwt.ParseWithClaims(got.Get(IdentityHeader), &c, func(*jwt.Token) (any, error) { return shared.Secret, nil }, jwt.WithValidMethods([]string{"HS256"})); err != nil {
		t.Errorf("with the shared secret: %v", err)
	}
	if got, _ = ask("/open"); len(got.Values(IdentityHeader)) > 0 {
		t.Errorf("behind an open endpoint somebody is claimed: %v", got)
	}
	got, res = ask("/all")
	if got.Get("Authorization") != "Bearer "+viewerToken || got.Get("Cookie") != "theirs=1" || strings.Join(res.Header.Values("Set-Cookie"), "|") != "theirs=1" {
		t.Errorf("what is to be passed on is %v, and back %v", got, res.Header)
	}
}

// Services find the key that the header is signed with without signing in.
func TestExtraKeys(t *testing.T) {
	t.Parallel()
	w := newExtra(t, echo)
	res := w.ask("GET", "/api/extra/keys", "", "")
	x, y := coordinates(w.key)
	if text := textOf(t, res); res.StatusCode != 200 || !strings.Contains(text, x) || !strings.Contains(text, y) || strings.Contains(text, `"d"`) {
		t.Errorf("%d %s", res.StatusCode, text)
	}
}

// Both bodies flow at the same time, and the answer's trailer arrives.
func TestExtraStreams(t *testing.T) {
	t.Parallel()
	w := newExtra(t, func(w http.ResponseWriter, r *http.Request) {
		rc := http.NewResponseController(w)
		if err := rc.EnableFullDuplex(); err != nil {
			t.Error(err)
		}
		w.Header().Set("Trailer", "X-Sum")
		lines := bufio.NewScanner(r.Body)
		for lines.Scan() {
			fmt.Fprintf(w, "got %s\n", lines.Text())
			if err := rc.Flush(); err != nil {
				t.Error(err)
			}
		}
		w.Header().Set("X-Sum", "the end, "+r.Trailer.Get("X-Mine"))
	}, at("/extra"))
	in, out := io.Pipe()
	req, err := http.NewRequestWithContext(t.Context(), "POST", w.front.URL+"/extra", in)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+memberToken)
	req.Trailer = http.Header{"X-Mine": nil}
	answers := make(chan *http.Response, 1)
	go func() {
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Error(err)
		}
		answers <- res
	}()
	say := func(text string) {
		if _, err := io.WriteString(out, text+"\n"); err != nil {
			t.Error(err)
		}
	}
	say("one")
	res := <-answers
	defer res.Body.Close()
	lines := bufio.NewScanner(res.Body)
	for _, text := range []string{"one", "two", "three"} {
		if !lines.Scan() || lines.Text() != "got "+text {
			t.Fatalf("%q after %q was said", lines.Text(), text)
		}
		switch text {
		case "one":
			say("two")
		case "two":
			say("three")
		}
	}
	req.Trailer.Set("X-Mine", "of the client")
	out.Close()
	if lines.Scan() || res.Trailer.Get("X-Sum") != "the end, of the client" {
		t.Errorf("at the end %q, trailer %v", lines.Text(), res.Trailer)
	}
}

// A WebSocket is what it takes to be one: the connection belongs to both ends from the
// answer on.
func TestExtraWebSocket(t *testing.T) {
	t.Parallel()
	site := at("/site")
	site.Origins = []string{"https://app.test"}
	w := newExtra(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Upgrade") != "websocket" {
			t.Errorf("the service was asked with %v", r.Header)
		}
		conn, rw, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer conn.Close()
		fmt.Fprint(rw, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
		rw.Flush()
		for {
			line, err := rw.ReadString('\n')
			if err != nil {
				return
			}
			rw.WriteString("heard " + line)
			rw.Flush()
		}
	}, at("/extra"), site)
	open := func(path, token, origin string) (net.Conn, *bufio.Reader, int) {
		conn, err := net.Dial("tcp", w.front.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: weft.test\r\nAuthorization: Bearer %s\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n", path, token)
		if origin != "" {
			fmt.Fprintf(conn, "Origin: %s\r\n", origin)
		}
		io.WriteString(conn, "\r\n")
		r := bufio.NewReader(conn)
		res, err := http.ReadResponse(r, nil)
		if err != nil {
			t.Fatal(err)
		}
		return conn, r, res.StatusCode
	}
	for _, c := range []struct {
		path, token, origin string
		status              int
	}{
		{"/extra", memberToken, "", 101},
		{"/extra", memberToken, "http://weft.test", 101},
		{"/extra", memberToken, "https://evil.test", 403}, // a page of another site, with the user's cookie
		{"/extra", memberToken, "null", 403},
		{"/site", memberToken, "https://app.test", 101},
		{"/site", memberToken, "https://evil.test", 403},
		{"/extra", readingToken, "", 403},
		{"/extra", "", "", 401},
	} {
		conn, r, status := open(c.path, c.token, c.origin)
		if status != c.status {
			t.Errorf("%s from %q: %d, want %d", c.path, c.origin, status, c.status)
		}
		if status != 101 {
			continue
		}
		for _, text := range []string{"one", "two"} {
			fmt.Fprintln(conn, text)
			if line, err := r.ReadString('\n'); err != nil || line != "heard "+text+"\n" {
				t.Errorf("%q, %v", line, err)
			}
		}
	}
}

func TestExtraCORS(t *testing.T) {
	t.Parallel()
	site := at("/site")
	site.Origins, site.Credentials = []string{"https://app.test"}, true
	w := newExtra(t, echo, at("/extra"), site)
	res := w.ask("OPTIONS", "/site/x", "", "", "Origin: https://app.test", "Access-Control-Request-Method: PUT", "Access-Control-Request-Headers: authorization")
	if h := res.Header; res.StatusCode != 204 || h.Get("Access-Control-Allow-Origin") != "https://app.test" || h.Get("Access-Control-Allow-Methods") != "PUT" ||
		h.Get("Access-Control-Allow-Headers") != "authorization" || h.Get("Access-Control-Allow-Credentials") != "true" {
		t.Errorf("the preflight: %d %v", res.StatusCode, h)
	}
	for _, c := range []struct {
		method, path, origin string
		status               int
		allowed              string
	}{
		{"PUT", "/site", "https://app.test", 200, "https://app.test"},
		{"PUT", "/site", "https://evil.test", 403, ""},
		{"GET", "/site", "https://evil.test", 200, ""}, // which the browser keeps to itself
		{"PUT", "/extra", "https://app.test", 403, ""},
		{"GET", "/extra", "https://app.test", 200, ""},
	} {
		res := w.ask(c.method, c.path, memberToken, "", "Origin: "+c.origin)
		if res.StatusCode != c.status || res.Header.Get("Access-Control-Allow-Origin") != c.allowed {
			t.Errorf("%s %s from %s: %d %v", c.method, c.path, c.origin, res.StatusCode, res.Header)
		}
	}
	if res := w.ask("OPTIONS", "/site", "", "", "Origin: https://evil.test", "Access-Control-Request-Method: PUT"); res.StatusCode != 401 {
		t.Errorf("another site's preflight: %d", res.StatusCode)
	}
}

func TestExtraRedirects(t *testing.T) {
	t.Parallel()
	var w *world
	w = newExtra(t, func(rw http.ResponseWriter, r *http.Request) {
		rw.Header().Set("Location", strings.ReplaceAll(r.URL.Query().Get("to"), "SELF", w.service.URL))
		rw.WriteHeader(302)
	}, to("/extra", "/base"))
	for given, want := range map[string]string{
		"SELF/base/x":      "/extra/x",
		"SELF/base":        "/extra",
		"/base/x?y#z":      "/extra/x?y#z",
		"x":                "/extra/x",
		"/elsewhere":       "/elsewhere",
		"SELF/based":       w.service.URL + "/based",
		"https://far.test": "https://far.test",
	} {
		res := w.ask("GET", "/extra/?to="+url.QueryEscape(given), viewerToken, "")
		if got := res.Header.Get("Location"); res.StatusCode != 302 || got != want {
			t.Errorf("%s: %d %s, want %s", given, res.StatusCode, got, want)
		}
	}
}

func TestExtraFailures(t *testing.T) {
	t.Parallel()
	gone, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	gone.Close()
	down, slow, small := at("/down"), at("/slow"), at("/small")
	down.Target = mustURL(t, "http://"+gone.Addr().String())
	slow.Timeout = 50 * time.Millisecond
	small.MaxBody = 10
	release := make(chan struct{})
	w := newExtra(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.Header.Get("X-Forwarded-Prefix") {
		case "/slow":
			<-release
		case "/cut":
			w.Header().Set("Content-Length", "100")
			fmt.Fprint(w, "not a hundred")
			http.NewResponseController(w).Flush()
			panic(http.ErrAbortHandler)
		}
		echo(w, r)
	}, down, slow, small, at("/cut"))
	defer close(release)
	for _, c := range []struct {
		path, body string
		status     int
		says       string
	}{
		{"/down", "", 502, "the service behind /down does not answer"},
		{"/slow", "", 504, "does not answer in time"},
		{"/small", "more than ten bytes", 413, "more than 10 bytes"},
		{"/small", "ten or les", 200, "ten or les"},
	} {
		res := w.ask("POST", c.path, memberToken, c.body)
		text := textOf(t, res)
		if res.StatusCode != c.status || !strings.Contains(text, c.says) || strings.Contains(text, "127.0.0.1") {
			t.Errorf("%s: %d %s", c.path, res.StatusCode, text)
		}
	}
	res := w.ask("GET", "/cut", memberToken, "")
	if text, err := io.ReadAll(res.Body); err == nil {
		t.Errorf("an answer that broke off looks whole: %q", text)
	}
	states := map[string]string{}
	for _, x := range w.server.wireExtra() {
		states[x.Path] = x.State
	}
	if states["/down"] != "unhealthy" || states["/slow"] != "unhealthy" || states["/small"] != "healthy" {
		t.Errorf("it was seen as %v", states)
	}
}

// A client that sends its body slowly is given up; the service's connection ends too.
func TestExtraSlowClients(t *testing.T) {
	t.Parallel()
	x := at("/extra")
	x.Idle = 50 * time.Millisecond
	ended := make(chan error, 1)
	w := newExtra(t, func(_ http.ResponseWriter, r *http.Request) {
		_, err := io.ReadAll(r.Body)
		ended <- err
	}, x)
	res := rawRequest(t, w.front.Listener.Addr().String(), "POST /extra HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer "+memberToken+"\r\nContent-Length: 1000\r\n\r\nonly this")
	if text := textOf(t, res); res.StatusCode != 400 || !strings.Contains(text, "nothing of the body came") {
		t.Errorf("%d %s", res.StatusCode, text)
	}
	if err := <-ended; err == nil {
		t.Error("the service takes the body for whole")
	}
}

func TestExtraHealth(t *testing.T) {
	t.Parallel()
	x := at("/extra")
	x.Health = "/healthz"
	well := true
	w := newExtra(t, func(w http.ResponseWriter, r *http.Request) {
		if !well {
			w.WriteHeader(503)
		}
	}, x, at("/other"))
	look := func() string {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		var states []string
		for _, e := range w.server.endpoints() {
			e.look(ctx)
		}
		for _, x := range w.server.wireExtra() {
			states = append(states, x.Path+" "+x.State)
		}
		return strings.Join(states, ", ")
	}
	if got := look(); got != "/extra healthy, /other healthy" {
		t.Errorf("all is well, but %s", got)
	}
	well = false
	if got := look(); got != "/extra unhealthy, /other healthy" {
		t.Errorf("the service says that it is not well, but %s", got)
	}
	w.service.Close()
	if got := look(); got != "/extra unhealthy, /other unhealthy" {
		t.Errorf("the service is gone, but %s", got)
	}
}

func TestExtraSettingsAreChecked(t *testing.T) {
	t.Parallel()
	w := newExtra(t, echo, at("/kept"))
	good := w.target("/")
	for _, c := range []struct {
		extra Extra
		says  string
	}{
		{Extra{Path: "extra", Target: good}, "not usable"},
		{Extra{Path: "/", Target: good}, "not usable"},
		{Extra{Path: "/extra/", Target: good}, "not usable"},
		{Extra{Path: "/a/../b", Target: good}, "not usable"},
		{Extra{Path: "/a//b", Target: good}, "not usable"},
		{Extra{Path: "/a%20b", Target: good}, "not usable"},
		{Extra{Path: "/api", Target: good}, "belongs to Weft"},
		{Extra{Path: "/api/sub", Target: good}, "belongs to Weft"},
		{Extra{Path: "/API/sub", Target: good}, "belongs to Weft"},
		{Extra{Path: "/v2/x", Target: good}, "belongs to Weft"},
		{Extra{Path: "/healthz", Target: good}, "belongs to Weft"},
		{Extra{Path: "/metrics/x", Target: good}, "belongs to Weft"},
		{Extra{Path: "/x", Target: &url.URL{Path: "/local"}}, "absolute URL"},
		{Extra{Path: "/x", Target: mustURL(t, "ftp://host/")}, "absolute URL"},
		{Extra{Path: "/x", Target: mustURL(t, "http://host/?q")}, "has a query"},
		{Extra{Path: "/x", Target: mustURL(t, "http://u:p@host/")}, "a user or a password"},
		{Extra{Path: "/x", Target: good, Timeout: -1}, "negative"},
		{Extra{Path: "/x", Target: good, Public: true, Role: weft.Member}, "public and take a role"},
		{Extra{Path: "/x", Target: good, Health: "healthz"}, "not a path"},
		{Extra{Path: "/x", Target: good, Origins: []string{"*"}}, "origin of a site"},
		{Extra{Path: "/x", Target: good, Origins: []string{"https://a.test/"}}, "origin of a site"},
		{Extra{Path: "/kept", Target: good}, "there twice"},
	} {
		if err := w.server.SetExtra([]Extra{{Path: "/kept", Target: good}, c.extra}); weft.KindOf(err) != weft.Invalid || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%+v: %v; want %q", c.extra, err, c.says)
		}
	}
	if res := w.ask("GET", "/kept", viewerToken, ""); res.StatusCode != 200 {
		t.Errorf("after settings that were refused: %d", res.StatusCode)
	}
	if err := w.server.SetExtra([]Extra{{Path: "/new", Target: good}}); err != nil {
		t.Fatal(err)
	}
	if was, is := w.ask("GET", "/kept", viewerToken, ""), w.ask("GET", "/new", viewerToken, ""); was.StatusCode != 404 || is.StatusCode != 200 {
		t.Errorf("after others were set: %d and %d", was.StatusCode, is.StatusCode)
	}
}
