package content

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

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

// RemoveWork removes all that an attempt has written and that is not sealed. There
// may be nothing.
func (d *Dir) RemoveWork(a weft.Attempt) error {
	if err := removeTree(filepath.Join(d.path, "work", a.String())); err != nil {
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
	for _, e := range entries {
		if a, err := weft.ParseAttempt(e.Name()); err == nil {
			list = append(list, a)
		}
	}
	return list, nil
}
