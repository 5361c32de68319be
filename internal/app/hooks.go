package app

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/weft-dev/weft"
	"github.com/weft-dev/weft/internal/engine"
	"github.com/weft-dev/weft/internal/notify"
	"github.com/weft-dev/weft/internal/operate"
	"github.com/weft-dev/weft/internal/server"
	"github.com/weft-dev/weft/internal/store"
)

// openHooks makes what asks and tells others, which follows the settings.
func (p *process) openHooks(_ context.Context, metrics *prometheus.Registry) error {
	before, after, err := p.Hooks.hooks(p.Egress)
	if err != nil {
		return err
	}
	lineage, err := p.OpenLineage.receivers(p.Egress)
	if err != nil {
		return err
	}
	m := notify.NewMetrics(metrics)
	views := &views{Store: p.store, names: map[weft.ProjectID]named{}}
	p.before = notify.NewBefore(p.egress.Poster(), "weft/"+version, views, server.EncodeRun, p.log, m)
	p.before.Set(before)
	p.check("hooks", p.checkHooks)
	p.after = notify.NewAfter(p.egress.Poster(), "weft/"+version, p.store, views, server.EncodeRun, p.log, m)
	p.after.Set(after, lineage)
	p.notifier = notify.NewNotifier(p.egress.Poster(), "weft/"+version, p.store, views, p.keys, p.egress.Check, p.log, m)
	mail, err := p.SMTP.mail()
	if err != nil {
		return err
	}
	p.notifier.SetMail(mail)
	p.onReload(func(c Config) error {
		mail, err := c.SMTP.mail()
		if err == nil {
			p.notifier.SetMail(mail)
		}
		return err
	})
	p.onReload(func(c Config) error {
		before, after, err := c.Hooks.hooks(c.Egress)
		if err != nil {
			return err
		}
		lineage, err := c.OpenLineage.receivers(c.Egress)
		if err == nil {
			p.before.Set(before)
			p.after.Set(after, lineage)
		}
		return err
	})
	return nil
}

// asked is the before hooks as the engine needs them.
type asked struct{ *notify.Before }

func (a asked) Ask(ctx context.Context, q engine.Question) engine.Answer {
	return engine.Answer(a.Before.Ask(ctx, notify.Question(q)))
}

func (a asked) Next(q engine.Question) string { return a.Before.Next(notify.Question(q)) }

// views is the store as notify needs it. Names of projects are asked for often.
type views struct {
	*store.Store
	mu    sync.Mutex
	names map[weft.ProjectID]named
}

type named struct {
	name string
	at   time.Time
}

// renamed is how long a project's name is taken for true.
const renamed = 10 * time.Second

// ProjectName returns the name of a project.
func (v *views) ProjectName(ctx context.Context, id weft.ProjectID) (string, error) {
	v.mu.Lock()
	n, ok := v.names[id]
	v.mu.Unlock()
	if ok && time.Since(n.at) < renamed {
		return n.name, nil
	}
	project, err := v.ProjectByID(ctx, id)
	if err != nil {
		return "", err
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	v.names[id] = named{project.Name, time.Now()}
	return project.Name, nil
}

// hookStates is all hooks as the server shows them.
type hookStates struct {
	*notify.Before
	*notify.After
}

// States implements server.Hooks.
func (h hookStates) States(ctx context.Context) ([]weft.HookState, error) {
	after, err := h.After.States(ctx)
	return append(h.Before.States(), after...), err
}

// checkHooks tells the doctor of hooks that do not answer, and of what they were never told.
func (p *process) checkHooks(ctx context.Context) []operate.Finding {
	states, err := hookStates{p.before, p.after}.States(ctx)
	if err != nil {
		return finding(operate.Fault, "the hooks cannot be looked at: "+err.Error(), "see whether the database answers")
	}
	var found []operate.Finding
	for _, h := range states {
		if h.Error != "" {
			found = append(found, finding(operate.Warning, fmt.Sprintf("the hook %s (%s) failed when it was called last: %s", h.Name, h.When, h.Error),
				"see whether it runs; runs wait for a before hook that does not answer")...)
		}
		if h.Dead > 0 {
			found = append(found, finding(operate.Warning, fmt.Sprintf("%d changes of runs could not be told to the hook %s, and were given up", h.Dead, h.Name),
				"when it answers again: weft hook revive "+h.Name)...)
		}
	}
	return found
}
