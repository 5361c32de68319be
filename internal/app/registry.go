package app

import (
	"context"
	"strings"
	"time"

	"github.com/weft-dev/weft"
	"github.com/weft-dev/weft/internal/registry"
)

// A RegistryConfig is the section of settings about the embedded registry: for how long
// it keeps what nothing names. 0 keeps it for ever.
type RegistryConfig struct {
	KeepUntagged time.Duration `koanf:"keep-untagged" yaml:"keep-untagged"` // manifests without a tag, since they lost it or were pulled last
	KeepUnused   time.Duration `koanf:"keep-unused" yaml:"keep-unused"`     // blobs in no manifest, since a push relied on them
}

var defaultRegistry = RegistryConfig{KeepUntagged: 30 * 24 * time.Hour, KeepUnused: 24 * time.Hour}

// openImages makes what finds the images that Plans name.
func (p *process) openImages() *registry.Images {
	p.images = registry.NewImages(p.store, p.content, p.addresses(), p.log)
	p.images.Login = secrets{p.store, p.keys}.login
	return p.images
}

// imageHere reports whether the name of an image means one of the embedded registry. The
// database asks, from the first request on.
func (p *process) imageHere(image weft.Image) bool { return p.images != nil && p.images.Here(image) }

// login returns what a project's secret says of a registry: USER:PASSWORD.
func (s secrets) login(ctx context.Context, project weft.ProjectID, host string) (user, password string, found bool, err error) {
	value, err := s.value(ctx, project, weft.RegistrySecret(host))
	if weft.KindOf(err) == weft.NotFound {
		return "", "", false, nil
	}
	if err != nil {
		return "", "", false, err
	}
	user, password, whole := strings.Cut(value, ":")
	if !whole {
		return "", "", false, weft.Errorf(weft.Invalid, "the secret %s is not of the form USER:PASSWORD", weft.RegistrySecret(host)).
			WithAdvice("set it by `weft image login %s`", host)
	}
	return user, password, true, nil
}
