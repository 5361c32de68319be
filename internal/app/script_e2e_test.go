//go:build e2e

package app_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// TestScripts carries out the scripts of testdata/script, each with a server of its
// own, the real program and real containers. They find the server as its user does: by
// the profile that it has left in HOME.
//
// In them $JOB is the archive of an image whose program, testdata/job, does what its
// arguments say, and $STATE is the server's directory.
func TestScripts(t *testing.T) {
	t.Parallel()
	bin := jobImage(t)
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup: func(env *testscript.Env) error {
			m := newMachine(env.T().(testing.TB), "--labels", "disk=fast,zone=a")
			env.Values["machine"] = m
			env.Setenv("PATH", filepath.Dir(bin)+string(os.PathListSeparator)+env.Getenv("PATH"))
			env.Setenv("HOME", m.home)
			env.Setenv("STATE", m.state)
			env.Setenv("JOB", bin)
			env.Setenv("URL", m.url)
			env.Setenv("TZ", "UTC")
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"json": jsonCmd, "exits": exitsCmd, "first-run": firstRunCmd, "prints": printsCmd},
	})
}

// jsonCmd is json PATH VAR, or json PATH == TEXT: it keeps or compares what is at PATH,
// like 0.outputs.1.knitId, in the JSON that the last command has printed. At the end of
// a list, length is how many there are.
func jsonCmd(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 && (len(args) != 3 || args[1] != "==") {
		ts.Fatalf("usage: json PATH VAR, or json PATH == TEXT")
	}
	var v any
	ts.Check(json.Unmarshal([]byte(ts.ReadFile("stdout")), &v))
	for key := range strings.SplitSeq(args[0], ".") {
		switch x := v.(type) {
		case map[string]any:
			v = x[key]
		case []any:
			if key == "length" {
				v = len(x)
				continue
			}
			i, err := strconv.Atoi(key)
			ts.Check(err)
			if i >= len(x) {
				ts.Fatalf("%s: there are %d", args[0], len(x))
			}
			v = x[i]
		default:
			ts.Fatalf("%s: nothing is at %s", args[0], key)
		}
	}
	if got := fmt.Sprint(v); len(args) == 2 {
		ts.Setenv(args[1], got)
	} else if got != args[2] {
		ts.Fatalf("%s is %q, not %q", args[0], got, args[2])
	}
}

// exitsCmd is exits CODE COMMAND…: it runs a command, which must end with that code.
func exitsCmd(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE COMMAND...")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	got := 0
	var exit *exec.ExitError
	if err := ts.Exec(args[1], args[2:]...); errors.As(err, &exit) {
		got = exit.ExitCode()
	} else {
		ts.Check(err)
	}
	if got != want {
		ts.Fatalf("the exit code is %d", got)
	}
}

// firstRunCmd is first-run PLAN VAR: it waits for the first run of a plan.
func firstRunCmd(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: first-run PLAN VAR")
	}
	m := ts.Value("machine").(*machine)
	ts.Setenv(args[1], m.firstRun(patiently(m.t), args[0]).RunID)
}

// printsCmd is prints RUN LINE: it waits until a run has printed a line.
func printsCmd(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: prints RUN LINE")
	}
	m := ts.Value("machine").(*machine)
	m.printed(patiently(m.t), args[0], args[1])
}
