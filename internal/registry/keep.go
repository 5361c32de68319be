package registry

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/weft-dev/weft"
)

func (l *Layers) recordFile(image weft.Digest) string {
	return filepath.Join(l.dir, image.Hex()+recordEnd)
}

// record notes what an image was unpacked to.
func (l *Layers) record(image weft.Digest, img Image) error {
	names := make([]string, len(img.Layers))
	for i, dir := range img.Layers {
		names[i] = filepath.Base(dir)
	}
	text, err := json.Marshal(Image{names, img.Config})
	if err != nil {
		return fmt.Errorf("record image: %w", err)
	}
	file := l.recordFile(image)
	tmp := filepath.Join(l.dir, temporary+filepath.Base(file))
	if err := os.WriteFile(tmp, text, 0o600); err != nil {
		return fmt.Errorf("record image: %w", err)
	}
	return os.Rename(tmp, file)
}

// readRecord returns what was recorded, the layers as names. Without a record, or with
// one that a loss of power has cut short, there are no layers.
func (l *Layers) readRecord(image weft.Digest) (Image, error) {
	text, err := os.ReadFile(l.recordFile(image))
	if errors.Is(err, fs.ErrNotExist) {
		return Image{}, nil
	}
	if err != nil {
		return Image{}, fmt.Errorf("read record of image: %w", err)
	}
	var img Image
	if json.Unmarshal(text, &img) != nil {
		return Image{}, nil
	}
	return img, nil
}

// recorded returns an image that was unpacked before and is whole; else it has no
// layers.
func (l *Layers) recorded(ctx context.Context, image weft.Digest) (Image, error) {
	img, err := l.readRecord(image)
	if err != nil || img.Layers == nil {
		return Image{}, err
	}
	for i, name := range img.Layers {
		dir, err := l.existing(ctx, name)
		if err != nil || dir == "" {
			return Image{}, err
		}
		img.Layers[i] = dir
	}
	return img, touch(l.recordFile(image))
}

// existing returns the directory of a layer, and notes its use; "" if it is not there.
func (l *Layers) existing(ctx context.Context, name string) (string, error) {
	diff, _, _ := strings.Cut(name, "-")
	done, err := l.turns.take(ctx, diff)
	if err != nil {
		return "", err
	}
	defer done()
	dir := filepath.Join(l.dir, name)
	if _, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) {
		return "", nil
	} else if err != nil {
		return "", err
	}
	return dir, l.use(name)
}

// Collect removes the layers that none of the given images has and that were not used
// for some time. The images must be those of all Runs whose containers may be there.
func (l *Layers) Collect(ctx context.Context, inUse []weft.Digest, unused time.Duration) (removed int, err error) {
	keep := make(map[string]bool)
	for _, image := range inUse {
		img, err := l.readRecord(image)
		if err != nil {
			return 0, fmt.Errorf("collect layers: %w", err)
		}
		keep[filepath.Base(l.recordFile(image))] = true
		for _, name := range img.Layers {
			keep[name] = true
		}
	}
	entries, err := os.ReadDir(l.dir)
	if err != nil {
		return 0, fmt.Errorf("collect layers: %w", err)
	}
	for _, e := range entries {
		name, isLayer := strings.CutSuffix(e.Name(), stamp)
		if keep[name] || !isLayer && !strings.HasSuffix(name, recordEnd) {
			continue
		}
		gone, err := l.removeUnused(ctx, name, e.Name(), unused)
		if err != nil {
			return removed, fmt.Errorf("collect layers: %w", err)
		}
		if gone && isLayer {
			removed++
		}
	}
	return removed, nil
}

// removeUnused removes a layer or record, if the file that tells its last use is old.
func (l *Layers) removeUnused(ctx context.Context, name, used string, unused time.Duration) (bool, error) {
	what, _, _ := strings.Cut(strings.TrimSuffix(name, recordEnd), "-")
	done, err := l.turns.take(ctx, what)
	if err != nil {
		return false, err
	}
	defer done()
	info, err := os.Stat(filepath.Join(l.dir, used))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil || time.Since(info.ModTime()) < unused {
		return false, err
	}
	// Out of its place in one step, so that a half-removed layer is never used.
	trash, err := os.MkdirTemp(l.dir, temporary)
	if err != nil {
		return false, err
	}
	for _, n := range []string{name, used} {
		err := os.Rename(filepath.Join(l.dir, n), filepath.Join(trash, n))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return false, err
		}
	}
	return true, os.RemoveAll(trash)
}
