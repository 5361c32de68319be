package runc

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/moby/profiles/seccomp"
	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/weft-dev/weft"
	"github.com/weft-dev/weft/internal/executor"
	"github.com/weft-dev/weft/internal/worker"
)

// task says in a supervisor's words what the job asks for.
func (e *Executor) task(ctx context.Context, job executor.Job, image Image) (worker.Task, error) {
	t := worker.Task{
		ID: job.Attempt.String(), Runc: e.options.Runc, Root: e.state,
		Layers: image.Layers, User: image.User, Devices: job.Devices, StopSignal: image.StopSignal,
		Log:      filepath.Join(e.dir(job.Attempt), executor.LogFile),
		LogLimit: job.LogLimit, OutputLimit: job.OutputLimit, DiskFloor: e.options.Floor,
	}
	if !job.Log.IsZero() {
		t.Log = filepath.Join(e.options.Places.Work(job.Attempt, job.Log), executor.LogFile)
	}
	mounts := slices.Clone(e.host.mounts)
	if err := job.CheckPaths(); err != nil {
		return t, err
	}
	for _, in := range job.Inputs {
		tree, err := e.options.Places.Tree(ctx, in.Tree)
		if err != nil {
			return t, fmt.Errorf("input %s: %w", in.Path, err)
		}
		mounts = append(mounts, bind(tree, in.Path, "ro", "nosuid", "nodev"))
	}
	for _, out := range job.Outputs {
		dir := e.options.Places.Work(job.Attempt, out.Data)
		t.Outputs = append(t.Outputs, dir)
		mounts = append(mounts, bind(dir, out.Path, "rw", "nosuid", "nodev"))
	}
	// Stable, so that /dev comes before /dev/shm, and what a plan mounts, last.
	slices.SortStableFunc(mounts, func(a, b specs.Mount) int {
		return cmp.Compare(strings.Count(a.Destination, "/"), strings.Count(b.Destination, "/"))
	})
	args, err := job.Command(image.Entrypoint, image.Cmd)
	if err != nil {
		return t, err
	}
	t.Spec = e.spec(job, image, args, mounts)
	if err := e.host.devices.Inject(t.Spec, job.Devices); err != nil {
		return t, err
	}
	return t, nil
}

func bind(source, destination string, options ...string) specs.Mount {
	return specs.Mount{Type: "bind", Source: source, Destination: destination, Options: append([]string{"bind", "rprivate"}, options...)}
}

func (e *Executor) spec(job executor.Job, image Image, args []string, mounts []specs.Mount) *specs.Spec {
	// When the machine as a whole runs out of memory, a program goes rather than the server.
	oomScore := 500
	namespaces := []specs.LinuxNamespace{
		{Type: specs.MountNamespace}, {Type: specs.PIDNamespace}, {Type: specs.IPCNamespace}, {Type: specs.UTSNamespace},
	}
	if e.host.cgroupNamespaces {
		namespaces = append(namespaces, specs.LinuxNamespace{Type: specs.CgroupNamespace})
	}
	if e.options.Network == NetworkNone {
		namespaces = append(namespaces, specs.LinuxNamespace{Type: specs.NetworkNamespace})
	}
	return &specs.Spec{
		Version: "1.0.2",
		Root:    &specs.Root{},
		Process: &specs.Process{
			Args:            args,
			Cwd:             executor.WorkDir(image.WorkDir),
			Env:             job.Environment(image.Env),
			Capabilities:    e.host.capabilities,
			OOMScoreAdj:     &oomScore,
			NoNewPrivileges: true,
			Rlimits:         e.host.rlimits,
		},
		Hostname: job.Hostname(),
		Mounts:   mounts,
		Linux: &specs.Linux{
			CgroupsPath:   path.Join(e.options.Cgroup, job.Attempt.String()),
			Resources:     e.resources(job.Resources),
			Namespaces:    namespaces,
			Seccomp:       e.host.seccomp,
			MaskedPaths:   maskedPaths(),
			ReadonlyPaths: readonlyPaths(),
		},
	}
}

