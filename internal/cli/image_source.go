package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"runtime"
	"slices"
	"strings"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/partial"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/weft-dev/weft"
)

// A namedImage is an image, or an index of images, that can be pushed.
type namedImage struct {
	name    string // as its source calls it, like docker.io/library/trainer:v1; may be empty
	content remote.Taggable
}

// openImages opens the images of a source: the archive that docker save writes, an
// OCI layout (a directory or an archive of one), both also compressed, or the name of
// an image in some registry. What is returned reads from the source until close.
func openImages(ctx context.Context, path string) (images []namedImage, close func() error, err error) {
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		images, err = referredImage(ctx, path)
		return images, func() error { return nil }, err
	case err != nil:
		return nil, nil, fileError(err)
	}
	var files archive
	if info.IsDir() {
		files, err = openFolder(path)
	} else {
		files, err = openTar(path)
	}
	if err != nil {
		return nil, nil, err
	}
	if images, err = imagesIn(files); err != nil {
		return nil, nil, errors.Join(fmt.Errorf("%s: %w", path, err), files.Close())
	}
	return images, files.Close, nil
}

// referredImage finds an image in a registry, with the user's own credentials. Of an
// index, it is the image for linux on this machine's processor.
func referredImage(ctx context.Context, text string) ([]namedImage, error) {
	ref, err := name.ParseReference(strings.TrimPrefix(text, "docker://"), name.WeakValidation)
	if err != nil || strings.HasSuffix(text, ".tar") || strings.HasPrefix(text, "/") {
		return nil, weft.Errorf(weft.NotFound, "%s is neither a file or directory nor the name of an image", text)
	}
	img, err := remote.Image(ref, remote.WithContext(ctx), remote.WithAuthFromKeychain(authn.DefaultKeychain),
		remote.WithPlatform(v1.Platform{OS: "linux", Architecture: runtime.GOARCH}))
	var answer *transport.Error
	switch {
	case errors.As(err, &answer) && answer.StatusCode < http.StatusInternalServerError:
		return nil, weft.Errorf(weft.NotFound, "there is no file %s, and registry %s does not give such an image: %s",
			text, ref.Context().RegistryStr(), http.StatusText(answer.StatusCode))
	case err != nil:
		return nil, weft.Errorf(weft.Unavailable, "there is no file %s, and the image cannot be had from registry %s: %w", text, ref.Context().RegistryStr(), err)
	}
	return []namedImage{{ref.Name(), img}}, nil
}

// imagesIn finds out what an archive holds. Where it is both, as docker save writes it,
// the layout is preferred, unless blobs of it are missing.
func imagesIn(files archive) ([]namedImage, error) {
	if files.has("index.json") && files.has("oci-layout") {
		images, err := layoutImages(files)
		if err == nil || !files.has("manifest.json") {
			return images, err
		}
	}
	if files.has("manifest.json") {
		return savedImages(files)
	}
	return nil, weft.Errorf(weft.Invalid, "this is neither what docker save writes nor an OCI layout").
		WithAdvice("make one by `docker save IMAGE -o FILE` or `skopeo copy … oci-archive:FILE`")
}

// Annotations by which a layout says what an image is called, best first.
var nameAnnotations = []string{"io.containerd.image.name", "org.opencontainers.image.ref.name"}

func layoutImages(files archive) ([]namedImage, error) {
	var index v1.IndexManifest
	if err := readArchived(files, "index.json", &index); err != nil {
		return nil, err
	}
	var images []namedImage
	for _, d := range index.Manifests {
		content, err := layoutContent(files, d)
		if err != nil {
			return nil, err
		}
		var called string
		for _, a := range nameAnnotations {
			if called == "" {
				called = d.Annotations[a]
			}
		}
		images = append(images, namedImage{called, content})
	}
	if len(images) == 0 {
		return nil, weft.Errorf(weft.Invalid, "the OCI layout has no images")
	}
	return images, nil
}

func blobPath(h v1.Hash) string { return "blobs/" + h.Algorithm + "/" + h.Hex }

// layoutContent reads the image or index that a descriptor points to.
func layoutContent(files archive, d v1.Descriptor) (remote.Taggable, error) {
	text, err := readAll(files, blobPath(d.Digest))
	if err != nil {
		return nil, err
	}
	if d.MediaType.IsIndex() {
		return newArchivedIndex(files, d.MediaType, text)
	}
	var m v1.Manifest
	if err := json.Unmarshal(text, &m); err != nil {
		return nil, weft.Errorf(weft.Invalid, "manifest %s is damaged: %w", d.Digest, err)
	}
	img := &archivedImage{files: files, mediaType: d.MediaType, manifest: text, layers: map[v1.Hash]archivedLayer{}}
	if img.config, err = readAll(files, blobPath(m.Config.Digest)); err != nil {
		return nil, err
	}
	for _, l := range m.Layers {
		if len(l.URLs) == 0 && !files.has(blobPath(l.Digest)) {
			return nil, weft.Errorf(weft.Invalid, "layer %s is missing", l.Digest)
		}
		img.layers[l.Digest] = archivedLayer{files, blobPath(l.Digest), l}
	}
	return partial.CompressedToImage(img)
}

