package app

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sys/unix"

	"github.com/weft-dev/weft"
	"github.com/weft-dev/weft/internal/executor"
	"github.com/weft-dev/weft/internal/executor/docker"
	"github.com/weft-dev/weft/internal/executor/runc"
	"github.com/weft-dev/weft/internal/operate"
	"github.com/weft-dev/weft/internal/registry"
	"github.com/weft-dev/weft/internal/server"
)

// What the setting "executor" can be.
const (
	executorAuto   = "auto"
	executorRunc   = "runc"
	executorDocker = "docker"
)

// A DockerConfig is the section "docker": how to use a container engine.
type DockerConfig struct {
	Host    string `koanf:"host" yaml:"host"`       // where it listens; empty: DOCKER_HOST, or the usual sockets
	Network string `koanf:"network" yaml:"network"` // of the containers; empty: the engine's default
}

func (c Config) checkExecutor() error {
	switch c.Executor {
	case executorAuto, executorRunc, executorDocker:
		return nil
	}
	return weft.Errorf(weft.Invalid, "executor: %q is none of %s, %s and %s", c.Executor, executorAuto, executorRunc, executorDocker)
}

// A runner is the executor that was chosen.
type runner struct {
	kind   string
	about  string // what it is, in words
	why    string // it was chosen
	engine imageCollector
}

// An imageCollector has a container engine forget images. docker.Executor does.
type imageCollector interface {
	Collect(ctx context.Context, inUse []weft.Digest, unused time.Duration) (removed int, err error)
}

func (r runner) offer() server.Executor {
	return server.Executor{Kind: r.kind, About: r.about, Why: r.why}
}

// openExecutor opens what runs containers, and says what it is.
func (p *process) openExecutor(ctx context.Context, _ *prometheus.Registry) error {
	var err error
	switch p.Executor {
	case executorRunc:
		err = p.openRunc("the setting executor says so")
	case executorDocker:
		err = p.openDocker(ctx, "the setting executor says so")
	default:
		err = p.pickExecutor(ctx)
	}
	if err != nil {
		return err
	}
	p.log.InfoContext(ctx, "containers are run by "+p.runner.kind, "which", p.runner.about, "why", p.runner.why)
	return nil
}

// pickExecutor takes runc where that works, else the first container engine that does. But
// while there are containers of a former start, what runs them is kept.
func (p *process) pickExecutor(ctx context.Context) error {
	busy := ""
	for kind, dir := range map[string]string{executorRunc: p.runcDir(), executorDocker: p.dockerDir()} {
		left, err := os.ReadDir(filepath.Join(dir, "attempts"))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		if len(left) > 0 {
			busy = kind
		}
	}
	const kept = "there are containers of its from before"
	switch busy {
	case executorRunc:
		return p.openRunc(kept)
	case executorDocker:
		return p.openDocker(ctx, kept)
	}
	lacks := canRunc()
	if lacks == nil {
		lacks = p.openRunc("weft serve has root, and runc is here")
	}
	if lacks == nil {
		return nil
	}
	err := p.openDocker(ctx, "runc cannot be used: "+lacks.Error())
	if err == nil {
		return nil
	}
	return weft.Errorf(weft.Unavailable, "nothing here can run containers; runc cannot be used: %s; %w", lacks, err).
		WithAdvice("start weft serve as root where runc is installed; or, without root, install Podman and start its service (systemctl --user enable --now podman.socket), or have Docker and the right to use it")
}

// canRunc returns why runc cannot be used, if it is plain beforehand.
func canRunc() error {
	if os.Geteuid() != 0 {
		return errors.New("that takes root")
	}
	var header = unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	if err := unix.Capget(&header, &data[0]); err != nil {
		return err
	}
	if data[0].Effective&(1<<unix.CAP_SYS_ADMIN) == 0 {
		return errors.New("root has no right to mount here (CAP_SYS_ADMIN)")
	}
	return nil
}

func (p *process) runcDir() string   { return p.state.path("runs") }
func (p *process) dockerDir() string { return p.state.path("runs/docker") }

func (p *process) machineLabels() ([]weft.Label, error) {
	labels := make([]weft.Label, len(p.Labels))
	for i, text := range p.Labels {
		l, err := weft.ParseLabel(text)
		if err != nil {
			return nil, err
		}
		labels[i] = l
	}
	return labels, nil
}

