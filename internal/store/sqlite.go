package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"regexp"
	"strconv"
)

// sqliteDB is one connection that writes and a few that read, each with the statements
// it has prepared.
type sqliteDB struct {
	write   *liteConn
	readers chan *liteConn
}

// sqliteReaders is how many reading transactions go on at once; more wait.
const sqliteReaders = 8

// What each connection keeps of the database in memory, in KiB (negative, as SQLite
// has it). The kernel keeps the rest: a miss costs a system call, not a disk access.
const (
	writerCache = "-65536"
	readerCache = "-6144"
)

func (s *Store) openSQLite(ctx context.Context, path string, o Options) error {
	path, err := filepath.Abs(path)
	if err != nil {
		return err
	}
	sync := "FULL"
	if o.NoSync {
		sync = "OFF"
	}
	dsn := func(cache string) string {
		q := url.Values{"_pragma": {"busy_timeout(10000)", "journal_mode(WAL)", "synchronous(" + sync + ")",
			"foreign_keys(1)", "temp_store(MEMORY)", "cache_size(" + cache + ")", "wal_autocheckpoint(4000)"}}
		return (&url.URL{Scheme: "file", Path: path, RawQuery: q.Encode()}).String()
	}
	d := &sqliteDB{readers: make(chan *liteConn, sqliteReaders)}
	s.db = d
	open := func(cache string, conns int) (*sql.DB, error) {
		db, err := sql.Open("sqlite", dsn(cache))
		if err == nil {
			db.SetMaxOpenConns(conns)
			db.SetMaxIdleConns(conns)
			s.close = append(s.close, db.Close)
		}
		return db, err
	}
	w, err := open(writerCache, 1)
	if err != nil {
		return err
	}
	if d.write, err = newLiteConn(ctx, w); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	r, err := open(readerCache, sqliteReaders)
	if err != nil {
		return err
	}
	for range sqliteReaders {
		c, err := newLiteConn(ctx, r)
		if err != nil {
			return err
		}
		d.readers <- c
	}
	return nil
}

func (d *sqliteDB) lanes() int { return 1 }

func (d *sqliteDB) begin(ctx context.Context, _ int) (transaction, error) {
	if _, err := d.write.ExecContext(ctx, "BEGIN IMMEDIATE"); err != nil {
		return nil, fmt.Errorf("begin: %w", err)
	}
	return d.write, nil
}

func (d *sqliteDB) view(ctx context.Context, fn func(session) error) error {
	var c *liteConn
	select {
	case c = <-d.readers:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { d.readers <- c }()
	whole := context.WithoutCancel(ctx) // whoever goes away leaves no transaction open
	if _, err := c.ExecContext(whole, "BEGIN"); err != nil {
		c.rollback(whole) // an interruption meant for the last query may have hit its end
		if _, err = c.ExecContext(whole, "BEGIN"); err != nil {
			return fmt.Errorf("begin: %w", err)
		}
	}
	err := fn(c)
	c.rollback(whole)
	return err
}

func (d *sqliteDB) migration(ctx context.Context, fn func(session) error) error {
	if _, err := d.begin(ctx, 0); err != nil {
		return err
	}
	if err := fn(d.write); err != nil {
		d.write.rollback(ctx)
		return err
	}
	return d.write.commit(ctx)
}

// liteConn is a connection with its prepared statements. One goroutine at a time uses it.
type liteConn struct {
	conn  *sql.Conn
	stmts map[string]*liteStmt
}

// A liteStmt is a prepared statement whose parameters have no names: to look up the name
// of each, among hundreds, takes longer than to run the statement.
type liteStmt struct {
	*sql.Stmt
	order []int // which argument each parameter takes
}

var numbered = regexp.MustCompile(`\$[0-9]+`)

// unnamed writes a statement with ? instead of $1 and the like.
func unnamed(query string) (text string, order []int) {
	text = numbered.ReplaceAllStringFunc(query, func(name string) string {
		n, _ := strconv.Atoi(name[1:]) // only digits are matched
		order = append(order, n-1)
		return "?"
	})
	return text, order
}

// args arranges the arguments as the parameters stand in the statement.
func (s *liteStmt) args(args []any) []any {
	inOrder := len(s.order) == len(args)
	for i := 0; inOrder && i < len(args); i++ {
		inOrder = s.order[i] == i
	}
	if inOrder {
		return args
	}
	out := make([]any, len(s.order))
	for i, n := range s.order {
		out[i] = args[n]
	}
	return out
}

// maxStatements bounds the memory of prepared statements: some lists have many shapes.
const maxStatements = 500

func newLiteConn(ctx context.Context, db *sql.DB) (*liteConn, error) {
	c, err := db.Conn(ctx)
	return &liteConn{c, map[string]*liteStmt{}}, err
}

func (c *liteConn) prepare(ctx context.Context, query string) (*liteStmt, error) {
	if st, ok := c.stmts[query]; ok {
		return st, nil
	}
	if len(c.stmts) >= maxStatements {
		if err := c.forget(); err != nil {
			return nil, err
		}
	}
	text, order := unnamed(query)
	prepared, err := c.conn.PrepareContext(ctx, text)
	if err != nil {
		return nil, err
	}
	st := &liteStmt{prepared, order}
	c.stmts[query] = st
	return st, nil
}

func (c *liteConn) forget() error {
	var errs []error
	for _, st := range c.stmts {
		errs = append(errs, st.Close())
	}
	clear(c.stmts)
	return errors.Join(errs...)
}

func (c *liteConn) ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error) {
	st, err := c.prepare(ctx, query)
	if err != nil {
		return nil, err
	}
	return st.ExecContext(ctx, st.args(args)...)
}

func (c *liteConn) QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	st, err := c.prepare(ctx, query)
	if err != nil {
		return nil, err
	}
	return st.QueryContext(ctx, st.args(args)...)
}

func (c *liteConn) commit(ctx context.Context) error {
	if _, err := c.ExecContext(ctx, "COMMIT"); err != nil {
		c.rollback(ctx)
		return fmt.Errorf("commit: %w", err)
	}
	return nil
}

// rollback ends the transaction. It may have ended by itself, after an error such as a
// full disk, so that its own error says nothing.
func (c *liteConn) rollback(ctx context.Context) {
	_, _ = c.ExecContext(ctx, "ROLLBACK")
}
