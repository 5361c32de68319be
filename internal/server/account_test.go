package server

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sync/errgroup"

	"github.com/weft-dev/weft"
	"github.com/weft-dev/weft/api"
	"github.com/weft-dev/weft/internal/store"
	"github.com/weft-dev/weft/internal/store/storetest"
)

// plainPasswords are hashed so that everyone can read them.
type plainPasswords struct{ store *store.Store }

func (plainPasswords) HashPassword(password string) (string, error) {
	if len(password) < 8 {
		return "", weft.Errorf(weft.Invalid, "the password is too short")
	}
	return "plain:" + password, nil
}

func (p plainPasswords) CheckPassword(ctx context.Context, name, password, _ string) error {
	c, err := p.store.Credential(ctx, name)
	if err == nil && c.PasswordHash != "plain:"+password {
		err = weft.Errorf(weft.Unauthenticated, "no")
	}
	return err
}

// json asks as somebody, in the project ours, and decodes the answer.
func (c *court) json(t *testing.T, as, method, path, body string, want int, into any) {
	t.Helper()
	status, text := c.ask(t, as, method, path, body)
	if status != want {
		t.Fatalf("%s %s as %s is %d, not %d: %s", method, path, as, status, want, text)
	}
	if into != nil {
		if err := json.Unmarshal([]byte(text), into); err != nil {
			t.Fatalf("%v: %s", err, text)
		}
	}
}

func TestTokensByTheAPI(t *testing.T) {
	t.Parallel()
	c := newCourt(t)
	var k api.Token
	c.json(t, "m", "POST", "/api/tokens", `{"name":"laptop","scope":"read","expiresAt":"2099-01-01T00:00:00+00:00"}`, 400, nil)
	c.json(t, "m", "POST", "/api/tokens", `{"name":"laptop","scope":"everything"}`, 400, nil)
	c.json(t, "m", "POST", "/api/tokens", `{"name":""}`, 400, nil)
	c.json(t, "m", "POST", "/api/tokens", `{"name":"laptop","project":"theirs"}`, 403, nil)
	c.json(t, "m", "POST", "/api/tokens", `{"name":"laptop","user":"manager"}`, 403, nil)
	c.json(t, "m", "POST", "/api/tokens", `{"name":"laptop","scope":"read"}`, 200, &k)
	if k.Scope != "read" || k.User != "member" || !strings.HasPrefix(k.Token, "weft_") || len(k.Token) < 40 {
		t.Errorf("%+v", k)
	}
	c.tokens["new"] = k.Token
	c.json(t, "new", "GET", "/api/data", "", 200, nil)
	c.json(t, "new", "POST", "/api/tokens", `{"name":"more"}`, 403, nil)
	var list []api.Token
	c.json(t, "m", "GET", "/api/tokens", "", 200, &list)
	if len(list) != 2 || list[1].Name != "laptop" || list[1].Token != "" {
		t.Errorf("%+v", list)
	}
	c.json(t, "v", "GET", "/api/tokens?user=member", "", 403, nil)
	c.json(t, "M", "GET", "/api/tokens?user=member", "", 403, nil)
	c.json(t, "M", "GET", "/api/tokens?all=true", "", 403, nil)
	c.json(t, "A", "GET", "/api/tokens?user=member", "", 200, nil)
	c.json(t, "v", "DELETE", "/api/tokens/"+k.ID, "", 404, nil)
	c.json(t, "m", "DELETE", "/api/tokens/"+k.ID, "", 204, nil)
	c.json(t, "new", "GET", "/api/data", "", 401, nil)
}

