package executor_test

import (
	"reflect"
	"testing"

	"github.com/weft-dev/weft"
	"github.com/weft-dev/weft/internal/executor"
)

func TestEnvironment(t *testing.T) {
	t.Parallel()
	job := executor.Job{Attempt: weft.Attempt{Run: weft.NewID[weft.Run](), Number: 1}, Env: []string{"A=3", "C=a=b"}}
	got := job.Environment([]string{"A=1", "PATH=/bin", "AB=2", "EMPTY="})
	want := []string{"PATH=/bin", "HOSTNAME=" + job.Hostname(), "A=3", "AB=2", "EMPTY=", "C=a=b"}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%q; want %q", got, want)
	}
}
