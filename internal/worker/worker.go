// Package worker is what runs beside a user's program: on one machine the
// supervisor, a small parent for one container which outlives the server.
//
// # Files of one attempt
//
// The server prepares a directory and starts a supervisor on it. Everything that
// either must know after a crash of the other is in that directory:
//
//	alive      a FIFO, locked (flock) by whoever works on the attempt and open for
//	           writing as long as one does. A server that reads it gets a byte
//	           whenever something changed, and end-of-file when the supervisor is
//	           gone. Runc inherits it, so that it never looks dead while a container
//	           is being made.
//	task.json  what to run; written once
//	stdio      a FIFO: stdout and stderr of the program. The program's end is open
//	           for reading too, so that it is not killed by SIGPIPE when its
//	           supervisor is, but waits until somebody reads on.
//	stop.json  a request to end, made by the server
//	orders     a FIFO on which the supervisor waits for word of a new stop.json
//	running.json, exit.json   written by the supervisor (temporary name, rename)
//
// Whether a container was made is what runc's own state says. So a supervisor that
// dies before that is replaced, and one that dies after it is succeeded by the
// server itself (Adopt), which reads on where it stopped.
package worker

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// Names of the files of one attempt.
const (
	FileAlive   = "alive"
	FileTask    = "task.json"
	FileStop    = "stop.json"
	FileRunning = "running.json"
	FileExit    = "exit.json"

	fileOrders = "orders"
	fileStdio  = "stdio"
)

// Exit codes of programs that did not run, as Docker has them.
const (
	codeNotPrepared = 125
	codeNotAllowed  = 126
	codeNotFound    = 127
	codeTerminated  = 128 + int(unix.SIGTERM)
	codeKilled      = 128 + int(unix.SIGKILL)
)

// A Task is everything that a supervisor needs to know.
type Task struct {
	ID     string      // of the container
	Runc   string      // the program
	Root   string      // where runc keeps its state
	Layers []string    // of the root file system, lowest first
	User   string      // as the image names it
	Spec   *specs.Spec // lacks only what must be looked up in the root file system

	Devices []string // that Spec gives it; repeated in Running and Exit

	StopSignal string // as the image names it, like SIGINT or 2; "" is SIGTERM

	Log         string   // file to append to; its directory exists
	LogLimit    int64    // bytes; 0 is none
	Outputs     []string // directories that the user of the program may write
	OutputLimit int64    // bytes over all outputs; 0 is none
	DiskFloor   int64    // free bytes below which a program that goes on writing is ended; 0 is never
}

// stopSignal is what asks a program to end, by the name that its image has for it. What no
// one knows is SIGTERM, as with Docker.
func stopSignal(name string) unix.Signal {
	name = strings.ToUpper(strings.TrimSpace(name))
	if n, err := strconv.ParseUint(name, 10, 7); err == nil && n > 0 && n <= 64 {
		return unix.Signal(n)
	}
	if name != "" && !strings.HasPrefix(name, "SIG") {
		name = "SIG" + name
	}
	const realTime = 34 // of the C library, which keeps two for itself
	if offset, ok := strings.CutPrefix(name, "SIGRTMIN+"); ok {
		if n, err := strconv.ParseUint(offset, 10, 7); err == nil && n <= 64-realTime {
			return unix.Signal(realTime + n)
		}
	}
	if sig := unix.SignalNum(name); sig != 0 {
		return sig
	}
	return unix.SIGTERM
}

// Running is what is known of a program that was started.
type Running struct {
	PID     int
	Devices []string
	Started time.Time
}

// An Exit tells how a program ended.
type Exit struct {
	Code    int // 128 + the signal if one ended it
	Signal  int
	OOM     bool   // the kernel killed it, or a part of it, for want of memory
	Unknown bool   // it ended while nobody who could learn the code was there
	Message string // why it did not start, or which limit ended it
	Devices []string
	Started time.Time
	Ended   time.Time
}

// A Stop is a request to end.
type Stop struct {
	Asked time.Time
	Grace time.Duration // between SIGTERM (or the image's signal) and SIGKILL; at 0 there is no SIGTERM
}

func (s Stop) deadline() time.Time { return s.Asked.Add(s.Grace) }

