package app

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/weft-dev/weft/api"
	"github.com/weft-dev/weft/internal/cli"
	"github.com/weft-dev/weft/internal/operate"
)

// A site is a state directory on which a server with TLS has run.
type site struct {
	t     *testing.T
	state string
	certs *operate.Certs
}

func newSite(t *testing.T) *site {
	t.Helper()
	s := &site{t: t, state: t.TempDir()}
	var err error
	if s.certs, err = operate.OpenCerts(filepath.Join(s.state, certsDir)); err != nil {
		t.Fatal(err)
	}
	if _, err := s.certs.Ensure(time.Now(), operate.Names{Given: []string{"weft.test"}}, operate.Limits{}); err != nil {
		t.Fatal(err)
	}
	s.write(whereFile, `{"url":"https://weft.test:30803","local":"https://127.0.0.1:30803"}`)
	s.write("token", "weft_secret\n")
	return s
}

func (s *site) write(name, text string) string {
	s.t.Helper()
	name = filepath.Join(s.state, name)
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		s.t.Fatal(err)
	}
	return name
}

func (s *site) read(name string) string {
	s.t.Helper()
	text, err := os.ReadFile(filepath.Join(s.state, name))
	if err != nil {
		s.t.Fatal(err)
	}
	return string(text)
}

// admin carries out weft admin, and returns what it printed and its exit code.
func (s *site) admin(args ...string) (printed string, code int) {
	s.t.Helper()
	var out bytes.Buffer
	env := cli.Env{In: strings.NewReader("weft_piped\n"), Out: &out, Err: &out, Getenv: func(string) string { return "" }, Dir: s.state, Version: "v0"}
	code = cli.Main(context.Background(), env, append([]string{"admin", "--state", s.state}, args...), newAdmin(env))
	return out.String(), code
}

func TestAdminCerts(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	for _, c := range []struct {
		args []string
		says string
		code int
	}{
		{[]string{"certs", "show"}, "for weft.test, localhost", 0},
		{[]string{"certs", "show", "--json"}, `"use": "authority"`, 0},
		{[]string{"certs", "renew"}, "no server runs on", 0},
		{[]string{"certs", "renew", "--ca"}, "clients that know the old authority go on until", 0},
		{[]string{"certs", "show"}, "old authority", 0},
		{[]string{"certs", "renew", "--forget"}, "give --ca", 3},
		{[]string{"certs", "renew", "--ca", "--forget"}, "the old authority is forgotten", 0},
		{[]string{"certs", "install", "missing", "token"}, "no such file", 4},
		{[]string{"certs", "install", "token", "token"}, "cannot be installed", 3},
		{[]string{"certs", "install", "token"}, "usage:", 2},
		{[]string{"certs", "uninstall"}, "no certificate of another authority", 4},
		{[]string{"certs", "adopt", "certs/server.pem", "token"}, "not one of an authority", 3},
		{[]string{"certs", "revoke"}, "no command", 2},
		{[]string{"certs", "show", "--state", t.TempDir()}, "there are no certificates in", 4},
	} {
		if said, code := s.admin(c.args...); code != c.code || !strings.Contains(said, c.says) {
			t.Errorf("%v: %d %s; want %d %q", c.args, code, said, c.code, c.says)
		}
	}
}

func TestHandout(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	if said, code := s.admin("handout", "open"); code != 0 {
		t.Fatal(said)
	}
	for name, has := range map[string]string{
		"open/knitprofile": "apiRoot: https://weft.test:30803/api", "open/docker/certs.d/weft.test:30803/ca.crt": s.read("certs/ca.crt"),
		"open/README.md": "weft login",
	} {
		if text := s.read(name); !strings.Contains(text, has) {
			t.Errorf("%s holds %s", name, text)
		}
	}
	if text := s.read("open/knitprofile"); strings.Contains(text, "weft_") || !strings.Contains(text, "ca:") {
		t.Errorf("the profile is %s", text)
	}

	for dir, from := range map[string]string{"secret": "token", "piped": "-"} {
		if said, code := s.admin("handout", dir, "--token-file", from, "--url", "https://weft.test/api/"); code != 0 || strings.Contains(said, "weft_") {
			t.Fatal(said)
		}
		info, err := os.Stat(filepath.Join(s.state, dir, "knitprofile"))
		if err != nil || info.Mode().Perm() != 0o600 || !strings.Contains(s.read(dir+"/knitprofile"), "https://weft:weft_") {
			t.Errorf("%s: mode %v (%v), %s", dir, info.Mode(), err, s.read(dir+"/knitprofile"))
		}
		if strings.Contains(s.read(dir+"/README.md"), "weft_") {
			t.Error("the token is in the README")
		}
	}
	if s.read("secret/docker/certs.d/weft.test/ca.crt") == "" {
		t.Error("nothing to trust for the port that is not written")
	}

	s.write("empty", "\n")
	for _, c := range []struct {
		args []string
		says string
		code int
	}{
		{[]string{"--url", "https://other.test"}, "the server's certificate is not for other.test", 3},
		{[]string{"--url", "weft.test"}, "is not the URL of a server", 3},
		{[]string{"--user", "ann"}, "no server runs", 9},
		{[]string{"--project", "digits"}, "give --user", 3},
		{[]string{"--token-file", "empty"}, "holds no token", 3},
		{[]string{"--token-file", "token", "--user", "ann"}, "has one token", 3},
	} {
		if said, code := s.admin(append([]string{"handout", "x"}, c.args...)...); code != c.code || !strings.Contains(said, c.says) {
			t.Errorf("%v: %d %s; want %d %q", c.args, code, said, c.code, c.says)
		}
	}
}

