package store_test

import (
	"testing"

	"github.com/weft-dev/weft/internal/store"
	"github.com/weft-dev/weft/internal/store/storetest"
)

func TestOpen(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		p, err := s.DefaultProject(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if p.Name != "default" || p.ID.IsZero() {
			t.Errorf("the default project is %+v", p)
		}
	})
}
