package api

import (
	"fmt"
	"strings"
)

// An ErrorKind says what sort of failure an Error is.
type ErrorKind string

// The kinds of failures. An answer without a kind does not come from Weft.
const (
	KindInternal        ErrorKind = "internal"
	KindInvalid         ErrorKind = "invalid"
	KindUnauthenticated ErrorKind = "unauthenticated"
	KindForbidden       ErrorKind = "forbidden"
	KindNotFound        ErrorKind = "not_found"
	KindConflict        ErrorKind = "conflict"
	KindTooLarge        ErrorKind = "too_large"
	KindUnavailable     ErrorKind = "unavailable"
	KindNoSpace         ErrorKind = "no_space"
	KindCanceled        ErrorKind = "canceled"
)

// An Error is the body of every answer that is no success.
type Error struct {
	Message   string    `json:"message" doc:"the reason and, on further lines, what to do about it"`
	Kind      ErrorKind `json:"kind,omitempty" doc:"what sort of failure this is"`
	See       string    `json:"see,omitempty" doc:"id of the thing in the way, such as the equal plan"`
	RequestID string    `json:"requestId,omitempty" doc:"to look for in the server's log"`

	// Status is that of the answer; 0 when there was none.
	Status int `json:"-"`
}

// Error returns the message, and for a failure that only the server's log explains,
// the id of the request to look for there.
func (e *Error) Error() string {
	if e.RequestID != "" && (e.Kind == KindInternal || e.Kind == "") {
		return fmt.Sprintf("%s (request %s)", e.Message, e.RequestID)
	}
	return e.Message
}

// Reason returns the first line of the message: what is wrong.
func (e *Error) Reason() string {
	reason, _, _ := strings.Cut(e.Message, "\n")
	return reason
}

// Advice returns the other lines of the message: what to do about it.
func (e *Error) Advice() string {
	_, advice, _ := strings.Cut(e.Message, "\n")
	return advice
}