func TestDoctorWithoutAServer(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.write("admin.token", "weft_secret")
	if err := os.Chmod(filepath.Join(s.state, "admin.token"), 0o640); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(s.state, 0o700); err != nil {
		t.Fatal(err)
	}
	said, code := s.admin("doctor", "--json")
	var found []api.Finding
	if err := json.Unmarshal([]byte(said), &found); err != nil {
		t.Fatalf("%v: %s", err, said)
	}
	if code != 13 || len(found) != 2 || found[0].About != "server" || found[0].Level != "fault" || found[1].About != "file modes" || found[1].Level != "warning" {
		t.Errorf("%d %+v", code, found)
	}
	for _, f := range found {
		if f.Problem == "" || f.Advice == "" {
			t.Errorf("%+v", f)
		}
	}
	file := s.write("weft.yaml", "extra-api:\n  - {path: /x, proxy_to: 'http://host/', rule: viewer}\n")
	if said, code := s.admin("doctor", "--config", file); code != 13 || !strings.Contains(said, "fault: settings") || !strings.Contains(said, "rule") {
		t.Errorf("with settings that are wrong: %d %s", code, said)
	}
	if said, code := s.admin("doctor", "--state", filepath.Join(s.state, "nowhere")); code != 4 {
		t.Errorf("without a state: %d %s", code, said)
	}
}

func TestExtraSettings(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write := func(name, text string) string {
		t.Helper()
		name = filepath.Join(dir, name)
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return name
	}
	short, long := write("short", "secret"), write("long", strings.Repeat("s", 40))
	for fields, says := range map[string]string{
		"":                       "",
		"role: manager":          "",
		"role: admin":            "",
		"role: king":             `role "king" is unknown`,
		"max_body: much":         `"much" is not a size`,
		"max_body: 1Gi":          "",
		"timeout: soon":          "timeout",
		"timeout: 5s":            "",
		"secret_file: " + short:  "it has 6 bytes",
		"secret_file: " + long:   "",
		"secret_file: /nowhere":  "no such file",
		"ca_file: " + long:       "no certificate",
		"proxy: x":               "proxy",
		"cors: {origin: '*'}":    "origin",
		"cors: {origins: ['x']}": "",
	} {
		file := write("weft.yaml", "extra-api:\n  - path: /extra\n    proxy_to: http://host:1/base\n    "+fields+"\n")
		c, err := load(t, "--config", file)
		if err == nil {
			_, err = c.extra()
		}
		if (err == nil) != (says == "") || err != nil && !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v; want %q", fields, err, says)
		}
	}
	for text, says := range map[string]string{
		"acme: {names: [weft.example.org]}\nlisten: 0.0.0.0:443":                               "",
		"acme: {names: [weft.example.org]}":                                                    "speaks no TLS",
		"acme: {names: [10.0.0.1]}\nlisten: 0.0.0.0:443":                                       "not a name that a public authority vouches for",
		"acme: {names: ['*.example.org']}\nlisten: 0.0.0.0:443":                                "not a name that a public authority vouches for",
		"acme: {names: [weft.example.org], challenge: dns}\nlisten: 0.0.0.0:443":               "neither tls nor http",
		"acme: {names: [weft.example.org], directory: 'http://ca.test/'}\nlisten: 0.0.0.0:443": "not an https URL",
	} {
		if _, err := load(t, "--config", write("acme.yaml", text+"\n")); (err == nil) != (says == "") || err != nil && !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v; want %q", text, err, says)
		}
	}
}
