package app

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"path/filepath"
	"slices"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"

	"github.com/weft-dev/weft"
	"github.com/weft-dev/weft/internal/operate"
)

// What the setting tls may be.
const (
	tlsAuto = "auto"
	tlsOn   = "on"
	tlsOff  = "off"
)

// certsDir is where the certificates are, in the state directory.
const certsDir = "certs"

// checkTLS refuses what would send tokens over a network in clear without having been
// asked for.
func (c Config) checkTLS() error {
	host, _, err := net.SplitHostPort(c.Listen)
	switch {
	case err != nil:
		return weft.Errorf(weft.Invalid, "listen: %q is not HOST:PORT", c.Listen)
	case !slices.Contains([]string{tlsAuto, tlsOn, tlsOff}, c.TLS):
		return weft.Errorf(weft.Invalid, "tls: %q is not auto, on or off", c.TLS)
	case c.TLS == tlsOn && c.PlainHTTP:
		return weft.Errorf(weft.Invalid, "tls: it cannot be on together with plain-http")
	case c.TLS == tlsOff && !isLoopback(host) && !c.PlainHTTP:
		return weft.Errorf(weft.Invalid, "tls: %s is not a loopback address, and tokens would cross the network in clear", c.Listen).
			WithAdvice("leave --tls away; or, if a load balancer before Weft speaks TLS, give --plain-http")
	}
	for _, name := range c.TLSNames {
		if _, err := operate.ParseName(name); err != nil {
			return weft.Errorf(weft.Invalid, "tls-names: %w", err)
		}
	}
	if _, err := operate.ParseLimits(c.CADomains); err != nil {
		return weft.Errorf(weft.Invalid, "ca-domains: %w", err)
	}
	if err := c.ACME.check(c.speaksTLS(c.Listen)); err != nil {
		return err
	}
	_, err = c.proxies()
	return err
}

// proxies are the networks of trusted-proxies; a single address is a network too.
func (c Config) proxies() ([]netip.Prefix, error) {
	var found []netip.Prefix
	for _, text := range c.Proxies {
		network, err := netip.ParsePrefix(text)
		if err != nil {
			var one netip.Addr
			if one, err = netip.ParseAddr(text); err == nil {
				network, err = one.Prefix(one.BitLen())
			}
		}
		if err != nil {
			return nil, weft.Errorf(weft.Invalid, "trusted-proxies: %q is neither a network nor an address", text).WithAdvice("write networks like 10.0.0.0/8")
		}
		found = append(found, network.Masked())
	}
	return found, nil
}

func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// speaksTLS reports whether a listener on an address is to speak TLS.
func (c Config) speaksTLS(address string) bool {
	host, _, err := net.SplitHostPort(address)
	switch {
	case c.PlainHTTP || c.TLS == tlsOff:
		return false
	case c.TLS == tlsOn:
		return true
	}
	return err != nil || !isLoopback(host)
}

// wantedNames are what the server's certificate is to be for.
func (c Config) wantedNames() operate.Names {
	n := operate.Names{Machine: operate.MachineNames()}
	for _, text := range c.TLSNames {
		if name, err := operate.ParseName(text); err == nil { // checked with the rest of the Config
			n.Given = append(n.Given, name)
		}
	}
	for _, name := range c.ACME.Names {
		n.Public = append(n.Public, strings.ToLower(name))
	}
	n.Given = append(slices.Clone(n.Public), n.Given...)
	return n
}

