// Command mkimage makes a container image out of files, without a container engine:
// a tar as `docker save` writes it, for `weft image push`.
//
//	mkimage -o trainer.tar -name digits/trainer:v1 -entrypoint /trainer bin/trainer:/trainer
//	mkimage -o learn.tar -name sklearn/learn:v1 -entrypoint python3,/learn.py -layer rootfs.tar learn.py:/learn.py
//
// Each -layer is a tar of a whole root file system; the files named as arguments make
// one more layer on top of them.
package main

import (
	"archive/tar"
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path"
	"runtime"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
)

// made is the time in the images, fixed so that the same files give the same image.
var made = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

type options struct {
	out        string
	name       string
	entrypoint string
	user       string
	stopSignal string
	layers     list
	files      []string // HOST:CONTAINER
}

type list []string

func (l *list) String() string     { return strings.Join(*l, ",") }
func (l *list) Set(s string) error { *l = append(*l, s); return nil }

func main() {
	var o options
	flag.StringVar(&o.out, "o", "", "write the image to this `file`")
	flag.StringVar(&o.name, "name", "", "the image's `repository:tag`")
	flag.StringVar(&o.entrypoint, "entrypoint", "", "`words` of the entrypoint, separated by commas")
	flag.StringVar(&o.user, "user", "", "the `user` the program runs as; root if not given")
	flag.StringVar(&o.stopSignal, "stop-signal", "", "the `signal` that asks the program to end; SIGTERM if not given")
	flag.Var(&o.layers, "layer", "a `tar` of a root file system; may be repeated")
	flag.Parse()
	o.files = flag.Args()
	if err := o.write(); err != nil {
		fmt.Fprintln(os.Stderr, "mkimage:", err)
		os.Exit(1)
	}
}

func (o options) write() error {
	if o.out == "" || o.name == "" || o.entrypoint == "" {
		return errors.New("-o, -name and -entrypoint are needed")
	}
	tag, err := name.NewTag(o.name)
	if err != nil {
		return err
	}
	img, err := o.image()
	if err != nil {
		return err
	}
	return tarball.WriteToFile(o.out, tag, img)
}

func (o options) image() (v1.Image, error) {
	img := v1.Image(empty.Image)
	for _, file := range o.layers {
		layer, err := tarball.LayerFromFile(file)
		if err != nil {
			return nil, fmt.Errorf("layer %s: %w", file, err)
		}
		if img, err = mutate.AppendLayers(img, layer); err != nil {
			return nil, err
		}
	}
	if len(o.files) > 0 {
		packed, err := pack(o.files)
		if err != nil {
			return nil, err
		}
		layer, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) {
			return io.NopCloser(bytes.NewReader(packed)), nil
		})
		if err != nil {
			return nil, err
		}
		if img, err = mutate.AppendLayers(img, layer); err != nil {
			return nil, err
		}
	}
	config, err := img.ConfigFile()
	if err != nil {
		return nil, err
	}
	config = config.DeepCopy()
	config.OS, config.Architecture, config.Created = "linux", runtime.GOARCH, v1.Time{Time: made}
	config.Config.Entrypoint = strings.Split(o.entrypoint, ",")
	config.Config.User, config.Config.StopSignal = o.user, o.stopSignal
	config.Config.Env = []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}
	return mutate.ConfigFile(img, config)
}

// pack makes a tar of files named HOST:CONTAINER, with their parent directories and
// an open /tmp.
func pack(files []string) ([]byte, error) {
	var buf bytes.Buffer
	w := tar.NewWriter(&buf)
	if err := addDir(w, "tmp/", 0o1777); err != nil {
		return nil, err
	}
	have := map[string]bool{"tmp/": true}
	for _, spec := range files {
		host, inside, ok := strings.Cut(spec, ":")
		if !ok || !path.IsAbs(inside) {
			return nil, fmt.Errorf("%q is not HOST:/PATH/IN/IMAGE", spec)
		}
		inside = strings.TrimPrefix(path.Clean(inside), "/")
		for i, c := range inside {
			if dir := inside[:i+1]; c == '/' && !have[dir] {
				have[dir] = true
				if err := addDir(w, dir, 0o755); err != nil {
					return nil, err
				}
			}
		}
		if err := addFile(w, host, inside); err != nil {
			return nil, err
		}
	}
	err := w.Close()
	return buf.Bytes(), err
}

func addDir(w *tar.Writer, dir string, mode int64) error {
	return w.WriteHeader(&tar.Header{Typeflag: tar.TypeDir, Name: dir, Mode: mode, ModTime: made})
}

func addFile(w *tar.Writer, host, inside string) error {
	body, err := os.ReadFile(host)
	if err != nil {
		return err
	}
	info, err := os.Stat(host)
	if err != nil {
		return err
	}
	h := &tar.Header{Typeflag: tar.TypeReg, Name: inside, Mode: int64(info.Mode().Perm()), Size: int64(len(body)), ModTime: made}
	if err := w.WriteHeader(h); err != nil {
		return err
	}
	_, err = w.Write(body)
	return err
}