// savedImages reads the archive of docker save. Its layers are pushed as they are,
// mostly uncompressed: that is faster than compressing, here and wherever they run.
func savedImages(files archive) ([]namedImage, error) {
	var list []struct {
		Config   string
		RepoTags []string
		Layers   []string
	}
	if err := readArchived(files, "manifest.json", &list); err != nil {
		return nil, err
	}
	var images []namedImage
	for _, e := range list {
		img, err := savedImage(files, e.Config, e.Layers)
		if err != nil {
			return nil, err
		}
		if len(e.RepoTags) == 0 {
			e.RepoTags = []string{""}
		}
		for _, tag := range e.RepoTags {
			images = append(images, namedImage{tag, img})
		}
	}
	return images, nil
}

func savedImage(files archive, configPath string, layers []string) (v1.Image, error) {
	config, err := readAll(files, configPath)
	if err != nil {
		return nil, err
	}
	var parsed v1.ConfigFile
	if err := json.Unmarshal(config, &parsed); err != nil {
		return nil, weft.Errorf(weft.Invalid, "%s is damaged: %w", configPath, err)
	}
	if len(parsed.RootFS.DiffIDs) != len(layers) {
		return nil, weft.Errorf(weft.Invalid, "the image has %d layers, its configuration lists %d", len(layers), len(parsed.RootFS.DiffIDs))
	}
	img := &archivedImage{files: files, mediaType: types.OCIManifestSchema1, config: config, layers: map[v1.Hash]archivedLayer{}}
	m := v1.Manifest{SchemaVersion: 2, MediaType: img.mediaType, Config: describe(types.OCIConfigJSON, config), Layers: []v1.Descriptor{}}
	for i, path := range layers {
		d, err := describeLayer(files, path, parsed.RootFS.DiffIDs[i])
		if err != nil {
			return nil, err
		}
		img.layers[d.Digest] = archivedLayer{files, path, d}
		m.Layers = append(m.Layers, d)
	}
	if img.manifest, err = json.Marshal(m); err != nil {
		return nil, err
	}
	return partial.CompressedToImage(img)
}

func describe(mediaType types.MediaType, text []byte) v1.Descriptor {
	h, n, _ := v1.SHA256(strings.NewReader(string(text))) // reading from memory does not fail
	return v1.Descriptor{MediaType: mediaType, Digest: h, Size: n}
}

// describeLayer trusts the digest that the configuration has for a plain layer; the
// server verifies it. A compressed one must be read.
func describeLayer(files archive, path string, diff v1.Hash) (v1.Descriptor, error) {
	f, size, err := files.open(path)
	if err != nil {
		return v1.Descriptor{}, err
	}
	defer f.Close()
	plain := v1.Descriptor{MediaType: types.OCIUncompressedLayer, Digest: diff, Size: size}
	head := make([]byte, 4)
	n, err := io.ReadFull(f, head)
	if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, io.EOF) {
		return plain, err
	}
	compressed := compressionOf(head[:n])
	if compressed == "" {
		return plain, nil
	}
	h, size, err := v1.SHA256(io.MultiReader(strings.NewReader(string(head[:n])), f))
	return v1.Descriptor{MediaType: types.OCIUncompressedLayer + types.MediaType("+"+compressed), Digest: h, Size: size}, err
}

// An archivedImage is an image whose parts are files of an archive.
type archivedImage struct {
	files     archive
	mediaType types.MediaType
	manifest  []byte
	config    []byte
	layers    map[v1.Hash]archivedLayer
}

func (i *archivedImage) MediaType() (types.MediaType, error) { return i.mediaType, nil }
func (i *archivedImage) RawManifest() ([]byte, error)        { return i.manifest, nil }
func (i *archivedImage) RawConfigFile() ([]byte, error)      { return i.config, nil }

func (i *archivedImage) LayerByDigest(h v1.Hash) (partial.CompressedLayer, error) {
	l, ok := i.layers[h]
	if !ok {
		return nil, fmt.Errorf("the image has no layer %s", h)
	}
	return l, nil
}

// An archivedLayer is a layer that is a file of an archive.
type archivedLayer struct {
	files archive
	path  string
	as    v1.Descriptor
}

func (l archivedLayer) Digest() (v1.Hash, error)            { return l.as.Digest, nil }
func (l archivedLayer) Size() (int64, error)                { return l.as.Size, nil }
func (l archivedLayer) MediaType() (types.MediaType, error) { return l.as.MediaType, nil }

func (l archivedLayer) Compressed() (io.ReadCloser, error) {
	f, _, err := l.files.open(l.path)
	return f, err
}

// An archivedIndex is an index of images whose parts are files of an archive.
type archivedIndex struct {
	mediaType types.MediaType
	text      []byte
	parsed    v1.IndexManifest
	children  map[v1.Hash]remote.Taggable
}

