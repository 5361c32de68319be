package server

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/danielgtaylor/huma/v2"

	"github.com/weft-dev/weft"
	"github.com/weft-dev/weft/api"
)

// A testLog keeps what is logged, so that tests can look for what must not be there.
type testLog struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *testLog) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *testLog) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

const testToken = "s3cret-t0ken-of-the-admin"

var testProject = weft.NewID[weft.Project]()

// tokens is a Principals.
type tokens map[string]weft.Principal

func (ts tokens) ProjectNamed(_ context.Context, name string) (weft.Project, error) {
	return weft.Project{}, weft.Errorf(weft.NotFound, "no project %q", name)
}

func (ts tokens) PrincipalByToken(_ context.Context, hash [32]byte, _ string) (weft.Principal, error) {
	for token, p := range ts {
		if HashToken(token) == hash {
			return p, nil
		}
	}
	return weft.Principal{}, weft.Errorf(weft.Unauthenticated, "unknown token")
}

func admin() weft.Principal {
	return weft.Principal{ID: weft.NewID[weft.Principal](), Name: "admin", Admin: true, Project: testProject}
}

// newServer makes a Server of c. What c lacks, its tests do not need. No token may be
// in its log.
func newServer(t testing.TB, c Config) *Server {
	t.Helper()
	log := &testLog{}
	if c.Guard == nil {
		c.Guard = NewGuard(tokens{testToken: admin()}, nil)
	}
	c.Log = slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	t.Cleanup(func() {
		if strings.Contains(log.String(), testToken) {
			t.Errorf("a token is in the log:\n%s", log)
		}
	})
	return New(c)
}

// listen serves s and returns a client of it.
func listen(t testing.TB, s http.Handler) (*httptest.Server, *api.Client) {
	t.Helper()
	h := httptest.NewServer(s)
	t.Cleanup(h.Close)
	c, err := api.NewClient(h.URL, api.Options{Token: testToken})
	if err != nil {
		t.Fatal(err)
	}
	return h, c
}

// ask sends a request with the token, and returns the status and the body.
func ask(t testing.TB, method, url, text string) (int, string, http.Header) {
	t.Helper()
	req, err := http.NewRequest(method, url, strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	req.SetBasicAuth("weft", testToken)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, string(b), res.Header
}

func operations(item *huma.PathItem) []*huma.Operation {
	var ops []*huma.Operation
	for _, op := range []*huma.Operation{item.Get, item.Put, item.Post, item.Delete, item.Head, item.Patch} {
		if op != nil {
			ops = append(ops, op)
		}
	}
	return ops
}

func TestUnknownPathsAnswerAsKnitfab(t *testing.T) {
	t.Parallel()
	h, _ := listen(t, newServer(t, Config{}))
	for _, c := range []struct {
		method, path string
		status       int
		message      string
	}{
		{"GET", "/api/nothing", 404, `"message":"Not Found"`},
		{"GET", "/api", 404, `"message":"Not Found"`},
		{"GET", "/", 404, `"message":"Not Found"`},
		{"DELETE", "/api/data", 405, `"message":"Method Not Allowed"`},
		{"DELETE", "/api/plans/", 405, `"message":"Method Not Allowed"`},
	} {
		status, text, header := ask(t, c.method, h.URL+c.path, "")
		if status != c.status || !strings.Contains(text, c.message) || header.Get("Content-Type") != "application/json" {
			t.Errorf("%s %s: %d %s %s", c.method, c.path, status, header.Get("Content-Type"), text)
		}
	}
	res, err := http.Head(h.URL + "/api/data")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if res.StatusCode != 405 {
		t.Errorf("HEAD of a list is %d", res.StatusCode)
	}
}

func TestRequestsNeedAToken(t *testing.T) {
	t.Parallel()
	viewer := weft.Principal{ID: weft.NewID[weft.Principal](), Name: "viewer", Roles: map[weft.ProjectID]weft.Role{testProject: weft.Viewer}, Project: testProject}
	s := newServer(t, Config{Guard: NewGuard(tokens{testToken: admin(), "of-a-viewer": viewer}, nil)})
	for _, c := range []struct {
		name, header, method, path string
		status                     int
	}{
		{"nothing", "", "GET", "/api/version", 401},
		{"wrong", "Bearer wrong", "GET", "/api/version", 401},
		{"another scheme", "Digest " + testToken, "GET", "/api/version", 401},
		{"empty", "Bearer ", "GET", "/api/version", 401},
		{"bearer", "Bearer " + testToken, "GET", "/api/version", 200},
		{"lower case", "bearer " + testToken, "GET", "/api/version", 200},
		{"open", "", "GET", "/healthz", 200},
		{"ready", "", "GET", "/readyz", 200},
		{"metrics", "", "GET", "/metrics", 401},
		{"viewer reads", "Bearer of-a-viewer", "GET", "/api/version", 200},
		{"viewer deletes", "Bearer of-a-viewer", "DELETE", "/api/runs/x", 403},
		{"viewer pushes", "Bearer of-a-viewer", "POST", "/api/data", 403},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := httptest.NewRequest(c.method, c.path, nil)
			if c.header != "" {
				r.Header.Set("Authorization", c.header)
			}
			w := httptest.NewRecorder()
			s.ServeHTTP(w, r)
			if w.Code != c.status {
				t.Errorf("%d: %s", w.Code, w.Body)
			}
			if (w.Code == 401) != (w.Header().Get("WWW-Authenticate") != "") {
				t.Error("a challenge belongs to 401, and only there")
			}
		})
	}
}

func TestNoAuthLetsEveryoneIn(t *testing.T) {
	t.Parallel()
	who := admin()
	s := newServer(t, Config{Guard: NewGuard(tokens{}, &who)})
	r := httptest.NewRequest("GET", "/api/version", nil)
	r.Header.Set("Authorization", "Bearer stale")
	w := httptest.NewRecorder()
	s.ServeHTTP(w, r)
	if w.Code != 200 {
		t.Errorf("%d: %s", w.Code, w.Body)
	}
}

func TestOtherSitesCannotUseABrowser(t *testing.T) {
	t.Parallel()
	who := admin()
	s := newServer(t, Config{Guard: NewGuard(tokens{}, &who)})
	for site, status := range map[string]int{"cross-site": 403, "same-origin": 404, "": 404} {
		r := httptest.NewRequest("PUT", "/api/runs/x/abort", nil)
		r.Header.Set("Sec-Fetch-Site", site)
		w := httptest.NewRecorder()
		s.ServeHTTP(w, r)
		if w.Code != status {
			t.Errorf("%q: %d %s", site, w.Code, w.Body)
		}
	}
}
