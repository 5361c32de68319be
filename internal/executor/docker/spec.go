package docker

import (
	"context"
	"fmt"
	"math"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/mount"
	"github.com/moby/moby/client"

	"github.com/weft-dev/weft"
	"github.com/weft-dev/weft/internal/executor"
	"github.com/weft-dev/weft/internal/worker"
)

// Labels of containers.
const (
	labelServer  = "dev.weft.server" // the id of the server
	labelAttempt = "dev.weft.attempt"
	labelRun     = "dev.weft.run" // for people
	labelPlan    = "dev.weft.plan"
	labelImage   = "dev.weft.image" // as the plan names it
)

// A record is what is kept of an attempt for the server itself.
type record struct {
	Image   weft.Digest
	Create  client.ContainerCreateOptions
	Log     string   // the file
	Outputs []string // directories
	Devices []string
	Native  bool // it is made by Podman's own API
	Mounts  []mount.Mount
}

func containerName(a weft.Attempt) string { return "weft-" + a.String() }

// record says in the engine's words what the job asks for, and what the wrapper has to do.
func (e *Executor) record(ctx context.Context, job executor.Job, image Image) (record, worker.Inside, error) {
	r := record{Image: job.Image, Devices: job.Devices, Log: filepath.Join(e.dir(job.Attempt), executor.LogFile)}
	in := worker.Inside{
		User: image.User, Dir: executor.WorkDir(image.WorkDir), Env: job.Environment(image.Env), Outputs: len(job.Outputs),
		StopSignal: image.StopSignal,
		LogLimit:   job.LogLimit, OutputLimit: job.OutputLimit,
	}
	if !job.Log.IsZero() {
		r.Log = filepath.Join(e.options.Places.Work(job.Attempt, job.Log), executor.LogFile)
	}
	err := job.CheckPaths()
	if err == nil {
		in.Args, err = job.Command(image.Entrypoint, image.Cmd)
	}
	if err != nil {
		return r, in, err
	}
	mounts := []mount.Mount{
		bind(e.program, worker.InsideProgram, true),
		bind(e.run(job.Attempt), worker.InsideRun, false),
		bind(r.Log, worker.InsideLog, false),
	}
	for _, input := range job.Inputs {
		tree, err := e.options.Places.Tree(ctx, input.Tree)
		if err != nil {
			return r, in, fmt.Errorf("input %s: %w", input.Path, err)
		}
		mounts = append(mounts, bind(tree, input.Path, true))
	}
	for i, out := range job.Outputs {
		dir := e.options.Places.Work(job.Attempt, out.Data)
		r.Outputs = append(r.Outputs, dir)
		mounts = append(mounts, bind(dir, out.Path, false), bind(dir, worker.InsideOut(i), false))
	}
	host := e.hostConfig(job)
	in.MemoryLimited = host.Memory > 0
	env, err := e.giveDevices(host, job.Devices)
	if err != nil {
		return r, in, err
	}
	in.Env = append(in.Env, env...)
	if r.Native = len(job.Devices) > 0 && e.isPodman(); r.Native {
		r.Mounts = mounts
	} else if err := e.mount(host, mounts); err != nil {
		return r, in, err
	}
	r.Create = client.ContainerCreateOptions{Name: containerName(job.Attempt), Config: e.config(job), HostConfig: host}
	return r, in, nil
}

func bind(source, target string, readOnly bool) mount.Mount {
	return mount.Mount{Type: mount.TypeBind, Source: source, Target: target, ReadOnly: readOnly,
		BindOptions: &mount.BindOptions{Propagation: mount.PropagationRPrivate}}
}

// mount enters mounts. Podman takes them apart at commas, as its command does, and so is
// told of those that have one in the other way, which takes them apart at colons.
func (e *Executor) mount(host *container.HostConfig, mounts []mount.Mount) error {
	for _, m := range mounts {
		names := m.Source + m.Target
		switch {
		case !e.isPodman() || !strings.Contains(names, ","):
			host.Mounts = append(host.Mounts, m)
		case strings.Contains(names, ":"):
			return weft.Errorf(weft.Invalid, "Podman cannot mount %s at %s: there is a comma and a colon in these paths", m.Source, m.Target).
				WithAdvice("use another path in the plan, or another state directory")
		default:
			options := "rw,rprivate"
			if m.ReadOnly {
				options = "ro,rprivate"
			}
			host.Binds = append(host.Binds, m.Source+":"+m.Target+":"+options)
		}
	}
	return nil
}

