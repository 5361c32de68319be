package registry

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/weft-dev/weft"
)

// Images finds the images that plans name.
type Images struct {
	Catalog Catalog
	Content Content
	// Own are the addresses (host:port) that mean the embedded registry.
	Own []string
	// Keychain has the credentials of other registries.
	Keychain authn.Keychain
	// Login, if set, has the credentials that a project keeps for a registry (host or
	// host:port); they come before those of the Keychain.
	Login func(ctx context.Context, project weft.ProjectID, host string) (user, password string, found bool, err error)
	// Transport reaches other registries.
	Transport http.RoundTripper
	Log       *slog.Logger

	pulls  turns // on images of other registries
	mu     sync.Mutex
	recent map[recentKey]recent
}

// recentLife is for how long an answer of another registry is taken for granted, so
// that a thousand Runs that start together ask once.
const recentLife = 30 * time.Second

type recentKey struct {
	project weft.ProjectID
	image   weft.Image
}

// A recent is an answer, and when it was given.
type recent struct {
	digest weft.Digest
	at     time.Time
}

// NewImages returns Images that use the credentials of the process's user for other
// registries (those of docker login). The embedded registry listens at the addresses
// of listen; there and at weft.EmbeddedRegistry names mean its images.
func NewImages(c Catalog, content Content, listen []string, log *slog.Logger) *Images {
	return &Images{
		Catalog: c, Content: content, Own: ownNames(listen), Log: log,
		Keychain: authn.DefaultKeychain, Transport: http.DefaultTransport,
		recent: make(map[recentKey]recent),
	}
}

// ownNames returns all names of this machine by which people reach the addresses.
func ownNames(listen []string) []string {
	own := []string{weft.EmbeddedRegistry}
	for _, address := range listen {
		own = append(own, address)
		host, port, err := net.SplitHostPort(address)
		ip := net.ParseIP(host)
		if err != nil || ip == nil && host != "localhost" && host != "" {
			continue
		}
		everywhere := host == "" || ip.IsUnspecified()
		if everywhere || host == "localhost" || ip.IsLoopback() {
			for _, name := range []string{"localhost", "127.0.0.1", "::1"} {
				own = append(own, net.JoinHostPort(name, port))
			}
		}
		if name, err := os.Hostname(); err == nil && everywhere {
			own = append(own, net.JoinHostPort(strings.ToLower(name), port))
		}
	}
	return own
}

// Here reports whether the name may mean an image of the embedded registry.
func (im *Images) Here(image weft.Image) bool { return im.embedded(image) || image.Registry() == "" }

// embedded reports whether the name surely means the embedded registry.
func (im *Images) embedded(image weft.Image) bool {
	return slices.Contains(im.Own, image.Registry())
}

// Resolve returns the digest of the manifest that the image means at present on this
// platform. The manifest and all of its parts are in the content store then, and stay
// as long as the repository has them. A name without a registry means an image of
// the embedded one if that has it, else one of Docker Hub.
func (im *Images) Resolve(ctx context.Context, project weft.ProjectID, image weft.Image) (weft.Digest, error) {
	if im.embedded(image) || image.Registry() == "" {
		d, err := im.local(ctx, project, image.Path(), image.Tag)
		switch {
		case weft.KindOf(err) != weft.NotFound:
			return d, err
		case im.embedded(image) || errors.Is(err, errNoPlatform):
			return d, notHere(image, err)
		}
	}
	return im.remote(ctx, project, image)
}

func notHere(image weft.Image, err error) error {
	if errors.Is(err, errNoPlatform) {
		return err
	}
	return weft.Errorf(weft.NotFound, "image %s is not in the embedded registry", image).WithAdvice("push it with `weft image push`")
}

// errNoPlatform is told apart from an image that is not there at all.
var errNoPlatform = errors.New("not for this platform")

// local finds an image in a repository.
func (im *Images) local(ctx context.Context, project weft.ProjectID, repo, ref string) (weft.Digest, error) {
	m, err := im.Catalog.Manifest(ctx, project, repo, ref)
	if err != nil {
		return weft.Digest{}, err
	}
	if !isIndex(m.MediaType) {
		return m.Digest, nil
	}
	var doc document
	if err := readJSON(ctx, im.Content, m.Digest, &doc); err != nil {
		return weft.Digest{}, err
	}
	child, err := choose(doc.Manifests, repo+":"+ref)
	if err != nil {
		return weft.Digest{}, err
	}
	n, err := parseDigest(child.Digest)
	if err != nil {
		return weft.Digest{}, err
	}
	d, err := address(ctx, im.Catalog, n)
	if err != nil {
		return d, err
	}
	return im.local(ctx, project, repo, d.String())
}

// choose finds the image for this platform in an index.
func choose(list []descriptor, name string) (descriptor, error) {
	for _, d := range list {
		if !isImage(d.MediaType) && !isIndex(d.MediaType) {
			continue
		}
		if p := d.Platform; p == nil && len(list) == 1 || p != nil && p.OS == "linux" && p.Architecture == runtime.GOARCH {
			return d, nil
		}
	}
	return descriptor{}, weft.Errorf(weft.NotFound, "image %s has no variant for linux/%s: %w", name, runtime.GOARCH, errNoPlatform).
		WithAdvice("build and push it for linux/%s", runtime.GOARCH)
}

// Config reads what an image, named by its manifest's digest, says about itself.
func (im *Images) Config(ctx context.Context, manifest weft.Digest) (v1.ConfigFile, error) {
	_, config, err := readImage(ctx, im.Content, im.Catalog, manifest)
	return config, err
}
