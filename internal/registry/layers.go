package registry

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"golang.org/x/sys/unix"

	"github.com/weft-dev/weft"
)

// An Image is what a container is made of.
type Image struct {
	Layers []string // directories, top first, as overlay's lowerdir wants them
	Config ImageConfig
}

// An ImageConfig is what an image says about how to run it.
type ImageConfig struct {
	User       string
	Env        []string
	WorkDir    string
	Entrypoint []string
	Cmd        []string
	Labels     map[string]string
	StopSignal string
}

// An Unpacker makes the layers of an image into directories. Layers implements it.
type Unpacker interface {
	// Unpack takes the digest of a manifest, as Images.Resolve returns it.
	Unpack(ctx context.Context, manifest weft.Digest) (Image, error)
}

// Layers keeps unpacked layers, each once, whatever number of images and containers
// share it. It is a cache: everything in it can be unpacked again.
type Layers struct {
	dir     string
	content Content
	aliases Aliases
	room    func(n int64) error
	log     *slog.Logger
	turns   turns // on layers and images
}

// OpenLayers opens the directory of unpacked layers, making it if need be, and
// removes what was left half done. One process at a time may use it. Room is asked,
// now and then, whether the disk has room for so many bytes more.
func OpenLayers(dir string, content Content, aliases Aliases, room func(n int64) error, log *slog.Logger) (*Layers, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("open layers: %w", err)
	}
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("open layers: %w", err)
	}
	left, err := filepath.Glob(filepath.Join(dir, temporary+"*"))
	if err != nil {
		return nil, fmt.Errorf("open layers: %w", err)
	}
	for _, name := range left {
		if err := os.RemoveAll(name); err != nil {
			return nil, fmt.Errorf("open layers: %w", err)
		}
	}
	return &Layers{dir: dir, content: content, aliases: aliases, room: room, log: log}, nil
}

const (
	temporary = "tmp-"   // begins the name of what is unfinished
	stamp     = ".used"  // ends the name of the file that says when a layer was used last
	recordEnd = ".image" // ends the name of the file that says what an image was unpacked to
)

// Unpack implements Unpacker. What was unpacked before needs nothing of the content
// store any more.
func (l *Layers) Unpack(ctx context.Context, manifest weft.Digest) (Image, error) {
	done, err := l.turns.take(ctx, manifest.Hex())
	if err != nil {
		return Image{}, err
	}
	defer done()
	if img, err := l.recorded(ctx, manifest); err != nil || img.Layers != nil {
		return img, err
	}
	doc, config, err := readImage(ctx, l.content, l.aliases, manifest)
	if err != nil {
		return Image{}, err
	}
	ids, err := layerIDs(doc, config)
	if err != nil {
		return Image{}, err
	}
	layers := []string{} // top first; not nil, even if there are none
	for i, id := range ids {
		n, err := parseDigest(doc.Layers[i].Digest)
		if err != nil {
			return Image{}, err
		}
		blob, err := address(ctx, l.aliases, n)
		if err != nil {
			return Image{}, err
		}
		dir, err := l.layer(ctx, id, blob, layers)
		if err != nil {
			return Image{}, fmt.Errorf("unpack layer %s of image %s: %w", blob, manifest, err)
		}
		layers = append([]string{dir}, layers...)
	}
	c := config.Config
	img := Image{layers, ImageConfig{c.User, c.Env, c.WorkingDir, c.Entrypoint, c.Cmd, c.Labels, c.StopSignal}}
	return img, l.record(manifest, img)
}

// readImage reads a manifest and its configuration.
func readImage(ctx context.Context, content Content, aliases Aliases, manifest weft.Digest) (document, v1.ConfigFile, error) {
	var doc document
	var config v1.ConfigFile
	if err := readJSON(ctx, content, manifest, &doc); err != nil {
		return doc, config, err
	}
	if doc.Config == nil {
		return doc, config, weft.Errorf(weft.Invalid, "%s is not the manifest of an image", manifest)
	}
	n, err := parseDigest(doc.Config.Digest)
	if err != nil {
		return doc, config, err
	}
	d, err := address(ctx, aliases, n)
	if err != nil {
		return doc, config, err
	}
	return doc, config, readJSON(ctx, content, d, &config)
}

// A layerID names what a layer unpacks to: its own content and, for the rare layer
// that leaves the mode of a directory to those below it, these.
type layerID struct{ diff, chain weft.Digest }

// alone is the name of a layer that does not depend on those below it; together that
// of one which does.
func (id layerID) alone() string    { return id.diff.Hex() }
func (id layerID) together() string { return id.diff.Hex() + "-" + id.chain.Hex() }

