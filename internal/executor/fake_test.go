package executor_test

import (
	"context"
	"io"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/weft-dev/weft"
	"github.com/weft-dev/weft/internal/executor"
)

func attempt() weft.Attempt { return weft.Attempt{Run: weft.NewID[weft.Run](), Number: 1} }

// places keeps work directories below a directory, and has no trees.
type places struct{ dir string }

func (p places) Work(a weft.Attempt, d weft.DataID) string {
	return filepath.Join(p.dir, a.String(), d.String())
}

func (p places) Tree(context.Context, weft.Digest) (string, error) { return p.dir, nil }

func TestFakeScript(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := places{t.TempDir()}
		f := executor.NewFake(executor.FakeOptions{Places: p})
		a, out, log := attempt(), weft.NewID[weft.Data](), weft.NewID[weft.Data]()
		changed := make(chan weft.Attempt, 1)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		go f.Watch(ctx, changed)
		synctest.Wait()

		start := time.Now()
		err := f.Start(ctx, executor.Job{
			Attempt: a, Entrypoint: []string{"exit", "3"}, Args: []string{"after", "2h", "write", "/out/a/b=hello", "print", "text"},
			Outputs: []executor.Output{{Path: "/out", Data: out}}, Log: log,
		})
		if err != nil {
			t.Fatal(err)
		}
		<-changed
		if seen, err := f.Observe(ctx, a); err != nil || seen.State != executor.Running {
			t.Fatalf("seen %+v, %v; want running", seen, err)
		}
		r, err := f.Logs(ctx, a, true)
		if err != nil {
			t.Fatal(err)
		}
		printed, err := io.ReadAll(r)
		if err != nil || string(printed) != "text\n" {
			t.Fatalf("log %q, %v", printed, err)
		}
		if got := time.Since(start); got != 2*time.Hour {
			t.Errorf("ended after %s", got)
		}
		<-changed
		if seen, _ := f.Observe(ctx, a); seen.State != executor.Exited || seen.Code != 3 || seen.Ended.Sub(seen.Started) != 2*time.Hour {
			t.Errorf("seen %+v; want exit 3 after 2h", seen)
		}
		for file, want := range map[string]string{filepath.Join(p.Work(a, out), "a/b"): "hello", filepath.Join(p.Work(a, log), executor.LogFile): "text\n"} {
			if got, err := os.ReadFile(file); err != nil || string(got) != want {
				t.Errorf("%s: %q, %v; want %q", file, got, err, want)
			}
		}
	})
}

func TestFakeNoOp(t *testing.T) {
	t.Parallel()
	f := executor.NewFake(executor.FakeOptions{NoOp: true})
	a := attempt()
	if err := f.Start(t.Context(), executor.Job{Attempt: a, Args: []string{"whatever"}}); err != nil {
		t.Fatal(err)
	}
	if seen, err := f.Observe(t.Context(), a); err != nil || seen.State != executor.Exited || seen.Code != 0 {
		t.Errorf("seen %+v, %v; want exit 0", seen, err)
	}
}

func TestParseScript(t *testing.T) {
	t.Parallel()
	for _, words := range [][]string{{"jump"}, {"exit"}, {"exit", "x"}, {"write", "/out/a"}, {"after", "soon"}} {
		if _, err := executor.ParseScript(words); weft.KindOf(err) != weft.Invalid {
			t.Errorf("%q: %v; want an Invalid error", words, err)
		}
	}
}
