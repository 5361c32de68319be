package store

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"github.com/weft-dev/weft"
)

// forgetFailures is how long a failed sign-in counts.
const forgetFailures = 24 * time.Hour

// SignInFailures tells how often signing in under a name failed in a row.
func (s *Store) SignInFailures(ctx context.Context, name string) (weft.SignInFailures, error) {
	var f weft.SignInFailures
	err := s.read(ctx, func(t *tx) (err error) {
		f, err = t.signInFailures(ctx, name)
		return err
	})
	if err != nil {
		return f, fmt.Errorf("count failed sign-ins: %w", err)
	}
	return f, nil
}

func (t *tx) signInFailures(ctx context.Context, name string) (weft.SignInFailures, error) {
	var f weft.SignInFailures
	var at int64
	var until sql.NullInt64
	found, err := t.row(ctx, "SELECT failures, failed_at, locked_until FROM sign_in_failure WHERE name = $1", []any{name}, &f.Count, &at, &until)
	if found {
		f.LastAt, f.LockedUntil = fromMicros(at), fromNull(until)
	}
	return f, err
}

// SignInFailed counts one more failure under a name, whether there is such an account or
// not. lock says for how long the name is locked after so many failures; 0 is not at all.
func (s *Store) SignInFailed(ctx context.Context, name string, lock func(failures int) time.Duration) (weft.SignInFailures, error) {
	var f weft.SignInFailures
	err := s.change(ctx, func(ctx context.Context, t *tx) error {
		err := t.writeRows(ctx, func(r scanner) error { return r.Scan(&f.Count) }, `INSERT INTO sign_in_failure (name, failures, failed_at) VALUES ($1, 1, $2)
			ON CONFLICT (name) DO UPDATE SET failed_at = excluded.failed_at,
				failures = CASE WHEN sign_in_failure.failed_at < $3 THEN 1 ELSE sign_in_failure.failures + 1 END
			RETURNING failures`, name, micros(t.now), micros(t.now.Add(-forgetFailures)))
		if err != nil {
			return err
		}
		f.LastAt = t.now
		if d := lock(f.Count); d > 0 {
			f.LockedUntil = t.now.Add(d)
			if _, err := t.exec(ctx, "UPDATE sign_in_failure SET locked_until = $1 WHERE name = $2", micros(f.LockedUntil), name); err != nil {
				return err
			}
		}
		_, err = t.exec(ctx, "DELETE FROM sign_in_failure WHERE failed_at < $1", micros(t.now.Add(-forgetFailures)))
		return err
	})
	if err != nil {
		return f, fmt.Errorf("count a failed sign-in: %w", err)
	}
	return f, nil
}

// ClearSignInFailures forgets the failures under a name, after a success or by an
// administrator's wish.
func (s *Store) ClearSignInFailures(ctx context.Context, name string) error {
	err := s.write(ctx, func(ctx context.Context, t *tx) error {
		_, err := t.exec(ctx, "DELETE FROM sign_in_failure WHERE name = $1", name)
		return err
	})
	if err != nil {
		return fmt.Errorf("forget failed sign-ins: %w", err)
	}
	return nil
}

// SignedIn records that an account signed in, where no session is made of it.
func (s *Store) SignedIn(ctx context.Context, id weft.PrincipalID) error {
	err := s.change(ctx, func(ctx context.Context, t *tx) error {
		_, err := t.exec(ctx, "UPDATE principal SET signed_in_at = $1 WHERE id = $2", micros(t.now), id)
		return err
	})
	if err != nil {
		return fmt.Errorf("record a sign-in: %w", err)
	}
	return nil
}

const deviceColumns = "user_code, client, source, expires_at, pause, polled_at, principal, denied"

func scanDevice(r scanner) (weft.Device, error) {
	var d weft.Device
	var expires, pause, denied int64
	var polled sql.NullInt64
	err := r.Scan(&d.UserCode, &d.Client, &d.From, &expires, &pause, &polled, &d.Owner, &denied)
	d.ExpiresAt, d.PolledAt, d.Interval, d.Denied = fromMicros(expires), fromNull(polled), time.Duration(pause)*time.Microsecond, denied != 0
	return d, err
}

