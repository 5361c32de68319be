package worker

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// A program runs beside its wrapper in a container.
type program struct {
	w       *wrapper
	pid     int
	stdio   *os.File
	log     *os.File
	killed  int64 // processes that the kernel had killed for want of memory before
	started time.Time

	mu     sync.Mutex
	reason string // why we killed it; "" if we did not, or were asked to
	over   bool
}

// start prepares the container as the runc driver does, and starts the program as the
// image's user.
func (w *wrapper) start() (*program, error) {
	a, err := lookUp("/", w.task.User)
	if err != nil {
		return nil, err
	}
	if err := w.prepare(a); err != nil {
		return nil, err
	}
	p := &program{w: w, killed: oomKills()}
	if p.log, err = os.OpenFile(InsideLog, os.O_WRONLY, 0); err != nil {
		return nil, err
	}
	null, err := os.Open(os.DevNull)
	if err != nil {
		return nil, err
	}
	defer null.Close()
	r, out, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer out.Close()
	p.stdio = r
	// A shell's "echo >/dev/stdout" opens the pipe once more, as the user.
	if err := out.Chown(int(a.uid), int(a.gid)); err != nil {
		return nil, fmt.Errorf("give the log to user %q: %w", w.task.User, err)
	}
	if p.pid, err = w.exec(a, []*os.File{null, out, out}); err != nil {
		return nil, err
	}
	p.started = time.Now()
	// Without this the server goes by the engine's time, which is not much earlier.
	_ = write(w.run, FileRunning, Running{PID: p.pid, Started: p.started}, false, public)
	return p, nil
}

// prepare makes directories that the program may count on, gives it its outputs, and
// sets limits that it will inherit.
func (w *wrapper) prepare(a account) error {
	for i := range w.task.Outputs {
		if err := os.Chown(InsideOut(i), int(a.uid), int(a.gid)); err != nil {
			return fmt.Errorf("give output to user %q: %w", w.task.User, err)
		}
	}
	if !slices.ContainsFunc(w.task.Env, func(kv string) bool { return strings.HasPrefix(kv, "HOME=") }) {
		w.task.Env = append(w.task.Env, "HOME="+a.home)
	}
	if err := os.MkdirAll("/tmp", 0o755); err != nil {
		return fmt.Errorf("make /tmp: %w", err)
	}
	if err := os.Chmod("/tmp", 0o777|os.ModeSticky); err != nil {
		return fmt.Errorf("make /tmp writable: %w", err)
	}
	if err := os.MkdirAll(w.task.Dir, 0o755); err != nil {
		return fmt.Errorf("make working directory: %w", err)
	}
	var files syscall.Rlimit
	if err := syscall.Getrlimit(unix.RLIMIT_NOFILE, &files); err != nil {
		return fmt.Errorf("read limit of open files: %w", err)
	}
	const most = 1 << 20 // some programs walk through all of them
	n := min(files.Max, most)
	return errors.Join(syscall.Setrlimit(unix.RLIMIT_NOFILE, &syscall.Rlimit{Cur: n, Max: n}),
		syscall.Setrlimit(unix.RLIMIT_CORE, &syscall.Rlimit{}))
}

// exec starts the program and returns its process.
func (w *wrapper) exec(a account, stdio []*os.File) (pid int, err error) {
	name, err := lookPath(w.task.Args[0], w.task.Dir, w.task.Env)
	if err != nil {
		return 0, err
	}
	groups := slices.Clone(a.groups)
	// When memory is short a program goes rather than its wrapper, without which nobody
	// hands over what it wrote. Where that may not be set, the kernel chooses by size.
	const adjust = "/proc/self/oom_score_adj"
	if before, err := os.ReadFile(adjust); err == nil && os.WriteFile(adjust, []byte("500"), 0) == nil {
		defer func() { _ = os.WriteFile(adjust, before, 0) }()
	}
	p, err := os.StartProcess(name, w.task.Args, &os.ProcAttr{
		Dir: w.task.Dir, Env: w.task.Env, Files: stdio,
		Sys: &syscall.SysProcAttr{Setsid: true, Credential: &syscall.Credential{Uid: a.uid, Gid: a.gid, Groups: groups}},
	})
	if err != nil {
		var path *os.PathError
		if errors.As(err, &path) && path.Op == "fork/exec" {
			err = path.Err
		}
		return 0, &execError{w.task.Args[0], err}
	}
	pid = p.Pid
	// It is waited for together with whatever else ends in the container.
	return pid, p.Release()
}

