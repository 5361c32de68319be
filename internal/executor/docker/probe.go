package docker

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"
	"golang.org/x/sys/unix"
	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/weft-dev/weft"
	"github.com/weft-dev/weft/internal/executor"
	"github.com/weft-dev/weft/internal/worker"
)

// Facts are what was found out about an engine, by asking it and by trying.
type Facts struct {
	Engine   string // its name and version
	Host     string // where it listens
	Rootless bool
	CPUs     int
	Memory   int64 // bytes

	// What it really limits. Without root, that takes cgroups of version 2.
	LimitsMemory, LimitsCPU, LimitsPids bool

	LimitsSwap bool
	Devices    bool                // it gives devices by their CDI names
	Ulimits    []*container.Ulimit // to be given explicitly, as the engine's own may not be set
}

const podman = "Podman" // begins the name of that engine

// probePatience is how long an engine may take to run a container that does next to
// nothing.
const probePatience = time.Minute

// probe asks the engine what it is, and has it run a container.
func (e *Executor) probe(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, probePatience)
	defer cancel()
	now, err := e.trial(ctx)
	if err != nil {
		return err
	}
	if t, err := worker.Read[trial](e.options.Dir, fileTrial); err == nil && t.same(now) {
		e.facts = t.Facts
		return nil
	}
	if err := e.ask(ctx); err != nil {
		return err
	}
	image, err := e.loadProbe(ctx)
	if err != nil {
		return err
	}
	seen, found, err := e.try(ctx, image)
	if err == nil && seen.Code != 0 && strings.Contains(seen.Message, "rlimit") {
		// It wants to raise limits beyond what it may have itself. What this process has
		// can be set by everyone.
		e.facts.Ulimits = ownLimits(e.options.MaxPids)
		seen, found, err = e.try(ctx, image)
	}
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return weft.Errorf(weft.Unavailable, "the container engine at %s did not run a container within %s", e.options.Host, probePatience)
	case err != nil:
		return err
	case seen.Code != 0:
		return weft.Errorf(weft.Unavailable, "the container engine at %s cannot run containers as needed: %s", e.options.Host, strings.TrimPrefix(seen.Message, "cannot start: ")).
			WithAdvice("if this is about its network, try the setting docker: {network: host}")
	}
	e.facts.Rootless = found.Mapped
	e.facts.LimitsMemory = e.facts.LimitsMemory && found.Memory > 0 && found.Memory <= 2*probeMemory
	e.facts.LimitsCPU = e.facts.LimitsCPU && found.Quota > 0 && found.Quota <= 2*probeCPU
	now.Facts = e.facts
	return worker.Write(e.options.Dir, fileTrial, now, false)
}

// A trial is what came of trying an engine, for the next start of the server. It holds for
// the same engine and the same program until one of them is started anew or a day is over.
type trial struct {
	Facts                            Facts
	Host, Socket, API, Program, Boot string
	At                               time.Time
}

const (
	fileTrial = "trial.json"
	trialAge  = 24 * time.Hour
)

// trial returns what tells one trial from another, without facts.
func (e *Executor) trial(ctx context.Context) (trial, error) {
	ping, err := e.engine.Ping(ctx, client.PingOptions{NegotiateAPIVersion: true})
	if err != nil {
		return trial{}, e.trouble("reach the container engine", err)
	}
	t := trial{Host: e.options.Host, API: ping.APIVersion, Program: e.program, Boot: bootID(), At: time.Now()}
	var s unix.Stat_t
	if unix.Stat(strings.TrimPrefix(t.Host, "unix://"), &s) == nil { // an engine that was restarted makes another
		t.Socket = fmt.Sprint(s.Dev, s.Ino, s.Ctim)
	}
	return t, nil
}

func (t trial) same(now trial) bool {
	return t.Host == now.Host && t.Socket == now.Socket && t.API == now.API && t.Program == now.Program && t.Boot == now.Boot &&
		now.At.Sub(t.At) < trialAge && now.At.After(t.At)
}

