package store_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/weft-dev/weft/internal/store"
	"github.com/weft-dev/weft/internal/store/storetest"
)

// Whenever a reader goes away, even while its transaction begins, the next finds the
// connection as if nothing had been.
func TestReadersThatGoAwayHarmNobody(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		var readers sync.WaitGroup
		for range 8 {
			readers.Go(func() {
				for n := range 300 {
					ctx, cancel := context.WithTimeout(t.Context(), time.Duration(n%60)*time.Microsecond)
					_, _ = s.LastCursor(ctx) // it mostly fails, which is what it should do
					cancel()
				}
			})
		}
		readers.Wait()
		for range 32 {
			readers.Go(func() {
				if _, err := s.LastCursor(t.Context()); err != nil {
					t.Error(err)
				}
			})
		}
		readers.Wait()
	})
}
