package weft

import "time"

// TokenID names a token in lists, for revoking it. It is no secret.
type TokenID = ID[Token]

// SessionID names a session in lists. It is no secret.
type SessionID = ID[Session]

// A Token lets its bearer act as its owner, as far as its scope goes. Only a hash of it
// is kept: the token itself is shown once, when it is made.
type Token struct {
	ID        TokenID
	Name      string
	Owner     PrincipalID
	OwnerName string
	Scope     Scope
	Project   Project // that it is bound to; zero: none
	System    bool    // the file admin.token of a state directory
	CreatedAt time.Time
	ExpiresAt time.Time // zero: never
	UsedAt    time.Time // last, to the minute; zero: never
	UsedFrom  string    // the address of that
}

// A Session is a person's sign-in with a browser. Only a hash of its cookie is kept.
type Session struct {
	ID        SessionID
	Owner     PrincipalID
	CreatedAt time.Time
	ExpiresAt time.Time     // whatever happens
	Idle      time.Duration // it ends after so long without a request; 0: never
	UsedAt    time.Time     // last, to the minute
	From      string        // the address it was begun from
	Agent     string        // the browser, as it calls itself
	Note      string        // what the sign-in keeps with it, opaque
}

// Over reports whether the session has ended by now.
func (s Session) Over(now time.Time) bool {
	return !now.Before(s.ExpiresAt) || s.Idle > 0 && now.Sub(s.UsedAt) >= s.Idle
}

// A Device is a sign-in that was begun on one machine and is to be allowed on another
// (RFC 8628). Only a hash of its device code is kept.
type Device struct {
	UserCode  string // that a person types in
	Client    string // what asks, for people
	From      string // the address it asked from
	ExpiresAt time.Time
	Interval  time.Duration // between polls
	PolledAt  time.Time
	Owner     PrincipalID // who allowed it; zero: nobody yet
	Denied    bool
}

// Limits on the lives of tokens.
const maxTokenLife = 10 * 366 * 24 * time.Hour

// CheckToken returns an error unless t can be made by p at the time now: it must not
// reach further, or last longer, than the credential that p shows.
func CheckToken(p Principal, t Token, now time.Time) error {
	if t.Name == "" {
		return Errorf(Invalid, "a token needs a name").WithAdvice("name what will use it, to know later which to revoke")
	}
	if err := CheckTitle("token's name", t.Name); err != nil {
		return err
	}
	switch {
	case !t.ExpiresAt.IsZero() && !t.ExpiresAt.After(now):
		return Errorf(Invalid, "the token would have expired already")
	case !t.ExpiresAt.IsZero() && t.ExpiresAt.Sub(now) > maxTokenLife:
		return Errorf(Invalid, "the token would live longer than ten years").WithAdvice("make one that does not expire, if that is what you want")
	case !p.Bound.IsZero() && t.Project.ID != p.Bound:
		return Errorf(Forbidden, "the token %q is bound to a project, and can make only tokens that are bound to it too", p.Token)
	case !p.TokenID.IsZero() && !p.Expires.IsZero() && (t.ExpiresAt.IsZero() || t.ExpiresAt.After(p.Expires)):
		return Errorf(Forbidden, "the token %q ends %s, and cannot make one that lasts longer", p.Token, p.Expires.UTC().Format(time.RFC3339)).
			WithAdvice("sign in, or let the new token end earlier")
	}
	return nil
}
