// Package importer brings in Data that are somewhere already: in a directory or archive on
// the server, under a prefix of a bucket, or behind a URL.
//
// An Importer does what users asked for, one import after the other, in the background.
// Nothing is recorded before all of an import is there, so a crash leaves nothing; the
// import is taken up again by whoever claims it next, from its beginning, and what had
// come before is found to be there.
//
// It also has Knitfab's handshake, by which a program puts a directory or a tar into the
// place that it is told (the inbox), and then says that it is done: Begin and End.
package importer