func (p *process) openRunc(why string) error {
	if os.Geteuid() != 0 {
		return weft.Errorf(weft.Forbidden, "weft serve makes containers with runc, which takes root").
			WithAdvice("start it as root, for example with sudo, or use Docker or Podman (setting executor: docker)")
	}
	labels, err := p.machineLabels()
	if err != nil {
		return err
	}
	floor, err := p.diskFloor()
	if err != nil {
		return err
	}
	e, err := runc.New(runc.Options{
		Dir:    p.runcDir(),
		Places: places{p.content},
		Images: unpacker{p.layers},
		Log:    p.log,
		Worker: []string{"/proc/self/exe", "worker", "supervise"}, // this program, even after its file was replaced
		Labels: labels,
		Floor:  floor,
	})
	if err != nil {
		return err
	}
	p.useExecutor(e, runner{kind: executorRunc, about: e.Program(), why: why})
	return nil
}

// diskFloor is how much of the disk may be left before programs that go on writing are
// ended: half of the reserve, which keeps new work out long before.
func (p *process) diskFloor() (int64, error) {
	reserve, err := p.content.Reserved()
	return reserve / 2, err
}

func (p *process) useExecutor(e interface {
	executor.Executor
	io.Closer
}, r runner) {
	p.closing("executor", e.Close)
	p.executor, p.runner = e, r
}

// openDocker takes the first engine that works.
func (p *process) openDocker(ctx context.Context, why string) error {
	labels, err := p.machineLabels()
	if err != nil {
		return err
	}
	hosts := docker.Hosts(os.Getenv)
	if p.Docker.Host != "" {
		hosts = []string{p.Docker.Host}
	}
	if len(hosts) == 0 {
		return weft.Errorf(weft.Unavailable, "no container engine listens at one of the usual sockets").
			WithAdvice("start Docker, or Podman's service (systemctl --user enable --now podman.socket), or say where it listens: DOCKER_HOST, or docker: {host: …} in the settings")
	}
	var errs []error
	for _, host := range hosts {
		e, err := docker.New(ctx, docker.Options{
			Dir: p.dockerDir(), Places: places{p.content}, Images: p.archives(), Log: p.log, Host: host,
			Network: p.Docker.Network, Labels: labels,
		})
		if err == nil {
			p.useExecutor(e, runner{kind: executorDocker, about: e.Facts().String(), why: why, engine: e})
			p.check("container engine", func(ctx context.Context) []operate.Finding { return examine(ctx, e) })
			return nil
		}
		errs = append(errs, err)
	}
	if len(errs) == 1 { // with its kind and its advice
		return errs[0]
	}
	var all []string
	for _, err := range errs {
		all = append(all, err.Error())
	}
	return weft.Errorf(weft.Unavailable, "no container engine works: %s", strings.Join(all, "; "))
}

// examine is what the doctor finds about a container engine.
func examine(ctx context.Context, e *docker.Executor) []operate.Finding {
	var found []operate.Finding
	if err := e.Reach(ctx); err != nil {
		found = append(found, operate.Finding{Level: operate.Fault, Problem: err.Error(), Advice: adviceOf(err)})
	}
	if f := e.Facts(); !f.LimitsMemory || !f.LimitsCPU {
		found = append(found, operate.Finding{Level: operate.Warning,
			Problem: "the limits that plans set are not held: " + f.String(),
			Advice:  "without root, this takes cgroups of version 2 that are delegated to the user, which systemd does; or start weft serve as root with runc"})
	}
	return found
}

// unpacker gives layers in the order in which the runc driver takes them.
type unpacker struct{ *registry.Layers }

func (u unpacker) Unpack(ctx context.Context, d weft.Digest) (runc.Image, error) {
	img, err := u.Layers.Unpack(ctx, d)
	c := img.Config
	slices.Reverse(img.Layers)
	return runc.Image{
		Layers: img.Layers, User: c.User, WorkDir: c.WorkDir, Env: c.Env, Entrypoint: c.Entrypoint, Cmd: c.Cmd, StopSignal: c.StopSignal,
	}, err
}

func (p *process) archives() archives {
	return archives{registry.Archives{Content: p.content, Aliases: p.store, Temp: p.state.path("content/tmp")}}
}

// archives gives images in the form that the docker driver takes.
type archives struct{ registry.Archives }

func (a archives) Image(ctx context.Context, d weft.Digest) (docker.Image, error) {
	c, layers, err := a.Archives.Image(ctx, d)
	return docker.Image{User: c.User, WorkDir: c.WorkDir, Env: c.Env, Entrypoint: c.Entrypoint, Cmd: c.Cmd, StopSignal: c.StopSignal, Layers: layers}, err
}

func (a archives) WriteArchive(ctx context.Context, d weft.Digest, name string, w io.Writer) error {
	return a.Write(ctx, d, name, w)
}
