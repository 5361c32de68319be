//go:build e2e

package app_test

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/weft-dev/weft/api"
)

// A program that is stopped saves its work within its grace, and that becomes data.
func TestAStoppedProgramSavesItsWork(t *testing.T) {
	t.Parallel()
	ctx, m := patiently(t), newLab(t)
	run := m.run(ctx, []string{"term", "write", "/out/saved=yes"}, func(s *api.PlanSpec) { s.Grace = "50s" })
	m.printed(ctx, run.RunID, "waiting for SIGTERM")
	r, err := m.StopRun(ctx, run.RunID, api.Stop{})
	if err != nil || r.Status != "completing" || !strings.HasPrefix(r.Reason, "stopping: has until ") || r.Record.StopBy == nil {
		t.Fatalf("a run that is being stopped is %s, %q, %+v, %v", r.Status, r.Reason, r.Record, err)
	}
	r = m.reach(ctx, run.RunID, "done")
	if r.Exit == nil || r.Exit.Code != 0 || r.Record.Why != "stopped" || r.Record.Node == "" {
		t.Errorf("recorded is %+v, %+v", r.Exit, r.Record)
	}
	if got := readFile(ctx, t, m, r.Outputs[0].KnitID, "saved"); got != "yes" {
		t.Errorf("what it saved is %q", got)
	}
	if got := m.logOf(ctx, run.RunID); !strings.HasSuffix(got, "got SIGTERM\n") {
		t.Errorf("its log is %q", got)
	}
}

// The image says which signal asks its program to end.
func TestTheImageChoosesTheSignal(t *testing.T) {
	t.Parallel()
	ctx, m := patiently(t), newLab(t)
	tar := filepath.Join(t.TempDir(), "job.tar")
	out, err := exec.Command(m.built+"/mkimage", "-o", tar, "-name", "test/interrupted:v1", "-user", "1000", "-stop-signal", "SIGUSR1",
		"-entrypoint", "/job", m.built+"/job:/job").CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	m.weft("image", "push", tar)
	run := m.run(ctx, []string{"deaf", "15", "signal", "10", "write", "/out/saved=yes"}, func(s *api.PlanSpec) {
		s.Image, s.Grace = "localhost:30503/test/interrupted:v1", "50s"
	})
	m.printed(ctx, run.RunID, "waits for signal 10")
	if _, err := m.StopRun(ctx, run.RunID, api.Stop{}); err != nil {
		t.Fatal(err)
	}
	r := m.reach(ctx, run.RunID, "done")
	if got := readFile(ctx, t, m, r.Outputs[0].KnitID, "saved"); got != "yes" {
		t.Errorf("what it saved is %q", got)
	}
}

// A program that does not heed the request is killed when its time is up, also when the
// server was restarted in between; or at once, when its user is in a hurry.
func TestGraceEnds(t *testing.T) {
	t.Parallel()
	ctx, m := patiently(t), newLab(t)
	deaf := []string{"deaf", "15", "write", "/out/half=1", "print", "deaf"}
	short := m.run(ctx, append(deaf, "signal", "10"), func(s *api.PlanSpec) { s.Grace = "2s" })
	long := m.run(ctx, append(deaf, "signal", "12"), func(s *api.PlanSpec) { s.Grace = "1h" })
	for _, r := range []api.RunDetail{short, long} {
		m.printed(ctx, r.RunID, "deaf")
	}
	began := time.Now()
	if _, err := m.StopRun(ctx, short.RunID, api.Stop{}); err != nil {
		t.Fatal(err)
	}
	if _, err := m.StopRun(ctx, long.RunID, api.Stop{Fail: true}); err != nil {
		t.Fatal(err)
	}
	m.kill()
	m.start()
	r := m.reach(ctx, short.RunID, "done")
	if took := r.EndedAt.Sub(began); took < 1900*time.Millisecond || took > 8*time.Second {
		t.Errorf("with a grace of 2 s it ended after %s", took)
	}
	if r := m.until(ctx, long.RunID, "is being stopped", func(r api.RunDetail) bool { return true }); r.Status != "aborting" || !strings.HasPrefix(r.Reason, "stopping: has until ") {
		t.Fatalf("the other is %s, %q", r.Status, r.Reason)
	}
	if code, _, stderr := m.try("run", "stop", long.RunID); code == 0 || !strings.Contains(stderr, "is being stopped already, and has until") {
		t.Errorf("stopping again: %d, %s", code, stderr)
	}
	m.weft("run", "stop", "--fail", "--now", long.RunID)
	if r := m.reach(ctx, long.RunID, "failed"); r.Exit.Code != 253 {
		t.Errorf("it ended with %+v", r.Exit)
	}
	if code, _, stderr := m.try("run", "stop", long.RunID); code == 0 || !strings.Contains(stderr, "is failed already; there is nothing to stop") {
		t.Errorf("stopping what has ended: %d, %s", code, stderr)
	}
}