// lookPath finds the program as the kernel does not: by the PATH that it will have.
func lookPath(name, dir string, env []string) (string, error) {
	if strings.Contains(name, "/") {
		return name, nil
	}
	for _, kv := range slices.Backward(env) {
		value, ok := strings.CutPrefix(kv, "PATH=")
		if !ok {
			continue
		}
		for _, p := range filepath.SplitList(value) {
			file := filepath.Join(p, name)
			if !filepath.IsAbs(file) {
				file = filepath.Join(dir, file)
			}
			if info, err := os.Stat(file); err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0 {
				return file, nil
			}
		}
		break
	}
	return "", &execError{name, fmt.Errorf("%w in PATH", os.ErrNotExist)}
}

// follow returns when the program has ended, nothing else is left in the container, and
// all that was printed is in the log.
func (p *program) follow() Exit {
	ended := make(chan struct{})
	logged := make(chan error, 1)
	var group sync.WaitGroup
	group.Go(func() { logged <- pump{p.stdio, p.log, p.w.task.LogLimit, p.exceed}.run() })
	group.Go(func() { p.obey(ended) })
	group.Go(func() { limitOutputs(p.outputs(), p.w.task.OutputLimit, ended, p.exceed) })

	status := p.wait()
	exit := Exit{Started: p.started, Ended: time.Now()}
	p.mu.Lock()
	p.over = true
	p.mu.Unlock()
	close(ended)
	exit.Code, exit.Signal = status.ExitStatus(), 0
	if status.Signaled() {
		exit.Signal = int(status.Signal())
		exit.Code = 128 + exit.Signal
	}
	exit.OOM = exit.Code != 0 && p.w.task.MemoryLimited && oomKills() > p.killed
	p.sweep()
	// Nobody is left who could write, so the end of the pipe follows at once.
	if err := <-logged; err != nil {
		p.reason = "its log is not complete: " + err.Error()
	}
	group.Wait()
	if p.reason == "" {
		p.reason = overOutputLimit(p.outputs(), p.w.task.OutputLimit)
	}
	exit.Message = p.reason
	return exit
}

func (p *program) outputs() []string {
	var dirs []string
	for i := range p.w.task.Outputs {
		dirs = append(dirs, InsideOut(i))
	}
	return dirs
}

// wait waits for the program, and reaps on the way what it has left to the first process.
func (p *program) wait() unix.WaitStatus {
	for {
		var status unix.WaitStatus
		pid, err := unix.Wait4(-1, &status, 0, nil)
		if err == nil && pid == p.pid {
			return status
		}
		if errors.Is(err, unix.ECHILD) { // this cannot be
			p.exceed("how it ended is not known")
			return unix.WaitStatus(unix.SIGKILL)
		}
	}
}

// sweep kills all other processes of the container and waits until they are gone.
func (p *program) sweep() {
	for {
		// It fails when there are none, which Wait4 will say.
		_ = unix.Kill(-1, unix.SIGKILL)
		if _, err := unix.Wait4(-1, nil, 0, nil); errors.Is(err, unix.ECHILD) {
			return
		}
	}
}

// obey passes signals on to the program. With a request to stop, SIGTERM has an end.
func (p *program) obey(ended <-chan struct{}) {
	var kill <-chan time.Time
	for {
		select {
		case <-ended:
			return
		case <-kill:
			p.send(unix.SIGKILL)
		case s := <-p.w.signals:
			sig := s.(unix.Signal)
			if sig != unix.SIGTERM {
				p.send(sig)
				continue
			}
			sig = stopSignal(p.w.task.StopSignal)
			if stop, err := Read[Stop](p.w.run, FileStop); err == nil {
				left := time.Until(stop.deadline())
				if left <= 0 {
					sig = unix.SIGKILL
				}
				kill = time.After(left)
			}
			p.send(sig)
		}
	}
}

// exceed kills the program for a reason of ours. The first reason is the one told.
func (p *program) exceed(reason string) {
	p.mu.Lock()
	if p.reason == "" {
		p.reason = reason
	}
	p.mu.Unlock()
	p.send(unix.SIGKILL)
}

func (p *program) send(sig unix.Signal) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.over { // else its number may be another's
		_ = unix.Kill(p.pid, sig) // it may have ended this moment
	}
}

// oomKills counts what the kernel has killed in this container's cgroup because its
// memory was used up.
func oomKills() int64 {
	return counter("/sys/fs/cgroup/memory/memory.oom_control", "oom_kill") + counter("/sys/fs/cgroup/memory.events", "oom_kill")
}

// memoryLimit reads the limit of this container's cgroup, in bytes; 0 if there is none.
func memoryLimit() int64 {
	for _, name := range []string{"/sys/fs/cgroup/memory/memory.limit_in_bytes", "/sys/fs/cgroup/memory.max"} {
		if b, err := os.ReadFile(name); err == nil {
			n, _ := strconv.ParseInt(strings.TrimSpace(string(b)), 10, 64) // max is none
			return n
		}
	}
	return 0
}
