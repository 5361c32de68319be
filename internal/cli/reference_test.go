package cli

import (
	"strings"
	"testing"
)

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
