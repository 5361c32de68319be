package worker

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"
)

// A state is what runc records of a container it made.
type state struct {
	PID     int               `json:"init_process_pid"`
	Start   uint64            `json:"init_process_start"` // in clock ticks since boot
	Cgroups map[string]string `json:"cgroup_paths"`       // by controller; "" on version 2
}

// readState returns nil if runc has made no container, or has not set its program
// going: the FIFO on which the container's first process waits is still there then.
func (t Task) readState() (*state, error) {
	dir := filepath.Join(t.Root, t.ID)
	b, err := os.ReadFile(filepath.Join(dir, "state.json"))
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read runc's state: %w", err)
	}
	if _, err := os.Lstat(filepath.Join(dir, "exec.fifo")); err == nil {
		return nil, nil
	}
	var s state
	if err := json.Unmarshal(b, &s); err != nil {
		return nil, fmt.Errorf("read runc's state: %w", err)
	}
	return &s, nil
}

// open returns a handle on the container's first process, or nil if that is gone.
func (s *state) open() (*os.File, error) {
	fd, err := unix.PidfdOpen(s.PID, unix.PIDFD_NONBLOCK)
	if errors.Is(err, unix.ESRCH) || errors.Is(err, unix.EINVAL) { // EINVAL: the number is a thread's now
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("open process %d: %w", s.PID, err)
	}
	process := os.NewFile(uintptr(fd), "pidfd")
	if start, err := startTime(s.PID); err != nil || start != s.Start { // the number was given to another process
		process.Close()
		return nil, nil
	}
	return process, nil
}

// startTime reads when a process began: the 22nd field of its stat, counted from
// after the name, which may contain anything.
func startTime(pid int) (uint64, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, err
	}
	_, rest, _ := strings.Cut(string(b[strings.LastIndexByte(string(b), ')')+1:]), " ")
	fields := strings.Fields(rest)
	const nth = 22 - 3
	if len(fields) <= nth {
		return 0, fmt.Errorf("stat of process %d is short", pid)
	}
	return strconv.ParseUint(fields[nth], 10, 64)
}

// deliver sends sig to the process. One that has ended gets none.
func deliver(process *os.File, sig unix.Signal) error {
	err := control(process, func(fd int) error { return unix.PidfdSendSignal(fd, sig, nil, 0) })
	if errors.Is(err, unix.ESRCH) {
		return nil
	}
	return err
}

// catches reports whether the program that a process is to run has a handler for
// sig. Before the program, runc itself is there, whose handlers do not count.
func catches(pid int, sig unix.Signal) bool {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return true // it has ended, or is ending
	}
	for line := range strings.Lines(string(b)) {
		if strings.HasPrefix(line, "Name:\trunc:[") {
			return false
		}
		if text, ok := strings.CutPrefix(line, "SigCgt:"); ok {
			set, err := strconv.ParseUint(strings.TrimSpace(text), 16, 64)
			return err != nil || set&(1<<(sig-1)) != 0
		}
	}
	return true
}

// control calls do with f's descriptor. (File.Fd would make f block.)
func control(f *os.File, do func(fd int) error) error {
	conn, err := f.SyscallConn()
	if err != nil {
		return err
	}
	var failed error
	err = conn.Control(func(fd uintptr) { failed = do(int(fd)) })
	return errors.Join(err, failed)
}

// await waits until the process has ended or process has been closed.
func await(process *os.File) error {
	conn, err := process.SyscallConn()
	if err != nil {
		return fmt.Errorf("wait for process: %w", err)
	}
	var failed error
	err = conn.Read(func(fd uintptr) bool {
		polled := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
		n, err := unix.Poll(polled, 0)
		if err != nil && !errors.Is(err, unix.EINTR) {
			failed = err
			return true
		}
		return n > 0
	})
	if err = errors.Join(err, failed); err != nil {
		return fmt.Errorf("wait for process: %w", err)
	}
	return nil
}

// ended reports whether the process has ended.
func ended(process *os.File) bool {
	over := false
	err := control(process, func(fd int) error {
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, 0)
		over = n > 0
		return err
	})
	return err != nil || over
}

// peek returns how an ended process ended, and leaves it to be reaped. If it is not a
// child of ours, its parent reaps it, and only kernels from 6.15 on then still know;
// ok is false if not.
func peek(process *os.File, pid int) (status unix.WaitStatus, ok bool) {
	var child struct {
		signo, errno, code, _ int32
		pid, uid, status      int32
		_                     [100]byte // a siginfo_t has 128 bytes
	}
	err := unix.Waitid(unix.P_PID, pid, (*unix.Siginfo)(unsafe.Pointer(&child)), unix.WEXITED|unix.WNOWAIT, nil)
	if err == nil && child.pid == int32(pid) {
		const exited = 1 // CLD_EXITED; the others are signals
		if child.code == exited {
			return unix.WaitStatus(child.status << 8), true
		}
		return unix.WaitStatus(child.status), true
	}
	const patience = 2000 // milliseconds for the parent to reap it
	info := unix.PidfdInfo{Mask: unix.PIDFD_INFO_EXIT}
	err = control(process, func(fd int) error {
		if _, err := unix.Poll([]unix.PollFd{{Fd: int32(fd)}}, patience); err != nil {
			return err
		}
		return unix.IoctlPidfdInfo(fd, &info)
	})
	if err != nil || info.Mask&unix.PIDFD_INFO_EXIT == 0 {
		return 0, false
	}
	return unix.WaitStatus(info.Exit_code), true
}

// outOfMemory reports whether the kernel killed something in the container because
// its memory was used up. The cgroup must still be there.
func (s *state) outOfMemory() bool {
	if dir, ok := s.Cgroups["memory"]; ok { // version 1, where "" may be the hierarchy beside it
		return counter(filepath.Join(dir, "memory.oom_control"), "oom_kill") > 0
	}
	dir, ok := s.Cgroups[""]
	return ok && counter(filepath.Join(dir, "memory.events"), "oom_kill") > 0
}

// counter reads a number from a file with a name and a number on each line.
func counter(file, name string) int64 {
	b, err := os.ReadFile(file)
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(b)) {
		if text, ok := strings.CutPrefix(strings.TrimSpace(line), name+" "); ok {
			n, err := strconv.ParseInt(text, 10, 64)
			if err == nil {
				return n
			}
		}
	}
	return 0
}
