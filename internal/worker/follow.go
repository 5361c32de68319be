package worker

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// A follower accompanies a running program to its end.
type follower struct {
	*Hold
	dir     string
	running Running
	alive   *os.File
	log     *os.File
	orders  *os.File

	mu     sync.Mutex
	reason string      // why we killed it; "" if we did not, or were asked to
	term   *time.Timer // when to try again to ask it to end; nil while not asked to
	kill   *time.Timer // the end of the grace
}

// newFollower returns a follower of what h holds, which remains the caller's to close.
func newFollower(dir string, alive *os.File, h *Hold) (_ *follower, err error) {
	f := &follower{dir: dir, alive: alive, Hold: h}
	defer func() {
		if err != nil {
			f.close()
		}
	}()
	f.running = Running{PID: f.state.PID, Devices: h.task.Devices, Started: time.Now()}
	if f.log, err = os.OpenFile(h.task.Log, os.O_CREATE|os.O_WRONLY, 0o600); err != nil {
		return nil, err
	}
	name := filepath.Join(dir, fileOrders)
	if err = makeFIFO(name); err != nil {
		return nil, err
	}
	if f.orders, err = os.OpenFile(name, os.O_RDWR|unix.O_NONBLOCK, 0); err != nil { // for writing too, lest reads end
		return nil, err
	}
	return f, nil
}

func (f *follower) close() {
	for _, file := range []*os.File{f.log, f.orders} {
		if file != nil {
			file.Close()
		}
	}
}

// hint tells a server that reads that something changed. One that does not read
// looks for itself when it comes back.
func (f *follower) hint() {
	_, _ = f.alive.Write([]byte{'r'})
}

// follow returns when the program has ended, all it printed is in the log, and how
// it ended is known; or with ctx's error when that ends first.
func (f *follower) follow(ctx context.Context) (Exit, error) {
	if err := f.task.setQuota(f.state); err != nil && f.process != nil && !ended(f.process) {
		f.exceed("ended because its limits could not be set: " + err.Error())
	}
	over := make(chan struct{})
	var group sync.WaitGroup
	logged := make(chan error, 1)
	group.Go(func() { logged <- pump{f.stdio, f.log, f.task.LogLimit, f.exceed}.run() })
	group.Go(f.obey)
	group.Go(func() { limitOutputs(f.task.Outputs, f.task.OutputLimit, over, f.exceed) })
	group.Go(func() { watchDisk(f.task.Outputs, f.task.Log, f.task.DiskFloor, over, f.exceed) })
	defer group.Wait()
	defer f.orders.Close()

	err := f.await(ctx)
	close(over)
	if err != nil {
		return Exit{}, errors.Join(err, f.stdio.SetReadDeadline(time.Now()))
	}
	exit := f.exit()
	// All processes of the container end with its first, so end-of-file follows at
	// once; unless one has passed its stdout on to a process outside.
	const patience = 2 * time.Second
	if err := f.stdio.SetReadDeadline(time.Now().Add(patience)); err != nil {
		return exit, err
	}
	if err := <-logged; err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
		return exit, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, timer := range []*time.Timer{f.term, f.kill} {
		if timer != nil {
			timer.Stop()
		}
	}
	if f.reason == "" {
		f.reason = overOutputLimit(f.task.Outputs, f.task.OutputLimit)
	}
	if f.reason != "" {
		exit.Message = f.reason
	}
	return exit, nil
}

func (f *follower) await(ctx context.Context) error {
	if f.process == nil {
		return nil
	}
	stop := context.AfterFunc(ctx, func() { f.process.SetReadDeadline(time.Now()) })
	defer stop()
	err := await(f.process)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return err
}

// exit asks how the program ended.
func (f *follower) exit() Exit {
	exit := Exit{Started: f.running.Started, Ended: time.Now()}
	if f.lost {
		exit.Message = "it ended while neither the server nor its supervisor was there: how, and what it printed last, is not known"
	}
	if f.process == nil || f.lost {
		exit.Unknown = true
		return exit
	}
	status, ok := peek(f.process, f.state.PID)
	switch {
	case !ok:
		exit.Unknown = true
	case status.Signaled():
		exit.Signal = int(status.Signal())
		exit.Code = 128 + exit.Signal
	default:
		exit.Code = status.ExitStatus()
	}
	exit.OOM = exit.Code != 0 && f.state.outOfMemory()
	return exit
}

// finish records the exit. Only then may the kernel forget it.
func (f *follower) finish(exit Exit) error {
	err := finish(f.dir, f.task, exit, f.alive)
	// Unless the process is a child of ours, somebody else does this.
	_, _ = unix.Wait4(f.state.PID, nil, unix.WNOHANG, nil)
	return err
}

// exceed kills the program for a reason of ours. The first reason is the one told.
func (f *follower) exceed(reason string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.reason == "" {
		f.reason = reason
	}
	f.send(unix.SIGKILL)
}

// send signals the container's first process. When that is killed the kernel kills
// all the others. It cannot fail but for a process that has ended.
func (f *follower) send(sig unix.Signal) {
	if f.process != nil {
		_ = deliver(f.process, sig)
	}
}

// obey carries out requests to end, those first that were made before it began.
func (f *follower) obey() {
	buf := make([]byte, 16)
	for {
		if stop, err := Read[Stop](f.dir, FileStop); err == nil {
			f.stop(stop)
		}
		if _, err := f.orders.Read(buf); err != nil {
			return
		}
	}
}

func (f *follower) stop(s Stop) {
	f.mu.Lock()
	defer f.mu.Unlock()
	left := time.Until(s.deadline())
	if f.kill != nil {
		f.kill.Stop()
	}
	if left <= 0 {
		f.send(unix.SIGKILL)
		return
	}
	f.kill = time.AfterFunc(left, func() { f.send(unix.SIGKILL) })
	if f.term == nil {
		f.terminate(firstPause)
	}
}

// firstPause and lastPause are the least and the most time between two looks at
// whether the program handles SIGTERM.
const (
	firstPause = 10 * time.Millisecond
	lastPause  = time.Second
)

// terminate sends SIGTERM, or what the image has for it, once the program handles it. Before that it would be lost,
// as the kernel spares the first process of a container what it does not handle; and
// a program that was just started often has not come so far.
func (f *follower) terminate(pause time.Duration) {
	if sig := stopSignal(f.task.StopSignal); sig == unix.SIGKILL || catches(f.state.PID, sig) {
		f.send(sig)
		f.term = time.AfterFunc(0, func() {})
		return
	}
	f.term = time.AfterFunc(pause, func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.terminate(min(2*pause, lastPause))
	})
}
