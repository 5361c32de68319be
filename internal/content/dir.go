package content

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/weft-dev/weft"
)

// A Ledger is the database's knowledge of what is in a Dir. Its methods are atomic,
// durable when they return, and may be called concurrently.
type Ledger interface {
	// Reserve pins blobs and says what is known of their bytes. Unknown ones are
	// inserted, and are absent until confirmed. Those being deleted are not pinned.
	Reserve(ctx context.Context, pin string, until time.Time, blobs []weft.Blob) ([]weft.BlobState, error)
	// Confirm records that the bytes of reserved blobs are in place.
	Confirm(ctx context.Context, digests []weft.Digest) error
	// AddTree records a tree, which the pin holds from then on. It is a Conflict unless its
	// manifest and files are confirmed, and Unavailable while the tree is being deleted.
	AddTree(ctx context.Context, pin string, until time.Time, t weft.Tree, files []weft.Digest) error
	// Doom marks what nothing refers to, and returns what has been so for longer than
	// grace, or was returned before and not forgotten since. That is deleting from now on.
	Doom(ctx context.Context, grace time.Duration, limit int) (blobs []weft.Blob, trees []weft.Digest, err error)
	// Forget ends the deletion of what Doom returned.
	Forget(ctx context.Context, blobs []weft.Digest, trees []weft.Digest) error
}

// A Dir is a content store in a local directory. Its methods may be called
// concurrently; only one process may have a directory open.
type Dir struct {
	path   string
	ledger Ledger
	log    *slog.Logger
	handle *os.File // of path, for syncfs

	reserve  int64 // bytes to be left free; negative for the default
	statfs   func() (free, total int64, err error)
	sync     syncer
	stripes  [64]stripe
	trees    keyedMutex
	collect  sync.Mutex // held by whoever unlinks what is doomed
	renewing sync.Mutex // held by whoever replaces an object that has too many names
	hashers  int
	syncEach int // up to so many files are made durable one by one
}

// A stripe guards the placing of the objects whose digests fall into it.
type stripe struct {
	sync.Mutex
	claims map[weft.Digest]*claim
}

// A claim is kept on a digest by each batch from before it reserves until after it has
// confirmed, or failed. So one that was told absent, and comes to place when another
// has placed and even confirmed meanwhile, knows that the object is good.
type claim struct {
	batches int
	placed  bool
}

const (
	dirMode  fs.FileMode = 0o755
	plain    fs.FileMode = 0o444
	runnable fs.FileMode = 0o555
)

// Open opens the content store at path, which is made if it is not there, and removes
// what an earlier process left unfinished.
func Open(path string, l Ledger, log *slog.Logger) (*Dir, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("open content: %w", err)
	}
	d := &Dir{path: path, ledger: l, log: log, reserve: -1, hashers: runtime.GOMAXPROCS(0), syncEach: 16}
	for i := range d.stripes {
		d.stripes[i].claims = make(map[weft.Digest]*claim)
	}
	if err := d.layOut(); err != nil {
		return nil, fmt.Errorf("open content: %w", err)
	}
	if d.handle, err = os.Open(path); err != nil {
		return nil, fmt.Errorf("open content: %w", err)
	}
	d.statfs = d.statDisk
	d.sync.sync = func() error { return unix.Syncfs(int(d.handle.Fd())) }
	if err := d.sweep(); err != nil {
		d.handle.Close()
		return nil, fmt.Errorf("open content: %w", err)
	}
	return d, nil
}

// Close releases the directory. No other method may be running or follow.
func (d *Dir) Close() error { return d.handle.Close() }

// layOut makes the directories, those of objects ahead so that putting one never has to.
func (d *Dir) layOut() error {
	for _, name := range []string{"objects", "trees", "work", "tmp"} {
		if err := os.MkdirAll(filepath.Join(d.path, name), dirMode); err != nil {
			return err
		}
	}
	for i := range 256 {
		err := os.Mkdir(filepath.Join(d.path, "objects", fmt.Sprintf("%02x", i)), dirMode)
		if err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
	}
	return nil
}

func (d *Dir) sweep() error {
	tmp := filepath.Join(d.path, "tmp")
	left, err := os.ReadDir(tmp)
	if err != nil {
		return err
	}
	for _, e := range left {
		if err := removeTree(filepath.Join(tmp, e.Name())); err != nil {
			return err
		}
	}
	if len(left) > 0 {
		d.log.Info("removed unfinished content", "entries", len(left))
	}
	return nil
}

// object is where the bytes of a digest are, plain or executable.
func (d *Dir) object(g weft.Digest, exec bool) string {
	h := g.Hex()
	name := d.path + "/objects/" + h[:2] + "/" + h[2:]
	if exec {
		name += ".x"
	}
	return name
}

func (d *Dir) tree(g weft.Digest) string {
	h := g.Hex()
	return filepath.Join(d.path, "trees", h[:2], h[2:])
}

// temp makes an empty file for something unfinished.
func (d *Dir) temp() (*os.File, error) {
	return os.CreateTemp(filepath.Join(d.path, "tmp"), "put-")
}

// Stat returns the size of the content with a digest.
func (d *Dir) Stat(ctx context.Context, g weft.Digest) (int64, error) {
	_, _, size, err := d.find(g, false)
	return size, err
}

// OpenBlob opens the content with a digest, and returns its size.
func (d *Dir) OpenBlob(ctx context.Context, g weft.Digest) (*os.File, int64, error) {
	for _, exec := range []bool{false, true} {
		f, err := os.Open(d.object(g, exec))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, 0, fmt.Errorf("open content: %w", err)
		}
		info, err := f.Stat()
		if err != nil {
			f.Close()
			return nil, 0, fmt.Errorf("open content: %w", err)
		}
		return f, info.Size(), nil
	}
	return nil, 0, notStored(g)
}

// find looks for the object in the form that is asked for, else in the other one.
func (d *Dir) find(g weft.Digest, want bool) (name string, exec bool, size int64, err error) {
	for _, exec := range []bool{want, !want} {
		name := d.object(g, exec)
		var s unix.Stat_t
		err := unix.Lstat(name, &s)
		if err == nil {
			return name, exec, s.Size, nil
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return "", false, 0, fmt.Errorf("find content: %w", err)
		}
	}
	return "", false, 0, notStored(g)
}

func notStored(g weft.Digest) error {
	return weft.Errorf(weft.NotFound, "content %s is not stored", g)
}