// TestServicesBelongToTheirProject has a manager make a service and a token for it.
func TestServicesBelongToTheirProject(t *testing.T) {
	t.Parallel()
	c := newCourt(t)
	c.json(t, "M", "POST", "/api/users", `{"name":"eve"}`, 403, nil) // a person
	c.json(t, "M", "POST", "/api/users", `{"name":"ci","kind":"service","password":"long enough"}`, 400, nil)
	c.json(t, "M", "POST", "/api/users", `{"name":"ci","kind":"service","admin":true}`, 400, nil)
	c.json(t, "M", "POST", "/api/users", `{"name":"ci","kind":"robot"}`, 400, nil)
	c.json(t, "M", "POST", "/api/users", `{"name":"ci","kind":"service","role":"member"}`, 200, nil)
	c.json(t, "M", "POST", "/api/tokens", `{"name":"n","user":"ci"}`, 403, nil) // only bound to the project
	var k api.Token
	c.json(t, "M", "POST", "/api/tokens", `{"name":"n","user":"ci","project":"ours","scope":"write"}`, 200, &k)
	c.tokens["ci"] = k.Token
	c.json(t, "ci", "GET", "/api/data", "", 200, nil)
	c.json(t, "ci", "DELETE", "/api/runs/01930e5c-8c54-7a31-9f00-5a3c7e1b2d4f", "", 403, nil)
	c.json(t, "v", "GET", "/api/tokens?user=ci", "", 403, nil)
	c.json(t, "S", "GET", "/api/tokens?user=ci", "", 403, nil)
	c.json(t, "S", "DELETE", "/api/users/ci", "", 403, nil)
	c.json(t, "M", "PATCH", "/api/users/ci", `{"admin":true}`, 403, nil)
	c.json(t, "A", "PATCH", "/api/users/ci", `{"admin":true}`, 400, nil)
	c.json(t, "ci", "PATCH", "/api/users/ci", `{"fullName":"x"}`, 403, nil)
	c.json(t, "M", "PATCH", "/api/users/ci", `{"disabled":true}`, 200, nil)
	c.json(t, "ci", "GET", "/api/data", "", 401, nil)
	c.json(t, "M", "DELETE", "/api/users/ci", "", 204, nil)
}

// TestOneself holds what everyone may do to their own account, and what not.
func TestOneself(t *testing.T) {
	t.Parallel()
	c := newCourt(t)
	var me api.Me
	c.json(t, "m", "GET", "/api/me", "", 200, &me)
	if me.User != "member" || me.Project != "ours" || me.Roles["ours"] != "member" || me.Admin || me.Scope != "all" {
		t.Errorf("%+v", me)
	}
	me = api.Me{}
	c.json(t, "AB", "GET", "/api/me", "", 200, &me)
	if me.Admin || me.Project != "ours" {
		t.Errorf("%+v", me)
	}
	me = api.Me{}
	c.json(t, "MB", "GET", "/api/me", "", 200, &me)
	if len(me.Roles) != 1 || me.Roles["ours"] != "manager" {
		t.Errorf("a token that is bound to ours tells of %v", me.Roles)
	}
	c.json(t, "m", "GET", "/api/users/member", "", 200, nil)
	c.json(t, "m", "GET", "/api/users/manager", "", 403, nil)
	c.json(t, "m", "PATCH", "/api/users/member", `{"fullName":"Me","home":"ours"}`, 200, nil)
	c.json(t, "m", "PATCH", "/api/users/member", `{"home":"theirs"}`, 400, nil)
	for _, more := range []string{`{"admin":true}`, `{"disabled":false}`, `{"unlock":true}`} {
		c.json(t, "m", "PATCH", "/api/users/member", more, 403, nil)
	}
	c.json(t, "m", "DELETE", "/api/users/member", "", 403, nil)
	c.json(t, "A", "PUT", "/api/users/member/password", `{"password":"short"}`, 400, nil)
	c.json(t, "m", "PUT", "/api/users/member/password", `{"password":"long enough"}`, 403, nil)
	c.json(t, "A", "PUT", "/api/users/member/password", `{"password":"long enough"}`, 204, nil)
	c.json(t, "m", "PUT", "/api/users/member/password", `{"password":"other words","current":"wrong"}`, 403, nil)
	c.json(t, "m", "PUT", "/api/users/member/password", `{"password":"","current":"long enough"}`, 403, nil)
	c.json(t, "m", "PUT", "/api/users/member/password", `{"password":"other words","current":"long enough"}`, 204, nil)
}

// TestTheProjectOfARequest holds how a request says what it is about.
func TestTheProjectOfARequest(t *testing.T) {
	t.Parallel()
	c := newCourt(t)
	about := func(token, header string) string {
		r := httptest.NewRequest("GET", "/api/me", nil)
		r.SetBasicAuth("anything", c.tokens[token]) // as knit does
		if header != "" {
			r.Header.Set("X-Weft-Project", header)
		}
		w := httptest.NewRecorder()
		c.ServeHTTP(w, r)
		if w.Code != http.StatusOK {
			return strconv.Itoa(w.Code)
		}
		return between(w.Body.String(), `"project":"`)
	}
	for _, row := range []struct{ token, header, want string }{
		{"M", "", "ours"}, {"M", "theirs", "theirs"}, {"M", "nowhere", "403"}, {"M", "default", "403"}, {"ME", "", "theirs"}, {"ME", "ours", "403"}, {"ME", "theirs", "theirs"},
		{"A", "", "default"}, {"A", "ours", "ours"}, {"A", "nowhere", "404"}, {"AB", "", "ours"}, {"AB", "default", "403"}, {"S", "ours", "403"},
	} {
		if got := about(row.token, row.header); got != row.want {
			t.Errorf("%s with the header %q is about %s, not %s", row.token, row.header, got, row.want)
		}
	}
}

