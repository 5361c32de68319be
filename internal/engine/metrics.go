package engine

import (
	"context"

	"github.com/prometheus/client_golang/prometheus"
)

// Metrics are the engine's figures.
type metrics struct {
	made, started, troubles, overtaken, swept, held prometheus.Counter
	batches, saves                                  prometheus.Counter
	ended, failures                                 *prometheus.CounterVec
	flights, queued                                 prometheus.Gauge
}

func newMetrics(reg prometheus.Registerer) *metrics {
	counter := func(name, help string) prometheus.Counter {
		c := prometheus.NewCounter(prometheus.CounterOpts{Namespace: "weft", Subsystem: "engine", Name: name, Help: help})
		reg.MustRegister(c)
		return c
	}
	vector := func(name, help, label string) *prometheus.CounterVec {
		c := prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: "weft", Subsystem: "engine", Name: name, Help: help}, []string{label})
		reg.MustRegister(c)
		return c
	}
	gauge := func(name, help string) prometheus.Gauge {
		g := prometheus.NewGauge(prometheus.GaugeOpts{Namespace: "weft", Subsystem: "engine", Name: name, Help: help})
		reg.MustRegister(g)
		return g
	}
	return &metrics{
		made:      counter("runs_made_total", "Runs made by projection."),
		started:   counter("runs_started_total", "Runs handed to the executor."),
		ended:     vector("runs_ended_total", "Runs that ended, by status.", "status"),
		troubles:  counter("holdups_total", "Acts on a run that failed and are repeated."),
		overtaken: counter("overtaken_total", "Results given up because the run had been changed meanwhile."),
		swept:     counter("containers_swept_total", "Containers removed because they belonged to no run in progress."),
		held:      counter("hook_holds_total", "Times that a hook did not let a run go on."),
		batches:   counter("save_batches_total", "Statements that saved runs."),
		saves:     counter("saves_total", "Runs saved."),
		failures:  vector("loop_failures_total", "Steps of loops that failed, by loop.", "loop"),
		flights:   gauge("in_flight", "Runs being worked on."),
		queued:    gauge("ready", "Ready runs that wait for room."),
	}
}

// counted counts the failures of a step.
func (m *metrics) counted(name string, step func(context.Context) (bool, error)) func(context.Context) (bool, error) {
	failures := m.failures.WithLabelValues(name)
	return func(ctx context.Context) (bool, error) {
		more, err := step(ctx)
		if err != nil && ctx.Err() == nil {
			failures.Inc()
		}
		return more, err
	}
}
