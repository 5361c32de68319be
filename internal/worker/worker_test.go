package worker

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"testing"
	"time"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// rootOf makes a directory with these files.
func rootOf(t *testing.T, files map[string]string) string {
	t.Helper()
	root := t.TempDir()
	for name, text := range files {
		name = filepath.Join(root, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(name), 0o755), os.WriteFile(name, []byte(text), 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

func TestLookUp(t *testing.T) {
	t.Parallel()
	root := rootOf(t, map[string]string{
		"etc/passwd": "root:x:0:0:root:/root:/bin/sh\n\n# comment\nshort:x:1\nada:x:1234:5678::/home/ada:/bin/sh\nbad:x:-1:x::/:/\n7:x:8:9::/seven:/\nhomeless:x:5:5:::/bin/sh\n",
		"etc/group":  "root:x:0:\nmath:x:5678:ada\nengines:x:42:bob,ada\nlace:x:43:\nshort:x\n",
	})
	for user, want := range map[string]account{
		"":           {home: "/root"},
		"root":       {home: "/root"},
		"ada":        {uid: 1234, gid: 5678, groups: []uint32{42}, home: "/home/ada"},
		"1234":       {uid: 1234, gid: 5678, groups: []uint32{42}, home: "/home/ada"},
		"ada:lace":   {uid: 1234, gid: 43, home: "/home/ada"},
		"ada:99":     {uid: 1234, gid: 99, home: "/home/ada"},
		"ada:":       {uid: 1234, gid: 5678, home: "/home/ada"},
		"77":         {uid: 77, home: "/"},
		"77:engines": {uid: 77, gid: 42, home: "/"},
		"7":          {uid: 8, gid: 9, home: "/seven"}, // a name comes before a number
		"homeless":   {uid: 5, gid: 5, home: "/"},
	} {
		if got, err := lookUp(root, user); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%q: %+v, %v; want %+v", user, got, err, want)
		}
	}
	for _, user := range []string{"bob", "bad", "ada:bob", "-1", "4294967296", "../x"} {
		if got, err := lookUp(root, user); err == nil {
			t.Errorf("%q: %+v; want an error", user, got)
		}
	}
	if got, err := lookUp(t.TempDir(), "3:4"); err != nil || got.uid != 3 || got.gid != 4 {
		t.Errorf("without files: %+v, %v", got, err)
	}
}

// TestLookUpStaysInside expects an image's links to lead nowhere but into the image.
func TestLookUpStaysInside(t *testing.T) {
	t.Parallel()
	outside := rootOf(t, map[string]string{"passwd": "eve:x:0:0::/:/\n"})
	for _, target := range []string{filepath.Join(outside, "passwd"), "../../../../../../../../" + outside + "/passwd"} {
		root := rootOf(t, map[string]string{"etc/hosts": ""})
		if err := os.Symlink(target, filepath.Join(root, "etc/passwd")); err != nil {
			t.Fatal(err)
		}
		if got, err := lookUp(root, "eve"); err == nil {
			t.Errorf("%s: found %+v outside of the image", target, got)
		}
	}
	root := rootOf(t, map[string]string{"store/users": "ada:x:1:2::/:/\n", "etc/hosts": ""})
	if err := os.Symlink("/store/users", filepath.Join(root, "etc/passwd")); err != nil {
		t.Fatal(err)
	}
	if got, err := lookUp(root, "ada"); err != nil || got.uid != 1 || got.gid != 2 {
		t.Errorf("absolute link within the image: %+v, %v", got, err)
	}
	root = rootOf(t, map[string]string{"etc/passwd/file": ""})
	if _, err := lookUp(root, "0"); err == nil {
		t.Error("read a directory")
	}
}

func TestStartFailed(t *testing.T) {
	t.Parallel()
	for text, code := range map[string]int{
		`unable to start container process: exec: "x": executable file not found in $PATH`:        codeNotFound,
		`unable to start container process: exec: "/x": stat /x: no such file or directory`:       codeNotFound,
		`unable to start container process: exec: "/etc/passwd": permission denied`:               codeNotAllowed,
		`unable to apply cgroup configuration: mkdir /sys/fs/cgroup/x: no such file or directory`: codeNotPrepared,
	} {
		if exit := startFailed(errors.New(text)); exit.Code != code || exit.Message == "" {
			t.Errorf("%s: %+v; want code %d", text, exit, code)
		}
	}
}

func TestCounter(t *testing.T) {
	t.Parallel()
	root := rootOf(t, map[string]string{
		"memory.events":      "low 0\nhigh 0\nmax 12\noom 1\noom_kill 2\noom_group_kill 0\n",
		"memory.oom_control": "oom_kill_disable 0\nunder_oom 0\noom_kill 3\n",
	})
	for file, want := range map[string]int64{"memory.events": 2, "memory.oom_control": 3, "missing": 0} {
		if got := counter(filepath.Join(root, file), "oom_kill"); got != want {
			t.Errorf("%s: %d; want %d", file, got, want)
		}
	}
	both := state{Cgroups: map[string]string{"memory": root, "": "/nowhere"}}
	second := state{Cgroups: map[string]string{"": root}}
	if !both.outOfMemory() || !second.outOfMemory() || (&state{}).outOfMemory() {
		t.Error("out of memory is not told by each version of cgroups")
	}
}

func TestUsage(t *testing.T) {
	t.Parallel()
	a := rootOf(t, map[string]string{"x": "12345", "d/y": "123"})
	b := rootOf(t, map[string]string{"z": "1"})
	if err := os.Symlink("/etc/passwd", filepath.Join(b, "link")); err != nil {
		t.Fatal(err)
	}
	if got := usage([]string{a, b, "/nowhere"}); got != 9 {
		t.Errorf("usage %d; want 9", got)
	}
}

func TestLock(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	first, err := Lock(dir)
	if err != nil || first == nil {
		t.Fatalf("lock: %v, %v", first, err)
	}
	if second, err := Lock(dir); err != nil || second != nil {
		t.Errorf("second lock: %v, %v; want none", second, err)
	}
	first.Close()
	third, err := Lock(dir)
	if err != nil || third == nil {
		t.Fatalf("lock after it was free: %v, %v", third, err)
	}
	third.Close()
}

func TestRequestStop(t *testing.T) {
	t.Parallel()
	dir, now := t.TempDir(), time.Now()
	for _, c := range []struct{ ask, want time.Duration }{
		{time.Hour, time.Hour}, {2 * time.Hour, time.Hour}, {0, 0}, {time.Minute, 0},
	} {
		if err := RequestStop(dir, Stop{Asked: now, Grace: c.ask}); err != nil {
			t.Fatal(err)
		}
		if got, err := Read[Stop](dir, FileStop); err != nil || got.Grace != c.want {
			t.Errorf("asked for %s: %+v, %v; want %s", c.ask, got, err, c.want)
		}
	}
	if _, err := Read[Exit](dir, FileExit); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("read what is not there: %v", err)
	}
}

// TestPeek learns how children ended, twice.
func TestPeek(t *testing.T) {
	t.Parallel()
	for script, want := range map[string]int{"exit 3": 3, "kill -9 $$": -1} {
		child, err := os.StartProcess("/bin/sh", []string{"sh", "-c", script}, &os.ProcAttr{})
		if err != nil {
			t.Fatal(err)
		}
		start, err := startTime(child.Pid)
		if err != nil {
			t.Fatal(err)
		}
		process, err := (&state{PID: child.Pid, Start: start}).open()
		if err != nil || process == nil {
			t.Fatalf("open: %v, %v", process, err)
		}
		if err := await(process); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if status, ok := peek(process, child.Pid); !ok || status.ExitStatus() != want || want < 0 && status.Signal() != 9 {
				t.Errorf("%s: %v, %v; want %d", script, status, ok, want)
			}
		}
		if other, err := (&state{PID: child.Pid, Start: start + 1}).open(); err != nil || other != nil {
			t.Errorf("another process of that number: %v, %v; want none", other, err)
		}
		process.Close()
		if _, err := child.Wait(); err != nil {
			t.Fatal(err)
		}
	}
}