// openCerts makes or reads the certificates where the listener speaks TLS, and says
// where the server can be reached.
func (p *process) openCerts(context.Context, *prometheus.Registry) error {
	scheme := "http"
	p.wanted.Store(&p.Config)
	if p.speaksTLS(p.listener.Addr().String()) {
		scheme = "https"
		certs, err := operate.OpenCerts(p.state.path(certsDir))
		if err != nil {
			return err
		}
		limits, err := operate.ParseLimits(p.CADomains)
		if err != nil {
			return err
		}
		keeper := operate.KeeperConfig{Told: p.profileAgain, Certs: certs, Want: func() operate.Names { return p.wanted.Load().wantedNames() }, Limits: limits, Log: p.log}
		if p.acme, err = p.openACME(certs); err != nil {
			return err
		}
		if p.acme != nil {
			keeper.Public = p.acme
		}
		if p.certs, err = operate.NewKeeper(keeper); err != nil {
			return err
		}
		p.onReload(func(c Config) error {
			c.ACME = p.ACME // which takes a restart
			p.wanted.Store(&c)
			return p.certs.Ensure()
		})
	}
	p.url = scheme + "://" + p.addresses()[0]
	return nil
}

// addresses are those by which the server can be reached, as HOST:PORT, the best first.
func (p *process) addresses() []string {
	host, port, err := net.SplitHostPort(p.listener.Addr().String())
	if err != nil {
		return []string{p.listener.Addr().String()}
	}
	names := append([]string{host}, p.wantedNames().Given...)
	if isAny(host) {
		names = append(p.wantedNames().External(), "127.0.0.1")
	}
	var all []string
	for _, name := range names {
		if a := net.JoinHostPort(name, port); !slices.Contains(all, a) {
			all = append(all, a)
		}
	}
	return all
}

func isAny(host string) bool {
	ip := net.ParseIP(host)
	return host == "" || ip != nil && ip.IsUnspecified()
}

// localURL is where the user of this machine reaches the server.
func (p *process) localURL() string {
	host, port, err := net.SplitHostPort(p.listener.Addr().String())
	if err != nil || !isAny(host) {
		host = p.listener.Addr().String()
	} else {
		host = net.JoinHostPort("127.0.0.1", port)
	}
	if p.certs != nil {
		return "https://" + host
	}
	return "http://" + host
}

// accept serves h on the listener until it is shut down.
func (p *process) accept(ctx context.Context, g *errgroup.Group, h *http.Server) {
	serve := func(do func() error) func() error {
		return func() error {
			if err := do(); !errors.Is(err, http.ErrServerClosed) && !errors.Is(err, net.ErrClosed) {
				return fmt.Errorf("serve: %w", err)
			}
			return nil
		}
	}
	if p.certs == nil {
		g.Go(serve(func() error { return h.Serve(p.listener) }))
		return
	}
	g.Go(func() error { return p.certs.Run(ctx) })
	if p.acme != nil {
		g.Go(func() error { return p.acme.Run(ctx) })
	}
	h.TLSConfig = p.certs.Config()
	secure, plain := split(p.listener, h.ReadHeaderTimeout)
	g.Go(serve(func() error { return h.ServeTLS(secure, "", "") }))
	astray := &http.Server{
		Handler: http.HandlerFunc(sendToTLS), ReadHeaderTimeout: h.ReadHeaderTimeout, ReadTimeout: h.ReadHeaderTimeout,
		IdleTimeout: h.ReadHeaderTimeout, MaxHeaderBytes: maxHeader, ErrorLog: h.ErrorLog,
	}
	g.Go(serve(func() error { return astray.Serve(plain) }))
	h.RegisterOnShutdown(func() { _ = astray.Close() }) // nobody there has anything to lose
}

// trust returns what a client has to trust to reach the server by a URL, in PEM.
func (p *process) trust(serverURL string) ([]byte, error) {
	if p.certs == nil {
		return nil, nil
	}
	return trustOf(p.state.dir, serverURL)
}

// trustOf returns what a client has to trust to reach the server of a state directory by
// a URL, in PEM; nothing where its system's authorities will do, or no TLS is spoken.
func trustOf(state, serverURL string) ([]byte, error) {
	u, err := url.Parse(serverURL)
	if err != nil || u.Scheme != "https" {
		return nil, err
	}
	certs, err := operate.OpenCerts(filepath.Join(state, certsDir))
	if err != nil {
		return nil, err
	}
	return certs.Trust(u.Hostname())
}
