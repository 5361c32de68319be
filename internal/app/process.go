package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"golang.org/x/sync/errgroup"

	"github.com/weft-dev/weft"
	"github.com/weft-dev/weft/internal/content"
	"github.com/weft-dev/weft/internal/egress"
	"github.com/weft-dev/weft/internal/engine"
	"github.com/weft-dev/weft/internal/executor"
	"github.com/weft-dev/weft/internal/identity"
	"github.com/weft-dev/weft/internal/importer"
	"github.com/weft-dev/weft/internal/notify"
	"github.com/weft-dev/weft/internal/operate"
	"github.com/weft-dev/weft/internal/registry"
	"github.com/weft-dev/weft/internal/server"
	"github.com/weft-dev/weft/internal/store"
)

// A process is a whole server: everything opened and wired, with its parts to be
// closed in the reverse order.
type process struct {
	Config
	log      *slog.Logger
	url      string
	token    string
	password string // of the first administrator, if it was made just now
	listener net.Listener
	certs    *operate.Keeper        // nil: the server speaks plain HTTP
	acme     *operate.ACME          // nil: no public authority is asked
	wanted   atomic.Pointer[Config] // the latest, for the names in the certificate

	state    *state
	keys     *identity.Keys
	store    *store.Store
	content  *content.Dir
	ballast  *ballast
	layers   *registry.Layers
	registry *registry.Handler
	images   *registry.Images
	importer *importer.Importer

	importListener net.Listener   // for importers without a token; nil: there is none
	anyImporter    weft.Principal // who those are
	executor       executor.Executor
	runner         runner // what the executor is
	egress         *egress.Gate
	before         *notify.Before
	after          *notify.After
	notifier       *notify.Notifier
	engine         *engine.Engine
	server         *server.Server

	checks   []operate.Check // for the doctor; p.check adds one
	closers  []func() error
	reloader *reloader
}

// open opens the state and wires a server that listens on l.
func open(ctx context.Context, c Config, l net.Listener, again *reloader, log *slog.Logger) (*process, error) {
	p := &process{Config: c, log: log, listener: l, reloader: again}
	metrics := prometheus.NewRegistry()
	metrics.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	for _, step := range []func(context.Context, *prometheus.Registry) error{
		p.openEgress, p.openState, p.openCerts, p.openContent, p.openExecutor, p.openHooks, p.openEngine, p.openServer,
	} {
		if err := step(ctx, metrics); err != nil {
			return nil, closeAfter(err, p.close)
		}
	}
	return p, nil
}

// closing registers what close has to do, before what was registered earlier.
func (p *process) closing(what string, f func() error) {
	p.closers = append(p.closers, func() error {
		if err := f(); err != nil {
			return fmt.Errorf("close %s: %w", what, err)
		}
		return nil
	})
}

func (p *process) close() error {
	var errs []error
	for i := len(p.closers) - 1; i >= 0; i-- {
		errs = append(errs, p.closers[i]())
	}
	p.closers = nil
	return errors.Join(errs...)
}

// closeAfter closes something after err, which counts.
func closeAfter(err error, close func() error) error {
	if err2 := close(); err == nil {
		return err2
	}
	return err
}

func (p *process) openState(ctx context.Context, _ *prometheus.Registry) (err error) {
	if p.state, err = openState(p.State); err != nil {
		return err
	}
	p.closing("state", p.state.close)
	if p.token, err = p.state.adminToken(); err != nil {
		return err
	}
	if p.keys, err = identity.OpenKeys(p.state.path("keys.json")); err != nil {
		return err
	}
	if p.Database == "" {
		if err := p.state.keepPrivate(databaseFile); err != nil {
			return err
		}
	}
	if p.store, err = store.Open(ctx, p.databaseURL(), store.Options{Log: p.log, RunLimit: p.RunLimit, ImageHere: p.imageHere}); err != nil {
		return err
	}
	p.closing("database", p.store.Close)
	return nil
}

func (p *process) openContent(_ context.Context, _ *prometheus.Registry) (err error) {
	if p.content, err = content.Open(p.state.path("content"), p.store, p.log); err != nil {
		return err
	}
	p.closing("content", p.content.Close)
	if p.DiskReserve != "" {
		reserve, err := parseBytes(p.DiskReserve)
		if err != nil {
			return err
		}
		p.content.SetReserve(reserve)
	}
	reserve, err := p.content.Reserved()
	if err != nil {
		return err
	}
	p.ballast = &ballast{file: p.state.path("ballast"), size: ballastOf(reserve), free: p.content.Free, room: p.content.Room, log: p.log}
	p.layers, err = registry.OpenLayers(p.state.path("content/layers"), p.content, p.store, p.content.Room, p.log)
	return err
}

