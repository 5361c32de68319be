package executor

import (
	"fmt"
	"maps"
	"os"
	"runtime"
	"slices"
	"strings"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"k8s.io/apimachinery/pkg/api/resource"
	"tags.cncf.io/container-device-interface/pkg/cdi"

	"github.com/weft-dev/weft"
)

// Devices are what the files of the Container Device Interface (CDI) describe on this
// machine, such as GPUs.
type Devices struct{ cache *cdi.Cache }

// OpenDevices reads the files in dirs; nil are /etc/cdi and /var/run/cdi.
func OpenDevices(dirs []string) (*Devices, error) {
	if dirs == nil {
		dirs = cdi.DefaultSpecDirs
	}
	cache, err := cdi.NewCache(cdi.WithSpecDirs(dirs...), cdi.WithAutoRefresh(false))
	if err != nil {
		return nil, fmt.Errorf("read CDI devices: %w", err)
	}
	return &Devices{cache}, nil
}

// AddTo reads the files again and adds to a capacity what can be shared out: each kind as
// a resource. With an error, only some devices were added.
func (d *Devices) AddTo(c *Capacity) error {
	err := d.cache.Refresh()
	if c.Devices == nil {
		c.Devices = map[string][]string{}
	}
	for _, name := range d.units() {
		kind, _, _ := strings.Cut(name, "=")
		c.Devices[kind] = append(c.Devices[kind], name)
	}
	for kind, names := range c.Devices {
		c.Resources[kind] = *resource.NewQuantity(int64(len(names)), resource.DecimalSI)
	}
	return err
}

// Env returns the variables that devices bring to a container. It is Unavailable if one of
// them is not there.
func (d *Devices) Env(names []string) ([]string, error) {
	spec := specs.Spec{Process: &specs.Process{}}
	err := d.Inject(&spec, names)
	return spec.Process.Env, err
}

func noDevice(names ...string) error {
	return weft.Errorf(weft.Unavailable, "this machine has no device %s", strings.Join(names, ", "))
}

// Inject gives devices to a container.
func (d *Devices) Inject(spec *specs.Spec, names []string) error {
	if len(names) == 0 {
		return nil
	}
	missing, err := d.cache.InjectDevices(spec, names...)
	if len(missing) > 0 {
		return noDevice(missing...)
	}
	if err != nil {
		return fmt.Errorf("inject devices: %w", err)
	}
	return nil
}

// units returns one CDI name for each device. A device may have several names, such
// as its number and its serial, and there may be names for all or some together.
func (d *Devices) units() []string {
	nodes := map[string][]string{}
	for _, name := range d.cache.ListDevices() {
		for _, n := range d.cache.GetDevice(name).ContainerEdits.DeviceNodes {
			nodes[name] = append(nodes[name], n.Path)
		}
		slices.Sort(nodes[name])
	}
	return units(nodes)
}

// units is given the device nodes of each name.
func units(nodes map[string][]string) []string {
	names := slices.SortedFunc(maps.Keys(nodes), func(a, b string) int { // gpu=2 before gpu=10 before gpu=GPU-8a…
		if d := len(a) - len(b); d != 0 {
			return d
		}
		return strings.Compare(a, b)
	})
	var us []string
	for i, name := range names {
		if !slices.ContainsFunc(names, func(other string) bool {
			return other != name && sameKind(name, other) &&
				supersedes(nodes[other], nodes[name], slices.Index(names, other) < i)
		}) {
			us = append(us, name)
		}
	}
	return us
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

// MachineLabels are those of this machine, for on_node: Kubernetes' usual ones, and more.
func MachineLabels(more []weft.Label) ([]weft.Label, error) {
	name, err := os.Hostname()
	if err != nil {
		return nil, err
	}
	return append([]weft.Label{
		{Key: "kubernetes.io/hostname", Value: name},
		{Key: "kubernetes.io/arch", Value: runtime.GOARCH},
		{Key: "kubernetes.io/os", Value: runtime.GOOS},
	}, more...), nil
}
