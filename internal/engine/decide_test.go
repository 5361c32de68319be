package engine

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/weft-dev/weft"
	"github.com/weft-dev/weft/internal/executor"
)

func TestDecide(t *testing.T) {
	t.Parallel()
	began := time.Date(2026, 11, 22, 6, 0, 0, 0, time.UTC)
	now := began.Add(time.Hour)
	for _, c := range []struct {
		name   string
		status weft.Status
		seen   executor.Seen
		want   weft.Status
		exit   *weft.Exit
		reason string
	}{
		{"still pulled", weft.Starting, executor.Seen{State: executor.Pending, Reason: "pulls the image"}, weft.Starting, nil, "pulls the image"},
		{"pod moved", weft.Running, executor.Seen{State: executor.Pending}, weft.Running, nil, ""},
		{"runs", weft.Starting, executor.Seen{State: executor.Running, Started: began}, weft.Running, nil, ""},
		{"still runs", weft.Running, executor.Seen{State: executor.Running, Started: began}, weft.Running, nil, ""},
		{"ended well", weft.Running, executor.Seen{State: executor.Exited}, weft.Completing, &weft.Exit{}, ""},
		{"was quick", weft.Starting, executor.Seen{State: executor.Exited, Started: began}, weft.Completing, &weft.Exit{}, ""},
		{"failed", weft.Running, executor.Seen{State: executor.Exited, Code: 3}, weft.Aborting, &weft.Exit{Code: 3}, ""},
		{"failed at once", weft.Starting, executor.Seen{State: executor.Exited, Code: 3, Started: began}, weft.Aborting, &weft.Exit{Code: 3}, ""},
		{"wraps", weft.Running, executor.Seen{State: executor.Exited, Code: 259}, weft.Aborting, &weft.Exit{Code: 3}, ""},
		{"killed", weft.Running, executor.Seen{State: executor.Exited, Code: 137, Signal: 9}, weft.Aborting,
			&weft.Exit{Code: 137, Message: "killed by signal 9 (killed)"}, ""},
		{"killed, code not told", weft.Running, executor.Seen{State: executor.Exited, Signal: 15}, weft.Aborting,
			&weft.Exit{Code: 143, Message: "killed by signal 15 (terminated)"}, ""},
		{"over a limit", weft.Running, executor.Seen{State: executor.Exited, Code: 137, Signal: 9, Message: "its log grew too large"}, weft.Aborting,
			&weft.Exit{Code: 137, Message: "its log grew too large"}, ""},
		{"out of memory", weft.Running, executor.Seen{State: executor.Exited, Code: 137, Signal: 9, OOM: true}, weft.Aborting,
			&weft.Exit{Code: 137, Message: "out of memory: the kernel killed it at its limit; raise the plan's resource memory and retry"}, ""},
		{"a child out of memory", weft.Running, executor.Seen{State: executor.Exited, OOM: true}, weft.Completing,
			&weft.Exit{Message: "one of its processes was killed for want of memory"}, ""},
		{"lost", weft.Running, executor.Seen{State: executor.Lost, Message: "the machine restarted"}, weft.Aborting,
			&weft.Exit{Code: 254, Message: "the machine restarted"}, ""},
		{"gone", weft.Running, executor.Seen{}, weft.Aborting, &weft.Exit{Code: 254, Message: "the container is gone and left no exit code"}, ""},
		{"gone before it ran", weft.Starting, executor.Seen{}, weft.Aborting, &weft.Exit{Code: 254, Message: "the container is gone and left no exit code"}, ""},
		{"not ours to decide", weft.Completing, executor.Seen{}, weft.Completing, nil, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			r := weft.Run{Status: c.status, Rev: 7}
			if c.status == weft.Running {
				r.StartedAt = began
			}
			got, err := decide(r, c.seen, now)
			if err != nil {
				t.Fatal(err)
			}
			if got.Status != c.want || got.Reason != c.reason {
				t.Errorf("it is %s, %q; want %s, %q", got.Status, got.Reason, c.want, c.reason)
			}
			if d := cmp.Diff(c.exit, got.Exit); d != "" {
				t.Errorf("exit: %s", d)
			}
			if changed := got.Status != r.Status || got.Reason != r.Reason; changed != (got.Rev > r.Rev) {
				t.Errorf("changed %v, but rev went from %d to %d", changed, r.Rev, got.Rev)
			}
			if ran := !c.seen.Started.IsZero() || c.status == weft.Running; ran && !got.StartedAt.Equal(began) {
				t.Errorf("started at %s, want %s", got.StartedAt, began)
			}
		})
	}
}

func TestWhoeverCannotStartIsToldWhatToDo(t *testing.T) {
	t.Parallel()
	missing := weft.Errorf(weft.NotFound, "image trainer:v1 is not in the registry").WithAdvice("push it and retry the run")
	r, err := stuck(weft.Run{Status: weft.Ready}, missing, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	want := &weft.Exit{Code: weft.ExitStuck, Message: "image trainer:v1 is not in the registry; push it and retry the run"}
	if d := cmp.Diff(want, r.Exit); d != "" || r.Status != weft.Aborting {
		t.Errorf("%s: %s", r.Status, d)
	}
	if got := inWords(errors.New("dial tcp 10.0.0.1: refused")); got != "the server could not do it, and its log says why" {
		t.Errorf("an internal error is told as %q", got)
	}
}

func TestBackoffGrowsToAMinute(t *testing.T) {
	t.Parallel()
	var got []time.Duration
	for n := range 9 {
		got = append(got, backoff(n)/time.Second)
	}
	if d := cmp.Diff([]time.Duration{1, 1, 2, 4, 8, 16, 32, 60, 60}, got); d != "" {
		t.Error(d)
	}
}