func layerIDs(doc document, config v1.ConfigFile) ([]layerID, error) {
	if len(doc.Layers) != len(config.RootFS.DiffIDs) {
		return nil, weft.Errorf(weft.Invalid, "this is not an image that can be run: it has %d layers, its configuration lists %d",
			len(doc.Layers), len(config.RootFS.DiffIDs))
	}
	ids := make([]layerID, len(doc.Layers))
	for i, h := range config.RootFS.DiffIDs {
		diff, err := weft.ParseDigest(h.String())
		if err != nil {
			return nil, err
		}
		ids[i] = layerID{diff, diff}
		if i > 0 {
			ids[i].chain = sha256.Sum256([]byte(ids[i-1].chain.String() + " " + diff.String()))
		}
	}
	return ids, nil
}

// layer returns the directory of a layer, unpacking it if nobody has.
func (l *Layers) layer(ctx context.Context, id layerID, blob weft.Digest, below []string) (string, error) {
	done, err := l.turns.take(ctx, id.alone())
	if err != nil {
		return "", err
	}
	defer done()
	for _, name := range []string{id.alone(), id.together()} {
		dir := filepath.Join(l.dir, name)
		if _, err := os.Stat(dir); err == nil {
			return dir, l.use(name)
		} else if !errors.Is(err, fs.ErrNotExist) {
			return "", err
		}
	}
	return l.unpack(ctx, id, blob, below)
}

// use notes that the layer was used now.
func (l *Layers) use(name string) error { return touch(filepath.Join(l.dir, name+stamp)) }

func touch(file string) error {
	err := os.Chtimes(file, time.Time{}, time.Now())
	if errors.Is(err, fs.ErrNotExist) {
		return os.WriteFile(file, nil, 0o600)
	}
	return err
}

// unpack extracts beside the place, makes that durable, and renames it.
func (l *Layers) unpack(ctx context.Context, id layerID, blob weft.Digest, below []string) (_ string, err error) {
	began := time.Now()
	tmp, err := os.MkdirTemp(l.dir, temporary)
	if err != nil {
		return "", err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.RemoveAll(tmp))
		}
	}()
	root := filepath.Join(tmp, "root")
	if err := os.Mkdir(root, 0o755); err != nil {
		return "", err
	}
	x := &extractor{root: root, lower: below, room: l.room}
	if err := l.read(ctx, x, id.diff, blob); err != nil {
		return "", err
	}
	if err := syncFS(root); err != nil {
		return "", err
	}
	name := id.alone()
	if x.inherited {
		name = id.together()
	}
	if err := l.use(name); err != nil {
		return "", err
	}
	dir := filepath.Join(l.dir, name)
	if err := os.Rename(root, dir); err != nil {
		return "", err
	}
	l.log.InfoContext(ctx, "unpacked layer", "layer", id.diff, "took", time.Since(began))
	return dir, os.Remove(tmp)
}

// read passes the layer's tar to the extractor and verifies it.
func (l *Layers) read(ctx context.Context, x *extractor, want, blob weft.Digest) error {
	f, _, err := l.content.OpenBlob(ctx, blob)
	if err != nil {
		return err
	}
	defer f.Close()
	plain, err := decompress(&contextReader{ctx, f})
	if err != nil {
		return err
	}
	defer plain.Close()
	h := sha256.New()
	all := io.TeeReader(plain, h)
	if err := x.extract(all); err != nil {
		return err
	}
	if _, err := io.Copy(io.Discard, all); err != nil { // what follows the archive's end
		return weft.Errorf(weft.Invalid, "the layer is damaged: %w", err)
	}
	if got := weft.Digest(h.Sum(nil)); got != want {
		return weft.Errorf(weft.Invalid, "the layer unpacks to %s, but the image says %s", got, want)
	}
	return nil
}

// maxWindow bounds the memory that a zstd layer can demand.
const maxWindow = 128 << 20

// decompress tells by its first bytes how a layer is compressed, as media types are
// not to be trusted.
func decompress(r io.Reader) (io.ReadCloser, error) {
	b := bufio.NewReaderSize(r, 256<<10)
	head, err := b.Peek(4)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	switch {
	case bytes.HasPrefix(head, []byte{0x1f, 0x8b}):
		z, err := gzip.NewReader(b)
		if err != nil {
			return nil, weft.Errorf(weft.Invalid, "the layer is damaged: %w", err)
		}
		return z, nil
	case bytes.HasPrefix(head, []byte{0x28, 0xb5, 0x2f, 0xfd}):
		z, err := zstd.NewReader(b, zstd.WithDecoderMaxWindow(maxWindow))
		if err != nil {
			return nil, weft.Errorf(weft.Invalid, "the layer is damaged: %w", err)
		}
		return z.IOReadCloser(), nil
	}
	return io.NopCloser(b), nil
}

// A contextReader ends when its context does.
type contextReader struct {
	ctx context.Context
	r   io.Reader
}

func (c *contextReader) Read(p []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, err
	}
	return c.r.Read(p)
}

func syncFS(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer f.Close()
	return unix.Syncfs(int(f.Fd()))
}