// bootID tells one start of the machine from another.
func bootID() string {
	b, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return "" // then all starts look alike, and the engine's version has to do
	}
	return strings.TrimSpace(string(b))
}

// ask learns what the engine says of itself.
func (e *Executor) ask(ctx context.Context) error {
	version, err := e.engine.ServerVersion(ctx, client.ServerVersionOptions{})
	if err != nil {
		return e.trouble("ask the container engine for its version", err)
	}
	got, err := e.engine.Info(ctx, client.InfoOptions{})
	if err != nil {
		return e.trouble("ask the container engine what it has", err)
	}
	info := got.Info
	if info.OSType != "linux" {
		return weft.Errorf(weft.Unavailable, "the container engine at %s runs containers of %s, not of Linux", e.options.Host, info.OSType)
	}
	e.facts = Facts{
		Engine: "Docker " + version.Version, Host: e.options.Host, CPUs: info.NCPU, Memory: info.MemTotal,
		LimitsMemory: info.MemoryLimit, LimitsCPU: info.CPUCfsQuota, LimitsPids: info.PidsLimit, LimitsSwap: info.SwapLimit, Devices: len(info.CDISpecDirs) > 0,
	}
	for _, c := range version.Components {
		if strings.HasPrefix(c.Name, podman) {
			e.facts.Engine, e.facts.Devices = podman+" "+version.Version, nativeDevices(version.Version)
		}
	}
	return nil
}

// Limits with which the probe is run, to see whether it finds them.
const (
	probeMemory = 64 << 20
	probeCPU    = 500
)

// try runs a container that writes an output as another user than root.
func (e *Executor) try(ctx context.Context, image weft.Digest) (seen executor.Seen, found worker.Probe, err error) {
	job := executor.Job{
		Attempt: weft.Attempt{Run: weft.NewID[weft.Run](), Number: 1}, Image: image, ImageName: "weft's own probe",
		Args:    []string{worker.InsideProgram, "worker", "probe", "/out"},
		Outputs: []executor.Output{{Path: "/out", Data: weft.NewID[weft.Data]()}},
		Resources: weft.Resources{
			"memory": *resource.NewQuantity(probeMemory, resource.BinarySI),
			"cpu":    *resource.NewMilliQuantity(probeCPU, resource.DecimalSI),
		},
	}
	out := e.options.Places.Work(job.Attempt, job.Outputs[0].Data)
	defer func() {
		if removed := e.Remove(context.WithoutCancel(ctx), job.Attempt); removed != nil && err == nil {
			err = removed
		}
		err = errors.Join(err, os.RemoveAll(filepath.Dir(out)))
	}()
	if seen, err = e.runProbe(ctx, job); err != nil || seen.Code != 0 {
		return seen, found, err
	}
	if _, err := os.Stat(filepath.Join(e.run(job.Attempt), worker.FileStarted)); err != nil {
		return seen, found, weft.Errorf(weft.Unavailable, "the container engine at %s does not work on the files of this machine", e.options.Host).
			WithAdvice("use an engine that runs on this machine itself")
	}
	if found, err = worker.Read[worker.Probe](out, worker.ProbeFile); err != nil {
		return seen, found, weft.Errorf(weft.Unavailable, "the container engine at %s does not hand over what containers write: %w", e.options.Host, err)
	}
	var s unix.Stat_t
	if err := unix.Stat(filepath.Join(out, worker.ProbeFile), &s); err != nil || int(s.Uid) != os.Geteuid() {
		return seen, found, errors.Join(err, weft.Errorf(weft.Unavailable, "the container engine at %s maps users so that what containers write cannot be handed over (it belongs to user %d)", e.options.Host, s.Uid))
	}
	return seen, found, nil
}

