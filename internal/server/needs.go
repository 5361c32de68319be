package server

import (
	"context"
	"io"
	"iter"
	"os"
	"time"

	"github.com/weft-dev/weft"
)

// A Principals knows who has which token, and what projects are called.
type Principals interface {
	// PrincipalByToken is Unauthenticated when nobody has the token with that SHA-256,
	// or it is good no more. It takes note that the token is used, from an address.
	PrincipalByToken(ctx context.Context, tokenHash [32]byte, from string) (weft.Principal, error)
	// ProjectNamed is NotFound when no project has that name.
	ProjectNamed(ctx context.Context, name string) (weft.Project, error)
}

// A Store is what the server needs of the relational store. What does not exist in
// the project is NotFound.
type Store interface {
	Marks

	// Changed sends after commits, by this or any other process.
	Changed() (ch <-chan struct{}, stop func())

	Plan(ctx context.Context, project weft.ProjectID, id weft.PlanID) (weft.PlanView, error)
	FindPlans(ctx context.Context, q weft.PlanQuery) iter.Seq2[weft.PlanView, error]
	ChangePlan(ctx context.Context, project weft.ProjectID, id weft.PlanID, by weft.PrincipalID, change func(*weft.Plan) error) (weft.PlanView, error)
	PlanGraph(ctx context.Context, project weft.ProjectID) (*weft.PlanGraph, error)
	PlanNames
	Shares

	PushData(ctx context.Context, p weft.Push) (weft.DataView, error)
	Data(ctx context.Context, project weft.ProjectID, id weft.DataID) (weft.DataView, error)
	FindData(ctx context.Context, q weft.DataQuery) iter.Seq2[weft.DataView, error]
	TagData(ctx context.Context, project weft.ProjectID, id weft.DataID, c weft.TagChange, by weft.PrincipalID) (weft.DataView, error)
	Lineage(ctx context.Context, q weft.LineageQuery) (weft.Lineage, error)

	WouldRunPlan(ctx context.Context, p weft.Plan, limit int) (total int64, first []weft.Assignment, err error)
	WouldRunData(ctx context.Context, project weft.ProjectID, id weft.DataID, tags weft.Tags, limit int) ([]weft.PlanRuns, error)

	Run(ctx context.Context, project weft.ProjectID, id weft.RunID) (weft.RunView, error)
	FindRuns(ctx context.Context, q weft.RunQuery) iter.Seq2[weft.RunView, error]
	StopRun(ctx context.Context, project weft.ProjectID, id weft.RunID, how weft.Stop, by weft.PrincipalID) (weft.RunView, error)
	RetryRun(ctx context.Context, project weft.ProjectID, id weft.RunID, by weft.PrincipalID) (weft.RunView, error)
	DeleteRun(ctx context.Context, project weft.ProjectID, id weft.RunID, by weft.PrincipalID) error
	RemoveCascade(ctx context.Context, project weft.ProjectID, id weft.RunID, dry bool, by weft.PrincipalID) (weft.Removal, error)
	Purge(ctx context.Context, project weft.ProjectID, ids []weft.DataID, dry bool, by weft.PrincipalID) (weft.Purge, error)
	RunCounts(ctx context.Context, project weft.ProjectID) (map[weft.Status]int64, error)

	Events(ctx context.Context, project weft.ProjectID, after weft.Cursor, limit int) ([]weft.Event, error)
	LastCursor(ctx context.Context) (weft.Cursor, error)

	Reserve(ctx context.Context, pin string, until time.Time, blobs []weft.Blob) ([]weft.BlobState, error)
	Extend(ctx context.Context, pin string, until time.Time) error
	Release(ctx context.Context, pin string) error
	Readable(ctx context.Context, project weft.ProjectID, digests []weft.Digest) ([]bool, error)
	HasTree(ctx context.Context, project weft.ProjectID, tree weft.Digest) (bool, error)
	BlobTotals(ctx context.Context) (count, bytes int64, err error)

	Repositories(ctx context.Context, project weft.ProjectID, after string, n int) ([]string, error)
	Tags(ctx context.Context, project weft.ProjectID, repo string, after string, n int) ([]string, error)
	Manifest(ctx context.Context, project weft.ProjectID, repo string, ref string) (weft.ImageManifest, error)
	HasBlob(ctx context.Context, project weft.ProjectID, repo string, d weft.Digest) (weft.Blob, bool, error)
	DeleteManifest(ctx context.Context, project weft.ProjectID, repo string, ref string) error
}

// A Content is what the server needs of the content store.
type Content interface {
	// Put brings in what r gives and pins it. A want that is not zero and a size that
	// is not negative are what it must have.
	Put(ctx context.Context, pin string, until time.Time, want weft.Digest, size int64, r io.Reader) (weft.Blob, error)
	// PutBatch brings in many contents; next ends with io.EOF.
	PutBatch(ctx context.Context, pin string, until time.Time, next func() (want [32]byte, size int64, r io.Reader, err error)) ([]weft.Blob, error)
	// PutManifest pins a manifest with the tree it describes, whose files were put.
	PutManifest(ctx context.Context, pin string, until time.Time, m weft.Manifest) (weft.Tree, error)
	// PutArchive brings in what a tar.gz holds, and pins the tree. It reads r to its end.
	PutArchive(ctx context.Context, pin string, until time.Time, r io.Reader) (weft.Tree, error)
	// WriteArchive writes a tree as a tar.gz that knit can unpack.
	WriteArchive(ctx context.Context, tree weft.Digest, w io.Writer) error
	// ReadManifest returns what a tree consists of.
	ReadManifest(ctx context.Context, tree weft.Digest) (weft.Manifest, error)
	// OpenBlob opens the content with a digest.
	OpenBlob(ctx context.Context, d weft.Digest) (f *os.File, size int64, err error)
	// Verify compares every file of a tree with its digest. It calls progress after each
	// with the bytes verified so far and in all, and found for each that is wrong.
	Verify(ctx context.Context, tree weft.Digest, progress func(done, total int64), found func(path, reason string)) error
	// Room is NoSpace if n more bytes would eat into the disk's reserve.
	Room(n int64) error
	// Free returns the disk's free bytes, the reserve among them, and its size.
	Free() (free, total int64, err error)
	// Reserved returns how many bytes are kept free.
	Reserved() (int64, error)
}

// A Logs has what Runs print before it is sealed.
type Logs interface {
	// OpenLog returns what the Run's present attempt has printed so far; with follow,
	// reads go on until its container has ended. NotFound when there is nothing (yet
	// or any more).
	OpenLog(ctx context.Context, r weft.Run, follow bool) (io.ReadCloser, error)
}

// An Offer is what Runs can get.
type Offer struct {
	Resources weft.Resources // by name, the largest amount for one Run
	Labels    []weft.Label   // for on_node
	Executor  Executor
}

// An Executor says in words what runs containers.
type Executor struct {
	Kind  string // runc or docker
	About string // what it is
	Why   string // it was chosen
}
