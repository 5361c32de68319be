package app

import (
	"context"
	"os"

	"github.com/weft-dev/weft/internal/identity"
	"github.com/weft-dev/weft/internal/operate"
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
	p.check("sign-in", func(ctx context.Context) []operate.Finding {
		var found []operate.Finding
		for what, err := range s.Reach(ctx) {
			found = append(found, operate.Finding{Level: operate.Warning, Problem: what + " does not serve: " + err.Error(),
				Advice: "see whether it is there, and whether the sections oidc and ldap of the settings are right; local accounts can sign in meanwhile"})
		}
		return found
	})
	return s, nil
}
