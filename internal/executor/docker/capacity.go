package docker

import (
	"context"
	"maps"

	"github.com/moby/moby/api/types/container"
	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/weft-dev/weft"
	"github.com/weft-dev/weft/internal/executor"
)

// Capacity is what the engine says its machine has, and the devices that it can give.
func (e *Executor) Capacity(ctx context.Context) (executor.Capacity, error) {
	labels, err := executor.MachineLabels(e.options.Labels)
	if err != nil {
		return executor.Capacity{}, err
	}
	c := executor.Capacity{
		Resources: weft.Resources{
			"cpu":    *resource.NewQuantity(int64(e.facts.CPUs), resource.DecimalSI),
			"memory": *resource.NewQuantity(e.facts.Memory, resource.BinarySI),
		},
		Labels: labels,
	}
	if e.facts.Devices {
		if err := e.devices.AddTo(&c); err != nil {
			e.options.Log.WarnContext(ctx, "some CDI devices cannot be used", "error", err)
		}
	}
	maps.Copy(c.Resources, e.options.Capacity)
	return c, ctx.Err()
}

// giveDevices gives the container devices by their CDI names, which the engine looks up in
// the same files. It returns the variables that they bring: the engine gives those to the
// wrapper, and the program gets none of the wrapper's.
func (e *Executor) giveDevices(host *container.HostConfig, names []string) (env []string, err error) {
	if len(names) == 0 {
		return nil, nil
	}
	if !e.facts.Devices {
		return nil, weft.Errorf(weft.Unavailable, "%s gives no devices to containers", e.facts.Engine).
			WithAdvice("with Docker 25 or later, switch CDI on in its daemon.json: {\"features\": {\"cdi\": true}}")
	}
	if env, err = e.devices.Env(names); err != nil {
		return nil, err
	}
	if !e.isPodman() { // see native
		host.DeviceRequests = []container.DeviceRequest{{Driver: "cdi", DeviceIDs: names}}
	}
	return env, nil
}
