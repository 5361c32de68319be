// Package storetest gives a test one fresh Store per database at hand: SQLite always,
// PostgreSQL whenever the variable WEFT_TEST_POSTGRES holds a URL whose role may make
// schemas (test/postgres.sh starts such a database).
package storetest

import (
	"context"
	"crypto/rand"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/weft-dev/weft/internal/store"
)

// Variable is the name of the environment variable that holds PostgreSQL's URL.
const Variable = "WEFT_TEST_POSTGRES"

// Each runs test once per database, in parallel, each time with a fresh Store.
func Each(t *testing.T, test func(t *testing.T, s *store.Store)) {
	t.Helper()
	for name, fresh := range databases() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, Open(t, fresh(t), store.Options{NoSync: true}))
		})
	}
}

// EachURL runs test once per database with the URL of one that is empty.
func EachURL(t *testing.T, test func(t *testing.T, url string)) {
	t.Helper()
	for name, fresh := range databases() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, fresh(t))
		})
	}
}

// Bench runs bench once per database, with a fresh Store that waits for the disk as a
// server's does.
func Bench(b *testing.B, bench func(b *testing.B, s *store.Store)) {
	b.Helper()
	for name, fresh := range databases() {
		b.Run(name, func(b *testing.B) { bench(b, Open(b, fresh(b), store.Options{})) })
	}
}

// SQLite returns a fresh Store in SQLite, for tests in a synctest bubble and of other
// packages that need any one Store.
func SQLite(t testing.TB) *store.Store {
	t.Helper()
	return Open(t, sqliteURL(t), store.Options{NoSync: true})
}

// Open opens a Store that is closed when the test ends.
func Open(t testing.TB, url string, o store.Options) *store.Store {
	t.Helper()
	s, err := store.Open(context.Background(), url, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func databases() map[string]func(testing.TB) string {
	all := map[string]func(testing.TB) string{"sqlite": sqliteURL}
	if base := os.Getenv(Variable); base != "" {
		all["postgres"] = func(t testing.TB) string { return postgresURL(t, base) }
	}
	return all
}

func sqliteURL(t testing.TB) string {
	return "sqlite:" + filepath.Join(t.TempDir(), "weft.db")
}

// postgresURL makes a schema for the test, which is dropped when the test ends.
func postgresURL(t testing.TB, base string) string {
	t.Helper()
	ctx := context.Background()
	schema := "test_" + strings.ToLower(rand.Text())
	do := func(statement string) {
		conn, err := pgx.Connect(ctx, base)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := conn.Exec(ctx, statement); err != nil {
			t.Error(err)
		}
		if err := conn.Close(ctx); err != nil {
			t.Error(err)
		}
	}
	do("CREATE SCHEMA " + schema)
	t.Cleanup(func() { do("DROP SCHEMA " + schema + " CASCADE") })
	u, err := url.Parse(base)
	if err != nil {
		t.Fatal(err)
	}
	q := u.Query()
	q.Set("search_path", schema)
	u.RawQuery = q.Encode()
	return u.String()
}
