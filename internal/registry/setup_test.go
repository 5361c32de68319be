package registry_test

import (
	"context"
	"crypto/sha256"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/weft-dev/weft"
	"github.com/weft-dev/weft/internal/content"
	"github.com/weft-dev/weft/internal/registry"
)

// A system is a registry that listens, and what it is made of. Whoever signs in as
// a name works in the project of that name; the name "viewer" may only read.
type system struct {
	t       testing.TB
	catalog *memory
	content *content.Dir
	handler *registry.Handler
	server  *httptest.Server
	host    string // of the server, with its port
	dir     string
	broken  chan struct{} // gets a value when a request that the client broke off has been served
}

func setup(t testing.TB) *system {
	t.Helper()
	log := slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelWarn}))
	s := &system{t: t, catalog: newMemory(), dir: t.TempDir(), broken: make(chan struct{}, 16)}
	var err error
	if s.content, err = content.Open(s.dir, s.catalog, log); err != nil {
		t.Fatal(err)
	}
	s.handler = registry.NewHandler(registry.Config{Catalog: s.catalog, Content: s.content, Authorise: authorise, Log: log})
	s.server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.handler.ServeHTTP(w, r)
		if r.Header.Get("Breaks-Off") != "" {
			s.broken <- struct{}{}
		}
	}))
	s.host = strings.TrimPrefix(s.server.URL, "http://")
	t.Cleanup(func() {
		s.server.Close()
		s.handler.Close(context.Background())
		if n := s.catalog.pinned(); n > 0 {
			t.Errorf("%d pins are still held", n)
		}
		s.content.Close()
	})
	return s
}

func projectOf(name string) weft.ProjectID {
	return weft.ProjectID(uuid.NewSHA1(uuid.Nil, []byte(name)))
}

func authorise(r *http.Request, v weft.Verb) (weft.ProjectID, error) {
	user, password, ok := r.BasicAuth()
	if !ok || password != "secret" {
		return weft.ProjectID{}, weft.Errorf(weft.Unauthenticated, "send a token as the password")
	}
	if user == "viewer" && v != weft.Read {
		return weft.ProjectID{}, weft.Errorf(weft.Forbidden, "viewer may not %s images", v)
	}
	return projectOf(user), nil
}

// An answer is what came back, read to its end.
type answer struct {
	t      testing.TB
	status int
	head   http.Header
	body   string
}

// do sends a request as a user. Each header is "Name: value".
func (s *system) do(user, method, path, body string, headers ...string) answer {
	s.t.Helper()
	url := path
	if !strings.HasPrefix(path, "http") {
		url = s.server.URL + path
	}
	r, err := http.NewRequest(method, url, strings.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	if user != "" {
		r.SetBasicAuth(user, "secret")
	}
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		r.Header.Set(name, value)
	}
	resp, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		s.t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return answer{s.t, resp.StatusCode, resp.Header, string(text)}
}

// want checks the status and, unless it is empty, that the body has the text.
func (a answer) want(status int, text string) answer {
	a.t.Helper()
	if a.status != status || !strings.Contains(a.body, text) {
		a.t.Fatalf("got %d %s, want %d with %q", a.status, a.body, status, text)
	}
	return a
}

func digestOf(s string) string { return weft.Digest(sha256.Sum256([]byte(s))).String() }

// push puts a blob into a repository.
func (s *system) push(user, repo, blob string) string {
	s.t.Helper()
	d := digestOf(blob)
	s.do(user, "POST", "/v2/"+repo+"/blobs/uploads/?digest="+d, blob).want(201, "")
	return d
}

// nothingUnfinished checks that no temporary file is left.
func (s *system) nothingUnfinished() {
	s.t.Helper()
	left, err := filepath.Glob(filepath.Join(s.dir, "tmp", "*"))
	if err != nil || len(left) > 0 {
		s.t.Errorf("left behind: %v %v", left, err)
	}
}

func atoi(t testing.TB, s string) int {
	t.Helper()
	n, err := strconv.Atoi(s)
	if err != nil {
		t.Fatal(err)
	}
	return n
}
