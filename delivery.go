package weft

import "time"

// A Delivery is something that a follower of events was to be told and could not be
// told yet, or was not told in the end. It repeats what was sent first.
type Delivery struct {
	Cursor Cursor // of the event
	Run    RunID
	Body   []byte // with its headers, as the follower wrote it
	Tries  int
	At     time.Time // of the event
	Due    time.Time // of the next try; zero: given up
	Error  string    // of the last try
}

// A HookState tells how a hook, or another receiver of events, is doing.
type HookState struct {
	Name    string
	When    string // "before" or "after"
	Host    string
	At      time.Time // of the last call; zero before the first one since the server started
	Error   string    // of the last call; "" when all was well
	Waiting int64     // deliveries that are to be tried again, or runs that wait for an answer
	Dead    int64     // deliveries that were given up
	Behind  time.Time // of the oldest event that is yet to be looked at; zero: none
}
