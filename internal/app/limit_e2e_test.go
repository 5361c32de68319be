//go:build e2e

package app_test

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/weft-dev/weft/api"
)

// TestEndsAreToldApart looks at how programs end, and at what a user is told of it.
func TestEndsAreToldApart(t *testing.T) {
	t.Parallel()
	m := newLab(t, "--log-limit", "100k", "--output-limit", "1M")
	for _, c := range []struct {
		name    string
		words   []string
		status  string
		code    uint8
		message []string // that the message of the exit has
	}{
		{"well", []string{"print", "fine"}, "done", 0, nil},
		{"code", []string{"exit", "3"}, "failed", 3, nil},
		{"code 137", []string{"exit", "137"}, "failed", 137, nil},
		{"memory", []string{"eat", "200000000"}, "failed", 137, []string{"out of memory", "raise the plan's resource memory"}},
		{"log", []string{"spew", "10000000", "term"}, "failed", 137, []string{"log", "limit of 100000 bytes"}},
		{"outputs", []string{"fill", "/out/big=2000000", "term"}, "failed", 137, []string{"outputs", "limit of 1000000 bytes"}},
		{"children", []string{"fork", "3", "print", "parent is done"}, "done", 0, nil},
		{"entrypoint", nil, "failed", 0, []string{"no-such-program"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			ctx := patiently(t)
			run := m.run(ctx, c.words, func(p *api.PlanSpec) {
				p.Annotations = []string{"name=" + c.name}
				if c.words == nil {
					p.Entrypoint = []string{"/no-such-program"}
				}
			})
			run = m.reach(ctx, run.RunID, "done", "failed")
			if run.Status != c.status || run.Exit == nil || c.words != nil && run.Exit.Code != c.code {
				t.Fatalf("the run is %s, exit %+v", run.Status, run.Exit)
			}
			for _, want := range c.message {
				if !strings.Contains(run.Exit.Message, want) {
					t.Errorf("the message is %q; it should say %q", run.Exit.Message, want)
				}
			}
			if c.message == nil && run.Exit.Message != "" {
				t.Errorf("the message is %q", run.Exit.Message)
			}
			if c.name == "log" {
				if log := m.logOf(ctx, run.RunID); len(log) < 50_000 || len(log) > 101_000 {
					t.Errorf("of the log %d bytes are kept", len(log))
				}
			}
		})
	}
	t.Run("signal", func(t *testing.T) {
		ctx := patiently(t)
		meeting := newMeeting(t)
		run := m.run(ctx, meeting.words())
		meeting.arrival(ctx)
		if err := syscall.Kill(processOf(t, meeting), syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		run = m.reach(ctx, run.RunID, "done", "failed")
		if run.Status != "failed" || run.Exit.Code != 137 || !strings.Contains(run.Exit.Message, "killed by signal 9") {
			t.Errorf("the run is %s, exit %+v", run.Status, run.Exit)
		}
	})
	if left := m.supervisors(); len(left) > 0 {
		t.Errorf("supervisors %v are left", left)
	}
}

// processOf returns the program that has come to a meeting.
func processOf(t *testing.T, m meeting) int {
	t.Helper()
	commands, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range commands {
		if b, err := os.ReadFile(name); err == nil && strings.HasPrefix(string(b), "/job\x00"+strings.Join(m.words(), "\x00")) {
			pid, err := strconv.Atoi(filepath.Base(filepath.Dir(name)))
			if err != nil {
				t.Fatal(err)
			}
			return pid
		}
	}
	t.Fatal("the program is not there")
	return 0
}

// TestWaitingInWords looks at runs that cannot start, or not yet: they say why.
func TestWaitingInWords(t *testing.T) {
	t.Parallel()
	ctx, m := patiently(t), newLab(t, "--labels", "disk=fast")
	needs := func(name, quantity string) func(*api.PlanSpec) {
		return func(p *api.PlanSpec) { p.Resources[name] = api.Quantity(quantity) }
	}
	on := func(must ...string) func(*api.PlanSpec) {
		return func(p *api.PlanSpec) { p.OnNode = &api.OnNode{Must: must, Prefer: []string{"zone=nowhere"}} }
	}
	waits := func(run api.RunDetail, reasons ...string) {
		t.Helper()
		m.waits(ctx, run.RunID, reasons...)
	}
	waits(m.run(ctx, []string{"print", "1"}, needs("cpu", "1000")), "can never run here", "1000 cpu")
	waits(m.run(ctx, []string{"print", "2"}, needs("memory", "1Pi")), "can never run here", "1Pi memory")
	waits(m.run(ctx, []string{"print", "3"}, needs("nvidia.com/gpu", "1")), "can never run here", "1 nvidia.com/gpu", "has none")
	waits(m.run(ctx, []string{"print", "4"}, on("disk=slow")), "can never run here", "disk=slow")
	if r := m.run(ctx, []string{"print", "5"}, on("disk=fast")); m.reach(ctx, r.RunID, "done", "failed").Status != "done" {
		t.Error("a run whose on_node is satisfied has failed")
	}

	// One that needs the whole machine waits for another, which a smaller one overtakes.
	meeting := newMeeting(t)
	holder := m.run(ctx, meeting.words())
	release := meeting.arrival(ctx)
	info, err := m.Cluster(ctx)
	if err != nil {
		t.Fatal(err)
	}
	all := string(info.Resources["cpu"])
	large := m.run(ctx, []string{"print", "large"}, needs("cpu", all))
	waits(large, "waits for "+all+" cpu", "are free")
	small := m.run(ctx, []string{"print", "small"})
	if r := m.reach(ctx, small.RunID, "done", "failed"); r.Status != "done" {
		t.Errorf("the small run is %s", r.Status)
	}
	if r := m.reach(ctx, large.RunID, "ready", "waiting"); r.Status != "ready" {
		t.Errorf("the large run is %s", r.Status)
	}
	release()
	m.reach(ctx, holder.RunID, "done")
	m.reach(ctx, large.RunID, "done")

	// What cannot run is helped by changing the plan.
	never := m.run(ctx, []string{"print", "6"}, needs("cpu", "1000"))
	waits(never, "can never run here")
	if _, err := m.ChangeResources(ctx, never.Plan.PlanID, api.ResourceChange{Set: map[string]api.Quantity{"cpu": "100m"}}); err != nil {
		t.Fatal(err)
	}
	changed := time.Now()
	m.reach(ctx, never.RunID, "done")
	if took := time.Since(changed); took > 4*time.Second { // the engine looks by itself every 5 s
		t.Errorf("a run whose plan was changed so that it fits was done %s later", took)
	}
}
