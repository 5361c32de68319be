package registry

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"

	"github.com/weft-dev/weft"
)

// Archives writes images in the form of "docker save", which every container engine can
// load, from nothing but the content store.
type Archives struct {
	Content Content
	Aliases Aliases
	Temp    string // a directory for layers that have to be unpacked on the way
}

// Image returns what an image, named by its manifest's digest, says about how to run it,
// and the digests of its unpacked layers, lowest first.
func (a Archives) Image(ctx context.Context, manifest weft.Digest) (ImageConfig, []string, error) {
	doc, config, err := readImage(ctx, a.Content, a.Aliases, manifest)
	if err != nil {
		return ImageConfig{}, nil, err
	}
	ids, err := layerIDs(doc, config)
	if err != nil {
		return ImageConfig{}, nil, err
	}
	layers := make([]string, len(ids))
	for i, id := range ids {
		layers[i] = id.diff.String()
	}
	c := config.Config
	return ImageConfig{c.User, c.Env, c.WorkingDir, c.Entrypoint, c.Cmd, c.Labels, c.StopSignal}, layers, nil
}

// Write writes the image under a name that an engine will know it by.
func (a Archives) Write(ctx context.Context, manifest weft.Digest, name string, to io.Writer) error {
	doc, config, err := readImage(ctx, a.Content, a.Aliases, manifest)
	if err != nil {
		return err
	}
	if _, err := layerIDs(doc, config); err != nil {
		return err
	}
	w := tar.NewWriter(to)
	id, err := a.address(ctx, doc.Config.Digest)
	if err != nil {
		return err
	}
	if err := a.copyBlob(ctx, w, id.Hex()+".json", id); err != nil {
		return err
	}
	files := []string{}
	for i, layer := range doc.Layers {
		blob, err := a.address(ctx, layer.Digest)
		if err != nil {
			return err
		}
		// Named after what is in it: the same layer may be there twice.
		file := config.RootFS.DiffIDs[i].Hex + ".tar"
		if !slices.Contains(files, file) {
			if err := a.layer(ctx, w, file, blob); err != nil {
				return fmt.Errorf("layer %s: %w", blob, err)
			}
		}
		files = append(files, file)
	}
	list, err := json.Marshal([]archived{{Config: id.Hex() + ".json", RepoTags: []string{name}, Layers: files}})
	if err != nil {
		return err
	}
	if err := copyFile(w, "manifest.json", int64(len(list)), bytes.NewReader(list)); err != nil {
		return err
	}
	return w.Close()
}

// address finds the content that a manifest names.
func (a Archives) address(ctx context.Context, name string) (weft.Digest, error) {
	n, err := parseDigest(name)
	if err != nil {
		return weft.Digest{}, err
	}
	return address(ctx, a.Aliases, n)
}

// archived is an image in manifest.json.
type archived struct {
	Config   string
	RepoTags []string
	Layers   []string
}

func (a Archives) copyBlob(ctx context.Context, w *tar.Writer, name string, d weft.Digest) error {
	f, size, err := a.Content.OpenBlob(ctx, d)
	if err != nil {
		return err
	}
	defer f.Close()
	return copyFile(w, name, size, &contextReader{ctx, f})
}

func copyFile(w *tar.Writer, name string, size int64, r io.Reader) error {
	if err := w.WriteHeader(&tar.Header{Name: name, Typeflag: tar.TypeReg, Mode: 0o644, Size: size}); err != nil {
		return err
	}
	_, err := io.Copy(w, r)
	return err
}

// layer writes a layer. Every engine takes it with gzip or plain. Anything else is
// unpacked first: into a file, as an archive says beforehand how long its files are.
func (a Archives) layer(ctx context.Context, w *tar.Writer, name string, d weft.Digest) error {
	f, size, err := a.Content.OpenBlob(ctx, d)
	if err != nil {
		return err
	}
	defer f.Close()
	var head [4]byte
	if _, err := io.ReadFull(f, head[:]); err != nil && err != io.ErrUnexpectedEOF && err != io.EOF {
		return err
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return err
	}
	if head != zstdMagic {
		return copyFile(w, name, size, &contextReader{ctx, f})
	}
	plain, err := decompress(&contextReader{ctx, f})
	if err != nil {
		return err
	}
	defer plain.Close()
	tmp, err := os.CreateTemp(a.Temp, "put-")
	if err != nil {
		return err
	}
	defer func() {
		tmp.Close()           // it was written and read; nobody else needs it
		os.Remove(tmp.Name()) // else the next start does
	}()
	if size, err = io.Copy(tmp, plain); err != nil {
		return err
	}
	if _, err := tmp.Seek(0, io.SeekStart); err != nil {
		return err
	}
	return copyFile(w, name, size, tmp)
}

// zstdMagic begins what is compressed with zstd.
var zstdMagic = [4]byte{0x28, 0xb5, 0x2f, 0xfd}
