package weft

import (
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

var update = flag.Bool("update", false, "write golden files anew")

// A row says what a status may become, a column what may become it; the columns are
// in the order of the rows.
const stateMatrix = `
	             de wa re st ru co ab do fa in
	deactivated  .  x  .  .  .  .  x  .  .  x
	waiting      x  .  x  .  .  .  x  .  .  x
	ready        .  .  .  x  x  x  x  .  .  .
	starting     .  .  .  .  x  x  x  .  .  .
	running      .  .  .  .  .  x  x  .  .  .
	completing   .  .  .  .  .  .  .  x  .  .
	aborting     .  .  .  .  .  .  .  .  x  .
	done         x  x  .  .  .  .  .  .  .  x
	failed       x  x  .  .  .  .  .  .  .  x
	invalidated  .  .  .  .  .  .  .  .  .  .`

func TestStateMachine(t *testing.T) {
	t.Parallel()
	rows := strings.Split(strings.TrimSpace(stateMatrix), "\n")[1:]
	if len(rows) != len(Statuses) || len(next) != len(Statuses) {
		t.Fatalf("%d rows, %d statuses, %d entries in next", len(rows), len(Statuses), len(next))
	}
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for i, from := range Statuses {
		row := strings.Fields(rows[i])
		if row[0] != string(from) {
			t.Fatalf("row %d is of %s; want %s", i, row[0], from)
		}
		for j, to := range Statuses {
			r := Run{ID: id[Run](1), Status: from, Rev: 7}
			got, err := r.To(to, now)
			switch allowed := row[j+1] == "x"; {
			case allowed != from.CanBecome(to):
				t.Errorf("%s can become %s: %v; want %v", from, to, !allowed, allowed)
			case allowed && (err != nil || got.Status != to || got.Rev != 8):
				t.Errorf("%s to %s: %+v, %v", from, to, got, err)
			case !allowed && (KindOf(err) != Conflict || got.Status != from || got.Rev != 7):
				t.Errorf("%s to %s: %+v, %v; want a Conflict that changes nothing", from, to, got, err)
			}
		}
	}
}

func TestTimesOfARun(t *testing.T) {
	t.Parallel()
	at := func(minute int) time.Time { return time.Date(2026, 1, 2, 3, minute, 0, 0, time.UTC) }
	r := Run{ID: id[Run](1), Status: Waiting, Attempt: 1, UpdatedAt: at(0)}
	step := func(s Status, minute int) {
		t.Helper()
		var err error
		if r, err = r.To(s, at(minute)); err != nil {
			t.Fatal(err)
		}
	}
	step(Deactivated, 1)
	step(Waiting, 2)
	if !r.UpdatedAt.Equal(at(0)) {
		t.Errorf("(de)activation changed UpdatedAt to %s", r.UpdatedAt)
	}
	r.Reason = "no room"
	step(Ready, 3)
	if r.Reason != "" || !r.StartedAt.IsZero() {
		t.Errorf("ready, but %+v", r)
	}
	step(Starting, 4)
	step(Running, 5)
	step(Completing, 6)
	r.Exit = NewExit(0, "")
	r.Image = Digest{1}
	step(Done, 7)
	if !r.StartedAt.Equal(at(5)) || !r.EndedAt.Equal(at(7)) || !r.UpdatedAt.Equal(at(7)) || r.Attempt != 1 || r.Exit == nil {
		t.Errorf("done, but %+v", r)
	}
	step(Waiting, 8)
	if r.Attempt != 2 || !r.StartedAt.IsZero() || !r.EndedAt.IsZero() || r.Exit != nil || !r.Image.IsZero() {
		t.Errorf("retried, but %+v", r)
	}
	step(Aborting, 9)
	step(Failed, 10)
	if !r.StartedAt.IsZero() || !r.EndedAt.Equal(at(10)) {
		t.Errorf("aborted before it started, but %+v", r)
	}
	step(Invalidated, 11)
	if r.Attempt != 2 || !r.EndedAt.IsZero() {
		t.Errorf("deleted, but %+v", r)
	}
}

// Whatever is done to a Run: it leaves done and failed only by retry and delete,
// Rev counts every change, and Attempt counts the retries.
func TestRunHistories(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		r := Run{Status: Waiting, Rev: 1, Attempt: 1}
		now := time.Unix(0, 0).UTC()
		for _, s := range rapid.SliceOfN(rapid.SampledFrom(Statuses), 1, 40).Draw(t, "wishes") {
			now = now.Add(time.Second)
			was := r
			r, _ = r.To(s, now) // what is refused is refused without a change, see below
			retried := (was.Status == Done || was.Status == Failed) && (r.Status == Waiting || r.Status == Deactivated)
			switch {
			case r.Status == was.Status && (r.Rev != was.Rev || r.UpdatedAt != was.UpdatedAt):
				t.Fatalf("%+v became %+v by a refusal", was, r)
			case r.Status != was.Status && r.Rev != was.Rev+1:
				t.Fatalf("rev went from %d to %d", was.Rev, r.Rev)
			case retried != (r.Attempt == was.Attempt+1) || !retried && r.Attempt != was.Attempt:
				t.Fatalf("attempt %d after %+v", r.Attempt, was)
			case was.Status == Done && r.Status != Done && !retried && r.Status != Invalidated:
				t.Fatalf("done became %s", r.Status)
			case (r.Status == Done || r.Status == Failed) == r.EndedAt.IsZero():
				t.Fatalf("%s, ended at %s", r.Status, r.EndedAt)
			}
		}
	})
}

