package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
)

// postgresDB is a pool of connections.
type postgresDB struct{ pool *sql.DB }

const (
	postgresLanes = 4
	postgresConns = 16
)

func (s *Store) openPostgres(ctx context.Context, url string, o Options) error {
	config, err := pgx.ParseConfig(url)
	if err != nil {
		return errors.New("the database's URL is not valid") // the driver's message may hold the password
	}
	config.RuntimeParams["application_name"] = "weft"
	if o.NoSync {
		config.RuntimeParams["synchronous_commit"] = "off"
	}
	if err := ensureRoles(ctx, config); err != nil {
		return err
	}
	pool := stdlib.OpenDB(*config, stdlib.OptionAfterConnect(setUp))
	pool.SetMaxOpenConns(postgresConns)
	pool.SetMaxIdleConns(postgresConns)
	s.db = &postgresDB{pool}
	if err := pool.PingContext(ctx); err != nil {
		return errorsJoin(err, pool.Close())
	}
	n := &notifier{config: config, wake: s.wake.all, log: s.log, dirty: make(chan struct{}, 1)}
	s.announce = n.announce
	s.close = append(s.close, n.start(ctx), pool.Close)
	return nil
}

// setUp prepares a fresh connection. The planner takes a random page to be as dear as on
// a turning disk, and compiles statements that take a millisecond; both mislead it here.
func setUp(ctx context.Context, conn *pgx.Conn) error {
	if err := setRole(ctx, conn); err != nil {
		return err
	}
	_, err := conn.Exec(ctx, "SET random_page_cost = 1.1; SET jit = off")
	return err
}

func (d *postgresDB) lanes() int { return postgresLanes }

func (d *postgresDB) begin(ctx context.Context, _ int) (transaction, error) {
	t, err := d.beginTx(ctx, nil)
	if err != nil {
		return nil, fmt.Errorf("begin: %w", err)
	}
	return pgTx{t}, nil
}

func (d *postgresDB) view(ctx context.Context, fn func(session) error) error {
	t, err := d.beginTx(ctx, &sql.TxOptions{ReadOnly: true, Isolation: sql.LevelRepeatableRead})
	if err != nil {
		return fmt.Errorf("begin: %w", err)
	}
	defer pgTx{t}.rollback(ctx)
	return fn(t)
}

// A server that is being restarted, or has a crowd at its door, is tried again for a while.
const (
	connectTries = 6
	connectPause = 20 * time.Millisecond // twice as long each time
)

func (d *postgresDB) beginTx(ctx context.Context, o *sql.TxOptions) (t *sql.Tx, err error) {
	pause := connectPause
	for range connectTries {
		var refused *pgconn.ConnectError
		if t, err = d.pool.BeginTx(ctx, o); !errors.As(err, &refused) {
			return t, err
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(pause):
			pause *= 2
		}
	}
	return nil, err
}

// migrationLock is the key of the advisory lock that keeps migrations apart.
const migrationLock = 0x77656674 // "weft"

func (d *postgresDB) migration(ctx context.Context, fn func(session) error) error {
	t, err := d.pool.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("begin: %w", err)
	}
	defer pgTx{t}.rollback(ctx)
	if _, err := t.ExecContext(ctx, "SELECT pg_advisory_xact_lock($1)", migrationLock); err != nil {
		return err
	}
	if err := fn(t); err != nil {
		return err
	}
	return t.Commit()
}

type pgTx struct{ *sql.Tx }

func (t pgTx) commit(context.Context) error {
	if err := t.Commit(); err != nil {
		return fmt.Errorf("commit: %w", err)
	}
	return nil
}

// rollback ends the transaction. When that fails the connection is broken, and the
// database has rolled back by itself.
func (t pgTx) rollback(context.Context) { _ = t.Rollback() }

// A notifier tells other processes of commits, and is told by them. A NOTIFY inside the
// transactions would have them commit one after another; so there is one for all
// commits of some milliseconds, behind them.
type notifier struct {
	config *pgx.ConnConfig
	wake   func()
	log    interface{ Warn(msg string, args ...any) }
	dirty  chan struct{}
}

const (
	notifyChannel = "weft_changed"
	notifyPause   = 5 * time.Millisecond
	notifyRetry   = time.Second
)

func (n *notifier) announce() {
	select {
	case n.dirty <- struct{}{}:
	default:
	}
}

// start begins to listen and to tell. It returns what ends that.
func (n *notifier) start(ctx context.Context) func() error {
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	var both sync.WaitGroup
	both.Go(func() { n.keep(ctx, n.listen) })
	both.Go(func() { n.keep(ctx, n.tell) })
	return func() error {
		cancel()
		both.Wait()
		return nil
	}
}

// keep runs do with a connection of its own, and again after a while when it breaks.
func (n *notifier) keep(ctx context.Context, do func(context.Context, *pgx.Conn) error) {
	for ctx.Err() == nil {
		conn, err := pgx.ConnectConfig(ctx, n.config)
		if err == nil {
			err = do(ctx, conn)
			_ = conn.Close(context.WithoutCancel(ctx)) // broken, or no longer wanted
		}
		if ctx.Err() != nil {
			return
		}
		n.log.Warn("the connection for notifications is lost", "error", err)
		select {
		case <-ctx.Done():
		case <-time.After(notifyRetry):
		}
	}
}

func (n *notifier) listen(ctx context.Context, conn *pgx.Conn) error {
	if _, err := conn.Exec(ctx, "LISTEN "+notifyChannel); err != nil {
		return err
	}
	n.wake() // for what was missed while there was no connection
	for {
		if _, err := conn.WaitForNotification(ctx); err != nil {
			return err
		}
		n.wake()
	}
}

func (n *notifier) tell(ctx context.Context, conn *pgx.Conn) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-n.dirty:
		}
		if _, err := conn.Exec(ctx, "NOTIFY "+notifyChannel); err != nil {
			n.announce()
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(notifyPause):
		}
	}
}
