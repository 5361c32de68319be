package content

import (
	"io/fs"
	"os"

	"github.com/weft-dev/weft"
)

func modeOf(exec bool) fs.FileMode {
	if exec {
		return runnable
	}
	return plain
}

// dataItem is content held in memory. It is written under its final name at once: a
// row that is not confirmed says that an object may be cut short.
func dataItem(blob weft.Blob, exec bool, data []byte) item {
	return item{blob: blob, exec: exec, held: int64(len(data)), put: func(name string) error {
		f, err := os.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
		if err != nil {
			return err
		}
		_, err = f.Write(data)
		return finishFile(f, modeOf(exec), err)
	}}
}

// fileItem is content in a file of its own on this file system.
func fileItem(blob weft.Blob, exec bool, tmp string) item {
	return item{
		blob: blob, exec: exec,
		put: func(name string) error {
			if err := os.Chmod(tmp, modeOf(exec)); err != nil {
				return err
			}
			return os.Rename(tmp, name)
		},
		drop: func() { os.Remove(tmp) }, // gone already if it was put; else the next Open removes it
	}
}

// finishFile sets a written file's mode, whatever the umask, and closes it.
func finishFile(f *os.File, mode fs.FileMode, err error) error {
	if err == nil {
		err = f.Chmod(mode)
	}
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		os.Remove(f.Name()) // is replaced later if this fails
	}
	return err
}