// Read reads one of the files of an attempt. The error is fs.ErrNotExist while
// there is none. Some of the files can be written by a program in a container: so a link
// is not followed, and nothing but a regular file of some size is read.
func Read[T any](dir, name string) (T, error) {
	var v T
	b, err := readRegular(filepath.Join(dir, name))
	if err == nil {
		err = json.Unmarshal(b, &v)
	}
	if err != nil {
		return v, fmt.Errorf("read %s: %w", name, err)
	}
	return v, nil
}

// maxFile is far more than any file of an attempt has.
const maxFile = 16 << 20

func readRegular(name string) ([]byte, error) {
	fd, err := unix.Open(name, unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: name, Err: err}
	}
	f := os.NewFile(uintptr(fd), name)
	defer f.Close()
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() {
		return nil, errors.Join(err, fmt.Errorf("%s is not a file", name))
	}
	return io.ReadAll(io.LimitReader(f, maxFile))
}

// Write writes one of the files of an attempt in one step. Durable makes it survive
// a crash of the machine.
func Write(dir, name string, v any, durable bool) error {
	return write(dir, name, v, durable, 0o600)
}

func write(dir, name string, v any, durable bool, mode fs.FileMode) error {
	b, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	tmp, err := os.CreateTemp(dir, "."+name)
	if err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	_, err = tmp.Write(b)
	if err == nil {
		err = tmp.Chmod(mode)
	}
	if err == nil && durable {
		err = tmp.Sync()
	}
	if err = errors.Join(err, tmp.Close()); err == nil {
		err = os.Rename(tmp.Name(), filepath.Join(dir, name))
	}
	if err != nil {
		return errors.Join(fmt.Errorf("write %s: %w", name, err), os.Remove(tmp.Name()))
	}
	return nil
}

// RequestStop leaves a request to end in dir, and tells the supervisor. A request
// that is already there is only ever made more urgent.
func RequestStop(dir string, s Stop) error {
	if changed, err := LeaveStop(dir, s); err != nil || !changed {
		return err
	}
	orders, err := os.OpenFile(filepath.Join(dir, fileOrders), os.O_WRONLY|unix.O_NONBLOCK, 0)
	if errors.Is(err, unix.ENXIO) || errors.Is(err, fs.ErrNotExist) {
		return nil // nobody reads yet; whoever comes looks for the file first
	}
	if err != nil {
		return fmt.Errorf("tell supervisor: %w", err)
	}
	defer orders.Close()
	if _, err := orders.Write([]byte{'s'}); err != nil && !errors.Is(err, unix.EAGAIN) && !errors.Is(err, unix.EPIPE) {
		return fmt.Errorf("tell supervisor: %w", err)
	}
	return nil
}

// LeaveStop leaves a request to end in dir, for whoever is told otherwise. It is not
// changed if the one that is there is no less urgent.
func LeaveStop(dir string, s Stop) (changed bool, err error) {
	if old, err := Read[Stop](dir, FileStop); err == nil && !s.deadline().Before(old.deadline()) {
		return false, nil
	}
	return true, Write(dir, FileStop, s, false)
}

// makeFIFO makes a FIFO unless it is there.
func makeFIFO(name string) error {
	if err := unix.Mkfifo(name, 0o600); err != nil && !errors.Is(err, unix.EEXIST) {
		return fmt.Errorf("make %s: %w", filepath.Base(name), err)
	}
	return nil
}

// Lock takes charge of the attempt in dir. It returns nil if somebody else has it.
// The lock is held until the file, and every copy that was passed to a process, is
// closed.
func Lock(dir string) (*os.File, error) {
	name := filepath.Join(dir, FileAlive)
	if err := makeFIFO(name); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(name, os.O_RDWR, 0)
	if err != nil {
		return nil, fmt.Errorf("lock attempt: %w", err)
	}
	err = control(f, func(fd int) error { return unix.Flock(fd, unix.LOCK_EX|unix.LOCK_NB) })
	if err == nil {
		return f, nil
	}
	f.Close()
	if errors.Is(err, unix.EWOULDBLOCK) {
		return nil, nil
	}
	return nil, fmt.Errorf("lock attempt: %w", err)
}
