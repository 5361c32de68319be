package runc

import (
	"fmt"
	"os"
	"path/filepath"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/weft-dev/weft"
	"github.com/weft-dev/weft/internal/executor"
)

// A host is what this machine offers to containers.
type host struct {
	mounts           []specs.Mount // that every container has
	rlimits          []specs.POSIXRlimit
	capabilities     *specs.LinuxCapabilities
	seccomp          *specs.LinuxSeccomp
	unified          bool // cgroups of version 2 only
	swapLimit        bool // the cgroup can limit swap
	cgroupNamespaces bool
	devices          *executor.Devices
	labels           []weft.Label
}

const cgroupRoot = "/sys/fs/cgroup"

func readHost(o Options) (host, error) {
	var h host
	var fs unix.Statfs_t
	if err := unix.Statfs(cgroupRoot, &fs); err != nil {
		return h, fmt.Errorf("look at %s: %w", cgroupRoot, err)
	}
	h.unified = fs.Type == unix.CGROUP2_SUPER_MAGIC
	h.cgroupNamespaces = exists("/proc/self/ns/cgroup")
	h.swapLimit = limitsSwap(h.unified)
	h.mounts = mounts()
	var err error
	if h.rlimits, err = rlimits(); err != nil {
		return h, err
	}
	h.capabilities = capabilities(o.Network)
	if h.seccomp, err = filter(h.capabilities); err != nil {
		return h, err
	}
	if h.devices, err = executor.OpenDevices(o.CDIDirs); err != nil {
		return h, err
	}
	h.labels, err = executor.MachineLabels(o.Labels)
	return h, err
}

func exists(name string) bool {
	_, err := os.Stat(name)
	return err == nil
}

// limitsSwap looks for the file that runc would write to.
func limitsSwap(unified bool) bool {
	if !unified {
		return exists(cgroupRoot + "/memory/memory.memsw.limit_in_bytes")
	}
	found, err := filepath.Glob(cgroupRoot + "/*/memory.swap.max") // not in the root itself
	return err == nil && len(found) > 0
}

// mounts are Docker's. The files about the network are the machine's, as is the
// network.
func mounts() []specs.Mount {
	ms := []specs.Mount{
		{Destination: "/proc", Type: "proc", Source: "proc", Options: []string{"nosuid", "noexec", "nodev"}},
		{Destination: "/dev", Type: "tmpfs", Source: "tmpfs", Options: []string{"nosuid", "strictatime", "mode=755", "size=65536k"}},
		{Destination: "/dev/pts", Type: "devpts", Source: "devpts", Options: []string{"nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"}},
		{Destination: "/sys", Type: "sysfs", Source: "sysfs", Options: []string{"nosuid", "noexec", "nodev", "ro"}},
		{Destination: "/sys/fs/cgroup", Type: "cgroup", Source: "cgroup", Options: []string{"ro", "nosuid", "noexec", "nodev"}},
		{Destination: "/dev/mqueue", Type: "mqueue", Source: "mqueue", Options: []string{"nosuid", "noexec", "nodev"}},
		// Programs share batches of training data here; what they use counts as their memory.
		{Destination: "/dev/shm", Type: "tmpfs", Source: "shm", Options: []string{"nosuid", "noexec", "nodev", "mode=1777"}},
	}
	for _, file := range []string{"/etc/hosts", "/etc/resolv.conf"} {
		if real, err := filepath.EvalSymlinks(file); err == nil {
			ms = append(ms, bind(real, file, "ro", "nosuid", "nodev", "noexec"))
		}
	}
	return ms
}
