package registry

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
	"golang.org/x/sync/errgroup"

	"github.com/weft-dev/weft"
)

var notInName = regexp.MustCompile(`[^a-z0-9.]+`)

// cacheRepo is the repository that keeps what was pulled from another one.
func cacheRepo(ref name.Reference) string {
	host := strings.Trim(notInName.ReplaceAllString(ref.Context().RegistryStr(), "-"), "-.")
	return "cache/" + host + "/" + ref.Context().RepositoryStr()
}

// A pull brings one image from another registry.
type pull struct {
	*Images
	project weft.ProjectID
	image   weft.Image
	ref     name.Reference
	repo    string
	options []remote.Option
}

// remote resolves an image of another registry, and pulls it if it is not here. When
// that registry cannot be reached, what the tag meant last is used.
func (im *Images) remote(ctx context.Context, project weft.ProjectID, image weft.Image) (weft.Digest, error) {
	key := recentKey{project, image}
	done, err := im.pulls.take(ctx, fmt.Sprint(key))
	if err != nil {
		return weft.Digest{}, err
	}
	defer done()
	if d, ok := im.recently(key); ok {
		return d, nil
	}
	ref, err := name.ParseReference(image.String(), name.WeakValidation)
	if err != nil {
		return weft.Digest{}, weft.Errorf(weft.Invalid, "image %s: %w", image, err)
	}
	credentials, err := im.credentials(ctx, project, ref)
	if err != nil {
		return weft.Digest{}, err
	}
	p := &pull{im, project, image, ref, cacheRepo(ref), []remote.Option{
		remote.WithContext(ctx), credentials, remote.WithTransport(im.Transport), remote.WithUserAgent("weft"),
	}}
	d, err := p.resolve(ctx)
	if weft.KindOf(err) == weft.Unavailable {
		if last, lastErr := im.local(ctx, project, p.repo, image.Tag); lastErr == nil {
			im.Log.WarnContext(ctx, "registry cannot be reached; using the image pulled last", "image", image.String(), "digest", last, "err", err)
			return last, nil
		}
	}
	if err != nil {
		return d, err
	}
	im.remember(key, d)
	return d, nil
}

// credentials are those that the project keeps for the registry, or else the server's.
func (im *Images) credentials(ctx context.Context, project weft.ProjectID, ref name.Reference) (remote.Option, error) {
	if im.Login != nil {
		user, password, found, err := im.Login(ctx, project, ref.Context().RegistryStr())
		if err != nil {
			return nil, fmt.Errorf("credentials of registry %s: %w", ref.Context().RegistryStr(), err)
		}
		if found {
			return remote.WithAuth(&authn.Basic{Username: user, Password: password}), nil
		}
	}
	return remote.WithAuthFromKeychain(im.Keychain), nil
}

func (im *Images) recently(key recentKey) (weft.Digest, bool) {
	im.mu.Lock()
	defer im.mu.Unlock()
	r, ok := im.recent[key]
	return r.digest, ok && time.Since(r.at) < recentLife
}

// maxRecent bounds the memory for answers.
const maxRecent = 10_000

func (im *Images) remember(key recentKey, d weft.Digest) {
	im.mu.Lock()
	defer im.mu.Unlock()
	if len(im.recent) >= maxRecent {
		clear(im.recent)
	}
	im.recent[key] = recent{d, time.Now()}
}

// resolve asks what the tag means now; only what is not here is transferred.
func (p *pull) resolve(ctx context.Context) (weft.Digest, error) {
	var none weft.Digest
	var away *url.Error
	head, err := remote.Head(p.ref, p.options...) // costs nothing at registries that limit pulls
	switch {
	case errors.As(err, &away):
		return none, p.explain(err)
	case err == nil:
		d, err := p.local(ctx, p.project, p.repo, head.Digest.String())
		if err == nil {
			return d, p.retag(ctx, head.Digest.String())
		}
		if weft.KindOf(err) != weft.NotFound || errors.Is(err, errNoPlatform) {
			return none, err
		}
	}
	got, err := remote.Get(p.ref, p.options...)
	if err != nil {
		return none, p.explain(err)
	}
	top, err := readManifest(got.Manifest, string(got.MediaType), sha256Only)
	if err != nil {
		return none, p.explain(err)
	}
	if !isIndex(top.MediaType) {
		img, err := got.Image()
		if err != nil {
			return none, p.explain(err)
		}
		return top.Digest, p.takeImage(ctx, img, p.image.Tag)
	}
	return p.takeIndex(ctx, got, top)
}

// retag makes the tag of the cache mean what the other registry's means.
func (p *pull) retag(ctx context.Context, digest string) error {
	m, err := p.Catalog.Manifest(ctx, p.project, p.repo, digest)
	if err != nil {
		return err
	}
	if old, err := p.Catalog.Manifest(ctx, p.project, p.repo, p.image.Tag); err == nil && old.Digest == m.Digest {
		return nil
	}
	return p.Catalog.PutManifest(ctx, p.project, p.repo, m, p.image.Tag)
}