func (e *Executor) runProbe(ctx context.Context, job executor.Job) (executor.Seen, error) {
	r, in, err := e.record(ctx, job, Image{User: "1:1"})
	if err == nil {
		err = e.prepare(job.Attempt, r, in)
	}
	if err == nil {
		_, err = e.engine.ContainerCreate(ctx, r.Create)
		err = e.trouble("make a container", err)
	}
	if err == nil {
		err = e.begin(ctx, job.Attempt)
	}
	if err != nil {
		return executor.Seen{}, err
	}
	seen, err := e.look(ctx, job.Attempt)
	if err == nil && seen.State != executor.Exited {
		if err = e.wait(ctx, job.Attempt); err == nil {
			seen, err = e.look(ctx, job.Attempt)
		}
	}
	if err == nil && seen.State != executor.Exited {
		err = weft.Errorf(weft.Unavailable, "the container engine at %s lost a container: %s", e.options.Host, seen.Message)
	}
	return seen, err
}

// ownLimits are those of this process, and no more processes than a container may have.
func ownLimits(maxPids int64) []*container.Ulimit {
	var limits []*container.Ulimit
	for _, l := range []struct {
		name  string
		which int
		most  int64
	}{{"nofile", unix.RLIMIT_NOFILE, 1 << 20}, {"nproc", unix.RLIMIT_NPROC, maxPids}} {
		var own unix.Rlimit
		if unix.Getrlimit(l.which, &own) == nil {
			n := l.most
			if own.Max < uint64(n) {
				n = int64(own.Max)
			}
			limits = append(limits, &container.Ulimit{Name: l.name, Hard: n, Soft: n})
		}
	}
	return limits
}

// loadProbe gives the engine an image with nothing in it.
func (e *Executor) loadProbe(ctx context.Context) (weft.Digest, error) {
	var layer bytes.Buffer
	w := tar.NewWriter(&layer)
	err := errors.Join(w.WriteHeader(&tar.Header{Name: "tmp/", Typeflag: tar.TypeDir, Mode: 0o1777}), w.Close())
	if err != nil {
		return weft.Digest{}, err
	}
	diff := weft.Digest(sha256.Sum256(layer.Bytes())).String()
	config, err := json.Marshal(map[string]any{
		"architecture": runtime.GOARCH, "os": "linux", "config": map[string]any{},
		"rootfs": map[string]any{"type": "layers", "diff_ids": []string{diff}},
	})
	if err != nil {
		return weft.Digest{}, err
	}
	digest := weft.Digest(sha256.Sum256(config))
	if there, err := e.hasImage(ctx, digest, Image{Layers: []string{diff}}); err != nil || there {
		return digest, err
	}
	manifest, err := json.Marshal([]map[string]any{{"Config": "config.json", "RepoTags": []string{imageName(digest)}, "Layers": []string{"layer.tar"}}})
	if err != nil {
		return weft.Digest{}, err
	}
	var archive bytes.Buffer
	w = tar.NewWriter(&archive)
	for name, content := range map[string][]byte{"config.json": config, "layer.tar": layer.Bytes(), "manifest.json": manifest} {
		if err := w.WriteHeader(&tar.Header{Name: name, Typeflag: tar.TypeReg, Mode: 0o644, Size: int64(len(content))}); err != nil {
			return digest, err
		}
		if _, err := w.Write(content); err != nil {
			return digest, err
		}
	}
	if err := w.Close(); err != nil {
		return digest, err
	}
	return digest, e.loadFrom(ctx, &archive)
}

// String says in words what the engine is.
func (f Facts) String() string {
	what := []string{f.Engine + " at " + f.Host}
	if f.Rootless {
		what = append(what, "without root")
	}
	var lacks []string
	for name, has := range map[string]bool{"memory": f.LimitsMemory, "processor time": f.LimitsCPU} {
		if !has {
			lacks = append(lacks, name)
		}
	}
	if len(lacks) > 0 {
		what = append(what, fmt.Sprintf("it cannot limit a run's %s", strings.Join(lacks, " and ")))
	}
	return strings.Join(what, ", ")
}
