package worker

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// aliveFD is where the server passes the lock of the attempt to the supervisor.
const aliveFD = 3

// Supervise is the main function of "weft worker supervise DIR". It runs the task
// in DIR to its end and returns the exit code of the supervisor, which says only
// whether it was able to record how the task ended.
func Supervise(args []string, stderr *os.File) int {
	if len(args) != 1 {
		fmt.Fprintln(stderr, "usage: weft worker supervise DIR (started by weft serve)")
		return 2
	}
	s := supervisor{dir: args[0], alive: os.NewFile(aliveFD, FileAlive)}
	if err := s.run(); err != nil {
		fmt.Fprintf(stderr, "supervise %s: %v\n", s.dir, err)
		return 1
	}
	return 0
}

type supervisor struct {
	dir   string
	alive *os.File
	task  Task
}

func (s *supervisor) run() error {
	if err := os.Chdir(s.dir); err != nil {
		return err
	}
	unix.CloseOnExec(aliveFD)
	if err := BecomeReaper(); err != nil {
		return err
	}
	var err error
	if s.task, err = Read[Task](".", FileTask); err != nil {
		return err
	}
	if _, err := os.Lstat(FileStop); err == nil {
		return finish(".", s.task, Exit{Code: codeTerminated, Message: "stopped before it started", Ended: time.Now()}, s.alive)
	}
	hold, err := NewHold(".", s.task)
	if err != nil {
		return err
	}
	defer hold.Close()
	if err := s.start(); err != nil {
		return finish(".", s.task, startFailed(err), s.alive)
	}
	if started, err := hold.Started(); err != nil || !started {
		return errors.Join(err, errors.New("runc made a container, but keeps no state of it"))
	}
	f, err := newFollower(".", s.alive, hold)
	if err != nil {
		return err
	}
	defer f.close()
	if err := Write(".", FileRunning, f.running, false); err != nil {
		return err
	}
	f.hint()
	leaveCgroup() // not earlier: the kernel takes its time over it
	exit, err := f.follow(context.Background())
	if err != nil {
		return err
	}
	return f.finish(exit)
}

// finish records the exit, tells the server, and then has runc remove what it keeps.
func finish(dir string, t Task, exit Exit, alive *os.File) error {
	exit.Devices = t.Devices
	if err := writeExit(dir, exit); err != nil {
		return err
	}
	if _, err := alive.Write([]byte{'e'}); err != nil {
		return fmt.Errorf("tell server: %w", err)
	}
	return t.Delete()
}

// writeExit records how a program ended. On a disk that is full it waits for a while: the
// server gives up ballast for this, and what is known here of the end nobody else knows.
func writeExit(dir string, exit Exit) error {
	const patience, pause = 30 * time.Second, 200 * time.Millisecond
	for began := time.Now(); ; time.Sleep(pause) {
		err := Write(dir, FileExit, exit, true)
		if !errors.Is(err, unix.ENOSPC) || time.Since(began) > patience {
			return err
		}
	}
}

// Delete has runc kill and remove whatever there is of the container.
func (t Task) Delete() error {
	if _, err := os.Lstat(filepath.Join(t.Root, t.ID)); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if out, err := exec.Command(t.Runc, "--root", t.Root, "delete", "--force", t.ID).CombinedOutput(); err != nil {
		return fmt.Errorf("runc delete: %w: %s", err, bytes.TrimSpace(out))
	}
	return nil
}

// start makes the container and sets it going.
func (s *supervisor) start() error {
	if err := s.task.mountRoot(); err != nil {
		return err
	}
	if err := s.task.fillSpec(); err != nil {
		return err
	}
	b, err := json.Marshal(withoutQuota(s.task.Spec))
	if err != nil {
		return err
	}
	if err := os.WriteFile("config.json", b, 0o600); err != nil {
		return err
	}
	program, err := os.OpenFile(fileStdio, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer program.Close()
	return s.runc(program)
}

// runc runs "runc run --detach", which returns once the program was started. The
// container's first process then becomes a child of this one.
func (s *supervisor) runc(program *os.File) error {
	const log = "runc.log"
	cmd := exec.Command(s.task.Runc, "--root", s.task.Root, "--log", log, "--log-format", "json",
		"run", "--detach", s.task.ID)
	cmd.Stdout, cmd.Stderr = program, program
	cmd.ExtraFiles = []*os.File{s.alive}
	cmd.Env = append(os.Environ(), "GOGC=off", "GOMAXPROCS=1") // it is over before there is garbage
	err := cmd.Run()
	if err == nil {
		return nil
	}
	if message := lastError(log); message != "" {
		return errors.New(message)
	}
	return fmt.Errorf("runc run: %w", err)
}

// lastError reads the last message from a log of runc.
func lastError(name string) string {
	b, err := os.ReadFile(name)
	if err != nil {
		return ""
	}
	var message string
	for lines := bufio.NewScanner(bytes.NewReader(b)); lines.Scan(); {
		var entry struct{ Level, Msg string }
		if json.Unmarshal(lines.Bytes(), &entry) == nil && entry.Level == "error" {
			message = entry.Msg
		}
	}
	return strings.TrimPrefix(message, "runc run failed: ")
}

// startFailed puts into the words of an exit that the program could not be started.
func startFailed(err error) Exit {
	exit := Exit{Code: codeNotPrepared, Message: "cannot start: " + err.Error(), Ended: time.Now()}
	text := err.Error()
	if !strings.Contains(text, "exec: ") && !strings.Contains(text, "exec failed") {
		return exit
	}
	switch {
	case strings.Contains(text, "not found"), strings.Contains(text, "no such file"):
		exit.Code = codeNotFound
	case strings.Contains(text, "permission denied"):
		exit.Code = codeNotAllowed
	}
	return exit
}

// leaveCgroup moves this process out of the server's cgroup, where a service manager
// would kill it with the server. Where that is not possible, it stays.
func leaveCgroup() {
	for _, root := range []string{"/sys/fs/cgroup", "/sys/fs/cgroup/unified", "/sys/fs/cgroup/systemd"} {
		if _, err := os.Stat(filepath.Join(root, "cgroup.procs")); err != nil {
			continue
		}
		dir := filepath.Join(root, "weft", "supervisors")
		if err := os.MkdirAll(dir, 0o755); err != nil {
			continue
		}
		// A service manager that forbids this has its reasons, and the run goes on.
		_ = os.WriteFile(filepath.Join(dir, "cgroup.procs"), []byte("0"), 0)
	}
}