func (e *Executor) isPodman() bool { return strings.HasPrefix(e.facts.Engine, podman) }

// config has the wrapper as root do what the image and the plan say.
func (e *Executor) config(job executor.Job) *container.Config {
	c := &container.Config{
		Image:      imageName(job.Image),
		User:       "0:0",
		Entrypoint: []string{worker.InsideProgram},
		Cmd:        []string{"worker", "inside"},
		// Of the wrapper. What the image has for the program must not change how it works.
		Env:         []string{"PATH=/usr/bin:/bin", "GOMAXPROCS=2", "GOGC=50", "GODEBUG=", "GOMEMLIMIT=", "GOTRACEBACK="},
		WorkingDir:  "/",
		Healthcheck: &container.HealthConfig{Test: []string{"NONE"}},
		StopSignal:  "SIGTERM",
		Labels: map[string]string{
			labelServer: e.id, labelAttempt: job.Attempt.String(), labelRun: job.Attempt.Run.String(),
			labelPlan: job.Plan.String(), labelImage: job.ImageName,
		},
	}
	if e.options.Network != networkHost { // there the engine has it be the machine's
		c.Hostname = job.Hostname()
	}
	return c
}

const networkHost = "host"

// hostConfig has neither mounts nor devices yet. Nothing is left to defaults that an
// administrator of the engine may have changed and that a Run depends on.
func (e *Executor) hostConfig(job executor.Job) *container.HostConfig {
	no := false
	private := container.PidMode("") // Docker's word for it
	if e.isPodman() {
		private = "private"
	}
	return &container.HostConfig{
		PidMode:     private,
		NetworkMode: container.NetworkMode(e.options.Network),
		CapDrop:     []string{"ALL"},
		CapAdd:      executor.Capabilities(false),
		SecurityOpt: []string{"no-new-privileges", "label=disable"},
		UsernsMode:  "host", // the engine's own: root inside must be able to hand over to the server
		LogConfig:   container.LogConfig{Type: "none"},
		Init:        &no,
		ShmSize:     e.shared(job.Resources),
		Resources:   e.resources(job.Resources),
	}
}

// shared is the size of /dev/shm, where programs share batches of training data. What
// they use counts as their memory.
func (e *Executor) shared(rs weft.Resources) int64 {
	if memory, ok := rs["memory"]; ok && memory.Value() > 0 {
		return memory.Value()
	}
	return max(64<<20, e.facts.Memory/2)
}

// wrapperMemory is what the wrapper takes beside the program, of the container's limit.
const wrapperMemory = 16 << 20

// resources turns the plan's limits into the container's. There is no swap beyond the
// memory. An engine that cannot limit something is not asked to.
func (e *Executor) resources(rs weft.Resources) container.Resources {
	r := container.Resources{Ulimits: e.facts.Ulimits}
	if e.facts.LimitsPids {
		r.PidsLimit = &e.options.MaxPids
	}
	if memory, ok := rs["memory"]; ok && memory.Value() > 0 && e.facts.LimitsMemory {
		r.Memory = memory.Value() + wrapperMemory
		if e.facts.LimitsSwap {
			r.MemorySwap = r.Memory
		}
	}
	if cpu, ok := rs["cpu"]; ok && cpu.MilliValue() > 0 && e.facts.LimitsCPU {
		const nano, least = 1_000_000, 10 // an engine refuses less than a hundredth
		r.NanoCPUs = min(max(least, cpu.MilliValue()), int64(runtime.NumCPU())*1000) * nano
		r.CPUShares = min(max(2, cpu.MilliValue()*1024/1000), math.MaxInt32)
	}
	return r
}
