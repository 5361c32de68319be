package content

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/weft-dev/weft"
)

// WorkDir is the directory into which an attempt writes a Data. It lies on the file
// system of the objects, so that Seal need not copy.
func (d *Dir) WorkDir(a weft.Attempt, data weft.DataID) string {
	return filepath.Join(d.path, "work", a.String(), data.String())
}

// MakeWork makes the directory into which an attempt writes a Data, for a user to
// write to. If it is there, its owner and mode are set again.
func (d *Dir) MakeWork(a weft.Attempt, data weft.DataID, uid, gid int, mode fs.FileMode) error {
	dir := d.WorkDir(a, data)
	if err := os.MkdirAll(dir, dirMode); err != nil {
		return fmt.Errorf("make work directory: %w", explainFull(err))
	}
	if err := os.Chown(dir, uid, gid); err != nil {
		return fmt.Errorf("make work directory: %w", err)
	}
	if err := os.Chmod(dir, mode); err != nil {
		return fmt.Errorf("make work directory: %w", err)
	}
	return nil
}

const closedSuffix = ".closed"

// CloseWork moves what an attempt has written to where only Seal looks. A container
// that still runs goes on writing into it; one that is started from now on, by a call
// that was late, writes elsewhere, and can neither change what will be sealed nor what
// was. Closing again changes nothing.
func (d *Dir) CloseWork(a weft.Attempt) error {
	open := filepath.Join(d.path, "work", a.String())
	closed := open + closedSuffix
	_, err := os.Lstat(closed)
	if errors.Is(err, fs.ErrNotExist) {
		if err = os.Rename(open, closed); errors.Is(err, fs.ErrNotExist) {
			err = os.Mkdir(closed, dirMode) // so that what comes later is late
		}
	}
	if err != nil && !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("close work directory: %w", explainFull(err))
	}
	return nil
}

// ClosedDir is where CloseWork has moved the directory of a Data. It does not exist if
// the attempt never came to write.
func (d *Dir) ClosedDir(a weft.Attempt, data weft.DataID) string {
	return filepath.Join(d.path, "work", a.String()+closedSuffix, data.String())
}

// RemoveWork removes all that an attempt has written and that is not sealed. There
// may be nothing.
func (d *Dir) RemoveWork(a weft.Attempt) error {
	open := filepath.Join(d.path, "work", a.String())
	if err := errors.Join(removeTree(open), removeTree(open+closedSuffix)); err != nil {
		return fmt.Errorf("remove work directory: %w", err)
	}
	return nil
}

// ListWork returns the attempts that have work directories.
func (d *Dir) ListWork() ([]weft.Attempt, error) {
	entries, err := os.ReadDir(filepath.Join(d.path, "work"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("list work directories: %w", err)
	}
	var list []weft.Attempt
	for _, e := range entries { // sorted by name: what is closed comes behind what is open
		a, err := weft.ParseAttempt(strings.TrimSuffix(e.Name(), closedSuffix))
		if err == nil && !slices.Contains(list[max(0, len(list)-1):], a) {
			list = append(list, a)
		}
	}
	return list, nil
}
