package runc

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	specs "github.com/opencontainers/runtime-spec/specs-go"

	"github.com/weft-dev/weft"
	"github.com/weft-dev/weft/internal/executor"
)

type places struct{ dir string }

func (p places) Work(a weft.Attempt, d weft.DataID) string {
	return filepath.Join(p.dir, a.String(), d.String())
}

func (p places) Tree(_ context.Context, d weft.Digest) (string, error) {
	return filepath.Join(p.dir, d.Hex()), nil
}

// executorFor makes an Executor that is only asked what it would do.
func executorFor(t *testing.T, o Options) *Executor {
	t.Helper()
	dir := t.TempDir()
	o.Dir, o.Places, o.Log, o.Runc = filepath.Join(dir, "runs"), places{dir}, slog.New(slog.DiscardHandler), "/bin/true"
	if o.CDIDirs == nil {
		o.CDIDirs = []string{filepath.Join(dir, "cdi")}
	}
	e, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := e.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return e
}

func jobWith(t *testing.T, resources map[string]string) executor.Job {
	t.Helper()
	rs, err := weft.ParseResources(resources)
	if err != nil {
		t.Fatal(err)
	}
	return executor.Job{Attempt: weft.Attempt{Run: weft.NewID[weft.Run](), Number: 1}, Args: []string{"x"}, Resources: rs}
}

func TestSpecLimits(t *testing.T) {
	t.Parallel()
	e := executorFor(t, Options{})
	e.host.swapLimit = true
	for _, c := range []struct {
		cpu, memory  string
		quota, limit int64
		shares       uint64
	}{
		{"1", "1Gi", 100_000, 1 << 30, 1024},
		{"2500m", "64Mi", 250_000, 64 << 20, 2560},
		{"1m", "4Ki", 1000, 4096, 2},
	} {
		task, err := e.task(t.Context(), jobWith(t, map[string]string{"cpu": c.cpu, "memory": c.memory}), Image{})
		if err != nil {
			t.Fatal(err)
		}
		r := task.Spec.Linux.Resources
		if *r.CPU.Quota != c.quota || *r.CPU.Shares != c.shares || *r.Memory.Limit != c.limit || *r.Memory.Swap != c.limit {
			t.Errorf("%s, %s: cpu %+v, memory %+v", c.cpu, c.memory, *r.CPU, *r.Memory)
		}
	}
	task, err := e.task(t.Context(), jobWith(t, nil), Image{})
	if err != nil || task.Spec.Linux.Resources.CPU != nil || task.Spec.Linux.Resources.Memory != nil {
		t.Errorf("limits without resources: %+v, %v", task.Spec.Linux.Resources, err)
	}
}

func TestSpecNetwork(t *testing.T) {
	t.Parallel()
	for network, own := range map[string]bool{"": false, NetworkHost: false, NetworkNone: true} {
		task, err := executorFor(t, Options{Network: network}).task(t.Context(), jobWith(t, nil), Image{})
		if err != nil {
			t.Fatal(err)
		}
		has := slices.ContainsFunc(task.Spec.Linux.Namespaces, func(n specs.LinuxNamespace) bool { return n.Type == specs.NetworkNamespace })
		raw := slices.Contains(task.Spec.Process.Capabilities.Bounding, "CAP_NET_RAW")
		if has != own || raw != own {
			t.Errorf("network %q: own namespace %t, CAP_NET_RAW %t; want both %t", network, has, raw, own)
		}
	}
	if _, err := New(Options{Network: "bridge"}); weft.KindOf(err) != weft.Invalid {
		t.Errorf("network bridge: %v; want Invalid", err)
	}
}

func TestSpecMounts(t *testing.T) {
	t.Parallel()
	e := executorFor(t, Options{})
	job := jobWith(t, nil)
	job.Inputs = []executor.Input{{Path: "/in"}, {Path: "/dev/shm/in"}}
	job.Outputs = []executor.Output{{Path: "/out", Data: weft.NewID[weft.Data]()}}
	task, err := e.task(t.Context(), job, Image{})
	if err != nil {
		t.Fatal(err)
	}
	var order []string
	for _, m := range task.Spec.Mounts {
		order = append(order, m.Destination)
		if ro := slices.Contains(m.Options, "ro"); strings.HasSuffix(m.Destination, "in") != ro && m.Type == "bind" && !strings.HasPrefix(m.Destination, "/etc") {
			t.Errorf("%s: options %v", m.Destination, m.Options)
		}
	}
	for _, pair := range [][2]string{{"/dev", "/dev/shm"}, {"/dev/shm", "/dev/shm/in"}, {"/sys", "/sys/fs/cgroup"}} {
		if slices.Index(order, pair[0]) > slices.Index(order, pair[1]) {
			t.Errorf("%s is mounted over %s; order %v", pair[0], pair[1], order)
		}
	}
	job.Outputs[0].Path = "/"
	if _, err := e.task(t.Context(), job, Image{}); weft.KindOf(err) != weft.Invalid {
		t.Errorf("output at /: %v; want Invalid", err)
	}
}

