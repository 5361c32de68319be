package importer_test

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/weft-dev/weft"
	"github.com/weft-dev/weft/internal/content"
	"github.com/weft-dev/weft/internal/egress"
	"github.com/weft-dev/weft/internal/identity"
	"github.com/weft-dev/weft/internal/importer"
	"github.com/weft-dev/weft/internal/store"
	"github.com/weft-dev/weft/internal/store/storetest"
)

// A harbour is an importer with all that it works on. Users may import from root, and by
// HTTP from this machine.
type harbour struct {
	*importer.Importer
	t       testing.TB
	store   *store.Store
	project weft.ProjectID
	by      weft.PrincipalID
	root    string
	keys    map[string]importer.Credentials
}

func open(t testing.TB, s *store.Store) *harbour {
	t.Helper()
	log := slog.New(slog.NewTextHandler(t.Output(), nil))
	dir, err := content.Open(filepath.Join(t.TempDir(), "content"), s, log)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { dir.Close() })
	who, err := s.EnsureAdmin(t.Context(), [32]byte{1})
	if err != nil {
		t.Fatal(err)
	}
	keys, err := identity.OpenKeys(filepath.Join(t.TempDir(), "keys.json"))
	if err != nil {
		t.Fatal(err)
	}
	here, err := egress.ParseRule("127.0.0.1")
	if err != nil {
		t.Fatal(err)
	}
	h := &harbour{t: t, store: s, project: who.Project, by: who.ID, root: t.TempDir(), keys: map[string]importer.Credentials{}}
	h.Importer = importer.New(importer.Importer{
		Store: s, Content: dir, Keys: keys, Client: egress.New(egress.Policy{Allow: []egress.Rule{here}}).Client(),
		Inbox: t.TempDir(), Roots: []string{h.root}, Log: log,
		Credentials: func(_ context.Context, project weft.ProjectID, name string) (importer.Credentials, error) {
			c, ok := h.keys[name]
			if !ok || project != h.project {
				return c, weft.Errorf(weft.NotFound, "no credentials %q", name)
			}
			return c, nil
		},
	})
	return h
}

// each runs a test on each database.
func each(t *testing.T, test func(h *harbour)) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, s *store.Store) { test(open(t, s)) })
}

// file writes a file below the root.
func (h *harbour) file(name, text string) string {
	h.t.Helper()
	name = filepath.Join(h.root, name)
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		h.t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(text), 0o640); err != nil {
		h.t.Fatal(err)
	}
	return name
}

// ask asks for an import and has it done.
func (h *harbour) ask(source string, options ...func(*weft.Import)) weft.Import {
	h.t.Helper()
	i := weft.Import{Project: h.project, By: h.by, From: source}
	for _, o := range options {
		o(&i)
	}
	i, err := h.Ask(h.t.Context(), i)
	if err != nil {
		h.t.Fatal(err)
	}
	h.work()
	return h.now(i)
}

// work does all there is to do.
func (h *harbour) work() {
	h.t.Helper()
	for more := true; more; {
		var err error
		if more, err = h.Step(h.t.Context()); err != nil {
			h.t.Fatal(err)
		}
	}
}

func (h *harbour) now(i weft.Import) weft.Import {
	h.t.Helper()
	i, err := h.store.ImportByID(h.t.Context(), h.project, i.ID)
	if err != nil {
		h.t.Fatal(err)
	}
	return i
}

// holds checks that an import is done, and that its Data has these files: "path=text path=text".
func (h *harbour) holds(i weft.Import, want string) weft.DataView {
	h.t.Helper()
	if i.State != weft.ImportDone {
		h.t.Fatalf("%s is %s: %s", i.From, i.State, i.Problem)
	}
	v, err := h.store.Data(h.t.Context(), h.project, i.Data)
	if err != nil {
		h.t.Fatal(err)
	}
	m, err := h.Content.ReadManifest(h.t.Context(), v.Data.Tree)
	if err != nil {
		h.t.Fatal(err)
	}
	var got []string
	for _, e := range m.Entries {
		switch e.Kind {
		case weft.Symlink:
			got = append(got, e.Path+"->"+e.Target)
		case weft.File:
			f, _, err := h.Content.OpenBlob(h.t.Context(), e.Digest)
			if err != nil {
				h.t.Fatal(err)
			}
			text := make([]byte, e.Size)
			if _, err := f.Read(text); err != nil && e.Size > 0 {
				h.t.Fatal(err)
			}
			f.Close()
			got = append(got, e.Path+"="+string(text))
		}
	}
	if strings.Join(got, " ") != want {
		h.t.Errorf("%s became %s, want %s", i.From, strings.Join(got, " "), want)
	}
	return v
}

// fails checks that an import failed, and why.
func (h *harbour) fails(i weft.Import, why string) {
	h.t.Helper()
	if i.State != weft.ImportFailed || !strings.Contains(i.Problem, why) {
		h.t.Errorf("%s is %s: %q; want it failed: %s", i.From, i.State, i.Problem, why)
	}
	if _, err := h.store.Data(h.t.Context(), h.project, i.Data); weft.KindOf(err) != weft.NotFound {
		h.t.Errorf("%s left data: %v", i.From, err)
	}
}

func (h *harbour) tags(list ...string) weft.Tags {
	h.t.Helper()
	tags, err := weft.ParseTags(list...)
	if err != nil {
		h.t.Fatal(err)
	}
	return tags
}

// serve answers HTTP on this machine.
func serve(t testing.TB, handler http.Handler) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &http.Server{Handler: handler}
	go func() { _ = s.Serve(l) }() // ends with Close
	t.Cleanup(func() { s.Close() })
	return "http://" + l.Addr().String()
}
