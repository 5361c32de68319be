package worker

import (
	"fmt"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// A disk that is about to be full is no reason to end whoever happens to run. But a
// program that goes on writing then takes the room that all others, and the records of how
// they end, need; so it is ended for that reason. Each supervisor sees to its own program.

// watchDisk has the program killed when what it writes grows while less than floor bytes
// are free. It looks once a second; at the disk only, as long as there is room.
func watchDisk(dirs []string, log string, floor int64, ended <-chan struct{}, exceed func(reason string)) {
	if floor <= 0 {
		return
	}
	const pause = time.Second
	tick := time.NewTicker(pause)
	defer tick.Stop()
	had := int64(-1) // what it had written when the disk was seen to be full
	for {
		select {
		case <-ended:
			return
		case <-tick.C:
		}
		free, err := freeAt(filepath.Dir(log))
		if err != nil || free >= floor {
			had = -1
			continue
		}
		has := usage(dirs) + sizeOf(log)
		if had >= 0 && has > had {
			exceed(fmt.Sprintf("ended because the disk is full, and it went on writing: %d bytes more, with %d bytes free", has-had, free))
			return
		}
		had = has
	}
}

func freeAt(dir string) (int64, error) {
	var disk unix.Statfs_t
	if err := unix.Statfs(dir, &disk); err != nil {
		return 0, fmt.Errorf("look at disk: %w", err)
	}
	return int64(disk.Bavail) * disk.Bsize, nil
}

func sizeOf(file string) int64 {
	info, err := os.Stat(file)
	if err != nil {
		return 0
	}
	return info.Size()
}
