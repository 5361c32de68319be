package server

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/weft-dev/weft/api"
)

const (
	healthEvery = 30 * time.Second
	healthFor   = 5 * time.Second // how long a service may take to say how it is
)

// health is what is known of a service.
type health struct {
	known bool
	err   error // nil: it answers
	since time.Time
}

// seen notes how a service was found to be.
func (e *endpoint) seen(err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if h := e.health; !h.known || (h.err == nil) != (err == nil) {
		e.health = health{known: true, err: err, since: time.Now()}
	}
}

func (e *endpoint) state() health {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.health
}

// WatchExtra looks every now and then how the services of the extra API are, until ctx
// ends.
func (s *Server) WatchExtra(ctx context.Context) error {
	tick := time.NewTicker(healthEvery)
	defer tick.Stop()
	for {
		var all sync.WaitGroup
		for _, e := range s.endpoints() {
			all.Go(func() { e.look(ctx) })
		}
		all.Wait()
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		case <-s.extraSet:
		}
	}
}

// look asks a service how it is.
func (e *endpoint) look(ctx context.Context) {
	within, cancel := context.WithTimeout(ctx, healthFor)
	defer cancel()
	err := e.ask(within)
	if ctx.Err() == nil {
		e.seen(err)
	}
}

func (e *endpoint) ask(ctx context.Context) error {
	if e.Health == "" {
		port := e.Target.Port()
		if port == "" {
			port = e.Target.Scheme // which net knows as a service
		}
		conn, err := e.dial.DialContext(ctx, "tcp", net.JoinHostPort(e.Target.Hostname(), port))
		if err != nil {
			return err
		}
		return conn.Close()
	}
	to := *e.Target
	to.Path, to.RawPath = e.Health, ""
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, to.String(), nil)
	if err != nil {
		return err
	}
	res, err := e.client.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	const most = 64 << 10
	_, _ = io.Copy(io.Discard, io.LimitReader(res.Body, most)) // only so that the connection can be used again
	if res.StatusCode < 200 || res.StatusCode > 299 {
		return fmt.Errorf("%s answers %s", e.Health, res.Status)
	}
	return nil
}

// An ExtraHealth tells how the service behind an endpoint is.
type ExtraHealth struct {
	Path   string
	Target string
	Public bool
	Err    error // nil: it answers, or nothing is known yet
	Since  time.Time
}

// ExtraHealth tells how the services of the extra API are, by path.
func (s *Server) ExtraHealth() []ExtraHealth {
	var all []ExtraHealth
	for _, e := range s.endpoints() {
		h := e.state()
		all = append(all, ExtraHealth{e.Path, e.Target.String(), e.Public, h.err, h.since})
	}
	return all
}

// wireExtra tells everyone who is signed in which endpoints there are, and how they are.
// Where they lead to is for administrators.
func (s *Server) wireExtra() []api.ExtraAPI {
	var all []api.ExtraAPI
	for _, e := range s.endpoints() {
		h, x := e.state(), api.ExtraAPI{Path: e.Path, State: "unknown", Takes: e.Role.String()}
		switch {
		case e.Public:
			x.Takes = "nothing"
		case e.Admin:
			x.Takes = "admin"
		}
		switch {
		case h.known && h.err == nil:
			x.State = "healthy"
		case h.known:
			x.State = "unhealthy"
		}
		if h.known {
			x.Since = wireTime(h.since)
		}
		all = append(all, x)
	}
	return all
}
