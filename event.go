package weft

import "time"

// An Event tells that something changed. It is written in the transaction of the
// change, and read in one order by all who follow: wake-ups, the live stream, hooks.
type Event struct {
	Cursor  Cursor
	At      time.Time
	Kind    EventKind
	Project ProjectID
	Run     RunID  // zero when no Run is concerned
	Plan    PlanID // zero when no Plan is concerned
	Data    DataID // zero when no Data is concerned
	From    Status // of the Run before; "" for a new one or another kind; To, when only its reason is another
	To      Status // of the Run after; "" for another kind
	By      PrincipalID
	Attempt int64 // that the Run is at after the change; 0 when that is not known
}

// An EventKind says what happened.
type EventKind string

const (
	RunChanged  EventKind = "run"  // made, in another status, or with another reason; done and failed imply its outputs
	DataTagged  EventKind = "tags" // the tags of a Data changed
	PlanChanged EventKind = "plan" // registered, or changed
	RunRemoved  EventKind = "run-removed"
	DataRemoved EventKind = "data-removed" // discarded by retry or delete

	DataShared   EventKind = "data-shared"   // another project lets this one read a Data
	DataUnshared EventKind = "data-unshared" // … or does so no longer
	DataPurged   EventKind = "data-purged"   // its content was discarded, and all else stays
)

// A Cursor is a position in the sequence of events. The zero Cursor is before all.
type Cursor struct{ Xid, Seq int64 }

// After reports whether c comes later than d in the sequence.
func (c Cursor) After(d Cursor) bool { return c.Xid > d.Xid || c.Xid == d.Xid && c.Seq > d.Seq }
