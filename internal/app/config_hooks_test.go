package app

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/weft-dev/weft"
	"github.com/weft-dev/weft/internal/notify"
)

// settings loads a file of settings with this text.
func settings(t *testing.T, text string) (Config, error) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "weft.yaml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return load(t, "--config", file)
}

// Knitfab's own file is taken as it is, and each URL may be more than a URL.
func TestHookSettings(t *testing.T) {
	t.Parallel()
	key := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(key, []byte("s3cret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := settings(t, `
hooks:
  lifecycle-hooks:
    before:
      - https://a.test/before
      - {url: "https://b.test/", name: gate, secret-file: `+key+`, timeout: 3s, fail: open, tries: 5, statuses: [starting], projects: [vision],
         plans: [trainer], header-files: {Authorization: `+key+`}, headers: {X-Team: vision}, concurrency: 2, backoff: 2s, max-backoff: 1m}
    after:
      - https://a.test/after
      - {url: "https://c.test/", secret: inline, changes: all, delivery: at-most-once, give-up: 1h}
openlineage: {url: "https://marquez.test/lineage", token-file: `+key+`}
smtp: {address: "mail.test:587", from: "Weft <weft@lab.test>", username: weft, password-file: `+key+`}
`)
	if err != nil {
		t.Fatal(err)
	}
	before, after, err := c.Hooks.hooks(c.Egress)
	if err != nil || len(before) != 2 || len(after) != 2 {
		t.Fatalf("before %+v, after %+v, %v", before, after, err)
	}
	if h := before[0]; h.URL != "https://a.test/before" || h.Label() != "a.test/before" || h.FailOpen {
		t.Errorf("a URL alone is %+v", h)
	}
	h := before[1]
	if string(h.Secret) != "s3cret" || h.Timeout != 3*time.Second || !h.FailOpen || h.Tries != 5 || h.Label() != "gate" || h.Statuses[0] != weft.Starting ||
		h.Headers["Authorization"] != "s3cret" || h.Headers["X-Team"] != "vision" || h.Concurrency != 2 || h.Projects[0] != "vision" || h.Plans[0] != "trainer" {
		t.Errorf("a hook in full is %+v", h)
	}
	if h := after[1]; !h.All || !h.AtMostOnce || h.GiveUp != time.Hour {
		t.Errorf("an after hook is %+v", h)
	}
	if l, err := c.OpenLineage.receivers(c.Egress); err != nil || len(l) != 1 || l[0].Headers["Authorization"] != "Bearer s3cret" || l[0].Namespace != "weft" {
		t.Errorf("lineage goes to %+v, %v", l, err)
	}
	if m, err := c.SMTP.mail(); err != nil || m.From != "weft@lab.test" || m.TLS != notify.MailStartTLS || m.Password != "s3cret" {
		t.Errorf("mail goes by %+v, %v", m, err)
	}
	text, err := c.write()
	if err != nil || strings.Contains(text, "inline") || strings.Contains(text, "s3cret") || !strings.Contains(text, "https://b.test/") {
		t.Errorf("printed (%v):\n%s", err, text)
	}
}

func TestHookSettingsThatAreRefused(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"hooks: {lifecycle-hooks: {before: ['http://localhost.test/', 'http://localhost.test/']}}":                   "two hooks",
		"hooks: {lifecycle-hooks: {before: ['http://127.0.0.1:8080/']}}":                                             "of this machine itself",
		"hooks: {lifecycle-hooks: {before: ['http://[::1]/']}}":                                                      "of this machine itself",
		"hooks: {lifecycle-hooks: {after: ['http://169.254.169.254/']}}":                                             "link-local",
		"hooks: {lifecycle-hooks: {after: ['https://u:p@a.test/']}}":                                                 "no user or password",
		"hooks: {lifecycle-hooks: {after: ['a.test']}}":                                                              "begins with http",
		"hooks: {lifecycle-hooks: {during: ['https://a.test/']}}":                                                    "during",
		"hooks: {before: ['https://a.test/']}":                                                                       "before",
		"hooks: {lifecycle-hooks: {after: [{url: 'https://a.test/', fail: open}]}}":                                  "for before hooks only",
		"hooks: {lifecycle-hooks: {before: [{url: 'https://a.test/', delivery: at-most-once}]}}":                     "for after hooks only",
		"hooks: {lifecycle-hooks: {before: [{url: 'https://a.test/', fail: maybe}]}}":                                "closed or open",
		"hooks: {lifecycle-hooks: {before: [{url: 'https://a.test/', statuses: [born]}]}}":                           "not a status",
		"hooks: {lifecycle-hooks: {before: [{url: 'https://a.test/', timeout: -1s}]}}":                               "negative",
		"hooks: {lifecycle-hooks: {before: [{url: 'https://a.test/', secret: a, secret-file: b}]}}":                  "a secret and a secret-file",
		"hooks: {lifecycle-hooks: {before: [{url: 'https://a.test/', secret-file: /does/not/exist}]}}":               "read secret",
		"hooks: {lifecycle-hooks: {before: [{url: 'https://a.test/', headers: {A: \"b\\r\\nC: d\"}}]}}":              "cannot be sent",
		"hooks: {lifecycle-hooks: {before: [{url: 'https://a.test/', tiemout: 1s}]}}":                                "tiemout",
		"openlineage: {url: 'http://10.0.0.1/'}":                                                                     "private",
		"smtp: {address: 'mail.test', from: a@b.test}":                                                               "host:port",
		"smtp: {address: 'mail.test:25', from: nobody}":                                                              "not the address",
		"smtp: {address: 'mail.test:25', from: a@b.test, tls: maybe}":                                                "starttls, tls or none",
		"smtp: {address: 'mail.test:25', from: a@b.test, tls: none, username: weft, password-file: /does/not/exist}": "in plain text",
	} {
		if _, err := settings(t, text); weft.KindOf(err) != weft.Invalid && weft.KindOf(err) != weft.Forbidden || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v; want %q", text, err, want)
		}
	}
	if _, err := settings(t, "egress: {allow: [127.0.0.1]}\nhooks: {lifecycle-hooks: {before: ['http://127.0.0.1:8080/']}}"); err != nil {
		t.Errorf("what is allowed: %v", err)
	}
}
