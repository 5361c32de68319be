package content

import (
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
)

// TestSyncIsShared lets many wait while one sync runs: one more serves them all.
func TestSyncIsShared(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var syncs atomic.Int64
		gate := make(chan struct{})
		s := syncer{sync: func() error { <-gate; return []error{nil, errBroken, nil}[syncs.Add(1)-1] }}
		first := make(chan error, 1)
		go func() { first <- s.wait() }()
		synctest.Wait() // it runs
		var wg sync.WaitGroup
		var failed atomic.Int64
		for range 100 {
			wg.Go(func() {
				if errors.Is(s.wait(), errBroken) {
					failed.Add(1)
				}
			})
		}
		synctest.Wait()
		gate <- struct{}{}
		gate <- struct{}{}
		wg.Wait()
		if err := <-first; err != nil || syncs.Load() != 2 || failed.Load() != 100 {
			t.Errorf("%v, %d syncs, %d told of the failure", err, syncs.Load(), failed.Load())
		}
		close(gate)
		if err := s.wait(); err != nil {
			t.Error(err)
		}
	})
}

// TestNothingIsConfirmedUnlessDurable fails the sync.
func TestNothingIsConfirmedUnlessDurable(t *testing.T) {
	t.Parallel()
	d, l := setup(t)
	d.sync.sync = func() error { return errBroken }
	if _, err := d.PutBatch(t.Context(), "p", later(), frames(1, 100)); !errors.Is(err, errBroken) {
		t.Error(err)
	}
	for _, b := range l.blobs {
		if b.present {
			t.Fatal("confirmed what is not on the disk")
		}
	}
}
