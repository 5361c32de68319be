package executor_test

import (
	"testing"

	"github.com/weft-dev/weft"
	"github.com/weft-dev/weft/internal/executor"
	"github.com/weft-dev/weft/internal/executor/exectest"
)

// fakeWorld is a Fake, which outlives servers.
type fakeWorld struct {
	exectest.WorkPlaces
	fake *executor.Fake
}

func (w *fakeWorld) Open(testing.TB) executor.Executor { return w.fake }

func (w *fakeWorld) Image(_ testing.TB, i exectest.Image) weft.Digest { return weft.Digest{1} }

func (w *fakeWorld) Containers() bool { return false }

func TestFakeIsAnExecutor(t *testing.T) {
	t.Parallel()
	exectest.Run(t, func(t *testing.T) exectest.World {
		places := exectest.WorkPlaces{Dir: t.TempDir()}
		return &fakeWorld{places, executor.NewFake(executor.FakeOptions{Places: places})}
	})
}
