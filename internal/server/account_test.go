package server

import (
	"context"

	"github.com/weft-dev/weft"
	"github.com/weft-dev/weft/internal/store"
)

// plainPasswords are hashed so that everyone can read them.
type plainPasswords struct{ store *store.Store }

func (plainPasswords) HashPassword(password string) (string, error) {
	if len(password) < 8 {
		return "", weft.Errorf(weft.Invalid, "the password is too short")
	}
	return "plain:" + password, nil
}

func (p plainPasswords) CheckPassword(ctx context.Context, name, password, _ string) error {
	c, err := p.store.Credential(ctx, name)
	if err == nil && c.PasswordHash != "plain:"+password {
		err = weft.Errorf(weft.Unauthenticated, "no")
	}
	return err
}
