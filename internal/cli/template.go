package cli

import (
	"archive/tar"
	"bufio"
	"compress/gzip"
	"encoding/json"
	"errors"
	"io"
	"path"
	"slices"
	"strings"

	"github.com/weft-dev/weft"
)

const (
	maxImageJSON  = 4 << 20  // one JSON file of an image
	maxImageJSONs = 64 << 20 // all of them
)

// An imageConfig is what a plan can be made of: how an image starts its program.
type imageConfig struct {
	OS           string          `json:"os"`
	Architecture string          `json:"architecture"`
	RootFS       json.RawMessage `json:"rootfs"`
	Config       struct {
		Entrypoint []string            `json:"Entrypoint"`
		Cmd        []string            `json:"Cmd"`
		WorkingDir string              `json:"WorkingDir"`
		Volumes    map[string]struct{} `json:"Volumes"`
	} `json:"config"`

	tags []string
}

// A savedManifest is an entry of manifest.json, as docker save writes it.
type savedManifest struct {
	Config   string
	RepoTags []string
}

// An ociDescriptor is an entry of an OCI index, or the config of a manifest.
type ociDescriptor struct {
	Digest      string            `json:"digest"`
	Annotations map[string]string `json:"annotations"`
}

type ociManifest struct {
	Config    ociDescriptor   `json:"config"`
	Manifests []ociDescriptor `json:"manifests"`
}

// readImageConfigs finds the images in what docker save or an OCI tool has written, in
// one pass and without keeping the layers.
func readImageConfigs(r io.Reader) ([]imageConfig, error) {
	files, err := readJSONFiles(r)
	if err != nil {
		return nil, err
	}
	tags := map[string][]string{} // by name of the config file
	var saved []savedManifest
	if json.Unmarshal(files["manifest.json"], &saved) == nil {
		for _, m := range saved {
			tags[m.Config] = append(tags[m.Config], m.RepoTags...)
		}
	}
	indexTags(files, "index.json", nil, tags, 0)
	var found []imageConfig
	for name, text := range files {
		var c imageConfig
		if json.Unmarshal(text, &c) != nil || c.OS == "" || c.Architecture == "" || len(c.RootFS) == 0 {
			continue
		}
		c.tags = slices.Compact(slices.Sorted(slices.Values(tags[name])))
		found = append(found, c)
	}
	if len(found) == 0 {
		return nil, weft.Errorf(weft.Invalid, "there is no image in what was read").
			WithAdvice("give what docker save, podman save or skopeo copy writes, like: docker save trainer:v1 | weft plan template trainer:v1")
	}
	slices.SortFunc(found, func(a, b imageConfig) int { return slices.Compare(a.tags, b.tags) })
	return found, nil
}

// indexTags follows an OCI index down to the configs and gives them the names that
// tools leave in annotations.
func indexTags(files map[string][]byte, name string, names []string, tags map[string][]string, depth int) {
	const deepest = 4
	var m ociManifest
	if depth > deepest || json.Unmarshal(files[name], &m) != nil {
		return
	}
	if m.Config.Digest != "" {
		at := blobName(m.Config.Digest)
		for _, n := range names {
			if !slices.Contains(tags[at], n) {
				tags[at] = append(tags[at], n)
			}
		}
	}
	for _, d := range m.Manifests {
		below := names
		for _, key := range []string{"io.containerd.image.name", "org.opencontainers.image.ref.name"} {
			if n := d.Annotations[key]; strings.Contains(n, ":") { // a bare tag names no image
				below = []string{n}
				break
			}
		}
		indexTags(files, blobName(d.Digest), below, tags, depth+1)
	}
}

func blobName(digest string) string { return "blobs/" + strings.Replace(digest, ":", "/", 1) }

