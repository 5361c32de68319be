package content

import (
	"errors"
	"fmt"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/weft-dev/weft"
)

const (
	maxReserve  = 5_000_000_000
	roomStep    = 64 << 20 // an upload of unknown size looks for room each time so much has come
	bytesInUnit = 1000
)

// SetReserve sets how many bytes are to be left free on the disk. Without it, that is
// the smaller of 5 % of the disk and 5 GB. It is called before any other use.
func (d *Dir) SetReserve(bytes int64) { d.reserve = bytes }

// Free returns the bytes that are free on the disk, the reserve among them, and its size.
func (d *Dir) Free() (free, total int64, err error) { return d.statfs() }

func (d *Dir) statDisk() (free, total int64, err error) {
	var s unix.Statfs_t
	if err := unix.Fstatfs(int(d.handle.Fd()), &s); err != nil {
		return 0, 0, fmt.Errorf("free space: %w", err)
	}
	return int64(s.Bavail) * s.Bsize, int64(s.Blocks) * s.Bsize, nil
}

// Reserved returns how many bytes are kept free on the disk.
func (d *Dir) Reserved() (int64, error) {
	_, total, err := d.Free()
	return d.reserveOf(total), err
}

// reserveOf is the reserve on a disk of that size.
func (d *Dir) reserveOf(total int64) int64 {
	if d.reserve < 0 {
		return min(total/20, maxReserve)
	}
	return d.reserve
}

// Room returns a NoSpace error, in words, if n more bytes would eat into the reserve.
func (d *Dir) Room(n int64) error {
	free, total, err := d.Free()
	if err != nil {
		return err
	}
	reserve := d.reserveOf(total)
	if free-max(n, 0) >= reserve {
		return nil
	}
	e := weft.Errorf(weft.NoSpace, "the disk is full: %s are free, of which %s are kept in reserve", inUnits(free), inUnits(reserve))
	if n > 0 {
		e = weft.Errorf(weft.NoSpace, "the disk has no room for %s more: %s are free, of which %s are kept in reserve",
			inUnits(n), inUnits(free), inUnits(reserve))
	}
	return e.WithAdvice("remove Data and Runs that are not needed any more, or give the server a larger disk")
}

// explainFull makes the file system's own error of a full disk one in words.
func explainFull(err error) error {
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		return weft.Errorf(weft.NoSpace, "the disk is full: %w", err).
			WithAdvice("remove Data and Runs that are not needed any more, or give the server a larger disk")
	}
	return err
}

func inUnits(n int64) string {
	if n < bytesInUnit {
		return fmt.Sprintf("%d B", n)
	}
	v, unit := float64(n), -1
	for v >= bytesInUnit && unit < 4 {
		v /= bytesInUnit
		unit++
	}
	return fmt.Sprintf("%.1f %cB", v, "kMGTP"[unit])
}
