package weft

import (
	"context"
	"errors"
	"fmt"
)

// A Kind says what sort of failure an error is, as far as the one who caused it
// is concerned. Each edge maps kinds once: to HTTP statuses in server, to exit
// codes in cli, from driver errors in store.
type Kind string

const (
	Internal        Kind = "internal"        // our fault; the user gets a request id
	Invalid         Kind = "invalid"         // the request itself is wrong
	Unauthenticated Kind = "unauthenticated" // who is asking is not known
	Forbidden       Kind = "forbidden"       // the one who asks lacks a right
	NotFound        Kind = "not_found"       // no such thing, or not for this principal
	Conflict        Kind = "conflict"        // the present state does not allow it
	TooLarge        Kind = "too_large"       // a limit of size or number is exceeded
	Unavailable     Kind = "unavailable"     // not now; trying again later may help
	NoSpace         Kind = "no_space"        // the disk reserve is reached
	Canceled        Kind = "canceled"        // the one who asked went away
)

// An Error is a failure that can be explained to the one who caused it. Any other
// error is Internal. Compare kinds with KindOf, never texts.
type Error struct {
	Kind    Kind
	Message string // what is wrong: lower case, no full stop
	Advice  string // what to do about it; may be empty
	See     string // id of the thing in the way, such as the equal plan; may be empty
	cause   error
}

func (e *Error) Error() string { return e.Message }

func (e *Error) Unwrap() error { return e.cause }

// WithAdvice returns a copy of e that also says what to do.
func (e *Error) WithAdvice(format string, args ...any) *Error {
	c := *e
	c.Advice = fmt.Sprintf(format, args...)
	return &c
}

// WithSee returns a copy of e that names the thing in the way.
func (e *Error) WithSee(id string) *Error {
	c := *e
	c.See = id
	return &c
}

// Errorf returns an Error of kind k. As with fmt.Errorf, one %w wraps a cause.
func Errorf(k Kind, format string, args ...any) *Error {
	err := fmt.Errorf(format, args...)
	return &Error{Kind: k, Message: err.Error(), cause: errors.Unwrap(err)}
}

// KindOf returns the kind of the outermost Error in err's chain, Canceled for a
// context that ended, and Internal for anything else. It returns "" for nil.
func KindOf(err error) Kind {
	if err == nil {
		return ""
	}
	var e *Error
	if errors.As(err, &e) {
		return e.Kind
	}
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return Canceled
	}
	return Internal
}
