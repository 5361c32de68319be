// Package operate is what keeps a server running well: its certificates, which it makes,
// renews and takes from others, and the findings of the doctor.
//
// # Certificates
//
// A server has a directory of certificates, which the server and the commands of an
// administrator may change at the same time; each change replaces one whole file, so
// that a kill at any instant leaves the old or the new.
//
//	ca.pem      our authority: its key, its certificate, and those of the authorities before it
//	ca.crt      what clients trust, made from ca.pem: no secret
//	server.pem  the server's key and the chain that it shows, signed by our authority
//	own.pem     the same, from another authority, when an administrator has installed it
//	names       what the server's certificate is for, as the server last wanted it
//	acme/       what a public authority has issued (ACME)
//	lock        held while something is changed
//
// Which certificate a client is shown depends on the name it asks for: own.pem where that
// has the name, else the public authority's, else server.pem, which has the machine's
// names, its addresses, and the loopback addresses.
//
// # A new authority beside the old
//
// Clients are given the authority in a profile, and cannot be told of another. So a new
// authority is certified by the old one too, as an intermediate of the old: the chain that
// the server shows then ends at either.
//
//	server ── signed by ──► new authority                        for clients with the new
//	server ── signed by ──► new, as certified by old ──► old     for clients with the old
//
// That holds until the old one expires. What is handed out meanwhile holds both.
package operate