// What runs longer than its plan allows is ended, tried again, and then failed.
func TestTimeoutAndRetry(t *testing.T) {
	t.Parallel()
	ctx, m := patiently(t), newLab(t)
	run := m.run(ctx, []string{"print", "begun", "deaf", "15", "write", "/out/half=1", "signal", "10"}, func(s *api.PlanSpec) {
		s.Timeout, s.Grace, s.Retry = "1s", "500ms", &api.Retry{Limit: 1, Backoff: "1s", OnExit: []api.ExitWord{"timeout"}}
	})
	r := m.until(ctx, run.RunID, "has failed twice", func(r api.RunDetail) bool { return r.Status == "failed" && r.Attempt == 2 })
	if r.Exit.Code != 252 || r.Exit.Message != "timed out: it ran for 1s, which is the plan's timeout" || r.Record.Why != "timeout" {
		t.Errorf("it ended with %+v, %+v", r.Exit, r.Record)
	}
	if got := readFile(ctx, t, m, r.Outputs[0].KnitID, "half"); got != "1" {
		t.Errorf("what it has left is %q", got)
	}
	if past := r.Record.Attempts; len(past) != 1 || past[0].Exit.Code != 252 || past[0].ImageDigest != r.ImageDigest || past[0].Resources["memory"] != "64Mi" {
		t.Errorf("its attempts are %+v", past)
	}
	if got := string(m.weft("run", "log", "--attempt", "1", run.RunID)); !strings.HasPrefix(got, "begun\n") {
		t.Errorf("the log of its first attempt is %q", got)
	}
}

// Secrets reach the program, and are nowhere else to be read.
func TestSecretsDoNotShow(t *testing.T) {
	t.Parallel()
	ctx, m := patiently(t), newLab(t, "--log-level", "debug")
	const password, key = "pass-4b1c9e-word", "-----BEGIN KEY-----\nline-one-e1f2a3\nline-two-e1f2a3\n-----END KEY-----\n"
	meeting := newMeeting(t)
	words := append([]string{"env", "PASSWORD", "env", "KEY", "env", "MODE"}, append(meeting.words(), "env", "PASSWORD")...)
	run := m.run(ctx, words, func(s *api.PlanSpec) {
		s.Env, s.Secrets = map[string]string{"MODE": "fast"}, map[string]string{"PASSWORD": "db", "KEY": "deploy-key"}
	})
	m.waits(ctx, run.RunID, "waits for the secrets", "db", "deploy-key", "weft secret set")
	m.set(password, "db")
	m.waits(ctx, run.RunID, "waits for the secret deploy-key")
	m.set(key, "deploy-key")
	release := meeting.arrival(ctx)
	processes := processesOf(t, m, meeting)
	bundles := m.bundles()
	live := m.logOf(ctx, run.RunID)
	m.set("another-password", "db") // what it was given stays masked
	release()
	r := m.reach(ctx, run.RunID, "done")
	want := "***\n***\nfast\n***\n"
	if sealed := m.logOf(ctx, run.RunID); sealed != want || !strings.HasPrefix(want, live) && live != "***\n***\nfast\n" {
		t.Errorf("its log is %q while it runs and %q afterwards", live, sealed)
	}
	places := map[string]string{
		"secret ls": string(m.weft("secret", "ls")), "run show": string(m.weft("run", "show", run.RunID)),
		"plan find": string(m.weft("plan", "find")), "log data": string(m.weft("data", "cat", r.Log.KnitID, "log")),
	}
	if names := strings.Join(r.Record.Env, " "); names != "KEY MODE PASSWORD" {
		t.Errorf("the names of its variables are %q", names)
	}
	for name, text := range processes {
		places[name] = text
		if strings.Contains(text, "PASSWORD="+password) {
			places[name] = name // its own environment is the program's to read, and root's
		}
	}
	if err := m.stop(); err != nil {
		t.Error(err)
	}
	places["the server's log"] = m.log.String()
	readState(t, m.state, places)
	for name, text := range places {
		for _, secret := range []string{password, "line-one-e1f2a3", "line-two-e1f2a3"} {
			if i := strings.Index(text, secret); i >= 0 {
				t.Errorf("%s tells %s", name, secret)
			}
		}
	}
	for _, b := range bundles {
		if b.mode.Perm()&0o077 != 0 {
			t.Errorf("%s, which tells the secrets while the program runs, is %s", b.name, b.mode)
		}
	}
	if len(bundles) == 0 {
		t.Error("nothing of the bundle was found")
	}
}

