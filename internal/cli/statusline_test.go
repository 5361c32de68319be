package cli

import (
	"testing"

	"github.com/weft-dev/weft/api"
)

func TestWhatIsWaitedForIsToldInOneLine(t *testing.T) {
	t.Parallel()
	run := func(status, reason string) api.RunDetail {
		return api.RunDetail{RunSummary: api.RunSummary{Status: status, Reason: reason}}
	}
	for _, c := range []struct {
		want string
		runs []api.RunDetail
	}{
		{"waits for runs to come", nil},
		{"waits for 3 of 4 runs: 2 ready, 1 running (waits for 2 cpu: 1 of 4 are free)", []api.RunDetail{run("done", ""),
			run("running", ""), run("ready", "waits for 2 cpu: 1 of 4 are free"), run("ready", "another")}},
		{"waits for 1 of 1 run: 1 starting", []api.RunDetail{run("starting", "")}},
	} {
		if got := waitWords(c.runs); got != c.want {
			t.Errorf("got %q; want %q", got, c.want)
		}
	}
}