// capabilities are Docker's. Only CAP_NET_RAW is missing on the machine's own
// network, where it would let a container read all that passes, such as tokens.
func capabilities(network string) *specs.LinuxCapabilities {
	caps := executor.Capabilities(network == NetworkNone)
	return &specs.LinuxCapabilities{Bounding: caps, Effective: caps, Permitted: caps}
}

// filter is Docker's default seccomp profile for these capabilities. Runc translates it
// anew for each container and each architecture, which takes a third of the time of a
// start, so that it lacks x32, which kernels no longer have unless asked for.
func filter(caps *specs.LinuxCapabilities) (*specs.LinuxSeccomp, error) {
	profile, err := seccomp.GetDefaultProfile(&specs.Spec{Process: &specs.Process{Capabilities: caps}})
	if err != nil {
		return nil, fmt.Errorf("make seccomp profile: %w", err)
	}
	profile.Architectures = slices.DeleteFunc(profile.Architectures, func(a specs.Arch) bool { return a == specs.ArchX32 })
	return profile, nil
}

// resources turns the plan's limits into the cgroup's. There is no swap beyond the
// memory.
func (e *Executor) resources(rs weft.Resources) *specs.LinuxResources {
	const period = 100_000 // microseconds
	const leastQuota = 1_000
	r := &specs.LinuxResources{Devices: devices(), Pids: &specs.LinuxPids{Limit: &e.options.MaxPids}}
	if memory, ok := rs["memory"]; ok && memory.Value() > 0 {
		limit := memory.Value()
		r.Memory = &specs.LinuxMemory{Limit: &limit}
		if e.host.swapLimit {
			r.Memory.Swap = &limit
		}
		if e.host.unified {
			r.Unified = map[string]string{"memory.oom.group": "1"} // half a program is of no use
		}
	}
	if cpu, ok := rs["cpu"]; ok && cpu.MilliValue() > 0 {
		milli := cpu.MilliValue()
		quota := max(leastQuota, milli*period/1000)
		shares := uint64(min(max(2, milli*1024/1000), math.MaxInt32))
		p := uint64(period)
		r.CPU = &specs.LinuxCPU{Quota: &quota, Period: &p, Shares: &shares}
	}
	return r
}

// devices are those that Docker lets every container use.
func devices() []specs.LinuxDeviceCgroup {
	allow := func(kind string, major, minor int64, access string) specs.LinuxDeviceCgroup {
		d := specs.LinuxDeviceCgroup{Allow: true, Type: kind, Access: access}
		if major >= 0 {
			d.Major = &major
		}
		if minor >= 0 {
			d.Minor = &minor
		}
		return d
	}
	return []specs.LinuxDeviceCgroup{
		{Allow: false, Access: "rwm"},
		allow("c", -1, -1, "m"), allow("b", -1, -1, "m"), // mknod; using it is another matter
		allow("c", 1, 3, "rwm"), allow("c", 1, 5, "rwm"), allow("c", 1, 7, "rwm"), // null, zero, full
		allow("c", 1, 8, "rwm"), allow("c", 1, 9, "rwm"), // random, urandom
		allow("c", 5, 0, "rwm"), allow("c", 5, 2, "rwm"), allow("c", 136, -1, "rwm"), // tty, ptmx, pts
	}
}

func maskedPaths() []string {
	return []string{
		"/proc/asound", "/proc/acpi", "/proc/interrupts", "/proc/kcore", "/proc/keys", "/proc/latency_stats", "/proc/timer_list",
		"/proc/timer_stats", "/proc/sched_debug", "/proc/scsi", "/sys/firmware", "/sys/devices/virtual/powercap",
	}
}

func readonlyPaths() []string {
	return []string{"/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"}
}

// rlimits are what this process may have itself, as raising a limit takes a right
// that is not always there. There are no core dumps.
func rlimits() ([]specs.POSIXRlimit, error) {
	var files unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &files); err != nil {
		return nil, fmt.Errorf("read limit of open files: %w", err)
	}
	const most = 1 << 20 // some programs walk through all of them
	n := min(files.Max, most)
	return []specs.POSIXRlimit{{Type: "RLIMIT_NOFILE", Soft: n, Hard: n}, {Type: "RLIMIT_CORE"}}, nil
}
