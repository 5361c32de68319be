// Package notify tells others what becomes of Runs, and asks those who may hold one up:
// lifecycle hooks, OpenLineage events, and notifications by mail and webhook.
//
// # Before
//
// A before hook is asked by the engine, one call after another, before a Run changes its
// status; the engine has let go of the Run meanwhile. Each hook answers a bounded number of
// calls at once, and the others wait in its own line: a hook that hangs fills its own line.
//
// # After
//
// Everything else follows the sequence of events, each follower with a cursor of its own
// in the database:
//
//	events ──► follower ──► one worker per Run, in order ──► POST
//	              │                        │ failed
//	              │ cursor                 ▼
//	              └────────────────── delivery (table) ──► again, later, until it is too old
//
// A batch of events is delivered, what failed goes to the table, and then the cursor moves,
// in one transaction with that. A crash before it repeats the batch, with the same ids. A
// Run that has something in the table gets what follows into the table too, so that its
// order is kept. While nothing at all can be delivered, the cursor stays where it is.
//
// No transaction is open while anything is sent.
package notify
