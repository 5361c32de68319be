package server

import (
	"bytes"
	"flag"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/go-chi/chi/v5"
)

var update = flag.Bool("update", false, "write what the tests compare with")

// committed is where clients find the document.
var committed = filepath.Join("..", "..", "api", "openapi.json")

func TestDocumentIsCurrent(t *testing.T) {
	t.Parallel()
	s := newServer(t, Config{Version: "1"})
	got, err := s.OpenAPI()
	if err != nil {
		t.Fatal(err)
	}
	if *update {
		if err := os.WriteFile(committed, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(committed)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Error("api/openapi.json differs from what the server serves: run `make generate`")
	}
}

func TestEveryRouteIsInTheDocument(t *testing.T) {
	t.Parallel()
	s := newServer(t, Config{})
	var routed, documented []string
	err := chi.Walk(s.router, func(method, path string, _ http.Handler, _ ...func(http.Handler) http.Handler) error {
		routed = append(routed, method+" "+strings.Replace(path, "*", "{path}", 1))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for path, item := range s.huma.OpenAPI().Paths {
		for _, op := range operations(item) {
			documented = append(documented, op.Method+" "+path)
		}
	}
	slices.Sort(routed)
	slices.Sort(documented)
	if !slices.Equal(routed, documented) {
		t.Errorf("routes and document differ\nrouted:\n%s\ndocumented:\n%s", strings.Join(routed, "\n"), strings.Join(documented, "\n"))
	}
}

// open are the routes that answer everyone: they tell nothing but whether the server is
// there, or are those by which people come in. Whoever adds one has to add it here.
var open = []string{
	"/healthz", "/readyz",
	"/sign-in", "/sign-in/style.css", "/sign-in/oidc/{provider}", "/sign-in/oidc/{provider}/callback", "/sign-out", "/account", "/device",
	"/api/extra/keys", // public keys
	"/api/sign-in", "/api/oauth/device_authorization", "/api/oauth/token", "/api/oauth/revoke",
}

func TestEveryRouteTakesARight(t *testing.T) {
	t.Parallel()
	s := newServer(t, Config{})
	for path, item := range s.huma.OpenAPI().Paths {
		for _, op := range operations(item) {
			rt := op.Metadata[metaAccess].(route)
			switch {
			case slices.Contains(open, path):
				if rt.kind != "" {
					t.Errorf("%s %s is said to be open, and takes a right", op.Method, path)
				}
			case rt.kind == "" || rt.verb == "":
				t.Errorf("%s %s takes no right", op.Method, path)
			}
		}
	}
}
