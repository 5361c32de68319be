package registry_test

import (
	"context"
	"crypto/sha256"
	"database/sql"
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
	"github.com/weft-dev/weft/internal/store"
	"github.com/weft-dev/weft/internal/store/storetest"
)

// A system is a registry that listens, and what it is made of. Whoever signs in as
// a name works in the project of that name; the name "viewer" may only read.
type system struct {
	t        testing.TB
	catalog  *store.Store
	content  *content.Dir
	handler  *registry.Handler
	server   *httptest.Server
	host     string // of the server, with its port
	dir      string
	projects map[string]weft.ProjectID // of users whose project is not projectOf
	broken   chan struct{}             // gets a value when a request that the client broke off has been served
}

func setup(t testing.TB) *system {
	t.Helper()
	file := filepath.Join(t.TempDir(), "weft.db")
	s := listen(t, storetest.Open(t, "sqlite:"+file, store.Options{NoSync: true}))
	t.Cleanup(func() { // before the server and the store are closed, as they were opened earlier
		s.server.Close()
		s.handler.Close(context.Background())
		if n := pins(t, file); n > 0 {
			t.Errorf("%d pins are still held", n)
		}
	})
	return s
}

// eachDatabase runs a test with a system on each database at hand.
func eachDatabase(t *testing.T, test func(s *system)) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, catalog *store.Store) { test(listen(t, catalog)) })
}

// assemble makes a system that does not listen.
func assemble(t testing.TB, catalog *store.Store) *system {
	t.Helper()
	log := slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelWarn}))
	s := &system{t: t, catalog: catalog, dir: t.TempDir(), broken: make(chan struct{}, 16)}
	var err error
	if s.content, err = content.Open(s.dir, s.catalog, log); err != nil {
		t.Fatal(err)
	}
	s.handler = registry.NewHandler(registry.Config{Catalog: s.catalog, Content: s.content, Authorise: s.authorise, Log: log})
	t.Cleanup(func() {
		s.handler.Close(context.Background())
		s.content.Close()
	})
	return s
}

func listen(t testing.TB, catalog *store.Store) *system {
	t.Helper()
	s := assemble(t, catalog)
	s.server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.handler.ServeHTTP(w, r)
		if r.Header.Get("Breaks-Off") != "" {
			s.broken <- struct{}{}
		}
	}))
	s.host = strings.TrimPrefix(s.server.URL, "http://")
	t.Cleanup(s.server.Close)
	return s
}

// pins counts the pins in a database of SQLite.
func pins(t testing.TB, file string) (n int) {
	t.Helper()
	db, err := sql.Open("sqlite", file)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if err := db.QueryRow("SELECT count(*) FROM blob_pin").Scan(&n); err != nil {
		t.Error(err)
	}
	return n
}

func projectOf(name string) weft.ProjectID {
	return weft.ProjectID(uuid.NewSHA1(uuid.Nil, []byte(name)))
}

func (s *system) authorise(r *http.Request, v weft.Verb) (weft.ProjectID, error) {
	user, password, ok := r.BasicAuth()
	if !ok || password != "secret" {
		return weft.ProjectID{}, weft.Errorf(weft.Unauthenticated, "send a token as the password")
	}
	if user == "viewer" && v != weft.Read {
		return weft.ProjectID{}, weft.Errorf(weft.Forbidden, "viewer may not %s images", v)
	}
	if p, ok := s.projects[user]; ok {
		return p, nil
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