// takeIndex pulls the image for this platform, and keeps the index so as to know it
// again; of its other images nothing is kept.
func (p *pull) takeIndex(ctx context.Context, got *remote.Descriptor, top weft.ImageManifest) (weft.Digest, error) {
	var doc document
	if err := json.Unmarshal(got.Manifest, &doc); err != nil {
		return weft.Digest{}, err
	}
	child, err := choose(doc.Manifests, p.image.String())
	if err != nil {
		return weft.Digest{}, err
	}
	d, err := weft.ParseDigest(child.Digest)
	if err != nil {
		return d, err
	}
	index, err := got.ImageIndex()
	if err != nil {
		return d, p.explain(err)
	}
	img, err := index.Image(v1.Hash{Algorithm: "sha256", Hex: d.Hex()})
	if err != nil {
		return d, p.explain(err)
	}
	if err := p.takeImage(ctx, img, ""); err != nil {
		return d, err
	}
	top.Manifests = []weft.Digest{d}
	return d, p.keepManifest(ctx, top, got.Manifest, p.image.Tag)
}

// layersAtOnce is how many layers are transferred side by side.
const layersAtOnce = 3

// takeImage pulls an image's configuration, layers and, last, its manifest.
func (p *pull) takeImage(ctx context.Context, img v1.Image, tag string) error {
	text, err := img.RawManifest()
	if err != nil {
		return p.explain(err)
	}
	mediaType, err := img.MediaType()
	if err != nil {
		return p.explain(err)
	}
	m, err := readManifest(text, string(mediaType), sha256Only)
	if err != nil {
		return p.explain(err)
	}
	layers, err := img.Layers()
	if err != nil {
		return p.explain(err)
	}
	config, err := img.RawConfigFile()
	if err != nil {
		return p.explain(err)
	}
	if err := p.keepBlob(ctx, m.Blobs[0], int64(len(config)), func() (io.ReadCloser, error) {
		return io.NopCloser(bytes.NewReader(config)), nil
	}); err != nil {
		return err
	}
	began := time.Now()
	group, groupCtx := errgroup.WithContext(ctx)
	group.SetLimit(layersAtOnce)
	for _, layer := range layers {
		group.Go(func() error { return p.takeLayer(groupCtx, layer) })
	}
	if err := group.Wait(); err != nil {
		return err
	}
	p.Log.InfoContext(ctx, "pulled image", "image", p.image.String(), "digest", m.Digest, "took", time.Since(began))
	return p.keepManifest(ctx, m, text, tag)
}

func (p *pull) takeLayer(ctx context.Context, layer v1.Layer) error {
	hash, err := layer.Digest()
	if err != nil {
		return p.explain(err)
	}
	d, err := weft.ParseDigest(hash.String())
	if err != nil {
		return err
	}
	size, err := layer.Size()
	if err != nil {
		return p.explain(err)
	}
	return p.keepBlob(ctx, d, size, layer.Compressed)
}

// keepBlob stores a blob and links it to the cache, unless the cache has it.
func (p *pull) keepBlob(ctx context.Context, d weft.Digest, size int64, open func() (io.ReadCloser, error)) error {
	if _, ok, err := p.Catalog.HasBlob(ctx, p.project, p.repo, d); err != nil || ok {
		return err
	}
	return pinned(ctx, p.Catalog, func(pin string, until time.Time) error {
		r, err := open()
		if err != nil {
			return p.explain(err)
		}
		defer r.Close()
		in := &source{r: r}
		if _, err := p.Content.Put(ctx, pin, until, d, size, in); in.err != nil {
			return p.explain(in.err)
		} else if err != nil {
			return fmt.Errorf("pull image %s: %w", p.image, err)
		}
		return p.Catalog.LinkBlob(ctx, p.project, p.repo, d, pin)
	})
}

func (p *pull) keepManifest(ctx context.Context, m weft.ImageManifest, text []byte, tag string) error {
	return pinned(ctx, p.Catalog, func(pin string, until time.Time) error {
		if _, err := p.Content.Put(ctx, pin, until, m.Digest, m.Size, bytes.NewReader(text)); err != nil {
			return fmt.Errorf("pull image %s: %w", p.image, err)
		}
		return p.Catalog.PutManifest(ctx, p.project, p.repo, m, tag)
	})
}

// explain turns what another registry, or the way to it, said into an error with a
// kind.
func (p *pull) explain(err error) error {
	var answer *transport.Error
	var known *failure
	host := p.ref.Context().RegistryStr()
	switch {
	case errors.Is(err, context.Canceled):
		return err
	case errors.As(err, &known): // readManifest's
		return weft.Errorf(weft.Invalid, "image %s: %s", p.image, known.message)
	case !errors.As(err, &answer):
		return weft.Errorf(weft.Unavailable, "image %s: registry %s cannot be reached: %w", p.image, host, err)
	case answer.StatusCode == http.StatusNotFound:
		return weft.Errorf(weft.NotFound, "image %s is not in registry %s", p.image, host).WithAdvice("check its name, or push it")
	case answer.StatusCode == http.StatusUnauthorized || answer.StatusCode == http.StatusForbidden:
		return weft.Errorf(weft.NotFound, "registry %s does not give image %s: %s", host, p.image, http.StatusText(answer.StatusCode)).
			WithAdvice("check its name; if it needs credentials, give them to the project: `weft image login %s --user NAME`", host)
	default:
		return weft.Errorf(weft.Unavailable, "image %s: registry %s answered %d %s", p.image, host, answer.StatusCode, http.StatusText(answer.StatusCode))
	}
}
