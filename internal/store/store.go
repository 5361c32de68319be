package store

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/weft-dev/weft"
)

// Options adjust a Store; the zero value is right for a server.
type Options struct {
	Log *slog.Logger // nil: nowhere

	// ProgramVersion is what the database's oldest allowed program version is compared
	// with; 0 is this program's own. See migrate.go.
	ProgramVersion int

	// RunLimit is how many Runs a Plan that says nothing else may have projection make
	// at once, before it is blocked; 0 is weft.DefaultRunLimit.
	RunLimit int64

	// ImageHere reports whether an image that a Plan names is one of the embedded registry.
	// nil: those that name no registry, or weft.EmbeddedRegistry.
	ImageHere func(weft.Image) bool

	// NoSync does not wait for the disk. It is for tests: a crash of the machine may
	// lose or break the database.
	NoSync bool
}

// A Store is the relational state of Weft. It is safe for concurrent use.
type Store struct {
	dialect
	log    *slog.Logger
	db     database
	values valueTexts
	writer writer
	wake   wake
	plans  planSets
	index  index
	access *access
	close  []func() error // in the order to be called

	runLimit  int64
	imageHere func(weft.Image) bool
	envs      atomic.Bool // there may be variables of hooks

	announce func() // tells other processes of a commit; nil where there are none
}

// database is one of the two kinds of databases, as far as connections go.
type database interface {
	// begin opens a transaction that may write. lane tells the writers apart.
	begin(ctx context.Context, lane int) (transaction, error)
	// view runs fn in a transaction that reads one state of the database.
	view(ctx context.Context, fn func(session) error) error
	// migration runs fn in a transaction that keeps every other migration out.
	migration(ctx context.Context, fn func(session) error) error
	lanes() int
}

type transaction interface {
	session
	commit(ctx context.Context) error
	rollback(ctx context.Context)
}

// Open opens the database that url names, "sqlite:PATH" or "postgres://…", and brings
// its schema up to date. ctx bounds the opening only.
func Open(ctx context.Context, url string, o Options) (*Store, error) {
	s := &Store{log: o.Log, runLimit: o.RunLimit, imageHere: o.ImageHere, access: newAccess()}
	if s.runLimit == 0 {
		s.runLimit = weft.DefaultRunLimit
	}
	if s.imageHere == nil {
		s.imageHere = func(i weft.Image) bool { return i.Registry() == "" || i.Registry() == weft.EmbeddedRegistry }
	}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	s.values.texts = map[valueKey]string{}
	var err error
	switch {
	case strings.HasPrefix(url, "sqlite:"):
		s.dialect = sqliteDialect()
		err = s.openSQLite(ctx, strings.TrimPrefix(url, "sqlite:"), o)
	case strings.HasPrefix(url, "postgres://"), strings.HasPrefix(url, "postgresql://"):
		s.dialect = postgresDialect()
		err = s.openPostgres(ctx, url, o)
	default:
		scheme, _, _ := strings.Cut(url, ":")
		return nil, weft.Errorf(weft.Invalid, "%q is not a kind of database", scheme).
			WithAdvice("use sqlite:PATH or postgres://HOST/DATABASE")
	}
	if err == nil {
		err = s.migrate(ctx, o)
	}
	if err != nil {
		return nil, fmt.Errorf("open store: %w", errorsJoin(explain(err), s.closeAll()))
	}
	s.writer.start(s)
	if err := s.write(ctx, s.takeUp); err != nil {
		s.writer.stop()
		return nil, fmt.Errorf("open store: %w", errorsJoin(err, s.closeAll()))
	}
	s.index.start(s)
	return s, nil
}

// takeUp has projection look again at what a former process had in hand, if there can
// be no other now, and at Plans that the present limit would not block.
func (s *Store) takeUp(ctx context.Context, t *tx) error {
	if err := s.findEnv(ctx, t); err != nil {
		return err
	}
	if s.single {
		if _, err := t.exec(ctx, "UPDATE change SET due_at = 0 WHERE due_at > 0"); err != nil {
			return err
		}
	}
	_, err := t.exec(ctx, `INSERT INTO change (project, plan)
		SELECT project, id FROM plan WHERE allow_runs = 0 AND pending_runs > 0 AND pending_runs <= $1`, s.runLimit)
	return err
}

// Close lets what is being written end, refuses what still waits, and closes the
// database.
func (s *Store) Close() error {
	s.index.stop()
	s.access.touches.Wait()
	s.writer.stop()
	return s.closeAll()
}

func (s *Store) closeAll() error {
	var first error
	for _, c := range s.close {
		if err := c(); err != nil && first == nil {
			first = err
		}
	}
	s.close = nil
	return first
}

// errorsJoin keeps err as it is, so that its kind stays the outermost, unless only the
// other is there.
func errorsJoin(err, other error) error {
	if err == nil {
		return other
	}
	return err
}

// read runs fn over one state of the database.
func (s *Store) read(ctx context.Context, fn func(t *tx) error) error {
	return explain(s.db.view(ctx, func(q session) error {
		return fn(&tx{s: s, q: q, now: now(), committed: true})
	}))
}

// write has the writer run fn in a transaction, alone or among others. fn may be run
// more than once, and only the last time counts; it must use the context it is given.
func (s *Store) write(ctx context.Context, fn func(ctx context.Context, t *tx) error) error {
	return s.writer.do(ctx, false, fn)
}

// writeAlone is write, in a transaction of its own, so that what fn reads is committed.
func (s *Store) writeAlone(ctx context.Context, fn func(ctx context.Context, t *tx) error) error {
	return s.writer.do(ctx, true, fn)
}

// now is the present in the resolution in which it is stored.
func now() time.Time { return time.Now().UTC().Truncate(time.Microsecond) }

// A wake tells all who wait that something was committed.
type wake struct {
	mu      sync.Mutex
	waiting map[chan struct{}]struct{}
}

// Changed returns a channel that gets a value soon after every commit by this process
// or, on PostgreSQL, by any other. Values coalesce: one may stand for many commits.
// stop ends it.
func (s *Store) Changed() (ch <-chan struct{}, stop func()) {
	c := make(chan struct{}, 1)
	s.wake.mu.Lock()
	defer s.wake.mu.Unlock()
	if s.wake.waiting == nil {
		s.wake.waiting = map[chan struct{}]struct{}{}
	}
	s.wake.waiting[c] = struct{}{}
	return c, func() {
		s.wake.mu.Lock()
		defer s.wake.mu.Unlock()
		delete(s.wake.waiting, c)
	}
}

func (w *wake) all() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for c := range w.waiting {
		select {
		case c <- struct{}{}:
		default:
		}
	}
}
