// Package executor says what it takes to run containers, and has the fake that
// tests script. The drivers are in the packages below it: each runs containers in
// its own way and passes the suite of exectest.
package executor

import (
	"context"
	"io"
	"time"

	"github.com/weft-dev/weft"
)

// An Executor runs one container per attempt. Implementations are safe for
// concurrent use.
//
// The engine may crash, or be replaced by another replica, between any two calls
// and within any. So every method may be called again with the same argument, and
// must then lead to the same end. Calls for one attempt may also arrive late: after
// Remove, a Start that was under way may still make a container; List shows it, and
// the engine's reconciler removes it.
//
// Errors carry a weft.Kind. Unavailable means that trying again later may help; the
// message is shown to the user as the reason why the Run waits. Invalid, NotFound
// and Conflict from Start mean that this job can never start; the Run then fails
// with that message.
type Executor interface {
	// Start makes the attempt's container and starts it. It returns once the
	// container was started or is sure to be. Starting what was started already is
	// no error, even if it has ended since.
	Start(ctx context.Context, job Job) error

	// Observe tells how the attempt stands now. For an attempt it does not know,
	// the state is Gone and the error nil.
	Observe(ctx context.Context, a weft.Attempt) (Seen, error)

	// Watch sends every attempt whose state may have changed, until ctx ends.
	// Hints may repeat, and may be lost when the receiver is slow or the executor
	// restarts; at its beginning Watch hints at everything that has ended already.
	Watch(ctx context.Context, changed chan<- weft.Attempt) error

	// Stop asks the program to end (SIGTERM, or the image's STOPSIGNAL) and kills it after
	// grace. Asked again, it only ever becomes more urgent. It returns
	// without waiting for the end. Stopping what has ended or is unknown is no error.
	Stop(ctx context.Context, a weft.Attempt, grace time.Duration) error

	// Remove kills what is left of the attempt and removes its container and
	// everything kept for it, but not its outputs and its log, which belong to the
	// content store. When it returns nothing writes to them any more. Removing what
	// is unknown is no error.
	Remove(ctx context.Context, a weft.Attempt) error

	// Logs returns what the container has printed so far, stdout and stderr in one
	// stream. With follow, reads go on until the container has ended and all was
	// read, or ctx ends. NotFound when there is no log (yet).
	Logs(ctx context.Context, a weft.Attempt, follow bool) (io.ReadCloser, error)

	// List returns every attempt of which anything exists, for the reconciler.
	List(ctx context.Context) ([]weft.Attempt, error)

	// Capacity tells what there is to share out. Without limits (zero Capacity),
	// the engine hands over every Run and leaves admission to the executor.
	Capacity(ctx context.Context) (Capacity, error)
}

// LogFile is the name of the log in the work directory of the log's Data.
const LogFile = "log"

// Places tells an executor where the content store keeps what it mounts.
type Places interface {
	// Work is the directory in which the attempt leaves what Data d is to become:
	// an output as it is, the log as the file LogFile. The executor makes it.
	Work(a weft.Attempt, d weft.DataID) string

	// Tree is the directory of a sealed tree, made on demand. It is never written to.
	Tree(ctx context.Context, d weft.Digest) (string, error)
}

// A Job is everything that an executor needs to know to run one attempt.
type Job struct {
	Attempt        weft.Attempt
	Project        weft.ProjectID
	Plan           weft.PlanID
	Image          weft.Digest // of the image's manifest for this platform, in the embedded registry's store
	ImageName      string      // as the plan names it, for people
	Entrypoint     []string    // empty: the image's own
	Args           []string    // empty: the image's own (if Entrypoint is empty, too)
	Env            []string    // KEY=value, on top of the image's
	Inputs         []Input
	Outputs        []Output
	Log            weft.DataID // the Data that the log becomes; zero when the plan keeps none
	Resources      weft.Resources
	Devices        []string // CDI names given to this job, like nvidia.com/gpu=0
	OnNode         weft.OnNode
	ServiceAccount string

	LogLimit    int64 // bytes; 0 is none
	OutputLimit int64 // bytes over all outputs; 0 is none
}

// An Input is a sealed tree to be mounted read-only.
type Input struct {
	Path string // in the container
	Data weft.DataID
	Tree weft.Digest // of its manifest
}

// An Output is a directory for the program to write into. Its place outside the
// container is the content store's, by attempt and Data.
type Output struct {
	Path string // in the container
	Data weft.DataID
}

// A State is how far an attempt has come, as seen from outside.
type State int

const (
	Gone    State = iota // nothing is known of it
	Pending              // being prepared: image, node, volumes
	Running              // its process runs
	Exited               // its process ended by itself or by a signal
	Lost                 // it was there, and is gone without an exit code
)

// Seen is what Observe saw.
type Seen struct {
	State   State
	Reason  string   // for Pending: why it does not run yet, in words
	Code    int      // for Exited: the exit code, or 128 + the signal
	Signal  int      // for Exited: the signal that ended it; 0 for none
	OOM     bool     // for Exited: the kernel killed it for want of memory
	Message string   // for Exited and Lost: what more there is to say, such as a limit that was hit
	Devices []string // the CDI names that its Job gave it; an engine that restarts asks for them
	Started time.Time
	Ended   time.Time
}

// A Capacity is what a machine has for Runs.
type Capacity struct {
	Resources weft.Resources      // what may be shared out, by name; nil: no admission
	Devices   map[string][]string // by resource name: the CDI names of each unit, for resources that are devices
	Labels    []weft.Label        // of the machine, for on_node
}
