package app

import (
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
)

// TestBallast looks at a ballast of 8 MB while the free space of its disk changes.
func TestBallast(t *testing.T) {
	t.Parallel()
	const piece, reserve = int64(1 << 20), int64(32 << 20)
	var free int64
	b := &ballast{file: filepath.Join(t.TempDir(), "ballast"), size: ballastOf(reserve), log: slog.New(slog.DiscardHandler),
		free: func() (int64, int64, error) { return free, 1 << 30, nil },
		room: func(n int64) error {
			if free-n < reserve {
				return errors.New("no room")
			}
			return nil
		},
	}
	for i, step := range []struct{ free, want int64 }{
		{reserve, 0},           // it does not eat into the reserve
		{reserve + 8*piece, 8}, // made
		{reserve, 8},           // kept below the reserve
		{piece, 8},             // and when little is left
		{piece - 1, 7}, {0, 6}, // given up piece by piece
		{piece, 6},             // as much as it takes
		{reserve + piece, 6},   // not yet whole again
		{reserve + 2*piece, 8}, // whole
		{0, 7}, {0, 6}, {0, 5}, {0, 4}, {0, 3}, {0, 2}, {0, 1}, {0, 0}, {0, 0},
	} {
		free = step.free
		if _, err := b.step(t.Context()); err != nil {
			t.Fatal(err)
		}
		var size int64
		if info, err := os.Stat(b.file); err == nil {
			size = info.Size()
		}
		if size != step.want*piece {
			t.Errorf("step %d: with %d bytes free the ballast has %d bytes, want %d", i, free, size, step.want*piece)
		}
	}
}
