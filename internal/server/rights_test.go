package server

import (
	"bufio"
	"context"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/weft-dev/weft"
	"github.com/weft-dev/weft/internal/identity"
	"github.com/weft-dev/weft/internal/registry"
)

// principals are the columns of testdata/rights.txt.
var principals = []string{"A", "AR", "AB", "M", "MW", "MR", "MI", "MB", "ME", "m", "v", "S"}

// turnedAway show something that is good for nothing, or nothing.
var turnedAway = []string{"nobody", "forged", "expired", "revoked", "disabled"}

// A row is one route of testdata/rights.txt.
type row struct {
	method, path, right, body string
	status                    int // of a page, for nobody
}

// readRights reads who has which right, and which right each route takes.
func readRights(t *testing.T) (given map[string]map[string]bool, rows []row) {
	t.Helper()
	f, err := os.Open(filepath.Join("testdata", "rights.txt"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	given = map[string]map[string]bool{}
	for lines := bufio.NewScanner(f); lines.Scan(); {
		text, _, _ := strings.Cut(lines.Text(), " #")
		words := strings.Fields(text)
		switch {
		case len(words) == 0 || words[0] == "#" || words[0] == "A":
		case words[0] == "right":
			given[words[1]] = map[string]bool{}
			for i, who := range principals {
				given[words[1]][who] = words[2+i] == "x"
			}
		default:
			r := row{method: words[0], path: words[1], right: words[2]}
			rest := words[3:]
			if r.right == "page" {
				if r.status, err = strconv.Atoi(rest[0]); err != nil {
					t.Fatal(err)
				}
				rest = rest[1:]
			}
			r.body = strings.Join(rest, " ")
			rows = append(rows, r)
		}
	}
	return given, rows
}

// A court is a server with everyone of the matrix, and things of a project that not all
// of them may touch.
type court struct {
	*real
	tokens map[string]string // by principal
	paths  *strings.Replacer
	pushed string // the answer to a push into ours, which keeps it from being empty
}

func newCourt(t *testing.T) *court {
	t.Helper()
	c := &court{real: newReal(t), tokens: map[string]string{"A": testToken, "forged": NewToken(), "nobody": ""}}
	keys, err := identity.OpenKeys(filepath.Join(t.TempDir(), "keys.json"))
	if err != nil {
		t.Fatal(err)
	}
	c.SignIn, err = identity.New(identity.Config{Store: c.store, Keys: keys, Settings: identity.Settings{SignIn: identity.DefaultSignIn()}, Getenv: os.Getenv, Log: c.log})
	if err != nil {
		t.Fatal(err)
	}
	c.guard.AcceptSessions(c.store)
	c.Registry = registry.NewHandler(registry.Config{Catalog: c.store, Content: c.content.Dir, Log: c.log,
		Authorise: func(r *http.Request, v weft.Verb) (weft.ProjectID, error) {
			who, err := c.guard.Authorise(r, v, "image")
			return who.Project, err
		}})
	c.Imports = importsOf(t, c.real, keys)
	c.addExtra(t)
	ours, theirs := c.makeProject(t, "ours"), c.makeProject(t, "theirs")
	c.project = ours.ID
	admin, err := c.store.User(t.Context(), "admin")
	if err != nil {
		t.Fatal(err)
	}
	c.token(t, "AR", admin, weft.Token{Scope: weft.ScopeRead})
	c.token(t, "AB", admin, weft.Token{Project: ours})
	manager := c.user(t, "manager", ours, weft.Manager)
	if err := c.store.SetMember(t.Context(), theirs.ID, "manager", weft.Manager); err != nil {
		t.Fatal(err)
	}
	for name, k := range map[string]weft.Token{
		"M": {}, "MW": {Scope: weft.ScopeWrite}, "MR": {Scope: weft.ScopeRead}, "MI": {Scope: weft.ScopeImport}, "MB": {Project: ours}, "ME": {Project: theirs},
	} {
		c.token(t, name, manager, k)
	}
	c.token(t, "m", c.user(t, "member", ours, weft.Member), weft.Token{})
	c.token(t, "v", c.user(t, "viewer", ours, weft.Viewer), weft.Token{})
	c.token(t, "S", c.user(t, "stranger", theirs, weft.Manager), weft.Token{})
	c.turnAway(t, ours)
	c.paths = strings.NewReplacer("{project}", "ours", "{user}", "ghost", "{id}", "01930e5c-8c54-7a31-9f00-5a3c7e1b2d4f", "{kind}", "run", "{name}", "n",
		"{digest}", "sha256:"+strings.Repeat("0", 64), "{repo}", "app", "{reference}", "v1", "{path}", "file", "{provider}", "none")
	status, text := c.ask(t, "m", "POST", "/api/data?tag=type:csv", string(archive(t, "a=1")))
	if status != http.StatusOK {
		t.Fatalf("push: %d %s", status, text)
	}
	c.pushed = text
	return c
}

// addExtra adds endpoints of the extra API that take different rights.
func (c *court) addExtra(t *testing.T) {
	t.Helper()
	service := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) }))
	t.Cleanup(service.Close)
	target, err := url.Parse(service.URL)
	if err != nil {
		t.Fatal(err)
	}
	list := []Extra{{Path: "/extra/viewer", Role: weft.Viewer}, {Path: "/extra/member", Role: weft.Member}, {Path: "/extra/manager", Role: weft.Manager},
		{Path: "/extra/admin", Role: weft.Viewer, Admin: true}, {Path: "/extra/public", Public: true}}
	for i := range list {
		list[i].Target, list[i].Secret = target, []byte("a secret of thirty-two bytes or so")
	}
	if err := c.SetExtra(list); err != nil {
		t.Fatal(err)
	}
}

