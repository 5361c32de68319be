package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// layerSize is that of the image whose push and pull is measured.
const layerSize = 1 << 30

// measureRegistry measures push and pull of an image of 1 GiB, as clients do it, against cp
// and sync of the same bytes, and beside Debian's docker-registry, all in turn and cold.
func measureRegistry(ctx context.Context, l *lab) ([]Figure, error) {
	layer := l.path("layer")
	if err := makeLarge(layer, layerSize); err != nil {
		return nil, err
	}
	defer os.Remove(layer)
	digest, err := digestOfFile(layer)
	if err != nil {
		return nil, err
	}
	var ours, theirs [2][]float64
	for range 3 {
		cp, err := l.cold(ctx, func() error {
			copied := l.path("copy")
			defer os.Remove(copied)
			return errors.Join(run(ctx, "cp", layer, copied), run(ctx, "sync"))
		})
		if err != nil {
			return nil, err
		}
		for where, registry := range map[*[2][]float64]func(context.Context) (*hub, error){&ours: l.ourHub, &theirs: l.debianHub} {
			times, err := l.pushAndPull(ctx, registry, layer, digest)
			if errors.Is(err, exec.ErrNotFound) {
				fmt.Println("without docker-registry:", err)
				continue
			}
			if err != nil {
				return nil, err
			}
			for i, took := range times {
				where[i] = append(where[i], cp/took)
			}
		}
	}
	for i, what := range []string{"push", "pull"} {
		sortFloats(ours[i], theirs[i])
		if len(theirs[i]) > 0 {
			fmt.Printf("docker-registry, %s of the same image: %.2f × the speed of cp and sync\n", what, median(theirs[i]))
		}
	}
	return []Figure{
		atLeast("push of a 1 GB image, speed against cp and sync", median(ours[0]), "×", 0.8),
		atLeast("pull of a 1 GB image, speed against cp and sync", median(ours[1]), "×", 0.8),
	}, nil
}

// cold times f with nothing cached.
func (l *lab) cold(ctx context.Context, f func() error) (float64, error) {
	if err := dropCaches(ctx); err != nil {
		return 0, err
	}
	return timed(f)
}

func digestOfFile(name string) (string, error) {
	f, err := os.Open(name)
	if err != nil {
		return "", err
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return "", err
	}
	return "sha256:" + hex.EncodeToString(h.Sum(nil)), nil
}

// A hub is a registry that runs.
type hub struct {
	url   string
	token string
	stop  func() error
}

func (l *lab) ourHub(ctx context.Context) (*hub, error) {
	state := l.path("hub")
	s, err := l.serve(ctx, state)
	if err != nil {
		return nil, err
	}
	return &hub{s.url, s.token, func() error { return errors.Join(s.stop(), os.RemoveAll(state)) }}, nil
}

// debianHub starts Debian's registry with its own defaults, on the same disk.
func (l *lab) debianHub(ctx context.Context) (*hub, error) {
	program, err := exec.LookPath("docker-registry")
	if err != nil {
		return nil, err
	}
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	address := free.Addr().String()
	if err := free.Close(); err != nil {
		return nil, err
	}
	dir := l.path("debian")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	config := filepath.Join(dir, "config.yml")
	text := fmt.Sprintf("version: 0.1\nlog: {level: error}\nstorage: {filesystem: {rootdirectory: %s}}\nhttp: {addr: %s}\n", filepath.Join(dir, "data"), address)
	if err := os.WriteFile(config, []byte(text), 0o644); err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, program, "serve", config)
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	h := &hub{"http://" + address, "", func() error {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		_ = cmd.Wait() // it ends by the signal
		return os.RemoveAll(dir)
	}}
	for range 100 {
		if c, err := net.Dial("tcp", address); err == nil {
			return h, c.Close()
		}
		time.Sleep(50 * time.Millisecond)
	}
	return nil, errors.Join(errors.New("docker-registry does not listen"), h.stop())
}