func newArchivedIndex(files archive, mediaType types.MediaType, text []byte) (*archivedIndex, error) {
	x := &archivedIndex{mediaType: mediaType, text: text, children: map[v1.Hash]remote.Taggable{}}
	if err := json.Unmarshal(text, &x.parsed); err != nil {
		return nil, weft.Errorf(weft.Invalid, "an index of the OCI layout is damaged: %w", err)
	}
	for _, d := range x.parsed.Manifests {
		child, err := layoutContent(files, d)
		if err != nil {
			return nil, err
		}
		x.children[d.Digest] = child
	}
	return x, nil
}

func (x *archivedIndex) MediaType() (types.MediaType, error)       { return x.mediaType, nil }
func (x *archivedIndex) Digest() (v1.Hash, error)                  { return partial.Digest(x) }
func (x *archivedIndex) Size() (int64, error)                      { return partial.Size(x) }
func (x *archivedIndex) IndexManifest() (*v1.IndexManifest, error) { return &x.parsed, nil }
func (x *archivedIndex) RawManifest() ([]byte, error)              { return x.text, nil }
func (x *archivedIndex) Image(h v1.Hash) (v1.Image, error)         { return childOf[v1.Image](x, h) }
func (x *archivedIndex) ImageIndex(h v1.Hash) (v1.ImageIndex, error) {
	return childOf[v1.ImageIndex](x, h)
}

func childOf[T any](x *archivedIndex, h v1.Hash) (T, error) {
	child, ok := x.children[h].(T)
	if !ok {
		return child, fmt.Errorf("the index has no %T %s", child, h)
	}
	return child, nil
}

// imageName is what an image is called in the embedded registry: what its source calls
// it, without the registry.
func imageName(called string) (weft.Image, error) {
	img, err := weft.ParseImage(called)
	if err != nil {
		return img, err
	}
	path := img.Path()
	if host := img.Registry(); host == "docker.io" || host == name.DefaultRegistry {
		path = strings.TrimPrefix(path, "library/") // which docker adds, and nobody writes
	}
	return weft.Image{Repository: path, Tag: img.Tag}, nil
}

// A pushTarget is a server with its embedded registry.
type pushTarget struct {
	base      string // address of the server
	token     string
	transport http.RoundTripper
	agent     string
}

// pushImage pushes under a name without a registry, and returns the digest. Progress
// is told how many bytes of how many have gone.
func pushImage(ctx context.Context, to pushTarget, called weft.Image, image namedImage, progress func(done, total int64)) (string, error) {
	u, err := url.Parse(to.base)
	if err != nil {
		return "", fmt.Errorf("push image: %w", err)
	}
	var options []name.Option
	if u.Scheme == "http" {
		options = append(options, name.Insecure)
	}
	ref, err := name.NewTag(u.Host+"/"+called.String(), options...)
	if err != nil {
		return "", weft.Errorf(weft.Invalid, "image %s: %w", called, err)
	}
	updates := make(chan v1.Update, 64)
	told := make(chan struct{})
	go func() {
		defer close(told)
		for up := range updates {
			if up.Error == nil {
				progress(up.Complete, up.Total)
			}
		}
	}()
	push, err := remote.NewPusher(remote.WithContext(ctx), remote.WithTransport(to.transport), remote.WithUserAgent(to.agent), remote.WithProgress(updates),
		remote.WithAuth(&authn.Basic{Username: "weft", Password: to.token}))
	if err == nil {
		err = push.Push(ctx, ref, image.content)
	}
	close(updates)
	<-told
	if err != nil {
		return "", pushError(called, err)
	}
	d, err := partial.Descriptor(image.content.(partial.Describable))
	if err != nil {
		return "", fmt.Errorf("push image: %w", err)
	}
	return d.Digest.String(), nil
}

// kindOfStatus says what went wrong by the status with which the registry refused.
var kindOfStatus = map[int]weft.Kind{
	http.StatusUnauthorized:          weft.Unauthenticated,
	http.StatusForbidden:             weft.Forbidden,
	http.StatusRequestEntityTooLarge: weft.TooLarge,
	http.StatusInsufficientStorage:   weft.NoSpace,
	http.StatusBadRequest:            weft.Invalid,
}

func pushError(called weft.Image, err error) error {
	var answer *transport.Error
	if !errors.As(err, &answer) {
		return fmt.Errorf("push image %s: %w", called, err)
	}
	kind, ok := kindOfStatus[answer.StatusCode]
	if !ok {
		return fmt.Errorf("push image %s: %w", called, err)
	}
	var said []string
	for _, d := range answer.Errors {
		said = append(said, d.Message)
	}
	if len(said) == 0 {
		said = []string{http.StatusText(answer.StatusCode)}
	}
	return weft.Errorf(kind, "the server refused image %s: %s", called, strings.Join(slices.Compact(said), "; "))
}
