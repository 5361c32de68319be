package app

import (
	"bytes"
	"flag"
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/weft-dev/weft/internal/cli"
)

var update = flag.Bool("update", false, "write what is generated, instead of comparing with it")

// TestReferenceIsCurrent compares docs/cli.md with the commands, the server's included.
func TestReferenceIsCurrent(t *testing.T) {
	t.Parallel()
	const file = "../../docs/cli.md"
	env := cli.Env{Version: "v0"}
	root := cli.New(env)
	root.AddCommand(newServe(env), newConfig(env), newAdmin(env))
	var b bytes.Buffer
	if err := cli.WriteReference(&b, root); err != nil {
		t.Fatal(err)
	}
	if *update {
		if err := os.WriteFile(file, b.Bytes(), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), b.String()); diff != "" {
		t.Errorf("docs/cli.md is not current; run make generate (-file +commands):\n%s", diff)
	}
}