// pushAndPull times both on a fresh registry.
func (l *lab) pushAndPull(ctx context.Context, start func(context.Context) (*hub, error), layer, digest string) (times [2]float64, err error) {
	h, err := start(ctx)
	if err != nil {
		return times, err
	}
	defer func() { err = errors.Join(err, h.stop()) }()
	if times[0], err = l.cold(ctx, func() error { return errors.Join(h.push(ctx, layer, digest), run(ctx, "sync")) }); err != nil {
		return times, err
	}
	out := l.path("pulled")
	defer os.Remove(out)
	times[1], err = l.cold(ctx, func() error { return errors.Join(h.pull(ctx, out, digest), run(ctx, "sync")) })
	return times, err
}

// ask makes a request, and fails unless it is answered well.
func (h *hub) ask(ctx context.Context, method, url, contentType string, body io.Reader, size int64) (*http.Response, error) {
	if !strings.HasPrefix(url, "http") {
		url = h.url + url
	}
	r, err := http.NewRequestWithContext(ctx, method, url, body)
	if err != nil {
		return nil, err
	}
	if body != nil {
		r.ContentLength = size
		r.Header.Set("Content-Type", contentType)
	}
	r.Header.Set("Accept", manifestType) // else docker-registry makes something else of it
	if h.token != "" {
		r.SetBasicAuth("weft", h.token)
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode >= http.StatusMultipleChoices {
		resp.Body.Close()
		return nil, fmt.Errorf("%s %s: %s", method, url, resp.Status)
	}
	return resp, nil
}

func (h *hub) done(resp *http.Response, err error) (location string, _ error) {
	if err != nil {
		return "", err
	}
	return resp.Header.Get("Location"), resp.Body.Close()
}

const (
	bytesType    = "application/octet-stream"
	manifestType = "application/vnd.docker.distribution.manifest.v2+json"
)

// push is what docker does: each blob by POST, PATCH and PUT, then the manifest.
func (h *hub) push(ctx context.Context, layer, digest string) error {
	f, err := os.Open(layer)
	if err != nil {
		return err
	}
	defer f.Close()
	const config = "{}"
	sum := sha256.Sum256([]byte(config))
	configDigest := "sha256:" + hex.EncodeToString(sum[:])
	if err := h.pushBlob(ctx, digest, f, layerSize); err != nil {
		return err
	}
	if err := h.pushBlob(ctx, configDigest, strings.NewReader(config), int64(len(config))); err != nil {
		return err
	}
	text := fmt.Sprintf(`{"schemaVersion":2,"mediaType":%q,"config":{"mediaType":"application/vnd.docker.container.image.v1+json","digest":%q,"size":%d},`+
		`"layers":[{"mediaType":"application/vnd.docker.image.rootfs.diff.tar","digest":%q,"size":%d}]}`, manifestType, configDigest, len(config), digest, int64(layerSize))
	_, err = h.done(h.ask(ctx, http.MethodPut, "/v2/bench/manifests/v1", manifestType, strings.NewReader(text), int64(len(text))))
	return err
}

func (h *hub) pushBlob(ctx context.Context, digest string, r io.Reader, size int64) error {
	at, err := h.done(h.ask(ctx, http.MethodPost, "/v2/bench/blobs/uploads/", bytesType, http.NoBody, 0))
	if err != nil {
		return err
	}
	if at, err = h.done(h.ask(ctx, http.MethodPatch, at, bytesType, io.NopCloser(r), size)); err != nil {
		return err
	}
	sign := "?"
	if strings.Contains(at, "?") {
		sign = "&"
	}
	_, err = h.done(h.ask(ctx, http.MethodPut, at+sign+"digest="+digest, bytesType, http.NoBody, 0))
	return err
}

func (h *hub) pull(ctx context.Context, out, digest string) error {
	if _, err := h.done(h.ask(ctx, http.MethodGet, "/v2/bench/manifests/v1", "", nil, 0)); err != nil {
		return err
	}
	resp, err := h.ask(ctx, http.MethodGet, "/v2/bench/blobs/"+digest, "", nil, 0)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	f, err := os.Create(out)
	if err != nil {
		return err
	}
	n, err := io.Copy(f, resp.Body)
	if err == nil && n != layerSize {
		err = fmt.Errorf("%d bytes came, not %d", n, int64(layerSize))
	}
	return errors.Join(err, f.Close())
}
