package worker

import (
	"fmt"
	"io/fs"
	"path/filepath"
	"time"
)

// limitOutputs has the program killed when the outputs in dirs have grown too large. It
// looks once a second, and less often when looking takes long.
func limitOutputs(dirs []string, limit int64, ended <-chan struct{}, exceed func(reason string)) {
	if limit <= 0 {
		return
	}
	const (
		pause = time.Second
		share = 50 // looking takes at most this part of the time
	)
	timer := time.NewTimer(pause)
	defer timer.Stop()
	for {
		select {
		case <-ended:
			return
		case <-timer.C:
		}
		start := time.Now()
		if reason := overOutputLimit(dirs, limit); reason != "" {
			exceed(reason)
			return
		}
		timer.Reset(max(pause, share*time.Since(start)))
	}
}

// overOutputLimit returns "" unless the outputs are too large.
func overOutputLimit(dirs []string, limit int64) string {
	if limit <= 0 || usage(dirs) <= limit {
		return ""
	}
	return fmt.Sprintf("ended because its outputs exceeded the limit of %d bytes", limit)
}

// usage adds up the sizes of the files in dirs: their apparent size, as that is what
// they have once sealed, and each hard link for itself. What vanishes meanwhile does
// not count.
func usage(dirs []string) int64 {
	var total int64
	for _, dir := range dirs {
		_ = filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
			if err != nil || !d.Type().IsRegular() {
				return nil
			}
			if info, err := d.Info(); err == nil {
				total += info.Size()
			}
			return nil
		})
	}
	return total
}
