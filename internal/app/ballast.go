package app

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// A ballast is a file that is given up, piece by piece, when the disk has almost no byte
// left: so that how Runs end can be recorded even when one of them fills the disk to its
// last byte. It goes in pieces because whoever filled the disk may go on doing so.
type ballast struct {
	file string
	size int64                               // when it is whole; 0: it is not to be kept
	free func() (free, total int64, _ error) // of the disk
	room func(n int64) error                 // nil if n more bytes leave the reserve whole
	log  *slog.Logger
}

const (
	ballastMost   = 64 << 20
	ballastPieces = 8
	ballastEvery  = time.Second // how often the disk is looked at
)

// ballastOf is the size of the ballast on a disk with that reserve.
func ballastOf(reserve int64) int64 { return min(ballastMost, reserve/4) }

// step gives up a piece if the disk is full, and makes the ballast whole again once
// there is room for it beside the reserve.
func (b *ballast) step(context.Context) (more bool, err error) {
	var left int64
	info, err := os.Stat(b.file)
	switch {
	case err == nil:
		left = info.Size()
	case !errors.Is(err, fs.ErrNotExist):
		return false, fmt.Errorf("ballast: %w", err)
	}
	if b.size == 0 {
		return false, b.cut(left, 0)
	}
	free, _, err := b.free()
	if err != nil {
		return false, err
	}
	piece := b.size / ballastPieces
	switch {
	case free < piece && left > 0:
		b.log.Warn("the disk is full to the last; ballast is given up so that runs can be recorded", "free", free, "left", max(0, left-piece))
		return false, b.cut(left, max(0, left-piece))
	case left < b.size && b.room(b.size-left) == nil:
		return false, b.fill()
	}
	return false, nil
}

// startNeeds is how much a server has to write before it can look after its ballast.
const startNeeds = 1 << 20

// lighten gives up half of a ballast if a server could not start otherwise.
func lighten(file string) error {
	info, err := os.Stat(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	var disk unix.Statfs_t
	if err == nil {
		err = unix.Statfs(file, &disk)
	}
	if err == nil && int64(disk.Bavail)*disk.Bsize < startNeeds {
		err = os.Truncate(file, info.Size()/2)
	}
	if err != nil {
		return fmt.Errorf("give up ballast: %w", err)
	}
	return nil
}

func (b *ballast) cut(from, to int64) error {
	if from == to {
		return nil
	}
	if err := os.Truncate(b.file, to); err != nil {
		return fmt.Errorf("give up ballast: %w", err)
	}
	return nil
}

// fill makes the file whole, of blocks that are really taken.
func (b *ballast) fill() error {
	f, err := os.OpenFile(b.file, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return fmt.Errorf("take ballast: %w", err)
	}
	err = unix.Fallocate(int(f.Fd()), 0, 0, b.size)
	if errors.Is(err, unix.EOPNOTSUPP) {
		b.log.Warn("this file system cannot set space aside; the reserve alone has to do", "file", b.file)
		b.size, err = 0, nil
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("take ballast: %w", err)
	}
	return nil
}
