package cli

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestReferenceIsCurrent(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	if err := WriteReference(&b, New(Env{Version: "v0"})); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join("..", "..", "docs", "cli.md")
	if *update {
		if err := os.WriteFile(path, b.Bytes(), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), b.String()); diff != "" {
		t.Errorf("docs/cli.md is not current; run make generate (-file +commands):\n%s", diff)
	}
}

// Every command can be found, explains itself in one line without a full stop, and has
// a usage that names its arguments.
func TestCommandsExplainThemselves(t *testing.T) {
	t.Parallel()
	root := New(Env{})
	for _, c := range root.Commands() {
		for _, sub := range append(c.Commands(), c) {
			switch {
			case sub.Short == "" || strings.HasSuffix(sub.Short, "."):
				t.Errorf("%s: short text %q", sub.CommandPath(), sub.Short)
			case sub.Runnable() && sub.Args == nil && sub.Name() != "wait":
				t.Errorf("%s does not say which arguments it takes", sub.CommandPath())
			}
		}
	}
}
