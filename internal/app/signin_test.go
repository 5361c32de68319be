package app

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/weft-dev/weft"
)

// The examples of the manual's chapter are settings that can be read.
func TestSignInSettingsOfTheManual(t *testing.T) {
	t.Parallel()
	manual, err := os.ReadFile("../../docs/admin.md")
	if err != nil {
		t.Fatal(err)
	}
	_, chapter, _ := strings.Cut(string(manual), "\n## Signing in\n")
	chapter, _, _ = strings.Cut(chapter, "\n## ")
	var text string
	for _, m := range regexp.MustCompile("(?s)```yaml\n(.*?)```").FindAllStringSubmatch(chapter, -1) {
		text += m[1]
	}
	c, err := loadText(t, text)
	if err != nil {
		t.Fatalf("%v in\n%s", err, text)
	}
	if c.SignIn.SessionLife != 7*24*time.Hour || c.OIDC.Providers[0].Groups.Roles[1].Role != "manager" || len(c.LDAP.URLs) != 2 || c.LDAP.Groups.Roles[0].Project != "vision" {
		t.Errorf("%+v\n%+v\n%+v", c.SignIn, c.OIDC, c.LDAP)
	}
}

func loadText(t *testing.T, text string) (Config, error) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "weft.yaml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return load(t, "--config", file)
}

func TestSignInSettingsThatAreRefused(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		"sign-in: {session-idle: 0s}", "sign-in: {sesion-idle: 1h}", "oidc: {providers: [{name: corp}]}",
		"oidc: {providers: [{name: corp, issuer: 'https://id.example.org', client-id: a, client-secret: in-clear}]}",
		"oidc: {providers: [{name: corp, issuer: 'https://id.example.org', client-id: a, groups: {roles: [{group: a, project: b, role: king}]}}]}",
		"ldap: {urls: ['ldap://ldap.example.org'], base-dn: dc=example}", "ldap: {bind-password: in-clear}",
	} {
		if _, err := loadText(t, text); weft.KindOf(err) != weft.Invalid {
			t.Errorf("%s: %v", text, err)
		} else if strings.Contains(err.Error(), "in-clear") {
			t.Errorf("%v tells a secret", err)
		}
	}
}
