package operate

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"time"
)

// A Level says how bad a finding is.
type Level string

// The levels of findings, the worst first.
const (
	Fault   Level = "fault"   // something does not work, or will not within days
	Warning Level = "warning" // something works but is unwise, or needs doing soon
	Notice  Level = "notice"  // somebody should know
)

var levels = []Level{Fault, Warning, Notice}

// A Finding is something that the doctor tells about a server, in words.
type Finding struct {
	Level   Level  `json:"level"`
	About   string `json:"about"`   // what it is about, as the name of the check
	Problem string `json:"problem"` // one sentence
	Advice  string `json:"advice"`  // what to do about it
}

// A Check looks at one part of a system. It is called with a time-out, and returns
// nothing when all is well.
type Check struct {
	About string
	Look  func(ctx context.Context) []Finding
}

// checkFor is how long a check may take.
const checkFor = 10 * time.Second

// Diagnose makes all checks at the same time and returns what they found, the worst
// first. A check that does not end in time is a finding itself.
func Diagnose(ctx context.Context, checks []Check) []Finding {
	ctx, cancel := context.WithTimeout(ctx, checkFor)
	defer cancel()
	found := make([][]Finding, len(checks))
	var all sync.WaitGroup
	for i, c := range checks {
		all.Go(func() { found[i] = c.look(ctx) })
	}
	all.Wait()
	list := slices.Concat(found...)
	slices.SortStableFunc(list, func(a, b Finding) int {
		return cmp.Compare(slices.Index(levels, a.Level), slices.Index(levels, b.Level))
	})
	return list
}

func (c Check) look(ctx context.Context) []Finding {
	done := make(chan []Finding, 1)
	go func() { done <- c.Look(ctx) }()
	select {
	case found := <-done:
		for i := range found {
			found[i].About = c.About
		}
		return found
	case <-ctx.Done():
		return []Finding{{Fault, c.About, "looking at it took more than " + checkFor.String(), "look at the server's log, and at its disk"}}
	}
}
