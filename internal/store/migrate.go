package store

import (
	"context"
	"embed"
	"fmt"
	"path"
	"regexp"
	"strconv"
	"strings"

	"github.com/weft-dev/weft"
)

//go:embed migrations/*.sql
var migrationFiles embed.FS

// A migration brings the schema from one version to the next. Its first line says
// whether it expands (older programs go on working beside it) or contracts, and which is
// the oldest program version that can use the schema afterwards. Program versions count
// as schema versions do: a program's is the last migration it knows.
type migration struct {
	version  int
	contract bool
	oldest   int
	text     string
}

var migrationHeader = regexp.MustCompile(`^-- (expand|contract); oldest program (\d+)\n`)

func migrations() ([]migration, error) {
	entries, err := migrationFiles.ReadDir("migrations") // sorted by name
	if err != nil {
		return nil, err
	}
	var all []migration
	for i, e := range entries {
		text, err := migrationFiles.ReadFile(path.Join("migrations", e.Name()))
		if err != nil {
			return nil, err
		}
		number, _, _ := strings.Cut(e.Name(), "_")
		version, err := strconv.Atoi(number)
		header := migrationHeader.FindSubmatch(text)
		if err != nil || version != i+1 || header == nil {
			return nil, fmt.Errorf("migration %s is not number %d, or does not declare itself", e.Name(), i+1)
		}
		oldest, err := strconv.Atoi(string(header[2]))
		if err != nil {
			return nil, fmt.Errorf("migration %s: %w", e.Name(), err)
		}
		all = append(all, migration{version, string(header[1]) == "contract", oldest, string(text)})
	}
	return all, nil
}

// migrate brings the schema up to date, and refuses a database that was brought to a
// state which this program is too old for. A schema that is merely newer is fine.
func (s *Store) migrate(ctx context.Context, o Options) error {
	all, err := migrations()
	if err != nil {
		return err
	}
	return s.migrateTo(ctx, all, o.ProgramVersion)
}

func (s *Store) migrateTo(ctx context.Context, all []migration, program int) error {
	if program == 0 {
		program = len(all)
	}
	for {
		more := false
		err := s.db.migration(ctx, func(q session) error {
			t := &tx{s: s, q: q, now: now()}
			schema, oldest, err := t.schemaVersion(ctx)
			if err != nil {
				return err
			}
			if program < oldest {
				return weft.Errorf(weft.Conflict, "the database needs a newer program: its schema is version %d, "+
					"for programs of version %d and later; this one is %d", schema, oldest, program).
					WithAdvice("install the release of Weft that was used last")
			}
			if schema >= len(all) || schema >= program {
				return nil
			}
			more = true
			return t.apply(ctx, all[schema])
		})
		if err != nil || !more {
			return err
		}
	}
}

// schemaVersion reads the version of the schema and the oldest program version allowed;
// both are 0 in an empty database.
func (t *tx) schemaVersion(ctx context.Context) (schema, oldest int, err error) {
	if _, err := t.exec(ctx, `CREATE TABLE IF NOT EXISTS meta (
		one integer PRIMARY KEY CHECK (one = 1), schema_version integer NOT NULL, oldest_program integer NOT NULL)`); err != nil {
		return 0, 0, err
	}
	_, err = t.row(ctx, "SELECT schema_version, oldest_program FROM meta", nil, &schema, &oldest)
	return schema, oldest, err
}

func (t *tx) apply(ctx context.Context, m migration) error {
	for _, statement := range statements(t.s.types.Replace(m.text)) {
		if _, err := t.exec(ctx, statement); err != nil {
			return fmt.Errorf("migration %d: %w", m.version, err)
		}
	}
	_, err := t.exec(ctx, `INSERT INTO meta (one, schema_version, oldest_program) VALUES (1, $1, $2)
		ON CONFLICT (one) DO UPDATE SET schema_version = excluded.schema_version, oldest_program = excluded.oldest_program`,
		m.version, m.oldest)
	return err
}

var sqlComment = regexp.MustCompile(`--[^\n]*`)

// statements cuts a script at its semicolons. Those inside of a statement are ¶.
func statements(script string) []string {
	var out []string
	for st := range strings.SplitSeq(sqlComment.ReplaceAllString(script, ""), ";") {
		if st = strings.TrimSpace(st); st != "" {
			out = append(out, strings.ReplaceAll(st, "¶", ";"))
		}
	}
	return out
}
