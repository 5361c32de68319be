// Package content keeps the content of Data, and the parts of images: each distinct
// file once, under its SHA-256, in a directory.
//
// # Layout
//
//	objects/ab/cdef…      the bytes whose digest is abcdef…, mode 0444
//	objects/ab/cdef….x    the same bytes as an executable, mode 0555
//	trees/ab/cdef…/       the tree of a manifest: hard links to objects, made when
//	                      it is first mounted
//	work/<attempt>/<data>/        what a Run's attempt is writing
//	work/<attempt>/<data>.modes   the modes its files had, while it is being sealed
//	tmp/                  whatever is not finished; emptied by Open
//
// Manifests are objects like any other. Of the two forms of an object at least one is
// there; the other is made from it when a tree needs it.
//
// # Who may rely on bytes
//
// The Ledger, which is the database, says which objects are there. Whoever wants to
// refer to bytes first reserves their digest, which pins it, and is told one of
//
//	present   the bytes are there and stay there as long as the pin
//	absent    the bytes have to be put: place, make durable, confirm
//	deleting  the collector is removing them: wait until it has, then reserve again
//
// The bytes of an absent digest are placed only after it was reserved, so every object
// has a row; they are confirmed only after they, and their names, are on the disk. An
// object whose row is not confirmed is never trusted: a crash may have cut it short.
// It is replaced, unless an operation of this process put it there just now.
//
// The collector asks the ledger to doom what nothing refers to, unlinks that, and only
// then has the rows forgotten. A crash in between is repaired by doing it again, and a
// push of doomed bytes finds them deleting, never present. One process at a time may
// have a directory open.
//
// An operation that fails leaves no file but objects that were reserved and not
// confirmed; the collector takes those once their pin is released or has expired.
package content