// TestChangesAreAudited looks at the audit log after requests of all sorts.
func TestChangesAreAudited(t *testing.T) {
	t.Parallel()
	c := newCourt(t)
	id := between(c.pushed, `"knitId":"`)
	c.json(t, "m", "PUT", "/api/data/"+id, `{"add":["a:b"]}`, 200, nil)
	c.json(t, "v", "PUT", "/api/data/"+id, `{"add":["a:b"]}`, 403, nil)
	c.json(t, "m", "PUT", "/api/data/"+id, `{"add":["knit#id:x"]}`, 400, nil)
	c.json(t, "m", "GET", "/api/data/"+id+"/detail", "", 200, nil)
	c.json(t, "nobody", "PUT", "/api/data/"+id, `{}`, 401, nil)
	c.json(t, "m", "POST", "/api/uploads", "", 200, nil)
	c.json(t, "m", "PUT", "/v2/app/manifests/v1", "{}", 400, nil)
	c.json(t, "v", "POST", "/v2/app/blobs/uploads/", "", 403, nil)
	var entries []api.AuditEntry
	c.json(t, "M", "GET", "/api/audit", "", 200, &entries)
	var got []string
	for _, e := range entries {
		if e.From != "192.0.2.1" || e.RequestID == "" || e.TokenID == "" || e.Project != "ours" {
			t.Errorf("%+v", e)
		}
		got = append(got, strings.TrimSpace(e.User+" "+e.Action+" "+e.Result+" "+strings.ReplaceAll(e.Object, id, "ID")))
	}
	slices.Reverse(got)
	want := []string{"member push-archive done ID", "member tag-data done ID", "viewer tag-data denied ID", "member tag-data failed ID",
		"member push-image failed app/manifests/v1", "viewer push-image denied app/blobs/uploads/"}
	if !slices.Equal(got, want) {
		t.Errorf("the log is\n%s\nnot\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	_, export := c.ask(t, "M", "GET", "/api/audit/export?action=tag-data", "")
	if lines := strings.Split(strings.TrimSpace(export), "\n"); len(lines) != 3 || !json.Valid([]byte(lines[0])) {
		t.Errorf("the export is\n%s", export)
	}
	c.json(t, "A", "GET", "/api/audit?since=yesterday", "", 400, nil)
	c.json(t, "A", "GET", "/api/audit?user=nobody", "", 404, nil)
	for name, token := range c.tokens {
		if token != "" && strings.Contains(export, token) {
			t.Errorf("the token of %s is in the log", name)
		}
	}
}

// BenchmarkAuthorise tells what knowing who asks, and deciding about it, adds to a
// request: by a token that is in use, and by one that nothing is remembered of.
func BenchmarkAuthorise(b *testing.B) {
	for name, tokens := range map[string]int{"in use": 1, "not remembered": 20_000} {
		b.Run(name, func(b *testing.B) {
			storetest.Bench(b, func(b *testing.B, s *store.Store) { benchmarkAuthorise(b, s, tokens) })
		})
	}
}

func benchmarkAuthorise(b *testing.B, s *store.Store, tokens int) {
	ctx := context.Background()
	home, err := s.DefaultProject(ctx)
	if err != nil {
		b.Fatal(err)
	}
	u, err := s.CreateUser(ctx, weft.User{Name: "alice", Home: home}, "", weft.Member)
	if err != nil {
		b.Fatal(err)
	}
	requests := make([]*http.Request, tokens)
	var making errgroup.Group
	making.SetLimit(256)
	for i := range requests {
		token := NewToken()
		requests[i] = httptest.NewRequest("GET", "/api/data", nil)
		requests[i].Header.Set("Authorization", "Bearer "+token)
		requests[i].Header.Set("X-Weft-Project", home.Name)
		making.Go(func() error {
			_, err := s.CreateToken(ctx, weft.Token{Name: "t", Owner: u.ID, Scope: weft.ScopeAll}, HashToken(token))
			return err
		})
	}
	if err := making.Wait(); err != nil {
		b.Fatal(err)
	}
	g := NewGuard(s, nil)
	b.ReportAllocs()
	for n := 0; b.Loop(); n++ {
		if _, err := g.Authorise(requests[n%tokens], weft.Read, "data"); err != nil {
			b.Fatal(err)
		}
	}
}
