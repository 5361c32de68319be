package store

import (
	"context"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/weft-dev/weft"
)

func TestMigrationsDeclareThemselves(t *testing.T) {
	t.Parallel()
	all, err := migrations()
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range all {
		if m.oldest > m.version || m.contract && m.oldest != m.version {
			t.Errorf("migration %d is for programs of version %d and later, contract: %v", m.version, m.oldest, m.contract)
		}
	}
}

// TestProgramVersions brings a database with rows in it to later schemas: an older
// program works beside an expanded one, and is refused only behind a contraction.
func TestProgramVersions(t *testing.T) {
	t.Parallel()
	url := "sqlite:" + filepath.Join(t.TempDir(), "weft.db")
	open := func(program int) (*Store, error) {
		return Open(context.Background(), url, Options{ProgramVersion: program, NoSync: true})
	}
	s, err := open(0)
	if err != nil {
		t.Fatal(err)
	}
	before, err := s.DefaultProject(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	all, err := migrations()
	if err != nil {
		t.Fatal(err)
	}
	known := len(all)
	later := append(slices.Clone(all),
		migration{version: known + 1, oldest: known, text: "ALTER TABLE project ADD COLUMN note {{text}} NOT NULL DEFAULT '';"},
		migration{version: known + 2, contract: true, oldest: known + 2, text: "ALTER TABLE project DROP COLUMN note;"})
	if err := s.migrateTo(t.Context(), later[:known+1], known+1); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if s, err = open(known); err != nil {
		t.Fatalf("a program of version %d is refused by a schema that was expanded: %v", known, err)
	}
	if after, err := s.DefaultProject(t.Context()); err != nil || after != before {
		t.Errorf("the project is %v after the migration, was %v (%v)", after, before, err)
	}
	if err := s.migrateTo(t.Context(), later, known+2); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	_, err = open(known)
	if weft.KindOf(err) != weft.Conflict || !strings.Contains(err.Error(), "newer program") {
		t.Errorf("a program that is too old gets %v", err)
	}
	if s, err = open(known + 2); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestBadURLs(t *testing.T) {
	t.Parallel()
	for _, url := range []string{"", "weft.db", "mysql://host/db"} {
		if _, err := Open(t.Context(), url, Options{}); weft.KindOf(err) != weft.Invalid {
			t.Errorf("opening %q gives %v", url, err)
		}
	}
	if _, err := Open(t.Context(), "postgres://user:secret@127.0.0.1:1/%zz", Options{}); err == nil || strings.Contains(err.Error(), "secret") {
		t.Errorf("a bad URL gives %v", err)
	}
}
