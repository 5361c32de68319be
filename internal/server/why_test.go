package server

import (
	"strings"
	"testing"

	"github.com/weft-dev/weft"
	"github.com/weft-dev/weft/api"
)

// A Run that was deleted is not a Run that uses the data, though it keeps others from
// being made.
func TestWhyTellsDeletedRuns(t *testing.T) {
	t.Parallel()
	s := newServer(t, Config{})
	var d weft.Data
	d.Source.Status = weft.Done
	w := api.Why{Fits: true, Inputs: []api.WhyInput{{Fits: true, Fillable: true}}, Runs: []string{"x"}}
	for kept, want := range map[bool]string{true: "there are runs that use the data", false: "the runs that used the data were removed"} {
		if got := s.reason(weft.Plan{Active: true}, d, w, kept); !strings.HasPrefix(got, want) {
			t.Errorf("with kept %v: %q", kept, got)
		}
	}
}
