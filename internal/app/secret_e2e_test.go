//go:build e2e

package app_test

import (
	"bytes"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestTokensDoNotShow looks for the token, and for one that is wrong, wherever somebody
// else may read: the server's log at its most talkative, what the client prints, the
// command lines and the environment of processes, and every file of the state but
// admin.token.
func TestTokensDoNotShow(t *testing.T) {
	t.Parallel()
	ctx, m := patiently(t), newLab(t, "--log-level", "debug")
	const wrong = "weft_this-is-not-the-token"
	var said bytes.Buffer
	client := func(args ...string) {
		t.Helper()
		_, stdout, stderr := m.try(args...)
		said.WriteString(stdout + stderr)
	}
	meeting := newMeeting(t)
	run := m.run(ctx, append([]string{"write", "/out/file=x"}, meeting.words()...))
	release := meeting.arrival(ctx)
	processes := processesOf(t, m, meeting)
	if len(processes) < 3 {
		t.Errorf("of server, supervisor and program, only %d processes are found", len(processes))
	}
	release()
	m.reach(ctx, run.RunID, "done")
	for _, args := range [][]string{
		{"cluster", "info"}, {"cluster", "info", "-o", "table"}, {"data", "find"}, {"data", "push", "nothing"}, {"data", "show", "nothing"},
		{"run", "show", run.RunID}, {"plan", "find", "-o", "table"}, {"image", "ls"}, {"image", "push", "nothing"}, {"config"}, {"version"},
		{"serve", "--state", m.state, "--listen", "127.0.0.1:0"}, {"serve", "--database", "postgres://weft:" + m.token + "@127.0.0.1:1/x?connect_timeout=1", "--state", t.TempDir(), "--listen", "127.0.0.1:0"},
		{"data", "pull", run.Outputs[0].KnitID, "-"},
	} {
		client(args...)
	}
	good, address := m.token, m.url
	for _, u := range []string{address, "http://127.0.0.1:1", "nonsense", strings.Replace(address, "http://", "http://weft:"+good+"@", 1), "http://weft:" + good + "@127.0.0.1:1", "http://weft:" + good + "@"} {
		for _, token := range []string{good, wrong, ""} {
			m.url, m.token = u, token
			client("data", "find")
			client("cluster", "info", "-o", "table")
			client("init", u)
			client("image", "push", jobImage(t), "test/again:v1")
		}
	}
	m.url, m.token = address, good
	for _, query := range []string{"?token=" + url.QueryEscape(good), "?access_token=" + wrong} {
		m.raw(ctx, "GET", "/api/data"+query, "", nil)
	}
	if err := m.stop(); err != nil {
		t.Errorf("the server ended with %v", err)
	}

	places := map[string]string{"the server's log": m.log.String(), "what the client prints": said.String()}
	for name, text := range processes {
		places[name] = text
	}
	readState(t, m.state, places)
	for name, text := range places {
		for _, token := range []string{good, wrong} {
			if i := strings.Index(text, token); i >= 0 {
				t.Errorf("%s has a token: …%q…", name, text[max(0, i-80):i])
			}
		}
	}
	if !strings.Contains(m.log.String(), "level=DEBUG") {
		t.Error("the server's log has nothing at level debug")
	}
}

// processesOf returns the command line and the environment of a machine's processes:
// the server, supervisors, and the program that has come to a meeting.
func processesOf(t *testing.T, m *machine, meeting meeting) map[string]string {
	t.Helper()
	found := map[string]string{}
	names, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		b, err := os.ReadFile(name)
		if err != nil || !bytes.Contains(b, []byte(m.state)) && !bytes.Contains(b, []byte(strings.Join(meeting.words(), "\x00"))) {
			continue
		}
		env, err := os.ReadFile(filepath.Join(filepath.Dir(name), "environ"))
		if err != nil {
			continue // it has ended
		}
		found[name+" "+strings.ReplaceAll(string(b), "\x00", " ")] = string(b) + string(env)
	}
	return found
}

// readState adds the files of a state directory, but for the one that is the token's.
func readState(t *testing.T, state string, places map[string]string) {
	t.Helper()
	err := filepath.WalkDir(state, func(name string, e fs.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() || name == filepath.Join(state, "admin.token") {
			return err
		}
		b, err := os.ReadFile(name)
		places[name] = string(b)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}
