package engine

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/weft-dev/weft"
)

func TestLoopStepsWhileThereIsMoreThenWaits(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		wake := newSignal()
		ctx, cancel := context.WithCancel(t.Context())
		var at []time.Duration
		step := func(context.Context) (bool, error) {
			at = append(at, time.Since(began)/time.Second)
			switch len(at) {
			case 1, 2:
				return true, nil
			case 4:
				time.AfterFunc(3*time.Second, wake.set)
			case 5:
				return false, errors.New("no connection")
			case 7:
				cancel()
			}
			return false, nil
		}
		if err := Loop(ctx, slog.New(slog.DiscardHandler), 10*time.Second, wake, step); err != nil {
			t.Error(err)
		}
		// at once, at once, after the pause, when woken, after an error, after the pause
		if d := cmp.Diff([]time.Duration{0, 0, 0, 10, 13, 13, 23}, at); d != "" {
			t.Error(d)
		}
	})
}

func TestGroupGathersWhileACallIsUnderWay(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var calls [][]int
		g := newGroup(3, func(_ context.Context, keys []int) ([]int, error) {
			calls = append(calls, keys)
			time.Sleep(time.Second)
			doubled := make([]int, len(keys))
			for i, k := range keys {
				doubled[i] = 2 * k
			}
			return doubled, nil
		})
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		go g.run(ctx)
		for k := range 6 {
			time.Sleep(time.Millisecond)
			go func() {
				if v, err := g.Do(ctx, k); v != 2*k || err != nil {
					t.Errorf("%d gives %d, %v", k, v, err)
				}
			}()
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if d := cmp.Diff([][]int{{0}, {1, 2, 3}, {4, 5}}, calls); d != "" {
			t.Error(d)
		}
	})
}

func TestWhoeverAsksForAnImageSharesAnAnswerThatIsNotOlder(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		asked := 0
		s := images{shared: map[imageKey]*resolving{}, resolve: func(ctx context.Context, _ weft.ProjectID, _ weft.Image) (weft.Digest, error) {
			asked++
			d := weft.Digest{byte(asked)}
			select {
			case <-time.After(time.Minute):
				return d, nil
			case <-ctx.Done():
				return weft.Digest{}, ctx.Err()
			}
		}}
		got := make([]byte, 5)
		ask := func(ctx context.Context, n int) {
			d, err := s.Do(ctx, imageKey{image: weft.Image{Repository: "lab/trainer", Tag: "v1"}})
			if (err != nil) != (ctx.Err() != nil) {
				t.Errorf("%d gets %v", n, err)
			}
			got[n] = d[0]
		}
		stopped, stop := context.WithCancel(t.Context())
		go ask(t.Context(), 0)
		time.Sleep(time.Second)
		go ask(stopped, 1) // asks for those who share the second answer, until it is stopped
		time.Sleep(time.Second)
		go ask(t.Context(), 2)
		go ask(t.Context(), 3)
		time.Sleep(time.Minute + 30*time.Second)
		stop()
		time.Sleep(time.Hour)
		ask(t.Context(), 4)
		synctest.Wait()
		slices.Sort(got[2:4]) // of these two, one asks anew, and the other after him
		if d := cmp.Diff([]byte{1, 0, 3, 4, 5}, got); d != "" {
			t.Error(d)
		}
		if len(s.shared) > 0 {
			t.Error("something is left of what was shared")
		}
	})
}
