package store

import (
	"context"
	"path/filepath"
	"slices"
	"testing"
)

// TestWhatGoesWithAProjectOrAUser holds that a new table that belongs to either is not
// forgotten when that is removed.
func TestWhatGoesWithAProjectOrAUser(t *testing.T) {
	t.Parallel()
	s, err := Open(t.Context(), "sqlite:"+filepath.Join(t.TempDir(), "weft.db"), Options{NoSync: true})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	with := func(column string) (tables []string) {
		err := s.read(t.Context(), func(x *tx) error {
			return x.rows(context.Background(), func(r scanner) error {
				var name string
				err := r.Scan(&name)
				tables = append(tables, name)
				return err
			}, "SELECT m.name FROM sqlite_master m, pragma_table_info(m.name) c WHERE m.type = 'table' AND c.name = $1", column)
		})
		if err != nil {
			t.Fatal(err)
		}
		return tables
	}
	known := slices.Concat(projectOwns, projectRemembered)
	for _, h := range projectHolds {
		known = append(known, h.table)
	}
	for _, table := range with("project") {
		if !slices.Contains(known, table) {
			t.Errorf("what becomes of %s when its project is removed? say so in project.go", table)
		}
	}
	known = slices.Concat(userOwns, []string{"token", "session", "device", "audit"})
	for _, table := range with("principal") {
		if !slices.Contains(known, table) {
			t.Errorf("what becomes of %s when its user is removed? say so in user.go", table)
		}
	}
}
