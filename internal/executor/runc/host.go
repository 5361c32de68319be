package runc

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
	"k8s.io/apimachinery/pkg/api/resource"
	"tags.cncf.io/container-device-interface/pkg/cdi"

	"github.com/weft-dev/weft"
	"github.com/weft-dev/weft/internal/executor"
)

// A host is what this machine offers to containers.
type host struct {
	mounts           []specs.Mount // that every container has
	rlimits          []specs.POSIXRlimit
	unified          bool // cgroups of version 2 only
	swapLimit        bool // the cgroup can limit swap
	cgroupNamespaces bool
	devices          *cdi.Cache
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
	dirs := o.CDIDirs
	if dirs == nil {
		dirs = cdi.DefaultSpecDirs
	}
	if h.devices, err = cdi.NewCache(cdi.WithSpecDirs(dirs...), cdi.WithAutoRefresh(false)); err != nil {
		return h, fmt.Errorf("read CDI devices: %w", err)
	}
	name, err := os.Hostname()
	if err != nil {
		return h, err
	}
	h.labels = append([]weft.Label{
		{Key: "kubernetes.io/hostname", Value: name},
		{Key: "kubernetes.io/arch", Value: runtime.GOARCH},
		{Key: "kubernetes.io/os", Value: runtime.GOOS},
	}, o.Labels...)
	return h, nil
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

// inject gives devices to a container.
func (h host) inject(spec *specs.Spec, devices []string) error {
	if len(devices) == 0 {
		return nil
	}
	missing, err := h.devices.InjectDevices(spec, devices...)
	if len(missing) > 0 {
		return weft.Errorf(weft.Unavailable, "this machine has no device %s", strings.Join(missing, ", "))
	}
	if err != nil {
		return fmt.Errorf("inject devices: %w", err)
	}
	return nil
}

// Capacity is what the machine has: its processors and memory (or what this
// process's cgroup may use of it), and the devices that CDI describes.
func (e *Executor) Capacity(ctx context.Context) (executor.Capacity, error) {
	memory, err := memoryTotal()
	if err != nil {
		return executor.Capacity{}, err
	}
	c := executor.Capacity{
		Resources: weft.Resources{
			"cpu":    *resource.NewQuantity(int64(runtime.NumCPU()), resource.DecimalSI),
			"memory": *resource.NewQuantity(memory, resource.BinarySI),
		},
		Devices: map[string][]string{},
		Labels:  slices.Clone(e.host.labels),
	}
	if err := e.host.devices.Refresh(); err != nil {
		e.options.Log.Warn("some CDI devices cannot be used", "error", err)
	}
	for _, name := range e.host.units() {
		kind, _, _ := strings.Cut(name, "=")
		c.Devices[kind] = append(c.Devices[kind], name)
	}
	for kind, names := range c.Devices {
		c.Resources[kind] = *resource.NewQuantity(int64(len(names)), resource.DecimalSI)
	}
	maps.Copy(c.Resources, e.options.Capacity)
	return c, ctx.Err()
}

// units returns one CDI name for each device. A device may have several names, such
// as its number and its serial, and there may be names for all or some together.
func (h host) units() []string {
	names := h.devices.ListDevices()
	slices.SortFunc(names, func(a, b string) int { // nvidia.com/gpu=2 before =10 before =GPU-8a…
		if d := len(a) - len(b); d != 0 {
			return d
		}
		return strings.Compare(a, b)
	})
	nodes := map[string][]string{}
	for _, name := range names {
		for _, n := range h.devices.GetDevice(name).ContainerEdits.DeviceNodes {
			nodes[name] = append(nodes[name], n.Path)
		}
		slices.Sort(nodes[name])
	}
	var units []string
	for _, name := range names {
		if !slices.ContainsFunc(names, func(other string) bool {
			return other != name && sameKind(name, other) && supersedes(nodes[other], nodes[name], slices.Index(names, other) < slices.Index(names, name))
		}) {
			units = append(units, name)
		}
	}
	return units
}

func sameKind(a, b string) bool {
	ka, _, _ := strings.Cut(a, "=")
	kb, _, _ := strings.Cut(b, "=")
	return ka == kb
}

// supersedes reports whether a name for other makes one for mine superfluous: it
// means the same and comes first, or it means a part of it.
func supersedes(other, mine []string, first bool) bool {
	if len(other) == 0 {
		return false
	}
	for _, node := range other {
		if !slices.Contains(mine, node) {
			return false
		}
	}
	return len(other) < len(mine) || first
}

func memoryTotal() (int64, error) {
	file, err := os.Open("/proc/meminfo")
	if err != nil {
		return 0, fmt.Errorf("read memory size: %w", err)
	}
	defer file.Close()
	lines := bufio.NewScanner(file)
	for lines.Scan() {
		if f := strings.Fields(lines.Text()); len(f) > 1 && f[0] == "MemTotal:" {
			kilobytes, err := strconv.ParseInt(f[1], 10, 64)
			return kilobytes << 10, err
		}
	}
	return 0, errors.Join(lines.Err(), errors.New("read memory size: /proc/meminfo does not tell"))
}
