package runc

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/weft-dev/weft"
	"github.com/weft-dev/weft/internal/executor"
)

// Capacity is what the machine has: its processors and memory, or what its cgroups
// leave of them when it is a container itself; and the devices that CDI describes.
func (e *Executor) Capacity(ctx context.Context) (executor.Capacity, error) {
	memory, err := memory()
	if err != nil {
		return executor.Capacity{}, err
	}
	c := executor.Capacity{
		Resources: weft.Resources{
			"cpu":    *resource.NewMilliQuantity(processors(), resource.DecimalSI),
			"memory": *resource.NewQuantity(memory, resource.BinarySI),
		},
		Labels: slices.Clone(e.host.labels),
	}
	if err := e.host.devices.AddTo(&c); err != nil {
		e.options.Log.Warn("some CDI devices cannot be used", "error", err)
	}
	maps.Copy(c.Resources, e.options.Capacity)
	return c, ctx.Err()
}

// processors returns thousandths of a processor.
func processors() int64 {
	milli := int64(runtime.NumCPU()) * 1000
	// Version 2 has quota and period in one file, version 1 in two.
	limits := append(fields(cgroupRoot+"/cpu.max"), slices.Concat(
		fields(cgroupRoot+"/cpu/cpu.cfs_quota_us"), fields(cgroupRoot+"/cpu/cpu.cfs_period_us"))...)
	if len(limits) >= 2 {
		quota, err1 := strconv.ParseInt(limits[0], 10, 64) // max or -1: none
		period, err2 := strconv.ParseInt(limits[1], 10, 64)
		if err1 == nil && err2 == nil && quota > 0 && period > 0 {
			milli = min(milli, quota*1000/period)
		}
	}
	return milli
}

// memory returns bytes.
func memory() (int64, error) {
	total, err := memoryTotal()
	for _, file := range []string{"/memory.max", "/memory/memory.limit_in_bytes"} {
		if f := fields(cgroupRoot + file); len(f) == 1 {
			if limit, err := strconv.ParseInt(f[0], 10, 64); err == nil { // max: none
				total = min(total, limit)
			}
		}
	}
	return total, err
}

// fields splits what is in a small file; there is nothing in one that is missing.
func fields(file string) []string {
	b, err := os.ReadFile(file)
	if err != nil {
		return nil
	}
	return strings.Fields(string(b))
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
