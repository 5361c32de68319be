package cli

import (
	"encoding/base64"
	"encoding/pem"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/weft-dev/weft"
)

// A place is a home directory and a working directory below it.
type place struct {
	home, dir string
	vars      map[string]string
}

func newPlace(t *testing.T) place {
	t.Helper()
	home := t.TempDir()
	dir := filepath.Join(home, "project", "deep")
	if err := os.MkdirAll(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	return place{home, dir, map[string]string{"HOME": home}}
}

func (p place) common() *common {
	return newCommon(Env{Dir: p.dir, Getenv: func(k string) string { return p.vars[k] }, Err: new(strings.Builder)})
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o666); err != nil {
		t.Fatal(err)
	}
}

// The server is found by what is nearest to the user's wish.
func TestWhichServer(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	expect := func(c *common, want string) {
		t.Helper()
		got, err := c.server()
		if err != nil {
			t.Fatal(err)
		}
		if got.APIRoot != want {
			t.Errorf("server is %s, not %s", got.APIRoot, want)
		}
	}
	if _, err := p.common().server(); weft.KindOf(err) != weft.NotFound {
		t.Errorf("with nothing set: %v", err)
	}
	local, err := NewProfile("http://127.0.0.1:1", "secret", nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := SaveProfile(LocalProfile(p.home), local); err != nil {
		t.Fatal(err)
	}
	expect(p.common(), "http://weft:secret@127.0.0.1:1/api")

	write(t, filepath.Join(p.home, ".knit", "profile"), "one: {apiRoot: 'https://one/api'}\n"+p.dir+": {apiRoot: 'https://dir/api'}\ntwo: {apiRoot: 'https://two/api', more: kept}\n")
	expect(p.common(), "https://dir/api")
	write(t, filepath.Join(p.home, "project", ".knitprofile"), "one\n")
	expect(p.common(), "https://one/api")
	p.vars["WEFT_URL"] = "https://env"
	expect(p.common(), "https://env/api")
	c := p.common()
	c.profile = "two"
	expect(c, "https://two/api")
	c.profile = "three"
	if _, err := c.server(); weft.KindOf(err) != weft.NotFound || !strings.Contains(err.Error(), `"three"`) {
		t.Errorf("unknown profile: %v", err)
	}
}

func TestProfileStoreKeepsOthers(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "sub", "profile")
	write(t, path, "old: {apiRoot: 'https://old/api', extra: [1, 2]}\n")
	s, err := readProfileStore(path)
	if err != nil {
		t.Fatal(err)
	}
	p, err := NewProfile("https://new", "", nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.put(path, "new", p); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"extra: [1, 2]", "https://old/api", "https://new/api"} {
		if !strings.Contains(string(text), want) {
			t.Errorf("the store lacks %s:\n%s", want, text)
		}
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the store has mode %v (%v)", info.Mode(), err)
	}
	if left, _ := filepath.Glob(filepath.Join(filepath.Dir(path), "profile*")); len(left) != 1 {
		t.Errorf("left behind: %v", left)
	}
}

func TestBadProfiles(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"no YAML":      "{",
		"no URL":       "apiRoot: ''",
		"relative URL": "apiRoot: /api",
		"no base64":    "apiRoot: https://a/api\ncert: {ca: '***'}",
		"no PEM":       "apiRoot: https://a/api\ncert: {ca: " + base64.StdEncoding.EncodeToString([]byte("hello")) + "}",
	} {
		path := filepath.Join(t.TempDir(), "knitprofile")
		write(t, path, text)
		if _, err := readProfile(path); weft.KindOf(err) != weft.Invalid {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Tokens never show up in an error about the URL they are in.
func TestBadURLHidesToken(t *testing.T) {
	t.Parallel()
	for _, u := range []string{"ftp://weft:SECRET@host", "://weft:SECRET@host", "http://weft:SECRET@ho st", "https://weft:SECRET@"} {
		if _, err := NewProfile(u, "", nil); err == nil || strings.Contains(err.Error(), "SECRET") {
			t.Errorf("%s: %v", u, err)
		}
	}
}

// Only the authority of the profile is trusted.
func TestProfileAuthority(t *testing.T) {
	t.Parallel()
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer secret" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		w.Write([]byte(`{"version":"v9"}`))
	}))
	s.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelInfo) // one handshake is meant to fail
	s.StartTLS()
	defer s.Close()
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})
	for _, c := range []struct {
		name string
		ca   []byte
		ok   bool
	}{{"with it", ca, true}, {"without", nil, false}} {
		p := newPlace(t)
		profile, err := NewProfile(s.URL, "secret", c.ca)
		if err != nil {
			t.Fatal(err)
		}
		if err := SaveProfile(LocalProfile(p.home), profile); err != nil {
			t.Fatal(err)
		}
		client, err := p.common().client()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := client.Version(t.Context()); (err == nil) != c.ok {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

func TestKnitenv(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	write(t, filepath.Join(p.home, "project", "knitenv"), "tag: ['a:b:c', 'knit#id:x', 'project: p']\nresource: {cpu: 2}\n")
	env, err := p.common().project()
	if err != nil {
		t.Fatal(err)
	}
	tags, err := env.userTags()
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(tags.Strings(), " "); got != "a:b:c project:p" || env.Resources["cpu"] != "2" {
		t.Errorf("tags %s, resources %v", got, env.Resources)
	}
	c := p.common()
	c.knitenv = filepath.Join(p.home, "missing")
	if env, err := c.project(); err != nil || len(env.Tags) > 0 {
		t.Errorf("a missing file: %v %v", env, err)
	}
}