const gpus = `{"cdiVersion": "0.6.0", "kind": "vendor.example/gpu", "devices": [
	{"name": "0", "containerEdits": {"deviceNodes": [{"path": "/dev/zero", "type": "c", "major": 1, "minor": 5}], "env": ["GPU=0"]}},
	{"name": "1", "containerEdits": {"deviceNodes": [{"path": "/dev/full", "type": "c", "major": 1, "minor": 7}]}},
	{"name": "GPU-serial-of-1", "containerEdits": {"deviceNodes": [{"path": "/dev/full", "type": "c", "major": 1, "minor": 7}]}},
	{"name": "all", "containerEdits": {"deviceNodes": [
		{"path": "/dev/zero", "type": "c", "major": 1, "minor": 5}, {"path": "/dev/full", "type": "c", "major": 1, "minor": 7}]}}
	], "containerEdits": {"env": ["VENDOR=1"]}}`

func TestDevices(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "gpu.json"), []byte(gpus), 0o644); err != nil {
		t.Fatal(err)
	}
	e := executorFor(t, Options{CDIDirs: []string{dir}})
	c, err := e.Capacity(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	const kind = "vendor.example/gpu"
	if got, want := c.Devices[kind], []string{kind + "=0", kind + "=1"}; !reflect.DeepEqual(got, want) {
		t.Errorf("devices %q; want %q", got, want)
	}
	if n := c.Resources[kind]; n.Value() != 2 {
		t.Errorf("%s: %d; want 2", kind, n.Value())
	}
	job := jobWith(t, nil)
	job.Devices = c.Devices[kind][:1]
	task, err := e.task(t.Context(), job, Image{})
	if err != nil {
		t.Fatal(err)
	}
	if env := task.Spec.Process.Env; !slices.Contains(env, "GPU=0") || !slices.Contains(env, "VENDOR=1") {
		t.Errorf("environment %q lacks what CDI says", env)
	}
	if ds := task.Spec.Linux.Devices; len(ds) != 1 || ds[0].Path != "/dev/zero" {
		t.Errorf("devices %+v", ds)
	}
	job.Devices = []string{kind + "=7"}
	if _, err := e.task(t.Context(), job, Image{}); weft.KindOf(err) != weft.Unavailable {
		t.Errorf("a device that is not there: %v; want Unavailable", err)
	}
}

func TestCapacity(t *testing.T) {
	t.Parallel()
	three, err := weft.ParseResources(map[string]string{"cpu": "3"})
	if err != nil {
		t.Fatal(err)
	}
	e := executorFor(t, Options{Capacity: three, Labels: []weft.Label{{Key: "zone", Value: "attic"}}})
	c, err := e.Capacity(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	cpu, memory := c.Resources["cpu"], c.Resources["memory"]
	if cpu.Value() != 3 || memory.Value() < 64<<20 {
		t.Errorf("resources %v", c.Resources.Strings())
	}
	if !slices.Contains(c.Labels, weft.Label{Key: "zone", Value: "attic"}) || !slices.Contains(c.Labels, weft.Label{Key: "kubernetes.io/os", Value: "linux"}) {
		t.Errorf("labels %v", c.Labels)
	}
}

type noImages struct{ err error }

func (n noImages) Unpack(context.Context, weft.Digest) (Image, error) { return Image{}, n.err }

// TestStartRefused expects the kind of the cause, and nothing left behind.
func TestStartRefused(t *testing.T) {
	t.Parallel()
	e := executorFor(t, Options{Images: noImages{weft.Errorf(weft.NotFound, "no such image")}})
	job := jobWith(t, nil)
	if err := e.Start(t.Context(), job); weft.KindOf(err) != weft.NotFound {
		t.Errorf("start without image: %v; want NotFound", err)
	}
	e.options.Images, e.options.Worker = noImages{}, []string{"/no/such/worker"}
	if err := e.Start(t.Context(), job); weft.KindOf(err) != weft.Unavailable || !errors.Is(err, os.ErrNotExist) {
		t.Errorf("start without supervisor: %v; want Unavailable", err)
	}
	if seen, err := e.Observe(t.Context(), job.Attempt); err != nil || seen.State != executor.Gone {
		t.Errorf("seen %+v, %v; want gone", seen, err)
	}
	if err := e.Remove(t.Context(), job.Attempt); err != nil {
		t.Errorf("remove: %v", err)
	}
	if as, err := e.List(t.Context()); err != nil || len(as) > 0 {
		t.Errorf("list %v, %v; want nothing", as, err)
	}
}
