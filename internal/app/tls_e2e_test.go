//go:build e2e

package app_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// in runs a program in a directory, with a HOME of its own, and returns what it printed.
func in(t *testing.T, dir string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), args[0], args[1:]...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "HOME="+dir, "WEFT_URL=", "WEFT_TOKEN=")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

// A user of another machine has nothing but the handout: weft, skopeo and curl work with
// it, and go on when the authority is renewed.
func TestAHandoutIsAllThatUsersNeed(t *testing.T) {
	t.Parallel()
	m := newMachine(t, "--listen", "0.0.0.0:0", "--tls-names", "weft.test")
	host := strings.TrimPrefix(m.url, "https://")
	weft := m.built + "/weft"
	admin := t.TempDir()
	handout := func(dir string) {
		in(t, admin, weft, "admin", "handout", dir, "--state", m.state, "--url", m.url, "--token-file", filepath.Join(m.state, "admin.token"))
	}
	early, late := t.TempDir(), t.TempDir()
	handout(early)
	user := func(dir, file string) {
		if err := os.WriteFile(filepath.Join(dir, file), []byte("digits"), 0o600); err != nil {
			t.Fatal(err)
		}
		in(t, dir, weft, "init", "knitprofile")
		id := strings.TrimSpace(in(t, dir, weft, "data", "push", file, "--tag", "type:"+file))
		if !strings.Contains(id, "knitId") {
			t.Errorf("the push says %s", id)
		}
		certs := filepath.Join(dir, "docker", "certs.d", host)
		in(t, dir, "skopeo", "--insecure-policy", "copy", "--dest-cert-dir", certs, "--dest-creds", "weft:"+m.token,
			"docker-archive:"+m.built+"/trainer.tar", "docker://"+host+"/"+file+"/app:v1")
		in(t, dir, "skopeo", "--insecure-policy", "copy", "--src-cert-dir", certs, "--src-creds", "weft:"+m.token,
			"docker://"+host+"/"+file+"/app:v1", "dir:"+filepath.Join(dir, "out"))
		in(t, dir, "curl", "-sSf", "--cacert", filepath.Join(certs, "ca.crt"), "--tlsv1.2", m.url+"/healthz")
	}
	user(early, "first")

	if said := in(t, admin, weft, "admin", "certs", "renew", "--ca", "--state", m.state); !strings.Contains(said, "the server that runs shows it") {
		t.Errorf("the renewal says %s", said)
	}
	user(early, "second")
	handout(late)
	user(late, "third")

	if said := in(t, admin, weft, "admin", "doctor", "--state", m.state); strings.Contains(said, "certificate") {
		t.Errorf("the doctor says %s", said)
	}
	in(t, admin, weft, "admin", "certs", "renew", "--ca", "--forget", "--state", m.state)
	cmd := exec.CommandContext(t.Context(), "curl", "-sSf", "--cacert", filepath.Join(late, "docker", "certs.d", host, "ca.crt"), m.url+"/healthz")
	if out, err := cmd.CombinedOutput(); err == nil {
		t.Errorf("an authority that was forgotten is still good: %s", out)
	}
}
