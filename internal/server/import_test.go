package server

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/google/uuid"

	"github.com/weft-dev/weft"
	"github.com/weft-dev/weft/api"
	"github.com/weft-dev/weft/internal/identity"
	"github.com/weft-dev/weft/internal/importer"
	"github.com/weft-dev/weft/internal/store"
)

// allImports is what brings data in, on a real store.
type allImports struct {
	*importer.Importer
	*store.Store
}

// importsOf makes an importer whose inbox and only root are directories of the test.
func importsOf(t *testing.T, r *real, keys *identity.Keys) allImports {
	t.Helper()
	return allImports{importer.New(importer.Importer{
		Store: r.store, Content: r.content.Dir, Keys: keys, Client: http.DefaultClient, Inbox: t.TempDir(), Roots: []string{t.TempDir()}, Log: r.log,
		Credentials: func(context.Context, weft.ProjectID, string) (importer.Credentials, error) {
			return importer.Credentials{}, nil
		},
	}), r.store}
}

// A pier is a server to which data are brought by the handshake.
type pier struct {
	*real
	t       *testing.T
	imports allImports
	keys    *identity.Keys
}

func newPier(t *testing.T) *pier {
	t.Helper()
	r := newReal(t)
	keys, err := identity.OpenKeys(filepath.Join(t.TempDir(), "keys.json"))
	if err != nil {
		t.Fatal(err)
	}
	p := &pier{r, t, importsOf(t, r, keys), keys}
	p.Imports = p.imports
	return p
}

// post sends a body as it is, with the administrator's token.
func (p *pier) post(path, contentType, body string) (int, string, http.Header) {
	p.t.Helper()
	req, err := http.NewRequest(http.MethodPost, p.http.URL+path, strings.NewReader(body))
	if err != nil {
		p.t.Fatal(err)
	}
	req.SetBasicAuth("weft", testToken)
	if contentType != "" {
		req.Header.Set("Content-Type", contentType)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		p.t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		p.t.Fatal(err)
	}
	return resp.StatusCode, string(text), resp.Header
}

// begin begins a handshake and reads what its token says, as an importer does: without
// the key.
func (p *pier) begin() (token string, c map[string]any) {
	p.t.Helper()
	status, token, head := p.post(importBegin, "", "")
	if status != http.StatusOK || head.Get("Content-Type") != "application/jwt" {
		p.t.Fatalf("begin: %d %s %s", status, head.Get("Content-Type"), token)
	}
	c = jwt.MapClaims{}
	parsed, _, err := jwt.NewParser().ParseUnverified(token, jwt.MapClaims(c))
	if err != nil || parsed.Header["alg"] != "HS256" || parsed.Header["kid"] == "" {
		p.t.Fatalf("the token is %s: %v", token, err)
	}
	for _, name := range []string{"jti", "sub", "knitfab/knitId", "knitfab/runId"} {
		if s, _ := c[name].(string); s == "" {
			p.t.Errorf("the token has no %s: %v", name, c)
		}
	}
	return token, c
}

func (p *pier) end(token string) (int, string) {
	p.t.Helper()
	status, text, _ := p.post(importEnd, "application/jwt", token)
	return status, text
}

func (p *pier) put(name, text string) string {
	p.t.Helper()
	name = filepath.Join(p.imports.Inbox, name)
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		p.t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(text), 0o640); err != nil {
		p.t.Fatal(err)
	}
	return name
}

func TestHandshake(t *testing.T) {
	t.Parallel()
	p := newPier(t)
	token, c := p.begin()
	sub, run := c["sub"].(string), c["knitfab/runId"].(string)
	if r, err := p.client.Run(t.Context(), run); err != nil || r.Status != "running" || r.Plan.Name != "knit#imported" {
		t.Errorf("the run is %+v, %v; want it running", r, err)
	}
	if status, text := p.end(token); status != http.StatusBadRequest || !strings.Contains(text, "try again") {
		t.Errorf("before anything is there: %d %s", status, text)
	}
	was, err := os.Stat(p.put(sub+"/sub/file", "content"))
	if err != nil {
		t.Fatal(err)
	}
	status, text := p.end(token)
	if status != http.StatusOK {
		t.Fatalf("end: %d %s", status, text)
	}
	var d api.DataDetail
	if err := json.Unmarshal([]byte(text), &d); err != nil {
		t.Fatal(err)
	}
	if d.KnitID != c["knitfab/knitId"] || d.Files != 1 || d.Upstream.Run.RunID != run || d.Upstream.Run.Status != "done" || d.Upstream.Mountpoint.Path != "/imported" {
		t.Errorf("the data is %+v", d)
	}
	if d.Origin == nil || !strings.HasSuffix(d.Origin.URL, sub) {
		t.Errorf("its origin is %+v", d.Origin)
	}
	f, _, err := p.content.OpenBlob(t.Context(), sha256.Sum256([]byte("content")))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if now, err := f.Stat(); err != nil || !os.SameFile(was, now) {
		t.Errorf("it was copied: %v", err)
	}
	if left, err := os.ReadDir(p.imports.Inbox); err != nil || len(left) > 0 {
		t.Errorf("left in the inbox: %v, %v", left, err)
	}
	if status, text := p.end(token); status != http.StatusConflict {
		t.Errorf("ended twice: %d %s", status, text)
	}
}