// readJSONFiles returns the files of a tar, compressed or not, that begin like JSON.
func readJSONFiles(r io.Reader) (map[string][]byte, error) {
	b := bufio.NewReader(r)
	r = b
	if magic, err := b.Peek(2); err == nil && magic[0] == 0x1f && magic[1] == 0x8b {
		z, err := gzip.NewReader(b)
		if err != nil {
			return nil, notAnImage(err)
		}
		r = z
	}
	files, total := map[string][]byte{}, int64(0)
	for t := tar.NewReader(r); ; {
		h, err := t.Next()
		if errors.Is(err, io.EOF) {
			return files, nil
		}
		if err != nil {
			return nil, notAnImage(err)
		}
		if h.Typeflag != tar.TypeReg || h.Size > maxImageJSON || h.Size == 0 {
			continue
		}
		c := bufio.NewReader(t)
		if first, err := c.Peek(1); err != nil || first[0] != '{' && first[0] != '[' {
			continue
		}
		if total += h.Size; total > maxImageJSONs {
			return nil, weft.Errorf(weft.TooLarge, "the image archive holds more than %s of JSON", byteCount(maxImageJSONs))
		}
		text, err := io.ReadAll(c)
		if err != nil {
			return nil, notAnImage(err)
		}
		files[path.Clean(h.Name)] = text
	}
}

func notAnImage(err error) error {
	return weft.Errorf(weft.Invalid, "this is not an image archive: %w", err).
		WithAdvice("give what docker save, podman save or skopeo copy writes")
}

// pickImage takes the image that is named, or the only one.
func pickImage(found []imageConfig, name string) (imageConfig, error) {
	var all []string
	for _, c := range found {
		if name != "" && slices.ContainsFunc(c.tags, func(t string) bool { return sameImage(t, name) }) {
			return c, nil
		}
		all = append(all, c.tags...)
	}
	if len(found) == 1 {
		return found[0], nil
	}
	if name == "" {
		return imageConfig{}, weft.Errorf(weft.Invalid, "there are %d images", len(found)).WithAdvice("name one of %s", strings.Join(all, ", "))
	}
	return imageConfig{}, weft.Errorf(weft.NotFound, "image not found: %s", name).WithAdvice("there are %s", strings.Join(all, ", "))
}

func sameImage(a, b string) bool {
	x, err := weft.ParseImage(a)
	y, err2 := weft.ParseImage(b)
	return a == b || err == nil && err2 == nil && x == y
}

// A mountpoint is a path in an image that looks like an input or an output.
type mountpoint struct {
	path string
	kind string // the value of its type tag; "" for none
	tags weft.Tags
}

// mountpoints guesses from the words of a command line and the volumes which paths are
// inputs (they have an element "in") and outputs ("out").
func (c imageConfig) mountpoints() (inputs, outputs []mountpoint) {
	words := slices.Concat(c.Config.Entrypoint, c.Config.Cmd)
	for v := range c.Config.Volumes {
		words = append(words, v)
	}
	seen := map[string]bool{}
	for _, w := range words {
		if i := strings.IndexByte(w, '='); strings.HasPrefix(w, "-") && i >= 0 {
			w = w[i+1:] // --data=/in/train
		}
		elements := strings.Split(w, "/")
		in, out := slices.Contains(elements, "in"), slices.Contains(elements, "out")
		p := path.Clean(w)
		if !path.IsAbs(p) {
			p = path.Join("/", c.Config.WorkingDir, w)
		}
		if !in && !out || seen[p] {
			continue
		}
		seen[p] = true
		m := mountpoint{path: p}
		for _, e := range slices.Backward(elements) {
			if e != "" && e != "in" && e != "out" {
				m.kind = e
				break
			}
		}
		if in {
			inputs = append(inputs, m)
		} else {
			outputs = append(outputs, m)
		}
	}
	byPath := func(a, b mountpoint) int { return strings.Compare(a.path, b.path) }
	slices.SortFunc(inputs, byPath)
	slices.SortFunc(outputs, byPath)
	contains := func(m mountpoint) bool { // another one: a plan must not have both
		return slices.ContainsFunc(slices.Concat(inputs, outputs), func(o mountpoint) bool { return strings.HasPrefix(o.path, m.path+"/") })
	}
	return slices.DeleteFunc(slices.Clone(inputs), contains), slices.DeleteFunc(slices.Clone(outputs), contains)
}
