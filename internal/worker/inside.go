package worker

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// Where a container engine mounts what the wrapper of a program needs ("weft worker
// inside"). The program can see them: what is in InsideRun must not be believed more
// than the program itself.
const (
	InsideProgram = "/.weft/weft"
	InsideRun     = "/.weft/run"
	InsideLog     = "/.weft/log" // a file
	insideOut     = "/.weft/out"
)

// InsideOut is where the n-th output is mounted once more, without anything that may be
// mounted within it.
func InsideOut(n int) string { return filepath.Join(insideOut, strconv.Itoa(n)) }

// Names of the files in InsideRun. That of the stop request, FileStop, is the server's,
// too; the others are the wrapper's, in the order in which it writes them.
const (
	FileInside  = "inside.json" // an Inside; the server's
	FileStarted = "started"     // the program was started, or is about to be: never again
	FileHanded  = "handed"      // all that the program wrote belongs to the server
	FileWords   = "worker.log"  // what the wrapper says when it cannot do its work
)

// An Inside is what the wrapper in a container has to do.
type Inside struct {
	User          string // as the image names it
	Args, Env     []string
	Dir           string
	StopSignal    string // as the image names it, like SIGINT or 2; "" is SIGTERM
	Outputs       int
	LogLimit      int64 // bytes; 0 is none
	OutputLimit   int64 // bytes over all outputs; 0 is none
	MemoryLimited bool  // the container's cgroup limits its memory, and counts what that killed
}

// RunInside is the main function of "weft worker inside", the first process of a
// container that an engine such as Docker made. It runs the program, passes its output
// on to the log, carries out requests to stop, and hands what the program wrote over
// to the owner of InsideRun, who need not be root outside. It returns the exit code of
// the program.
//
// If the container is started again, the program is not; only what is left to be
// handed over is.
func RunInside() int {
	w := &wrapper{run: InsideRun, signals: make(chan os.Signal, 16)}
	// At once: a request to stop may have come already.
	signal.Notify(w.signals, unix.SIGTERM, unix.SIGINT, unix.SIGHUP, unix.SIGQUIT, unix.SIGUSR1, unix.SIGUSR2)
	code, err := w.main()
	if err != nil {
		text := fmt.Sprintf("%s %v\n", time.Now().UTC().Format(time.RFC3339), err)
		// Nobody is there whom one could tell that this failed, too.
		_ = os.WriteFile(filepath.Join(w.run, FileWords), []byte(text), 0o644)
	}
	return code
}

// A wrapper is the state of RunInside.
type wrapper struct {
	run     string
	signals chan os.Signal
	owner   owner
	task    Inside
}

func (w *wrapper) main() (int, error) {
	var err error
	if os.Getpid() != 1 { // what it kills in the end are all processes that it sees
		return codeNotPrepared, errors.New("the container has no processes of its own (it must not share those of the machine)")
	}
	w.hide()
	if w.owner, err = ownerOf(w.run); err != nil {
		return codeNotPrepared, err
	}
	if w.task, err = Read[Inside](w.run, FileInside); err != nil {
		return codeNotPrepared, err
	}
	started, err := os.OpenFile(filepath.Join(w.run, FileStarted), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if errors.Is(err, fs.ErrExist) {
		return w.again()
	}
	if err != nil {
		return codeNotPrepared, err
	}
	exit := w.program()
	if err := errors.Join(started.Close(), w.record(exit)); err != nil {
		// The engine knows the code, too.
		return exit.Code, errors.Join(err, w.handOver())
	}
	return exit.Code, w.handOver()
}

// hide keeps the program, which may be root as this process is, from looking into it.
func (w *wrapper) hide() {
	// Where this is not possible, the program can only harm itself.
	_ = unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0)
}

// again is for a container that was started before. How its program ended is what the
// engine knew then, and was recorded by the server.
func (w *wrapper) again() (int, error) {
	if _, err := os.Lstat(filepath.Join(w.run, FileHanded)); err == nil {
		return 0, nil
	}
	return 0, w.handOver()
}

// public is for files that the server, who may be somebody else than root, has to read.
const public = 0o644

// record writes how the program ended.
func (w *wrapper) record(exit Exit) error { return write(w.run, FileExit, exit, true, public) }

// program runs the program to its end.
func (w *wrapper) program() Exit {
	if _, err := os.Lstat(filepath.Join(w.run, FileStop)); err == nil {
		return Exit{Code: codeTerminated, Message: "stopped before it started", Ended: time.Now()}
	}
	p, err := w.start()
	if err != nil {
		return insideFailed(err)
	}
	return p.follow()
}

// insideFailed puts into the words of an exit that the program could not be started.
func insideFailed(err error) Exit {
	exit := Exit{Code: codeNotPrepared, Message: "cannot start: " + err.Error(), Ended: time.Now()}
	var failed *execError
	if errors.As(err, &failed) {
		exit.Code = codeNotAllowed
		if errors.Is(err, fs.ErrNotExist) {
			exit.Code = codeNotFound
		}
	}
	return exit
}

// An execError says that the program itself could not be executed.
type execError struct {
	program string
	err     error
}

func (e *execError) Error() string { return fmt.Sprintf("exec %q: %v", e.program, e.err) }
func (e *execError) Unwrap() error { return e.err }

// An owner is whom everything belongs to that the program leaves.
type owner struct{ uid, gid int }

func ownerOf(dir string) (owner, error) {
	var s unix.Stat_t
	if err := unix.Stat(dir, &s); err != nil {
		return owner{}, &fs.PathError{Op: "stat", Path: dir, Err: err}
	}
	return owner{int(s.Uid), int(s.Gid)}, nil
}

// handOver makes everything that the program may have left the owner's, and readable
// for him. Nothing of the program runs any more.
func (w *wrapper) handOver() error {
	dirs := []string{w.run}
	for i := range w.task.Outputs {
		dirs = append(dirs, InsideOut(i))
	}
	var errs []error
	for _, dir := range dirs {
		errs = append(errs, w.owner.take(dir))
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("hand over what the program wrote: %w", err)
	}
	return os.WriteFile(filepath.Join(w.run, FileHanded), nil, 0o644)
}

// take gives a directory with all that is in it to the owner. Even what belongs to him
// already: changing the owner also takes away set-id bits and capabilities of files,
// which only root may.
func (o owner) take(dir string) error {
	return filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if err := os.Lchown(name, o.uid, o.gid); err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil || d.Type()&fs.ModeSymlink != 0 {
			return err
		}
		need := fs.FileMode(0o400)
		if d.IsDir() {
			need = 0o700
		}
		if mode := info.Mode().Perm(); mode&need != need {
			return os.Chmod(name, mode|need)
		}
		return nil
	})
}
