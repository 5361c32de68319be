package app

import (
	"os"

	"github.com/weft-dev/weft/internal/identity"
	"github.com/weft-dev/weft/internal/server"
)

// signInSettings are those of signing in.
func (c Config) signInSettings() identity.Settings {
	return identity.Settings{SignIn: c.SignIn, OIDC: c.OIDC, LDAP: c.LDAP}
}

// openSignIn makes what lets people in, and has the guard know them by their sessions.
func (p *process) openSignIn(guard *server.Guard) (*identity.Service, error) {
	s, err := identity.New(identity.Config{Store: p.store, Keys: p.keys, Settings: p.signInSettings(), Getenv: os.Getenv, Log: p.log})
	if err != nil {
		return nil, err
	}
	guard.AcceptSessions(p.store)
	p.onReload(func(c Config) error { return s.Reload(c.signInSettings()) })
	return s, nil
}
