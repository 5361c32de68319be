package app

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/weft-dev/weft"
)

func load(t *testing.T, args ...string) (Config, error) {
	t.Helper()
	fs := configFlags()
	if err := fs.Parse(args); err != nil {
		t.Fatal(err)
	}
	return loadConfig(fs)
}

// Later sources win: file, environment, flags.
func TestConfigSources(t *testing.T) {
	file := filepath.Join(t.TempDir(), "weft.yaml")
	if err := os.WriteFile(file, []byte("state: /from/file\nlog-level: warn\nrun-limit: 7\nlabels: [disk=fast]\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("WEFT_LOG_LEVEL", "debug")
	t.Setenv("WEFT_RUN_LIMIT", "8")
	t.Setenv("WEFT_URL", "http://the-client's.test")
	c, err := load(t, "--config", file, "--run-limit", "9")
	if err != nil {
		t.Fatal(err)
	}
	if c.State != "/from/file" || c.LogLevel != "debug" || c.RunLimit != 9 || len(c.Labels) != 1 || c.Listen != defaultConfig().Listen {
		t.Errorf("config is %+v", c)
	}
}

func TestConfigPrintedCanBeRead(t *testing.T) {
	t.Parallel()
	c, err := load(t, "--log-limit", "5Gi", "--labels", "a=b,c=d")
	if err != nil {
		t.Fatal(err)
	}
	text, err := c.write()
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "weft.yaml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	again, err := load(t, "--config", file)
	if err != nil {
		t.Fatalf("%v in\n%s", err, text)
	}
	if text2, err := again.write(); err != nil || text2 != text {
		t.Errorf("read again it prints\n%s\nwant\n%s (%v)", text2, text, err)
	}
}

func TestConfigRefuses(t *testing.T) {
	t.Parallel()
	unknown := filepath.Join(t.TempDir(), "weft.yaml")
	if err := os.WriteFile(unknown, []byte("sate: /typo\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for want, args := range map[string][]string{
		`"sate" is unknown`:        {"--config", unknown},
		"read settings":            {"--config", unknown + ".missing"},
		"is not HOST:PORT":         {"--listen", "here"},
		"not a loopback address":   {"--listen", "0.0.0.0:80", "--tls", "off"},
		"is not auto, on or off":   {"--tls", "maybe"},
		"together with plain-http": {"--tls", "on", "--plain-http"},
		"neither a host name":      {"--tls-names", "https://weft.test"},
		"neither a domain nor":     {"--ca-domains", "10.0.0.0/40"},
		"trusted-proxies":          {"--trusted-proxies", "lb"},
		"is not positive":          {"--run-limit", "0"},
		"is negative":              {"--collect-grace", "-1s"},
		"neither text nor json":    {"--log-format", "xml"},
		`"loud" is not debug`:      {"--log-level", "loud"},
		`log-limit: "much" is not`: {"--log-limit", "much"},
		`label "fast" has no =`:    {"--labels", "fast"},
		"begins with postgres://":  {"--database", "mysql://db"},
		"on the command line":      {"--database", "postgres://weft:secret@db/weft"},
	} {
		_, err := load(t, args...)
		if weft.KindOf(err) != weft.Invalid || !strings.Contains(err.Error(), want) {
			t.Errorf("%v: %v; want %q", args, err, want)
		}
	}
}

// The password of a database is not printed.
func TestConfigHidesSecrets(t *testing.T) {
	t.Setenv("WEFT_DATABASE", "postgres://weft:s3cret@db/weft")
	c, err := load(t)
	if err != nil {
		t.Fatal(err)
	}
	if c.databaseURL() != "postgres://weft:s3cret@db/weft" {
		t.Errorf("the database is %s", c.databaseURL())
	}
	text, err := c.write()
	if err != nil || strings.Contains(text, "s3cret") || !strings.Contains(text, "db/weft") {
		t.Errorf("printed (%v):\n%s", err, text)
	}
}

func TestOneServerPerState(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "state")
	s, err := openState(dir)
	if err != nil {
		t.Fatal(err)
	}
	token, err := s.adminToken()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := openState(dir); weft.KindOf(err) != weft.Conflict || !strings.Contains(err.Error(), "another server") {
		t.Errorf("a second server: %v", err)
	}
	for name, mode := range map[string]os.FileMode{dir: 0o700, s.path("admin.token"): 0o600} {
		if info, err := os.Stat(name); err != nil || info.Mode().Perm() != mode {
			t.Errorf("%s: %v, %v; want mode %o", name, info.Mode(), err, mode)
		}
	}
	if err := s.close(); err != nil {
		t.Fatal(err)
	}
	again, err := openState(dir)
	if err != nil {
		t.Fatalf("after the first has ended: %v", err)
	}
	defer again.close()
	if same, err := again.adminToken(); err != nil || same != token {
		t.Errorf("the token changed (%v)", err)
	}
}

func TestEgressSettings(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for text, want := range map[string]string{
		"egress: {allow: [10.0.0.0/8, 'hooks.internal:8080']}": "",
		"egress: {allow: ['http://x']}":                        "egress: allow:",
		"egress: {alow: [10.0.0.0/8]}":                         "alow",
		"egress: {ca-file: /does/not/exist}":                   "egress: ca-file:",
	} {
		file := filepath.Join(dir, "weft.yaml")
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		c, err := load(t, "--config", file)
		switch {
		case want == "" && (err != nil || len(c.Egress.Allow) != 2):
			t.Errorf("%s: %+v, %v", text, c.Egress, err)
		case want != "" && (weft.KindOf(err) != weft.Invalid || !strings.Contains(err.Error(), want)):
			t.Errorf("%s: %v; want %q", text, err, want)
		}
	}
}
