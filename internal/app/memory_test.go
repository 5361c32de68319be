package app

import "testing"

func TestPercentFor(t *testing.T) {
	t.Parallel()
	for live, want := range map[uint64]int{0: 100, 4 << 20: 100, 16 << 20: 100, 32 << 20: 50, 64 << 20: 25, 1 << 30: 10} {
		if got := percentFor(live); got != want {
			t.Errorf("with %d MB alive: %d %%, want %d %%", live>>20, got, want)
		}
	}
}