// set sets a secret by what is on standard input.
func (m *machine) set(value, name string) {
	m.t.Helper()
	cmd := exec.Command(m.built+"/weft", "secret", "set", name)
	cmd.Env = append(os.Environ(), "HOME="+m.home, "WEFT_URL="+m.url, "WEFT_TOKEN="+m.token)
	cmd.Stdin = strings.NewReader(value + "\n")
	if out, err := cmd.CombinedOutput(); err != nil {
		m.t.Fatalf("secret set: %v: %s", err, out)
	}
}

type bundle struct {
	name string
	mode fs.FileMode
}

// bundles are the files of attempts under way.
func (m *machine) bundles() (found []bundle) {
	m.t.Helper()
	err := filepath.WalkDir(filepath.Join(m.state, "runs"), func(name string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if e.Name() == "task.json" || e.Name() == "config.json" {
			info, err := e.Info()
			if err != nil {
				return err
			}
			found = append(found, bundle{name, info.Mode()})
		}
		return nil
	})
	if err != nil {
		m.t.Fatal(err)
	}
	return found
}

// No more runs of a plan are under way than it allows.
func TestConcurrencyOfAPlan(t *testing.T) {
	t.Parallel()
	ctx, m := patiently(t), newLab(t)
	meeting := newMeeting(t)
	first := m.run(ctx, meeting.words(), func(s *api.PlanSpec) { s.Concurrency = 1 })
	release := meeting.arrival(ctx)
	m.pushTagged("kind:a")
	second := m.other(ctx, first)
	m.waits(ctx, second.RunID, "waits for another run of its plan to end: the plan allows 1 at a time")
	m.kill()
	m.start()
	m.waits(ctx, second.RunID, "waits for another run of its plan to end")
	release()
	meeting.arrival(ctx)()
	for _, id := range []string{first.RunID, second.RunID} {
		m.reach(ctx, id, "done")
	}
}

// other waits for a plan to have a run beside one.
func (m *machine) other(ctx context.Context, than api.RunDetail) (other api.RunDetail) {
	m.t.Helper()
	m.await(ctx, fmt.Sprint("another run than ", than.RunID), func() bool {
		for r, err := range m.FindRuns(ctx, api.RunQuery{Plans: []string{than.Plan.PlanID}}) {
			if err != nil {
				m.t.Fatal(err)
			}
			if r.RunID != than.RunID {
				other = r
				return true
			}
		}
		return false
	})
	return other
}

// A program that goes on writing on a full disk is ended for that reason, whatever errors
// it gets; one that only runs goes on.
func TestWhoFillsTheDiskIsEnded(t *testing.T) {
	t.Parallel()
	const size = 128 << 20
	ctx := patiently(t)
	m := newMachineOn(t, filepath.Join(tmpfs(t, size), "state"), "--disk-reserve", "32Mi")
	m.furnish()
	meeting := newMeeting(t)
	modest := m.run(ctx, append([]string{"print", "modest"}, meeting.words()...))
	release := meeting.arrival(ctx)
	greedy := m.run(ctx, []string{"hog", "/out/big"}, func(p *api.PlanSpec) { p.Resources["memory"] = "1Gi" }) // on a tmpfs, what it writes is memory
	r := m.reach(ctx, greedy.RunID, "failed")
	if r.Exit == nil || !strings.Contains(r.Exit.Message, "ended because the disk is full, and it went on writing") || r.Record.Why != "limit" {
		t.Errorf("it ended with %+v, %+v", r.Exit, r.Record)
	}
	release()
	m.reach(ctx, modest.RunID, "done")
}
