//go:build e2e

package app_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/weft-dev/weft/api"
)

// jobName is what plans call the image of testdata/job.
const jobName = "localhost:30503/test/job:v1"

var builtJob = sync.OnceValues(func() (string, error) {
	dir, err := built()
	if err != nil {
		return "", err
	}
	tar := filepath.Join(dir, "job.tar")
	for _, c := range [][]string{
		{"go", "build", "-o", dir + "/job", "./internal/app/testdata/job"},
		{dir + "/mkimage", "-o", tar, "-name", "test/job:v1", "-user", "1000", "-entrypoint", "/job", dir + "/job:/job"},
	} {
		cmd := exec.Command(c[0], c[1:]...)
		cmd.Dir = repository
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := cmd.CombinedOutput(); err != nil {
			return "", fmt.Errorf("%s: %w: %s", strings.Join(c, " "), err, out)
		}
	}
	return tar, nil
})

// jobImage returns the archive of an image whose program is testdata/job. It lies beside
// the weft program.
func jobImage(t testing.TB) string {
	t.Helper()
	tar, err := builtJob()
	if err != nil {
		t.Fatal(err)
	}
	return tar
}

// patience is how long a test waits for what must come.
const patience = time.Minute

func patiently(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	return ctx
}

// newLab returns a machine that has the job's image, and one data tagged kind:a.
func newLab(t testing.TB, args ...string) *machine {
	t.Helper()
	m := newMachine(t, args...)
	m.furnish()
	return m
}

func (m *machine) furnish() {
	m.t.Helper()
	m.weft("image", "push", jobImage(m.t))
	m.pushTagged("kind:a")
}

func (m *machine) pushTagged(tags ...string) string {
	m.t.Helper()
	dir := m.t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "file"), []byte(strings.Join(tags, " ")), 0o644); err != nil {
		m.t.Fatal(err)
	}
	args := []string{"data", "push", dir}
	for _, tag := range tags {
		args = append(args, "--tag", tag)
	}
	return decodeAs[api.DataDetail](m.t, m.weft(args...)).KnitID
}

// run applies a plan over kind:a whose program does what words say, and returns its
// run. Every plan gets an output of its own at /out; more changes it further.
func (m *machine) run(ctx context.Context, words []string, more ...func(*api.PlanSpec)) api.RunDetail {
	m.t.Helper()
	spec := api.PlanSpec{
		Image: jobName, Args: words,
		Inputs:  []api.PlanSpecInput{{Mountpoint: api.Mountpoint{Path: "/in", Tags: []api.Tag{{Key: "kind", Value: "a"}}}}},
		Outputs: []api.Mountpoint{{Path: "/out", Tags: []api.Tag{{Key: "made", Value: "by a job"}}}},
		Log:     &api.LogPoint{Tags: []api.Tag{{Key: "type", Value: "log"}}},
		Resources: map[string]api.Quantity{
			"cpu": "100m", "memory": "64Mi",
		},
	}
	for _, change := range more {
		change(&spec)
	}
	plan, err := m.CreatePlan(ctx, spec)
	if err != nil {
		m.t.Fatal(err)
	}
	return m.firstRun(ctx, plan.PlanID)
}

// firstRun waits for a plan to have a run.
func (m *machine) firstRun(ctx context.Context, plan string) (run api.RunDetail) {
	m.t.Helper()
	m.await(ctx, "a run of plan "+plan, func() bool {
		for r, err := range m.FindRuns(ctx, api.RunQuery{Plans: []string{plan}}) {
			if err != nil {
				m.t.Fatal(err)
			}
			run = r
			return true
		}
		return false
	})
	return run
}

// reach waits until a run has one of the statuses.
func (m *machine) reach(ctx context.Context, id string, statuses ...string) api.RunDetail {
	m.t.Helper()
	return m.until(ctx, id, "is "+strings.Join(statuses, " or "), func(r api.RunDetail) bool {
		return slices.Contains(statuses, r.Status)
	})
}

// until waits until a run is as wanted.
func (m *machine) until(ctx context.Context, id, what string, wanted func(api.RunDetail) bool) (run api.RunDetail) {
	m.t.Helper()
	defer func() {
		if m.t.Failed() {
			m.t.Logf("run %s is %s, %q, %+v", id, run.Status, run.Reason, run.Exit)
		}
	}()
	m.await(ctx, "run "+id+" "+what, func() (ok bool) {
		var err error
		if run, err = m.Run(ctx, id); err != nil {
			m.t.Fatal(err)
		}
		return wanted(run)
	})
	return run
}

// waits waits until a run says why it waits.
func (m *machine) waits(ctx context.Context, id string, reasons ...string) {
	m.t.Helper()
	r := m.until(ctx, id, "waits for "+strings.Join(reasons, ", "), func(r api.RunDetail) bool {
		return !slices.Contains([]string{"waiting", "ready"}, r.Status) || containsAll(r.Reason, reasons)
	})
	if !containsAll(r.Reason, reasons) {
		m.t.Fatalf("the run is %s: %+v", r.Status, r.Exit)
	}
}

// await looks again whenever something has changed in the system, until look is
// satisfied.
func (m *machine) await(ctx context.Context, what string, look func() bool) {
	m.t.Helper()
	for _, err := range m.Events(ctx, api.EventQuery{}) {
		if err != nil {
			m.t.Fatalf("wait until %s: %v", what, err)
		}
		if look() {
			return
		}
	}
	m.t.Fatalf("wait until %s: %v", what, context.Cause(ctx))
}

// logOf returns what a run has printed.
func (m *machine) logOf(ctx context.Context, id string) string {
	m.t.Helper()
	log, err := m.RunLog(ctx, id, false)
	return readAll(m.t, log, err)
}

// A meeting is where programs say that they run, and are held until they are let go.
type meeting struct {
	t testing.TB
	net.Listener
}

func newMeeting(t testing.TB) meeting {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return meeting{t, l}
}

// words are what the program has to do to come.
func (m meeting) words() []string { return []string{"meet", m.Addr().String()} }

// arrival waits for a program, which goes on when the returned function is called.
func (m meeting) arrival(ctx context.Context) (release func()) {
	m.t.Helper()
	stop := context.AfterFunc(ctx, func() { m.Close() })
	defer stop()
	c, err := m.Accept()
	if err != nil {
		m.t.Fatalf("wait for the program: %v", err)
	}
	m.t.Cleanup(func() { c.Close() })
	return func() { c.Close() }
}

func decodeAs[T any](t testing.TB, text []byte) (v T) {
	t.Helper()
	if err := json.Unmarshal(text, &v); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	return v
}

// printed waits until a run has printed a line.
func (m *machine) printed(ctx context.Context, id, line string) {
	m.t.Helper()
	m.reach(ctx, id, "running", "completing", "aborting", "done", "failed")
	log, err := m.RunLog(ctx, id, true)
	if err != nil {
		m.t.Fatal(err)
	}
	defer log.Close()
	for lines := bufio.NewScanner(log); lines.Scan(); {
		if lines.Text() == line {
			return
		}
	}
	m.t.Fatalf("run %s has ended, or the time is up, and it has not printed %q", id, line)
}
