package runc

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"github.com/weft-dev/weft"
	"github.com/weft-dev/weft/internal/executor"
	"github.com/weft-dev/weft/internal/worker"
)

// Logs reads the log file, and with follow waits for more of it.
func (e *Executor) Logs(ctx context.Context, a weft.Attempt, follow bool) (io.ReadCloser, error) {
	task, err := worker.Read[worker.Task](e.dir(a), worker.FileTask)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, weft.Errorf(weft.NotFound, "run %s has no log", a.Run)
	}
	if err != nil {
		return nil, err
	}
	file, err := os.Open(task.Log)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, weft.Errorf(weft.NotFound, "run %s has no log yet", a.Run)
	}
	if err != nil {
		return nil, fmt.Errorf("open log: %w", err)
	}
	if !follow {
		return file, nil
	}
	return e.growth.Follow(ctx, file, &e.hints, a, func() bool {
		s := e.look(a).State
		return s != executor.Pending && s != executor.Running
	})
}
