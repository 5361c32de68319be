// Package store keeps Weft's relational state, in SQLite or in PostgreSQL: one text of
// SQL for both, with what differs listed in the type dialect.
//
// Reading takes a short transaction of its own. Writing is handed, as a function, to the
// writer, which runs all functions that wait in one transaction (see writer.go). Public
// methods open the transaction; unexported functions take it as a *tx.
//
// A change that may give rise to Runs leaves a row in the table change; projection, in
// transactions of its own, takes such rows and makes the Runs (see projection.go).
// Every change also leaves an event (see event.go).
package store