// CreateDevice keeps a sign-in that waits for being allowed, of whose device code it
// gets the SHA-256. Conflict means that the user code is in use: choose another.
func (s *Store) CreateDevice(ctx context.Context, d weft.Device, hash [32]byte) error {
	err := s.write(ctx, func(ctx context.Context, t *tx) error {
		if _, err := t.exec(ctx, "DELETE FROM device WHERE expires_at <= $1", micros(t.now)); err != nil {
			return err
		}
		n, err := t.exec(ctx, `INSERT INTO device (hash, user_code, client, source, expires_at, pause) VALUES ($1, $2, $3, $4, $5, $6)
			ON CONFLICT (user_code) DO NOTHING`, hash[:], d.UserCode, d.Client, d.From, micros(d.ExpiresAt), d.Interval.Microseconds())
		if err == nil && n == 0 {
			err = weft.Errorf(weft.Conflict, "the user code is in use")
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("keep a device's sign-in: %w", err)
	}
	return nil
}

// DeviceByUserCode returns the sign-in that waits under a user code. NotFound when there
// is none, it has expired, or somebody has decided about it.
func (s *Store) DeviceByUserCode(ctx context.Context, userCode string) (weft.Device, error) {
	var d weft.Device
	err := s.read(ctx, func(t *tx) (err error) {
		d, err = t.device(ctx, "user_code = $1 AND principal IS NULL AND denied = 0", userCode)
		return err
	})
	return d, err
}

func (t *tx) device(ctx context.Context, where string, arg any) (weft.Device, error) {
	var d weft.Device
	found := false
	err := t.rows(ctx, func(r scanner) (err error) {
		found = true
		d, err = scanDevice(r)
		return err
	}, "SELECT "+deviceColumns+" FROM device WHERE "+where, arg)
	if err == nil && (!found || !t.now.Before(d.ExpiresAt)) {
		err = weft.Errorf(weft.NotFound, "no sign-in waits under this code").WithAdvice("it may have expired: begin again")
	}
	return d, err
}

// DecideDevice allows or denies the sign-in that waits under a user code, for owner.
func (s *Store) DecideDevice(ctx context.Context, userCode string, owner weft.PrincipalID, allow bool) error {
	err := s.change(ctx, func(ctx context.Context, t *tx) error {
		if _, err := t.device(ctx, "user_code = $1 AND principal IS NULL AND denied = 0", userCode); err != nil {
			return err
		}
		set, arg := "principal = $1", any(owner)
		if !allow {
			set, arg = "denied = $1", 1
		}
		n, err := t.exec(ctx, "UPDATE device SET "+set+" WHERE user_code = $2 AND principal IS NULL AND denied = 0", arg, userCode)
		if err == nil && n == 0 {
			err = weft.Errorf(weft.Conflict, "somebody has decided about this sign-in already")
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("decide about a device: %w", err)
	}
	return nil
}

// PollDevice returns the sign-in whose device code has that hash, as it was before this
// poll. Once it is decided about, it is gone after the poll that says so: a device code
// is good for one token.
func (s *Store) PollDevice(ctx context.Context, hash [32]byte) (weft.Device, error) {
	var d weft.Device
	err := s.write(ctx, func(ctx context.Context, t *tx) (err error) {
		if d, err = t.device(ctx, "hash = $1"+t.s.forUpdate, hash[:]); err != nil {
			return err
		}
		if !d.Owner.IsZero() || d.Denied {
			_, err = t.exec(ctx, "DELETE FROM device WHERE hash = $1", hash[:])
		} else {
			_, err = t.exec(ctx, "UPDATE device SET polled_at = $1, pause = $2 WHERE hash = $3", micros(t.now), slower(d, t.now).Microseconds(), hash[:])
		}
		return err
	})
	if err != nil {
		return weft.Device{}, fmt.Errorf("poll a device's sign-in: %w", err)
	}
	return d, nil
}

// slower is how long a device has to wait for its next poll: five seconds more, each
// time that it comes too early (RFC 8628, section 3.5).
func slower(d weft.Device, now time.Time) time.Duration {
	if !d.PolledAt.IsZero() && now.Sub(d.PolledAt) < d.Interval {
		return d.Interval + 5*time.Second
	}
	return d.Interval
}
