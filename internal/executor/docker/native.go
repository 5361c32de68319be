package docker

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/api/types/container"
	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// Podman gives devices by CDI names only to containers that are made by its own API. What
// is made by it can be handled by Docker's.

// A native is a container in the words of Podman's API (SpecGenerator, version 4.1 on).
type native struct {
	Name          string                  `json:"name"`
	Image         string                  `json:"image"`
	User          string                  `json:"user"`
	Entrypoint    []string                `json:"entrypoint"`
	Command       []string                `json:"command"`
	Env           map[string]string       `json:"env"`
	WorkDir       string                  `json:"work_dir"`
	Labels        map[string]string       `json:"labels"`
	Hostname      string                  `json:"hostname,omitempty"`
	Mounts        []specs.Mount           `json:"mounts"`
	Devices       []nativeDevice          `json:"devices"`
	CapAdd        []string                `json:"cap_add"`
	CapDrop       []string                `json:"cap_drop"`
	NoNewRights   bool                    `json:"no_new_privileges"`
	SELinux       []string                `json:"selinux_opts"`
	Users         nativeSpace             `json:"userns"`
	Processes     nativeSpace             `json:"pidns"`
	Network       nativeSpace             `json:"netns"`
	Log           nativeLog               `json:"log_configuration"`
	SharedMemory  int64                   `json:"shm_size"`
	Limits        specs.LinuxResources    `json:"resource_limits"`
	ProcessLimits []specs.POSIXRlimit     `json:"r_limits,omitempty"`
	Health        *container.HealthConfig `json:"healthconfig"`
}

type (
	nativeDevice struct {
		Path string `json:"path"`
	}
	nativeSpace struct {
		Mode string `json:"nsmode,omitempty"`
	}
	nativeLog struct {
		Driver string `json:"driver"`
	}
)

// native translates what the engine is asked for.
func (r record) native() native {
	c, h := r.Create.Config, r.Create.HostConfig
	n := native{
		Name: r.Create.Name, Image: c.Image, User: c.User, Entrypoint: c.Entrypoint, Command: c.Cmd, Env: map[string]string{},
		WorkDir: c.WorkingDir, Labels: c.Labels, Hostname: c.Hostname, CapAdd: h.CapAdd, CapDrop: h.CapDrop, NoNewRights: true,
		SELinux: []string{"disable"}, Users: nativeSpace{string(h.UsernsMode)}, Processes: nativeSpace{string(h.PidMode)}, Network: nativeSpace{string(h.NetworkMode)},
		Log: nativeLog{h.LogConfig.Type}, SharedMemory: h.ShmSize, Health: c.Healthcheck,
	}
	for _, kv := range c.Env {
		key, value, _ := strings.Cut(kv, "=")
		n.Env[key] = value
	}
	for _, m := range r.Mounts {
		option := "rw"
		if m.ReadOnly {
			option = "ro"
		}
		n.Mounts = append(n.Mounts, specs.Mount{Type: "bind", Source: m.Source, Destination: m.Target, Options: []string{option, "rbind", "rprivate"}})
	}
	for _, name := range r.Devices {
		n.Devices = append(n.Devices, nativeDevice{name})
	}
	if h.Memory > 0 {
		n.Limits.Memory = &specs.LinuxMemory{Limit: &h.Memory}
		if h.MemorySwap > 0 {
			n.Limits.Memory.Swap = &h.MemorySwap
		}
	}
	if h.NanoCPUs > 0 {
		period, shares := uint64(100_000), uint64(h.CPUShares)
		quota := h.NanoCPUs * int64(period) / 1_000_000_000
		n.Limits.CPU = &specs.LinuxCPU{Period: &period, Quota: &quota, Shares: &shares}
	}
	if h.PidsLimit != nil {
		n.Limits.Pids = &specs.LinuxPids{Limit: h.PidsLimit}
	}
	for _, l := range h.Ulimits {
		n.ProcessLimits = append(n.ProcessLimits, specs.POSIXRlimit{Type: strings.ToUpper(l.Name), Soft: uint64(l.Soft), Hard: uint64(l.Hard)})
	}
	return n
}

// createNative makes the container by Podman's own API.
func (e *Executor) createNative(ctx context.Context, r record) error {
	body, err := json.Marshal(r.native())
	if err != nil {
		return err
	}
	// The host is not looked at: there is but one way, which is the engine's.
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://engine/v4.0.0/libpod/containers/create", bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	dial := e.engine.Dialer()
	transport := &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) { return dial(ctx) }}
	resp, err := transport.RoundTrip(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode == http.StatusCreated {
		return nil
	}
	var answer struct{ Message string }
	text, err := io.ReadAll(io.LimitReader(resp.Body, 64<<10))
	if err != nil {
		return err
	}
	if json.Unmarshal(text, &answer) != nil || answer.Message == "" {
		answer.Message = string(text)
	}
	var kind error = errdefs.ErrInternal
	switch resp.StatusCode {
	case http.StatusNotFound:
		kind = errdefs.ErrNotFound
	case http.StatusConflict:
		kind = errdefs.ErrConflict
	case http.StatusBadRequest:
		kind = errdefs.ErrInvalidArgument
	}
	return fmt.Errorf("%w: %s", kind, answer.Message)
}

// nativeDevices reports whether this version of Podman gives devices by CDI names.
func nativeDevices(version string) bool {
	major, rest, _ := strings.Cut(version, ".")
	minor, _, _ := strings.Cut(rest, ".")
	a, err1 := strconv.Atoi(major)
	b, err2 := strconv.Atoi(minor)
	return err1 == nil && err2 == nil && (a > 4 || a == 4 && b >= 1)
}
