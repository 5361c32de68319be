package notify

import (
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Metrics count what was sent. One set serves all parts of a process.
type Metrics struct {
	before, after *stats
}

// NewMetrics makes figures and shows them with reg.
func NewMetrics(reg prometheus.Registerer) *Metrics {
	sent := prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: "weft", Subsystem: "hooks", Name: "calls_total",
		Help: "Calls of hooks, notifications and lineage receivers, by when, name and outcome."}, []string{"when", "hook", "outcome"})
	dead := prometheus.NewGaugeVec(prometheus.GaugeOpts{Namespace: "weft", Subsystem: "hooks", Name: "dead_letters",
		Help: "Deliveries that were given up."}, []string{"hook"})
	reg.MustRegister(sent, dead)
	return &Metrics{before: &stats{when: "before", sent: sent, dead: dead, last: map[string]Last{}},
		after: &stats{when: "after", sent: sent, dead: dead, last: map[string]Last{}}}
}

// A Last tells how a hook answered last.
type Last struct {
	At    time.Time
	Error string // "" when all was well
}

type stats struct {
	when string
	sent *prometheus.CounterVec
	dead *prometheus.GaugeVec

	mu   sync.Mutex
	last map[string]Last
}

func (s *stats) delivered(name string) {
	s.sent.WithLabelValues(s.when, name, "delivered").Inc()
	s.note(name, "")
}

func (s *stats) failed(name string, err error) {
	s.sent.WithLabelValues(s.when, name, "failed").Inc()
	s.note(name, err.Error())
}

func (s *stats) note(name, text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.last[name] = Last{time.Now(), text}
}

func (s *stats) of(name string) Last {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.last[name]
}
