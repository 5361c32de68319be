package weft

import (
	"maps"
	"slices"

	"k8s.io/apimachinery/pkg/api/resource"
)

// Resources are the limits of a Run by name, such as cpu, memory and nvidia.com/gpu.
type Resources map[string]resource.Quantity

// Defaults that apply to a Plan that does not name these resources.
var defaultResources = map[string]string{"cpu": "1", "memory": "1Gi"}

// ParseResources reads Kubernetes quantities.
func ParseResources(texts map[string]string) (Resources, error) {
	rs := Resources{}
	for _, name := range slices.Sorted(maps.Keys(texts)) { // so that of several errors always the same is told
		text := texts[name]
		q, err := resource.ParseQuantity(text)
		if err != nil {
			return nil, Errorf(Invalid, "resource %s: %q is not a quantity", clip(name), clip(text)).WithAdvice("write it like 500m, 2 or 1Gi")
		}
		if q.Sign() < 0 {
			return nil, Errorf(Invalid, "resource %s: %s is negative", clip(name), q.String())
		}
		if name == "" {
			return nil, Errorf(Invalid, "a resource has no name")
		}
		rs[name] = q
	}
	return rs, nil
}

// WithDefaults returns rs with cpu and memory set where they are missing.
func (rs Resources) WithDefaults() Resources {
	out := maps.Clone(rs)
	if out == nil {
		out = Resources{}
	}
	for name, text := range defaultResources {
		if _, ok := out[name]; !ok {
			out[name] = resource.MustParse(text)
		}
	}
	return out
}

// Strings returns the quantities in canonical form.
func (rs Resources) Strings() map[string]string {
	out := make(map[string]string, len(rs))
	for name, q := range rs {
		out[name] = q.String()
	}
	return out
}
