package store

import (
	"context"
	"errors"
	"path/filepath"
	"testing"

	"github.com/weft-dev/weft"
)

// openLite opens a Store for tests of what is inside.
func openLite(t *testing.T) *Store {
	t.Helper()
	s, err := Open(t.Context(), "sqlite:"+filepath.Join(t.TempDir(), "weft.db"), Options{NoSync: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// batchOf runs functions as one batch and returns their errors, and how often each ran.
func batchOf(s *Store, fns ...func(ctx context.Context, t *tx) error) (errs []error, times []int) {
	jobs := make([]*job, len(fns))
	times = make([]int, len(fns))
	for i, fn := range fns {
		jobs[i] = &job{done: make(chan struct{}), fn: func(ctx context.Context, t *tx) error {
			times[i]++
			return fn(ctx, t)
		}}
	}
	s.writer.run(0, jobs)
	for _, j := range jobs {
		errs = append(errs, j.err)
	}
	return errs, times
}

func TestBatchSparesOthers(t *testing.T) {
	t.Parallel()
	s := openLite(t)
	add := func(name string) func(ctx context.Context, t *tx) error {
		return func(ctx context.Context, t *tx) error {
			_, err := t.exec(ctx, "INSERT INTO project (id, name) VALUES ($1, $2)", weft.NewID[weft.Project](), name)
			return err
		}
	}
	refusal := errors.New("refused before anything was written")
	broken := errors.New("refused after something was written")
	errs, times := batchOf(s, add("one"),
		func(context.Context, *tx) error { return refusal }, add("two"))
	if errs[0] != nil || !errors.Is(errs[1], refusal) || errs[2] != nil {
		t.Errorf("errors are %v", errs)
	}
	if times[0] != 1 || times[1] != 1 || times[2] != 1 {
		t.Errorf("a refusal that wrote nothing had the functions run %v times", times)
	}
	errs, times = batchOf(s, add("three"), func(ctx context.Context, t *tx) error {
		if err := add("lost")(ctx, t); err != nil {
			return err
		}
		return broken
	}, add("four"), add("one"))
	if errs[0] != nil || !errors.Is(errs[1], broken) || errs[2] != nil || weft.KindOf(explain(errs[3])) != weft.Conflict {
		t.Errorf("errors are %v", errs)
	}
	if times[0] != 2 || times[2] != 1 { // rolled back with the batch; not yet run then
		t.Errorf("the functions were run %v times", times)
	}
	var names []string
	err := s.read(t.Context(), func(t *tx) error {
		return t.rows(context.Background(), func(r scanner) error {
			var name string
			err := r.Scan(&name)
			names = append(names, name)
			return err
		}, "SELECT name FROM project ORDER BY name")
	})
	if err != nil || len(names) != 4 {
		t.Errorf("committed were %v (%v), want one, two, three and four", names, err)
	}
}

func TestWriterHeedsContext(t *testing.T) {
	t.Parallel()
	s := openLite(t)
	hold, held := make(chan struct{}), make(chan struct{})
	first := make(chan error)
	go func() {
		first <- s.write(context.Background(), func(context.Context, *tx) error {
			close(held)
			<-hold
			return nil
		})
	}()
	<-held
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	err := s.write(ctx, func(context.Context, *tx) error {
		t.Error("a function whose caller had gone was run")
		return nil
	})
	if weft.KindOf(err) != weft.Canceled {
		t.Errorf("the caller that had gone got %v", err)
	}
	close(hold)
	if err := <-first; err != nil {
		t.Error(err)
	}
}

func TestClosedStoreRefuses(t *testing.T) {
	t.Parallel()
	s, err := Open(t.Context(), "sqlite:"+filepath.Join(t.TempDir(), "weft.db"), Options{NoSync: true})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	err = s.write(t.Context(), func(context.Context, *tx) error { return nil })
	if weft.KindOf(err) != weft.Unavailable {
		t.Errorf("writing to a closed store gives %v", err)
	}
}
