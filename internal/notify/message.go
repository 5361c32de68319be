package notify

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/weft-dev/weft"
)

// A message is what one notification tells at once: about one Run, or a digest.
type message struct {
	id      string
	at      time.Time
	notices []weft.Notice
	test    bool
}

// counts says how many there are of each occasion, as in "3 failed, 1 done".
func (m message) counts() string {
	var parts []string
	for _, on := range []weft.Occasion{weft.OnFailed, weft.OnWaiting, weft.OnDone} {
		n := 0
		for _, v := range m.notices {
			if v.On == on {
				n++
			}
		}
		if n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, worded(on)))
		}
	}
	return strings.Join(parts, ", ")
}

func worded(on weft.Occasion) string {
	if on == weft.OnWaiting {
		return "waiting too long"
	}
	return string(on)
}

func (m message) subject(project string) string {
	switch {
	case m.test:
		return fmt.Sprintf("[weft %s] a test", project)
	case len(m.notices) == 1:
		return fmt.Sprintf("[weft %s] %s: %s", project, worded(m.notices[0].On), m.notices[0].Plan)
	}
	return fmt.Sprintf("[weft %s] runs: %s", project, m.counts())
}

// text is the whole message for people.
func (m message) text(project string) string {
	if m.test {
		return fmt.Sprintf("This is a test of a notification of the project %s. Nothing has happened.\n", project)
	}
	var b strings.Builder
	if len(m.notices) > 1 {
		fmt.Fprintf(&b, "Runs of the project %s: %s.\n\n", project, m.counts())
	}
	for i, n := range m.notices {
		if i == digestShown {
			fmt.Fprintf(&b, "… and %d more\n", len(m.notices)-i)
			break
		}
		fmt.Fprintf(&b, "%s  %s: run %s of %s, %s\n", n.At.Format(time.RFC3339), worded(n.On), n.Run, n.Plan, n.Text)
	}
	if len(m.notices) == 1 {
		fmt.Fprintf(&b, "\n    weft run show %s\n    weft run log %s\n", m.notices[0].Run, m.notices[0].Run)
	}
	return b.String()
}

// A wireMessage is what a URL gets. Chat programs that are compatible with Slack show
// its text.
type wireMessage struct {
	Text    string       `json:"text"`
	Project string       `json:"project"`
	Test    bool         `json:"test,omitempty"`
	Total   int          `json:"total"`
	Runs    []wireNotice `json:"runs"`
}

type wireNotice struct {
	RunID   string `json:"runId"`
	Attempt int64  `json:"attempt"`
	Event   string `json:"event"`
	At      string `json:"at"`
	Plan    string `json:"plan"`
	Detail  string `json:"detail"`
}

func (m message) json(project string) ([]byte, error) {
	w := wireMessage{Text: m.subject(project) + "\n" + m.text(project), Project: project, Test: m.test, Total: len(m.notices), Runs: []wireNotice{}}
	for i, n := range m.notices {
		if i == digestShown {
			break
		}
		w.Runs = append(w.Runs, wireNotice{n.Run.String(), n.Attempt, string(n.On), n.At.UTC().Format(time.RFC3339), n.Plan, n.Text})
	}
	return json.Marshal(w)
}
