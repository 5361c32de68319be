package weft

import (
	"net/url"
	"path"
	"strings"
	"time"
)

// An Import brings in Data that are somewhere already, under the built-in Plan
// PlanImported. It is asked for by a user and done by the server in the background; or it
// is a handshake, whose Run is running from its beginning until whoever puts the content
// in its place says that it is there.
type Import struct {
	ID          RunID // of the Run that it will have been
	Project     ProjectID
	Data        DataID
	By          PrincipalID
	From        string // what to bring in: file:///…, s3://BUCKET/PREFIX, http(s)://…; "" for a handshake
	Credentials string // the name under which the credentials for it are kept; never these
	Tags        Tags
	State       ImportState
	Problem     string // why it failed
	Files       int64  // brought in so far
	Bytes       int64
	Total       int64 // bytes in all, where that is known; else 0
	CreatedAt   time.Time
	UpdatedAt   time.Time
	Until       time.Time // of a handshake: when it is given up
}

// An ImportState is how far an Import is.
type ImportState string

const (
	ImportOpen    ImportState = "open"    // a handshake that was begun
	ImportQueued  ImportState = "queued"  // the server will do it
	ImportRunning ImportState = "running" // … and is at it
	ImportDone    ImportState = "done"
	ImportFailed  ImportState = "failed"
)

// ImportStates lists them in the order in which they are stored.
var ImportStates = []ImportState{ImportOpen, ImportQueued, ImportRunning, ImportDone, ImportFailed}

// HandshakeLife is how long whoever began a handshake has until he must have ended it.
const HandshakeLife = 30 * time.Minute

// An Origin says where the content of an imported Data came from.
type Origin struct {
	URL     string // file:///…, s3://…, https://…, without credentials
	Version string // what the place said about it: an ETag, or a digest over several; "" when it said nothing
	At      time.Time
	By      PrincipalID
	Who     string // the name of By
}

// ParseImportSource reads what to import: an absolute path on the server, or a URL of one
// of the schemes file, s3, http and https. It returns a URL. Credentials have no place in
// it, as it is shown to everyone who may read the Data.
func ParseImportSource(s string) (string, error) {
	bad := func(why string) (string, error) {
		return "", Errorf(Invalid, "this is nothing to import: %s", why).
			WithAdvice("name an absolute path on the server, s3://BUCKET/PREFIX, or a URL of http or https")
	}
	if strings.HasPrefix(s, "/") {
		s = (&url.URL{Scheme: "file", Path: s}).String()
	}
	u, err := url.Parse(s)
	switch {
	case err != nil || strings.ContainsFunc(s, func(r rune) bool { return r < ' ' }):
		return bad("it is no URL") // the error would repeat it, and with it a password
	case u.User != nil:
		return bad("there are credentials in the URL; keep them under a name")
	case u.Fragment != "" || u.Opaque != "":
		return bad("it has more than a place in it")
	case u.Scheme == "file":
		if u.Host != "" || !path.IsAbs(u.Path) || path.Clean(u.Path) != strings.TrimSuffix(u.Path, "/") && u.Path != "/" || strings.Contains(u.Path, "\x00") {
			return bad("the path is not absolute and clean")
		}
		return (&url.URL{Scheme: "file", Path: path.Clean(u.Path)}).String(), nil
	case u.Scheme == "s3":
		if u.Host == "" || u.RawQuery != "" {
			return bad("it names no bucket, or more than a prefix")
		}
	case u.Scheme != "http" && u.Scheme != "https" || u.Host == "":
		return bad("its scheme is not one of file, s3, http and https")
	}
	return s, nil
}
