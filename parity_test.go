package weft_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// The table of features says of each whether it works, and which tests show that. The
// tests must be there: so nobody can rename one away, and no row can be a mere promise.
func TestParityNamesItsTests(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("docs/parity.md")
	if err != nil {
		t.Fatal(err)
	}
	there := testsOfTheRepository(t)
	named := regexp.MustCompile("`(Test[A-Za-z0-9_]+|[a-z]+\\.txtar|[a-z/_]+\\.sh)`")
	next := 1
	for line := range strings.Lines(string(text)) {
		cells := strings.Split(line, "|")
		number, err := strconv.Atoi(strings.TrimSpace(cells[min(1, len(cells)-1)]))
		if err != nil {
			continue // not a row of the table
		}
		if number != next || len(cells) != 7 {
			t.Fatalf("row %d stands where row %d belongs, or has not five columns", number, next)
		}
		next++
		state, tests := strings.TrimSpace(cells[3]), named.FindAllStringSubmatch(cells[5], -1)
		switch state {
		case "works", "in part":
			if len(tests) == 0 {
				t.Errorf("row %d %s, but names no test", number, state)
			}
		case "to come":
		default:
			t.Errorf("row %d: %q is neither works, in part nor to come", number, state)
		}
		for _, m := range tests {
			if !there[m[1]] {
				t.Errorf("row %d names %s, which is not there", number, m[1])
			}
		}
	}
	const rows = 70
	if next-1 != rows {
		t.Errorf("the table has %d rows, want %d", next-1, rows)
	}
}

// testsOfTheRepository returns the names of all test functions and test scripts.
func testsOfTheRepository(t *testing.T) map[string]bool {
	t.Helper()
	there := map[string]bool{}
	function := regexp.MustCompile(`(?m)^func (Test[A-Za-z0-9_]+)\(t \*testing\.T\)`)
	err := filepath.WalkDir(".", func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && (name == ".git" || d.Name() == "node_modules"):
			return filepath.SkipDir
		case strings.HasSuffix(name, ".txtar"), strings.HasSuffix(name, ".sh"):
			there[filepath.Base(name)], there[filepath.ToSlash(name)] = true, true
		case strings.HasSuffix(name, "_test.go"):
			text, err := os.ReadFile(name)
			if err != nil {
				return err
			}
			for _, m := range function.FindAllSubmatch(text, -1) {
				there[string(m[1])] = true
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return there
}
