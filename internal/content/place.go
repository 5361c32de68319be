package content

import (
	"io/fs"
	"os"

	"golang.org/x/sys/unix"

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
		return writeNew(name, modeOf(exec), data)
	}}
}

// writeNew writes a file that is not there yet. Of a Data of many small files each takes
// hardly longer than its system calls do, hence no *os.File, which makes more of them.
func writeNew(name string, mode fs.FileMode, data []byte) error {
	fd, err := unix.Open(name, unix.O_CREAT|unix.O_EXCL|unix.O_WRONLY|unix.O_CLOEXEC, uint32(mode))
	for err == unix.EINTR {
		fd, err = unix.Open(name, unix.O_CREAT|unix.O_EXCL|unix.O_WRONLY|unix.O_CLOEXEC, uint32(mode))
	}
	if err != nil {
		return &fs.PathError{Op: "create", Path: name, Err: err}
	}
	err = writeAll(fd, data)
	var s unix.Stat_t
	if err == nil {
		err = unix.Fstat(fd, &s)
	}
	if err == nil && s.Mode&0o777 != uint32(mode) { // the umask
		err = unix.Fchmod(fd, uint32(mode))
	}
	if closeErr := unix.Close(fd); err == nil {
		err = closeErr
	}
	if err != nil {
		os.Remove(name) // is replaced later if this fails
		return &fs.PathError{Op: "write", Path: name, Err: err}
	}
	return nil
}

func writeAll(fd int, data []byte) error {
	for len(data) > 0 {
		n, err := unix.Write(fd, data)
		if err != nil && err != unix.EINTR {
			return err
		}
		data = data[max(n, 0):]
	}
	return nil
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
