package cli

import (
	"testing"

	"github.com/weft-dev/weft/api"
)

func TestLargest(t *testing.T) {
	t.Parallel()
	for in, want := range map[api.Quantity]string{
		"24684100Ki": "23.5Gi", "32Gi": "32.0Gi", "512Mi": "512Mi", "2": "2", "500m": "500m", "nonsense": "nonsense",
	} {
		if got := largest(in); got != want {
			t.Errorf("%s is shown as %s, not %s", in, got, want)
		}
	}
}