// The picture in the documentation is drawn from the table itself.
func TestStateDiagramIsCurrent(t *testing.T) {
	t.Parallel()
	const file = "docs/run-states.md"
	var b strings.Builder
	b.WriteString("# The states of a Run\n\nDrawn from the table `next` in `run.go`; `make generate` writes it anew.\n\n```mermaid\nstateDiagram-v2\n")
	b.WriteString("    [*] --> waiting: its plan is active\n    [*] --> deactivated: its plan is inactive\n    [*] --> running: an upload or import\n")
	for _, from := range Statuses {
		for _, to := range Statuses {
			if slices.Contains(next[from], to) {
				fmt.Fprintf(&b, "    %s --> %s%s\n", from, to, transitionLabel(from, to))
			}
		}
	}
	b.WriteString("    invalidated --> [*]: its inputs are removed\n```\n")
	if *update {
		if err := os.WriteFile(file, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != b.String() {
		t.Errorf("%s is not what the state machine is; run make generate", file)
	}
}

// transitionLabel says who makes a change, where that is not the engine.
func transitionLabel(from, to Status) string {
	switch {
	case to == Deactivated && from == Waiting:
		return ": plan deactivated"
	case to == Waiting && from == Deactivated:
		return ": plan activated"
	case to == Waiting:
		return ": retry"
	case to == Deactivated:
		return ": retry under an inactive plan"
	case to == Invalidated:
		return ": delete"
	}
	return ""
}

func TestExitMessageIsCut(t *testing.T) {
	t.Parallel()
	if got := NewExit(3, strings.Repeat("ж", 2000)).Message; len([]rune(got)) != MaxExitMessage {
		t.Errorf("the message has %d characters", len([]rune(got)))
	}
	if got := NewExit(3, "OOMKilled"); got.Message != "OOMKilled" || got.Code != 3 {
		t.Errorf("got %+v", got)
	}
}

func TestAttempts(t *testing.T) {
	t.Parallel()
	a := Attempt{NewID[Run](), 12}
	got, err := ParseAttempt(a.String())
	if err != nil || got != a {
		t.Errorf("ParseAttempt(%s) = %v, %v", a, got, err)
	}
	run := a.Run.String()
	for _, text := range []string{"", run, run + "-", run + "-0", run + "--1", run + "_1", run + "-x", "x" + run[1:] + "-1"} {
		if _, err := ParseAttempt(text); KindOf(err) != Invalid {
			t.Errorf("ParseAttempt(%q): %v; want Invalid", text, err)
		}
	}
}
