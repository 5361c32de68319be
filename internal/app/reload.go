package app

import (
	"context"
	"errors"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/weft-dev/weft"
)

// reloadEvery is how often the file of settings is looked at. Looking works on every
// file system, and through the links by which Kubernetes swaps a mounted file.
const reloadEvery = 2 * time.Second

// A reloader reads the settings again when their file changes, or on SIGHUP, and hands
// them to those who asked for them. Settings that are wrong are logged, and change
// nothing.
type reloader struct {
	load  func() (Config, error)
	file  string // "" when there is none
	seen  os.FileInfo
	hooks []func(Config) error
}

// onReload has f called with the settings whenever they were read again. It is not
// called for those that the process began with. An f that returns an error goes on with
// what it had.
func (p *process) onReload(f func(Config) error) { p.reloader.hooks = append(p.reloader.hooks, f) }

// reloads watches the settings until ctx ends.
func (p *process) reloads(ctx context.Context) error {
	hup := make(chan os.Signal, 1)
	signal.Notify(hup, syscall.SIGHUP)
	defer signal.Stop(hup)
	tick := time.NewTicker(reloadEvery)
	defer tick.Stop()
	p.reloader.changed()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-hup:
			p.reload()
		case <-tick.C:
			if p.reloader.changed() {
				p.reload()
			}
		}
	}
}

// changed reports whether the file is another than when it was asked last.
func (r *reloader) changed() bool {
	if r.file == "" {
		return false
	}
	now, err := os.Stat(r.file)
	if err != nil {
		return false // it is being replaced, or gone: what was read goes on
	}
	was := r.seen
	r.seen = now
	return was != nil && (!os.SameFile(was, now) || !was.ModTime().Equal(now.ModTime()) || was.Size() != now.Size())
}

// reload reads the settings and hands them on.
func (p *process) reload() {
	c, err := p.reloader.load()
	if err != nil {
		p.log.Error("settings were not read again; the old ones go on", "error", err, "advice", adviceOf(err))
		return
	}
	for _, f := range p.reloader.hooks {
		if err := f(c); err != nil {
			p.log.Error("a part goes on with its old settings", "error", err, "advice", adviceOf(err))
		}
	}
	p.log.Info("settings were read again")
}

// adviceOf returns what can be done about an error, if it says.
func adviceOf(err error) string {
	var e *weft.Error
	if errors.As(err, &e) {
		return e.Advice
	}
	return ""
}
