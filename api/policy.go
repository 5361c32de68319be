package api

import (
	"encoding/json"
	"fmt"
	"strings"
)

// A Retry says which failures of runs are tried again by themselves.
type Retry struct {
	Limit   int64      `json:"limit" minimum:"0" doc:"how often, after the first attempt"`
	Backoff string     `json:"backoff,omitempty" doc:"pause before the first retry, like 30s; doubled before each that follows; absent: 10s"`
	OnExit  []ExitWord `json:"on_exit,omitempty" doc:"only these exit codes and reasons: lost, oom, timeout, signal, limit, start; absent: all but limit and start"`
}

// An ExitWord is an exit code in decimal, or a reason for which a run failed. In
// requests a code may also be a number.
type ExitWord string

// UnmarshalJSON reads text or a number.
func (w *ExitWord) UnmarshalJSON(b []byte) error {
	var text string
	if json.Unmarshal(b, &text) == nil {
		*w = ExitWord(text)
		return nil
	}
	var code uint8
	if err := json.Unmarshal(b, &code); err != nil {
		return fmt.Errorf("on_exit: %s is neither an exit code from 1 to 255 nor a reason", strings.TrimSpace(string(b)))
	}
	*w = ExitWord(fmt.Sprint(code))
	return nil
}

// A PolicyChange changes how the runs of a plan are run. What is absent stays; "" and 0
// take away what was set. A retry is replaced as a whole.
type PolicyChange struct {
	Timeout     *string `json:"timeout,omitempty" doc:"of one attempt, like 2h"`
	Grace       *string `json:"grace,omitempty" doc:"between the request to end and the end, like 30s; empty: the default"`
	Retry       *Retry  `json:"retry,omitempty" doc:"a limit of 0 is no retry"`
	Concurrency *int64  `json:"concurrency,omitempty" doc:"how many runs may be under way at once"`
}