// TestQuota expects runc to get a spec without a quota, and the quota to be set later, in
// the files of either version of cgroups.
func TestQuota(t *testing.T) {
	t.Parallel()
	quota, period, shares := int64(20_000), uint64(100_000), uint64(204)
	task := Task{Spec: &specs.Spec{Linux: &specs.Linux{Resources: &specs.LinuxResources{CPU: &specs.LinuxCPU{Quota: &quota, Period: &period, Shares: &shares}}}}}
	cpu := withoutQuota(task.Spec).Linux.Resources.CPU
	if cpu.Quota != nil || cpu.Period != nil || *cpu.Shares != shares {
		t.Errorf("runc gets %+v", cpu)
	}
	if task.Spec.Linux.Resources.CPU.Quota == nil {
		t.Error("the task has lost its quota")
	}
	for controller, files := range map[string]map[string]string{
		"cpu": {"cpu.cfs_period_us": "100000", "cpu.cfs_quota_us": "20000"},
		"":    {"cpu.max": "20000 100000"},
	} {
		dir := t.TempDir()
		for name := range files {
			if err := os.WriteFile(filepath.Join(dir, name), nil, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if err := task.setQuota(&state{Cgroups: map[string]string{controller: dir}}); err != nil {
			t.Fatal(err)
		}
		for name, want := range files {
			if got, err := os.ReadFile(filepath.Join(dir, name)); err != nil || string(got) != want {
				t.Errorf("%s: %q, %v; want %q", name, got, err, want)
			}
		}
	}
	if err := task.setQuota(&state{Cgroups: map[string]string{"cpu": t.TempDir()}}); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("without the file: %v", err)
	}
	if err := task.setQuota(&state{}); err == nil {
		t.Error("without a cgroup: no error")
	}
	unlimited := Task{Spec: &specs.Spec{Linux: &specs.Linux{}}}
	if err := unlimited.setQuota(&state{}); err != nil || withoutQuota(unlimited.Spec) != unlimited.Spec {
		t.Errorf("a task without a quota: %v", err)
	}
}
