package docker

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/weft-dev/weft"
	"github.com/weft-dev/weft/internal/executor"
	"github.com/weft-dev/weft/internal/worker"
)

const (
	fileJob = "job.json"
	dirRun  = "run"
)

func (e *Executor) dir(a weft.Attempt) string { return filepath.Join(e.runs, a.String()) }

func (e *Executor) run(a weft.Attempt) string { return filepath.Join(e.dir(a), dirRun) }

// The marks that the wrapper leaves. A program that makes them unreadable gets its
// container started again, whose wrapper then makes everything readable.
func (e *Executor) handed(a weft.Attempt) bool { return e.mark(a, worker.FileHanded) == nil }
func (e *Executor) started(a weft.Attempt) bool {
	return !errors.Is(e.mark(a, worker.FileStarted), fs.ErrNotExist)
}

// ended reports whether the end was recorded.
func (e *Executor) ended(a weft.Attempt) bool {
	_, err := worker.Read[worker.Exit](e.run(a), worker.FileExit)
	return err == nil
}

func (e *Executor) mark(a weft.Attempt, name string) error {
	_, err := os.Lstat(filepath.Join(e.run(a), name))
	return err
}

// attempts lists the directories.
func (e *Executor) attempts() ([]weft.Attempt, error) { return executor.AttemptsIn(e.runs) }

// openRegular opens a file that a program may have put there: it follows no link, and
// opens nothing else, such as a named pipe, on which one could wait for ever.
func openRegular(name string) (*os.File, error) {
	fd, err := unix.Open(name, unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: name, Err: err}
	}
	f := os.NewFile(uintptr(fd), name)
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() {
		return nil, errors.Join(err, fmt.Errorf("%s is not a file", name), f.Close())
	}
	return f, nil
}

// makeFile makes an empty file unless it is there.
func makeFile(name string) error {
	f, err := os.OpenFile(name, os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	return f.Close()
}

// programName begins the names of copies of the program.
const programName = "weft-"

// copyProgram puts a copy of the program into dir, under the digest of what is in it:
// containers that run keep theirs when the server is replaced by a newer one. Copies that
// nothing can use any more are removed when the last attempt is gone.
func copyProgram(name, dir string) (string, error) {
	if name == "" {
		name = "/proc/self/exe" // this program, even after its file was replaced
	}
	from, err := os.Open(name)
	if err != nil {
		return "", fmt.Errorf("copy program: %w", err)
	}
	defer from.Close()
	tmp, err := os.CreateTemp(dir, ".program")
	if err != nil {
		return "", fmt.Errorf("copy program: %w", err)
	}
	h := sha256.New()
	_, err = io.Copy(io.MultiWriter(tmp, h), from)
	if err == nil {
		err = tmp.Chmod(0o755)
	}
	if err == nil {
		err = tmp.Sync()
	}
	err = errors.Join(err, tmp.Close())
	to := filepath.Join(dir, programName+hex.EncodeToString(h.Sum(nil))[:16])
	if err == nil {
		err = os.Rename(tmp.Name(), to)
	}
	if err != nil {
		return "", errors.Join(fmt.Errorf("copy program: %w", err), os.Remove(tmp.Name()))
	}
	return to, removeOldPrograms(dir, to)
}

// removeOldPrograms removes copies of other versions, unless there are attempts.
func removeOldPrograms(dir, keep string) error {
	attempts, err := os.ReadDir(filepath.Join(dir, "attempts"))
	if err != nil || len(attempts) > 0 {
		return err
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, entry := range entries {
		name := filepath.Join(dir, entry.Name())
		old := strings.HasPrefix(entry.Name(), programName) || strings.HasPrefix(entry.Name(), ".program")
		if old && name != keep {
			if err := os.Remove(name); err != nil {
				return fmt.Errorf("remove old program: %w", err)
			}
		}
	}
	return nil
}

// conclude records the end of an attempt that the wrapper could not record.
func (e *Executor) conclude(a weft.Attempt, exit worker.Exit) error {
	return worker.Write(e.run(a), worker.FileExit, exit, true)
}
