package weft

import (
	"context"
	"time"
)

// An Audit is one entry of the audit log: who did what, when, from where, and what
// came of it. Entries are only ever added. They name principals by id and by the name
// of that time, so that they say the same after an account is gone.
type Audit struct {
	Seq     int64 // its place in the log, ascending
	At      time.Time
	Who     PrincipalID // zero when nobody was signed in
	Name    string      // of who, or the one that a sign-in was tried under
	Token   TokenID     // zero when it was not by a token
	From    string      // the address of the client
	Action  string      // the id of the operation, such as create-plan, or sign-in
	Kind    string      // of the object
	Project ProjectID   // of the object; zero: the system
	Object  string      // its id or name; "" when that says nothing
	Result  AuditResult
	Detail  string // what else is to be known; never a secret
	Request string // the request's id, as the log has it
}

// An AuditResult is what came of it.
type AuditResult string

const (
	AuditDone   AuditResult = "done"
	AuditDenied AuditResult = "denied" // a right missed, or a credential was wrong
	AuditFailed AuditResult = "failed"
)

// An AuditQuery asks for entries, in the order of the log.
type AuditQuery struct {
	Project ProjectID   // only of this project; zero: all
	Who     PrincipalID // only by this principal; zero: all
	Action  string      // only this; "" is every
	Since   time.Time   // inclusive; zero: from the beginning
	Until   time.Time   // exclusive; zero: to the end
	After   int64       // entries after this place
	Limit   int         // at most so many; 0 is all
	Last    bool        // the last ones, latest first
}

type auditKey struct{}

// An AuditNote is what a request will be audited as. The store writes it in the
// transaction of the change that the request makes, and then sets Written; whatever is
// not written by the time the request ends is written then. It belongs to one request,
// whose parts use it one after another. An empty Action is not written.
type AuditNote struct {
	Audit
	Written bool
}

// WithAudit returns a context that carries a note for whatever is changed under it.
func WithAudit(ctx context.Context, n *AuditNote) context.Context {
	return context.WithValue(ctx, auditKey{}, n)
}

// AuditOf returns the note that ctx carries, or nil.
func AuditOf(ctx context.Context) *AuditNote {
	n, _ := ctx.Value(auditKey{}).(*AuditNote)
	return n
}
