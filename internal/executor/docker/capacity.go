package docker

import (
	"context"
	"maps"
	"os"
	"runtime"
	"slices"

	"github.com/moby/moby/api/types/container"
	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/weft-dev/weft"
	"github.com/weft-dev/weft/internal/executor"
)

// Capacity is what the engine says its machine has.
func (e *Executor) Capacity(ctx context.Context) (executor.Capacity, error) {
	name, err := os.Hostname()
	if err != nil {
		return executor.Capacity{}, err
	}
	c := executor.Capacity{
		Resources: weft.Resources{
			"cpu":    *resource.NewQuantity(int64(e.facts.CPUs), resource.DecimalSI),
			"memory": *resource.NewQuantity(e.facts.Memory, resource.BinarySI),
		},
		Devices: map[string][]string{},
		Labels: append([]weft.Label{
			{Key: "kubernetes.io/hostname", Value: name},
			{Key: "kubernetes.io/arch", Value: runtime.GOARCH},
			{Key: "kubernetes.io/os", Value: runtime.GOOS},
		}, slices.Clone(e.options.Labels)...),
	}
	maps.Copy(c.Resources, e.options.Capacity)
	return c, ctx.Err()
}

// giveDevices gives the container devices by their CDI names.
func (e *Executor) giveDevices(host *container.HostConfig, devices []string) error {
	if len(devices) > 0 {
		host.DeviceRequests = []container.DeviceRequest{{Driver: "cdi", DeviceIDs: devices}}
	}
	return nil
}