// turnAway makes the tokens that are good for nothing any more.
func (c *court) turnAway(t *testing.T, ours weft.Project) {
	t.Helper()
	ctx := t.Context()
	former := c.user(t, "former", ours, weft.Manager)
	c.token(t, "expired", former, weft.Token{ExpiresAt: time.Now().Add(-time.Minute)})
	revoked := c.token(t, "revoked", former, weft.Token{})
	if err := c.store.DeleteToken(ctx, revoked.ID, weft.PrincipalID{}); err != nil {
		t.Fatal(err)
	}
	out := c.user(t, "disabled", ours, weft.Manager)
	c.token(t, "disabled", out, weft.Token{})
	yes := true
	if _, err := c.store.ChangeUser(ctx, "disabled", weft.UserChange{Disabled: &yes}); err != nil {
		t.Fatal(err)
	}
}

func (r *real) makeProject(t *testing.T, name string) weft.Project {
	t.Helper()
	p, err := r.store.CreateProject(t.Context(), name, weft.PrincipalID{})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func (r *real) user(t *testing.T, name string, home weft.Project, role weft.Role) weft.User {
	t.Helper()
	u, err := r.store.CreateUser(t.Context(), weft.User{Name: name, Home: home}, "", role)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

func (c *court) token(t *testing.T, as string, of weft.User, k weft.Token) weft.Token {
	t.Helper()
	c.tokens[as] = NewToken()
	k.Name, k.Owner = as, of.ID
	if k.Scope == "" {
		k.Scope = weft.ScopeAll
	}
	k, err := c.store.CreateToken(t.Context(), k, HashToken(c.tokens[as]))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// A firstWord lets go of an answer that goes on for ever as soon as it has begun.
type firstWord struct {
	*httptest.ResponseRecorder
	stop func()
}

func (w firstWord) Flush() { w.stop() }

// ask makes a request as somebody and returns the status and the answer.
func (c *court) ask(t *testing.T, as, method, path, body string) (int, string) {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	r := httptest.NewRequestWithContext(ctx, method, path, strings.NewReader(body))
	if token := c.tokens[as]; token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	if as != "S" {
		r.Header.Set("X-Weft-Project", "ours")
	}
	w := firstWord{httptest.NewRecorder(), func() {}}
	if path == "/api/events" {
		w.stop = stop
	}
	func() {
		defer func() {
			if p := recover(); p != nil && p != http.ErrAbortHandler { // an answer that was cut off
				panic(p)
			}
		}()
		c.ServeHTTP(w, r)
	}()
	return w.Code, w.Body.String()
}

// TestEveryRouteIsInTheMatrix holds that a new route gets a row in testdata/rights.txt.
func TestEveryRouteIsInTheMatrix(t *testing.T) {
	t.Parallel()
	s := newServer(t, Config{})
	routes := registry.Routes()
	for path, item := range s.huma.OpenAPI().Paths {
		for _, op := range operations(item) {
			routes = append(routes, op.Method+" "+path)
		}
	}
	_, rows := readRights(t)
	var listed []string
	for _, r := range rows {
		listed = append(listed, r.method+" "+r.path)
	}
	for _, r := range routes {
		if !slices.Contains(listed, r) {
			t.Errorf("%s has no row in testdata/rights.txt: say there who may", r)
		}
	}
	for _, r := range listed {
		if !slices.Contains(routes, r) && !strings.Contains(r, " /extra/") {
			t.Errorf("%s is in testdata/rights.txt, and nowhere else", r)
		}
	}
}

// TestRights carries out the matrix.
func TestRights(t *testing.T) {
	t.Parallel()
	given, rows := readRights(t)
	c := newCourt(t)
	for _, r := range rows {
		path := c.paths.Replace(r.path)
		if r.right == "page" {
			if status, text := c.ask(t, "nobody", r.method, path, r.body); status != r.status {
				t.Errorf("nobody gets %d from %s %s: %s", status, r.method, r.path, text)
			}
			continue
		}
		for _, who := range turnedAway {
			status, text := c.ask(t, who, r.method, path, r.body)
			if (status == http.StatusUnauthorized) == (r.right == "open") {
				t.Errorf("%s: %s %s is %d: %s", who, r.method, r.path, status, text)
			}
		}
		for _, who := range principals {
			status, text := c.ask(t, who, r.method, path, r.body)
			may := status != http.StatusForbidden && status != http.StatusUnauthorized
			if want := r.right == "open" || given[r.right][who]; may != want {
				t.Errorf("%s: %s %s takes %q, and is %d: %s", who, r.method, r.path, r.right, status, text)
			}
			if status >= http.StatusInternalServerError {
				t.Errorf("%s: %s %s is %d: %s", who, r.method, r.path, status, text)
			}
		}
		if given[r.right] == nil && r.right != "open" {
			t.Errorf("%s %s takes the right %q, which is nobody's", r.method, r.path, r.right)
		}
	}
}

// TestThingsOfAnotherProject asks, as a manager of another project, for things by their
// true ids: they are not there for him.
func TestThingsOfAnotherProject(t *testing.T) {
	t.Parallel()
	c := newCourt(t)
	ids := map[string]string{"data": between(c.pushed, `"knitId":"`), "runs": between(c.pushed, `"runId":"`), "plans": between(c.pushed, `"planId":"`)}
	_, rows := readRights(t)
	asked := 0
	for _, r := range rows {
		parts := strings.Split(r.path, "/")
		if len(parts) < 4 || parts[3] != "{id}" || ids[parts[2]] == "" {
			continue
		}
		asked++
		path := c.paths.Replace(strings.Replace(r.path, "{id}", ids[parts[2]], 1))
		if status, text := c.ask(t, "S", r.method, path, ""); status < 400 || strings.Contains(text, "type:csv") {
			t.Errorf("%s %s: a stranger gets %d %s", r.method, r.path, status, text)
		}
		if r.method != http.MethodGet {
			continue
		}
		if status, text := c.ask(t, "v", r.method, path, ""); status == http.StatusNotFound && strings.Contains(text, "is not found") && !strings.Contains(r.path, "{path}") && !strings.Contains(r.path, "{digest}") {
			t.Errorf("%s %s: a viewer gets %d %s", r.method, r.path, status, text)
		}
	}
	if asked < 20 {
		t.Errorf("only %d routes were asked", asked)
	}
}

// between returns what follows a text, up to the next quotation mark.
func between(text, begin string) string {
	_, rest, _ := strings.Cut(text, begin)
	found, _, _ := strings.Cut(rest, `"`)
	return found
}
