package app

import (
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/weft-dev/weft"
)

// A state is the directory of one server. Whoever has opened it is the only server
// on it until he closes it or dies.
type state struct {
	dir  string
	lock *os.File
}

// openState makes the directory where it is missing and takes its lock, which the
// kernel gives back when the process ends, however it ends.
func openState(dir string) (*state, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, weft.Errorf(weft.Invalid, "state directory: %w", err).WithAdvice("choose one with --state")
	}
	if err := os.Chmod(dir, 0o700); err != nil {
		return nil, weft.Errorf(weft.Invalid, "state directory: %w", err)
	}
	lock, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, weft.Errorf(weft.Invalid, "state directory: %w", err)
	}
	if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		holder, _ := os.ReadFile(lock.Name()) // only to say who it is
		_ = lock.Close()                      // the failure to lock is what counts
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, weft.Errorf(weft.Conflict, "another server (process %s) works on %s", strings.TrimSpace(string(holder)), dir).
				WithAdvice("stop it first, or choose another directory with --state")
		}
		return nil, fmt.Errorf("lock %s: %w", dir, err)
	}
	s := &state{dir, lock}
	if err := lighten(s.path("ballast")); err != nil {
		return nil, err
	}
	if err := lock.Truncate(0); err != nil {
		return nil, err
	}
	_, err = lock.WriteAt(fmt.Appendln(nil, os.Getpid()), 0)
	return s, err
}

func (s *state) close() error { return s.lock.Close() }

func (s *state) path(name string) string { return filepath.Join(s.dir, name) }

// keepPrivate makes a file that only the owner of the directory can read, if it is not
// there. SQLite makes those beside its database in the same mode; older ones may have
// another.
func (s *state) keepPrivate(name string) error {
	f, err := os.OpenFile(s.path(name), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return weft.Errorf(weft.Invalid, "state directory: %w", err)
	}
	err = errors.Join(f.Chmod(0o600), f.Close())
	for _, beside := range []string{"-wal", "-shm"} {
		if err2 := os.Chmod(s.path(name+beside), 0o600); err == nil && !errors.Is(err2, fs.ErrNotExist) {
			err = err2
		}
	}
	return err
}

// adminToken returns the administrator's token, which is made at the first start and
// readable for the owner of the directory only.
func (s *state) adminToken() (string, error) {
	name := s.path("admin.token")
	b, err := os.ReadFile(name)
	if err == nil {
		token := strings.TrimSpace(string(b))
		if token == "" {
			return "", weft.Errorf(weft.Invalid, "%s is empty", name).WithAdvice("remove it; the next start makes a new token")
		}
		return token, os.Chmod(name, 0o600)
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("read the administrator's token: %w", err)
	}
	secret := make([]byte, 32)
	rand.Read(secret) // never fails
	token := "weft_" + base64.RawURLEncoding.EncodeToString(secret)
	return token, writeFile(name, []byte(token+"\n"), 0o600)
}

// writeFile replaces a file at once: whoever reads it sees the old or the new text.
func writeFile(name string, text []byte, mode fs.FileMode) error {
	tmp := name + ".new"
	f, err := os.OpenFile(tmp, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, mode)
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	if err == nil {
		err = f.Sync()
	}
	if err2 := f.Close(); err == nil {
		err = err2
	}
	if err == nil {
		err = os.Rename(tmp, name)
	}
	return err
}
