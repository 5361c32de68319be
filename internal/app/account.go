package app

import (
	"context"
	"crypto/rand"
	"fmt"
	"io"

	"github.com/weft-dev/weft/internal/identity"
	"github.com/weft-dev/weft/internal/store"
)

// firstPassword gives the administrator that exists from the beginning a password, and
// returns it, unless it has one already or somebody took it away.
func firstPassword(ctx context.Context, s *store.Store) (string, error) {
	due, err := s.LacksFirstPassword(ctx)
	if err != nil || !due {
		return "", err
	}
	password := rand.Text()
	hash, err := identity.HashPassword(password)
	if err != nil {
		return "", err
	}
	set, err := s.SetFirstPassword(ctx, hash)
	if err != nil || !set {
		return "", err // another server that started just now has printed one
	}
	return password, nil
}

// announce says that the server is ready, and, once, what signs the administrator in. All
// of it is one write: whoever reads a pipe may close it behind the first line.
func announce(w io.Writer, p *process) error {
	text := fmt.Sprintf("weft is ready at %s\n", p.url)
	if p.password != "" {
		text += fmt.Sprintf("sign in as admin with the password %s\nthis password is shown now and never again; `weft user password admin` sets another\n", p.password)
	}
	_, err := io.WriteString(w, text)
	return err
}

// passwords are those of accounts, as the server needs them. Checking one is a sign-in,
// so that guessing is limited and seen.
type passwords struct{ *identity.Service }

func (passwords) HashPassword(password string) (string, error) {
	return identity.HashPassword(password)
}

func (p passwords) CheckPassword(ctx context.Context, name, password, from string) error {
	_, err := p.SignIn(ctx, name, password, from)
	return err
}
