package cli

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/weft-dev/weft/api"
)

// recordFacts tells what is recorded of a run, the attempts that lie behind it included.
func recordFacts(f *facts, r *api.RunRecord) {
	if r == nil {
		return
	}
	f.add("caused by", causeWords(r.CausedBy))
	f.add("machine", printable(r.Node))
	f.add("resources", resourceWords(r.Resources))
	f.add("env", printable(strings.Join(r.Env, "  ")))
	f.add("why ended", r.Why)
	for _, a := range r.Attempts {
		f.add(fmt.Sprintf("attempt %d", a.Number), attemptWords(a))
	}
}

func causeWords(c *api.RunCause) string {
	if c == nil {
		return ""
	}
	var parts []string
	switch {
	case c.Kind == "again":
		parts = append(parts, "the plan's retry")
	case c.Kind == "retry":
		parts = append(parts, "a retry")
	case c.KnitID != "":
		parts = append(parts, "data "+c.KnitID)
	case c.PlanID != "":
		parts = append(parts, "a change of its plan")
	default:
		parts = append(parts, c.Kind)
	}
	switch {
	case c.User != "":
		parts = append(parts, "by "+printable(c.User))
	case c.UserID != "":
		parts = append(parts, "by "+c.UserID)
	}
	return strings.Join(parts, ", ")
}

func resourceWords(rs map[string]api.Quantity) string {
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(rs)) {
		parts = append(parts, name+" "+string(rs[name]))
	}
	return strings.Join(parts, "  ")
}

func attemptWords(a api.RunAttempt) string {
	parts := []string{a.Status}
	if a.Exit != nil {
		parts = append(parts, strings.TrimSuffix(fmt.Sprintf("exit %d: %s", a.Exit.Code, printable(a.Exit.Message)), ": "))
	}
	if a.StartedAt != nil && a.EndedAt != nil {
		parts = append(parts, "after "+took(a.EndedAt.Sub(a.StartedAt.Time)))
	}
	if a.EndedAt != nil {
		parts = append(parts, "at "+localTime(a.EndedAt.Time))
	}
	if a.Node != "" {
		parts = append(parts, "on "+printable(a.Node))
	}
	if a.HasLog {
		parts = append(parts, "log kept")
	}
	return strings.Join(parts, ", ")
}