func (p *process) openEngine(_ context.Context, metrics *prometheus.Registry) error {
	logLimit, err := parseBytes(p.LogLimit)
	if err != nil {
		return err
	}
	outputLimit, err := parseBytes(p.OutputLimit)
	if err != nil {
		return err
	}
	node, err := os.Hostname()
	if err != nil {
		return fmt.Errorf("name of this machine: %w", err)
	}
	p.engine = engine.New(engine.Config{
		Node:        node,
		Store:       p.store,
		Executor:    p.executor,
		Content:     works{p.content, p.store, p.secrets()},
		Secrets:     p.secrets(),
		Images:      p.openImages(),
		Collector:   collector{p.content, p.layers, p.runner.engine, p.store, p.CollectWait, p.Registry},
		Hooks:       asked{p.before},
		Vault:       p.keys,
		Log:         p.log,
		Metrics:     metrics,
		Holder:      "serve", // the only one on this state
		LogLimit:    logLimit,
		OutputLimit: outputLimit,
	})
	return nil
}

func (p *process) openServer(ctx context.Context, metrics *prometheus.Registry) error {
	admin, err := p.store.EnsureAdmin(ctx, server.HashToken(p.token))
	if err != nil {
		return err
	}
	if p.password, err = firstPassword(ctx, p.store); err != nil {
		return err
	}
	var anonymous *weft.Principal
	if p.NoAuth {
		anonymous = &admin
	}
	guard := server.NewGuard(p.store, anonymous)
	signIn, err := p.openSignIn(guard)
	if err != nil {
		return err
	}
	p.registry = registry.NewHandler(registry.Config{
		Catalog: p.store, Content: p.content, Log: p.log,
		Authorise: func(r *http.Request, v weft.Verb) (weft.ProjectID, error) {
			who, err := guard.Authorise(r, v, "image")
			return who.Project, err
		},
	})
	p.closing("registry", func() error { p.registry.Close(context.WithoutCancel(ctx)); return nil })
	proxies, err := p.proxies()
	if err != nil {
		return err
	}
	if err := p.openImport(ctx); err != nil {
		return err
	}
	extraKey, err := p.state.extraKey()
	if err != nil {
		return err
	}
	p.server = server.New(server.Config{
		Guard:             guard,
		Store:             p.store,
		Content:           contents{p.content},
		Logs:              logs{p.executor, p.content, p.secrets()},
		Notifications:     p.notifier,
		Hooks:             hookStates{p.before, p.after},
		Secrets:           p.secrets(),
		SignIn:            signIn,
		Accounts:          p.store,
		Passwords:         passwords{signIn},
		Offer:             p.offer,
		Registry:          p.registry,
		Imports:           imports{p.importer, p.store},
		Metrics:           metrics,
		RegistryAddresses: p.addresses(),
		RunLimit:          p.RunLimit,
		Version:           version,
		Commit:            commit,
		Log:               p.log,
		Proxies:           proxies,
		Diagnose:          p.diagnose,
		ExtraKey:          extraKey,
	})
	return p.openExtra()
}

func (p *process) secrets() secrets { return secrets{p.store, p.keys} }

// offer tells what this machine has for Runs.
func (p *process) offer(ctx context.Context) (server.Offer, error) {
	c, err := p.executor.Capacity(ctx)
	return server.Offer{Resources: c.Resources, Labels: c.Labels, Executor: p.runner.offer()}, err
}

// Limits on clients that are slow, by intent or not. Bodies have none: they may be
// of any size, and stall as long as they hold nothing but their own connection.
const (
	readHeaderTimeout = 10 * time.Second
	idleTimeout       = 2 * time.Minute
	maxHeader         = 64 << 10
)

// drainFor is how long requests may take to end when the server ends. With what the
// engine needs, it keeps the promise to be gone in 5 s.
const drainFor = 2 * time.Second

// expireEvery is how often the registry looks for uploads that nobody goes on with.
const expireEvery = 5 * time.Minute

// httpServer answers with h, and waits for nobody.
func (p *process) httpServer(h http.Handler) *http.Server {
	return &http.Server{
		Handler:           h,
		ReadHeaderTimeout: readHeaderTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeader,
		ErrorLog:          slog.NewLogLogger(p.log.Handler(), slog.LevelDebug),
	}
}

// run serves until ctx ends or a part fails.
func (p *process) run(ctx context.Context) error {
	h := p.httpServer(p.server)
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return p.engine.Run(ctx) })
	g.Go(func() error { return p.after.Run(ctx) })
	g.Go(func() error { return p.notifier.Run(ctx) })
	p.accept(ctx, g, h)
	p.runImports(ctx, g)
	g.Go(func() error {
		<-ctx.Done()
		p.server.Drain()
		drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainFor)
		defer cancel()
		if err := h.Shutdown(drain); err != nil {
			return h.Close() // whoever is not done by now begins again
		}
		return nil
	})
	g.Go(func() error { return p.expire(ctx) })
	g.Go(func() error { return p.server.WatchExtra(ctx) })
	g.Go(func() error { return tuneMemory(ctx) })
	g.Go(func() error { return p.reloads(ctx) })
	g.Go(func() error {
		return engine.Loop(ctx, p.log.With("loop", "ballast"), ballastEvery, nil, p.ballast.step)
	})
	return g.Wait()
}

func (p *process) expire(ctx context.Context) error {
	tick := time.NewTicker(expireEvery)
	defer tick.Stop()
	for {
		select {
		case now := <-tick.C:
			p.registry.Expire(ctx, now)
		case <-ctx.Done():
			return nil
		}
	}
}
