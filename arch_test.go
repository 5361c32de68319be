package weft_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/weft-dev/weft"

// allowed is the table of packages: what each may import of this module beside
// the standard library. Imports point inward, to weft. "*" is everything: only app
// knows concrete types. A new package has to be argued for in docs/decisions.
var allowed = map[string][]string{
	".":                          {},
	"api":                        {},
	"internal/store":             {"."},
	"internal/store/storetest":   {".", "internal/store"},
	"internal/content":           {".", "api"},
	"internal/registry":          {".", "internal/content"},
	"internal/importer":          {".", "internal/content", "internal/egress"}, // decision 23
	"internal/executor":          {"."},
	"internal/executor/exectest": {".", "internal/executor"},
	"internal/executor/runc":     {".", "internal/executor", "internal/worker"}, // decision 6
	"internal/executor/docker":   {".", "internal/executor", "internal/worker"}, // decision 25
	"internal/engine":            {".", "internal/executor"},
	"internal/identity":          {"."},
	"internal/egress":            {"."}, // decision 19
	"internal/operate":           {"."}, // certificates, doctor; decision 16
	"internal/notify":            {"."}, // decision 20
	"internal/server":            {".", "api", "web"},
	"internal/worker":            {},
	"internal/cli":               {".", "api", "internal/content"},
	"internal/app":               {"*"},
	"cmd/weft":                   {"internal/app"},

	// Programs beside the system.
	"test/bench":                 {"*"},
	"examples/mkimage":           {},
	"examples/digits/classifier": {},
	"examples/digits/trainer":    {"examples/digits/classifier"},
	"examples/digits/evaluator":  {"examples/digits/classifier"},
}

// outside names the modules that packages with few dependencies may use.
var outside = map[string][]string{
	".":   {"k8s.io/apimachinery/pkg/api/resource", "github.com/distribution/reference", "github.com/google/uuid"},
	"api": {},
}

func TestImportsPointInward(t *testing.T) {
	t.Parallel()
	for dir, files := range packages(t) {
		may, listed := allowed[dir]
		if !listed {
			t.Errorf("package %s is not in the table: list it here and in ARCHITECTURE.md, and argue for it in docs/decisions", dir)
			continue
		}
		for _, f := range files {
			for _, spec := range f.Imports {
				checkImport(t, dir, strings.Trim(spec.Path.Value, `"`), may)
			}
		}
	}
}

func checkImport(t *testing.T, dir, imported string, may []string) {
	t.Helper()
	if ours, ok := strings.CutPrefix(imported, module); ok {
		ours = strings.TrimPrefix(ours, "/")
		if ours == "" {
			ours = "."
		}
		if !slices.Contains(may, ours) && !slices.Contains(may, "*") {
			t.Errorf("%s imports %s, which the table does not allow", dir, imported)
		}
		return
	}
	libs, few := outside[dir]
	if few && strings.Contains(strings.Split(imported, "/")[0], ".") && !slices.Contains(libs, imported) {
		t.Errorf("%s imports %s; it may use the standard library and %v only", dir, imported, libs)
	}
}

func TestEveryPackageHasAComment(t *testing.T) {
	t.Parallel()
	for dir, files := range packages(t) {
		if !slices.ContainsFunc(slices.Collect(maps.Values(files)), func(f *ast.File) bool { return f.Doc != nil }) {
			t.Errorf("package %s has no comment that says what it is for", dir)
		}
	}
}

// packages parses what is not a test, by directory and file.
func packages(t *testing.T) map[string]map[string]*ast.File {
	t.Helper()
	found := map[string]map[string]*ast.File{}
	err := filepath.WalkDir(".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && (name != "." && strings.HasPrefix(d.Name(), ".") || d.Name() == "testdata" || d.Name() == "node_modules") {
			return filepath.SkipDir
		}
		if !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") {
			return nil
		}
		f, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ImportsOnly|parser.ParseComments)
		if err != nil {
			return err
		}
		dir := filepath.Dir(name)
		if found[dir] == nil {
			found[dir] = map[string]*ast.File{}
		}
		found[dir][name] = f
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}
