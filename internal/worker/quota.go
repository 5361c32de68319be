package worker

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// A container gets its quota of CPU time once its program was started. Else the quota
// would count what runc does in the container before: with a tenth of a processor, that
// takes a tenth of a second longer. Whoever follows the container sees to it, so that
// it holds too when a supervisor is killed in between. Shares hold from the beginning.

// withoutQuota returns a spec like s that runc is to be given.
func withoutQuota(s *specs.Spec) *specs.Spec {
	if s.Linux == nil || s.Linux.Resources == nil || s.Linux.Resources.CPU == nil {
		return s
	}
	spec, linux, resources, cpu := *s, *s.Linux, *s.Linux.Resources, *s.Linux.Resources.CPU
	cpu.Quota, cpu.Period = nil, nil
	spec.Linux, linux.Resources, resources.CPU = &linux, &resources, &cpu
	return &spec
}

// setQuota limits the container's CPU time as the task has it.
func (t Task) setQuota(s *state) error {
	if t.Spec.Linux == nil || t.Spec.Linux.Resources == nil || t.Spec.Linux.Resources.CPU == nil {
		return nil
	}
	cpu := t.Spec.Linux.Resources.CPU
	if cpu.Quota == nil || cpu.Period == nil {
		return nil
	}
	quota, period := strconv.FormatInt(*cpu.Quota, 10), strconv.FormatUint(*cpu.Period, 10)
	dir, ok := s.Cgroups["cpu"] // version 1
	if !ok {
		if dir, ok = s.Cgroups[""]; !ok {
			return errors.New("limit CPU time: the container has no cgroup for it")
		}
		return limit(dir, "cpu.max", quota+" "+period)
	}
	return errors.Join(limit(dir, "cpu.cfs_period_us", period), limit(dir, "cpu.cfs_quota_us", quota))
}

func limit(dir, file, value string) error {
	f, err := os.OpenFile(filepath.Join(dir, file), os.O_WRONLY, 0)
	if err == nil {
		_, err = f.WriteString(value)
		err = errors.Join(err, f.Close())
	}
	if err != nil {
		return fmt.Errorf("limit CPU time: %w", err)
	}
	return nil
}
