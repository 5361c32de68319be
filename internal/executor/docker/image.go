package docker

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/client"

	"github.com/weft-dev/weft"
	"github.com/weft-dev/weft/internal/worker"
)

// The engine gets images from the embedded registry's content by loading an archive: that
// works without a network, without settings of the engine, and for every engine. They are
// tagged with the digest of their manifest, and removed again when they were not used for
// some time.

const repository = "localhost/weft/image"

func imageName(d weft.Digest) string { return repository + ":" + d.Hex() }

// stamps is a directory with a file for each image that this server gave to the engine:
// what it says of itself, and, as the file's time, when it was last used.
func (e *Executor) stamps() string { return filepath.Join(e.options.Dir, "images") }

// image returns what an image says of itself, and sees to it that the engine has it.
func (e *Executor) image(ctx context.Context, d weft.Digest) (Image, error) {
	done, err := e.loads.take(ctx, d)
	if err != nil {
		return Image{}, err
	}
	defer done()
	image, err := e.describe(ctx, d)
	if err != nil {
		return Image{}, err
	}
	there, err := e.hasImage(ctx, d, image)
	if err != nil || there {
		return image, err
	}
	began := time.Now()
	if err := e.load(ctx, d); err != nil {
		return Image{}, err
	}
	if there, err = e.hasImage(ctx, d, image); err != nil {
		return Image{}, err
	}
	if !there {
		return Image{}, weft.Errorf(weft.Unavailable, "the container engine took the image and does not have it; its log may say why")
	}
	e.options.Log.InfoContext(ctx, "loaded image", "image", d, "took", time.Since(began))
	return image, nil
}

// describe reads what was noted of the image when it was first used, else the image.
func (e *Executor) describe(ctx context.Context, d weft.Digest) (Image, error) {
	name := filepath.Join(e.stamps(), d.Hex())
	image, err := worker.Read[Image](e.stamps(), d.Hex())
	if err == nil {
		now := time.Now()
		return image, os.Chtimes(name, now, now)
	}
	if image, err = e.options.Images.Image(ctx, d); err != nil {
		return Image{}, err
	}
	if err := worker.Write(e.stamps(), d.Hex(), image, false); err != nil {
		return Image{}, startError(err)
	}
	return image, nil
}

// hasImage reports whether the engine has the image: one with that name and these layers.
func (e *Executor) hasImage(ctx context.Context, d weft.Digest, image Image) (bool, error) {
	got, err := e.engine.ImageInspect(ctx, imageName(d))
	if errdefs.IsNotFound(err) {
		return false, nil
	}
	if err != nil {
		return false, e.trouble("look for the image", err)
	}
	return slices.Equal(got.RootFS.Layers, image.Layers), nil
}

// load passes the image to the engine.
func (e *Executor) load(ctx context.Context, d weft.Digest) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	r, w := io.Pipe()
	written := make(chan error, 1)
	go func() {
		err := e.options.Images.WriteArchive(ctx, d, imageName(d), w)
		w.CloseWithError(err)
		written <- err
	}()
	err := e.loadFrom(ctx, r)
	r.CloseWithError(errors.New("the container engine reads no more of the image"))
	archived := <-written
	if err == nil || archived != nil && weft.KindOf(archived) != weft.Internal {
		return archived // which explains the engine's error
	}
	return err
}

func (e *Executor) loadFrom(ctx context.Context, r io.Reader) error {
	result, err := e.engine.ImageLoad(ctx, r, client.ImageLoadWithQuiet(true))
	if err != nil {
		return e.trouble("load an image", err)
	}
	defer result.Close()
	lines := bufio.NewScanner(result)
	for lines.Scan() {
		var line struct{ Error string }
		if json.Unmarshal(lines.Bytes(), &line) == nil && line.Error != "" {
			return e.trouble("load an image", fmt.Errorf("%w: %s", errdefs.ErrInternal, line.Error))
		}
	}
	if err := lines.Err(); err != nil {
		return e.trouble("load an image", err)
	}
	return nil
}

// Collect removes from the engine the images that this server gave it, that none of the
// given ones is, and that were not used for some time. The given ones must be those of all
// Runs whose containers may be there.
func (e *Executor) Collect(ctx context.Context, inUse []weft.Digest, unused time.Duration) (removed int, err error) {
	entries, err := os.ReadDir(e.stamps())
	if err != nil {
		return 0, fmt.Errorf("collect images: %w", err)
	}
	for _, entry := range entries {
		d, err := weft.ParseDigest("sha256:" + entry.Name())
		if err != nil || slices.Contains(inUse, d) {
			continue
		}
		gone, err := e.removeUnused(ctx, d, unused)
		if err != nil {
			return removed, fmt.Errorf("collect images: %w", err)
		}
		if gone {
			removed++
		}
	}
	return removed, nil
}

func (e *Executor) removeUnused(ctx context.Context, d weft.Digest, unused time.Duration) (bool, error) {
	done, err := e.loads.take(ctx, d)
	if err != nil {
		return false, err
	}
	defer done()
	name := filepath.Join(e.stamps(), d.Hex())
	info, err := os.Stat(name)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil || time.Since(info.ModTime()) < unused {
		return false, err
	}
	_, err = e.engine.ImageRemove(ctx, imageName(d), client.ImageRemoveOptions{PruneChildren: true})
	switch {
	case errdefs.IsConflict(err) || err != nil && strings.Contains(err.Error(), "in use"):
		return false, nil // by a container, maybe of another server
	case err != nil && !errdefs.IsNotFound(err):
		return false, e.trouble("remove an image", err)
	}
	return true, os.Remove(name)
}
