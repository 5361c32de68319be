package worker

import (
	"encoding/json"
	"os"
	"strconv"
	"strings"
)

// ProbeFile is what "weft worker probe" writes into its first argument, a directory.
const ProbeFile = "probe.json"

// A Probe is what a container engine gives to a container, seen from within.
type Probe struct {
	Memory int64 // limit in bytes; 0 is none
	Quota  int64 // CPU time, in thousandths of a processor; 0 is unlimited
	Mapped bool  // root in the container is somebody else outside
}

// RunProbe is the main function of "weft worker probe DIR", which a server runs in a
// container to learn what its engine really does.
func RunProbe(args []string) int {
	if len(args) != 1 {
		return 2
	}
	b, err := json.Marshal(Probe{Memory: memoryLimit(), Quota: cpuQuota(), Mapped: mapped()})
	if err == nil {
		err = os.WriteFile(args[0]+"/"+ProbeFile, b, 0o600)
	}
	if err != nil {
		os.Stderr.WriteString(err.Error() + "\n")
		return 1
	}
	return 0
}

// cpuQuota reads the limit of this container's cgroup, in thousandths of a processor; 0
// if there is none.
func cpuQuota() int64 {
	words := func(name string) []string {
		b, err := os.ReadFile(name)
		if err != nil {
			return nil
		}
		return strings.Fields(string(b))
	}
	limits := append(words("/sys/fs/cgroup/cpu.max"),
		append(words("/sys/fs/cgroup/cpu/cpu.cfs_quota_us"), words("/sys/fs/cgroup/cpu/cpu.cfs_period_us")...)...)
	if len(limits) < 2 {
		return 0
	}
	quota, err1 := strconv.ParseInt(limits[0], 10, 64) // max or -1: none
	period, err2 := strconv.ParseInt(limits[1], 10, 64)
	if err1 != nil || err2 != nil || quota <= 0 || period <= 0 {
		return 0
	}
	return quota * 1000 / period
}

// mapped reports whether the users of this container have other numbers outside.
func mapped() bool {
	b, err := os.ReadFile("/proc/self/uid_map")
	f := strings.Fields(string(b))
	return err == nil && len(f) > 2 && (f[0] != "0" || f[1] != "0")
}