func gunzip(t *testing.T, b []byte) []byte {
	t.Helper()
	z, err := gzip.NewReader(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	plain, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	return plain
}

func TestHandshakeByArchive(t *testing.T) {
	t.Parallel()
	for end, pack := range map[string]func(*testing.T) []byte{
		".tar.gz": func(t *testing.T) []byte { return archive(t, "a=1", "d/b=2") },
		".tar":    func(t *testing.T) []byte { return gunzip(t, archive(t, "a=1", "d/b=2")) },
	} {
		p := newPier(t)
		token, c := p.begin()
		p.put(c["sub"].(string)+end, string(pack(t)))
		status, text := p.end(token)
		var d api.DataDetail
		if err := json.Unmarshal([]byte(text), &d); status != http.StatusOK || err != nil || d.Files != 2 {
			t.Errorf("%s: %d %s", end, status, text)
		}
	}
}

// What cannot be kept, or is not what it should be, is refused, and the handshake goes on.
func TestHandshakeOverWhatIsNotContent(t *testing.T) {
	t.Parallel()
	p := newPier(t)
	token, c := p.begin()
	sub := filepath.Join(p.imports.Inbox, c["sub"].(string))
	other := t.TempDir()
	if err := os.Symlink(other, sub); err != nil {
		t.Fatal(err)
	}
	if status, text := p.end(token); status != http.StatusBadRequest {
		t.Errorf("a link: %d %s", status, text)
	}
	if err := os.Remove(sub); err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(p.put(c["sub"].(string)+"/file", "content"), os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if status, text := p.end(token); status != http.StatusBadRequest || !strings.Contains(text, "open for writing") {
		t.Errorf("a file that is being written: %d %s", status, text)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if status, text := p.end(token); status != http.StatusOK {
		t.Errorf("at last: %d %s", status, text)
	}
}

// What no key of this server has signed for this purpose, and what is too old, is 401.
func TestForgedHandshakes(t *testing.T) {
	t.Parallel()
	p := newPier(t)
	token, c := p.begin()
	p.put(c["sub"].(string)+"/file", "content")
	part := func(v any) string {
		b, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		return base64.RawURLEncoding.EncodeToString(b)
	}
	pieces := strings.Split(token, ".")
	var head map[string]any
	if err := json.Unmarshal(unbase64(t, pieces[0]), &head); err != nil {
		t.Fatal(err)
	}
	sign := func(purpose string, change func(jwt.MapClaims)) string {
		claims := jwt.MapClaims{}
		for k, v := range c {
			claims[k] = v
		}
		change(claims)
		signed, err := p.keys.Sign(purpose, claims)
		if err != nil {
			t.Fatal(err)
		}
		return signed
	}
	other, err := identity.OpenKeys(filepath.Join(t.TempDir(), "keys.json"))
	if err != nil {
		t.Fatal(err)
	}
	foreign, err := other.Sign("import", jwt.MapClaims(c))
	if err != nil {
		t.Fatal(err)
	}
	for what, forged := range map[string]string{
		"nothing":             "",
		"no token":            "not.a.token",
		"alg none":            part(map[string]any{"alg": "none", "typ": "JWT", "kid": head["kid"]}) + "." + pieces[1] + ".",
		"alg none, signed":    part(map[string]any{"alg": "none", "kid": head["kid"]}) + "." + pieces[1] + "." + pieces[2],
		"another algorithm":   part(map[string]any{"alg": "HS512", "kid": head["kid"]}) + "." + pieces[1] + "." + pieces[2],
		"an unknown key":      foreign,
		"changed":             pieces[0] + "." + part(map[string]any{"sub": "../other", "knitfab/runId": c["knitfab/runId"], "knitfab/knitId": c["knitfab/knitId"]}) + "." + pieces[2],
		"for another purpose": sign("session", func(jwt.MapClaims) {}),
		"expired":             sign("import", func(m jwt.MapClaims) { m["exp"] = time.Now().Add(-time.Minute).Unix() }),
		"of another place":    sign("import", func(m jwt.MapClaims) { m["sub"] = "../" + c["sub"].(string) }),
		"of other data":       sign("import", func(m jwt.MapClaims) { id := uuid.NewString(); m["knitfab/knitId"], m["sub"] = id, "data-"+id }),
	} {
		if status, text := p.end(forged); status != http.StatusUnauthorized {
			t.Errorf("%s: %d %s", what, status, text)
		}
	}
	for _, contentType := range []string{"", "text/plain", "application/json", "application/jwt; charset=utf-8"} {
		if status, text, _ := p.post(importEnd, contentType, token); status != http.StatusBadRequest {
			t.Errorf("as %q: %d %s", contentType, status, text)
		}
	}
	if status, _, _ := p.post(importEnd, "application/jwt", strings.Repeat("x", maxToken+1)); status != http.StatusRequestEntityTooLarge {
		t.Errorf("an endless token: %d", status)
	}
	if status, text := p.end(token); status != http.StatusOK {
		t.Errorf("the true one: %d %s", status, text)
	}
}

func unbase64(t *testing.T, s string) []byte {
	t.Helper()
	b, err := base64.RawURLEncoding.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// A handshake ends in the project in which it was begun, by whoever may import there.
func TestHandshakeOfAnotherProject(t *testing.T) {
	t.Parallel()
	p := newPier(t)
	token, c := p.begin()
	p.put(c["sub"].(string)+"/file", "content")
	if _, err := p.imports.End(t.Context(), weft.NewID[weft.Project](), weft.PrincipalID{}, token); weft.KindOf(err) != weft.Conflict {
		t.Errorf("ended elsewhere: %v", err)
	}
	id, err := weft.ParseID[weft.Run](c["knitfab/runId"].(string))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.store.StopRun(t.Context(), p.project, id, weft.Stop{}, weft.PrincipalID{}); err != nil {
		t.Fatal(err)
	}
	if status, text := p.end(token); status != http.StatusConflict {
		t.Errorf("after it was stopped: %d %s", status, text)
	}
}

// The listener for importers without a token answers the handshake, and nothing else.
func TestListenerForImporters(t *testing.T) {
	t.Parallel()
	p := newPier(t)
	as := weft.Principal{ID: weft.NewID[weft.Principal](), Name: "importer", Scope: weft.ScopeImport, Project: p.project, Bound: p.project,
		Roles: map[weft.ProjectID]weft.Role{p.project: weft.Member}}
	s := httptest.NewServer(p.ImportOnly(as))
	defer s.Close()
	ask := func(method, path, contentType, body string) (int, string) {
		req, err := http.NewRequest(method, s.URL+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", contentType)
		req.SetBasicAuth("weft", testToken) // counts for nothing here
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		var b bytes.Buffer
		if _, err := b.ReadFrom(resp.Body); err != nil {
			t.Fatal(err)
		}
		return resp.StatusCode, b.String()
	}
	status, token := ask("POST", importBegin+"/", "", "")
	if status != http.StatusOK {
		t.Fatalf("begin: %d %s", status, token)
	}
	var c struct{ Sub string }
	if err := json.Unmarshal(unbase64(t, strings.Split(token, ".")[1]), &c); err != nil {
		t.Fatal(err)
	}
	p.put(c.Sub+"/file", "content")
	if status, text := ask("POST", importEnd, "application/jwt", token); status != http.StatusOK {
		t.Errorf("end: %d %s", status, text)
	}
	for _, path := range []string{"/", "/api/data", "/api/version", "/v2/", "/api/backend/data", "/api/imports", "/healthz", "/metrics", "/sign-in"} {
		if status, text := ask("GET", path, "", ""); status != http.StatusNotFound {
			t.Errorf("%s: %d %s", path, status, text)
		}
	}
	if status, _ := ask("GET", importBegin, "", ""); status != http.StatusMethodNotAllowed {
		t.Errorf("GET of begin: %d", status)
	}
}
