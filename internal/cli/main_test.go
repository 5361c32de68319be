package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/random"
	gcrtarball "github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/rogpeppe/go-internal/testscript"
)

func TestMain(m *testing.M) {
	time.Local = time.UTC // golden files have local times
	testscript.Main(m, map[string]func(){"weft": func() {
		ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
		defer stop()
		env, err := OSEnv("v1.2.3", "abcdef")
		if err != nil {
			panic(err)
		}
		os.Exit(Main(ctx, env, os.Args[1:]))
	}})
}

// TestScripts carries out the scripts, each with a server of its own.
func TestScripts(t *testing.T) {
	t.Parallel()
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup: func(env *testscript.Env) error {
			dir, err := os.MkdirTemp(t.TempDir(), "server-")
			if err != nil {
				return err
			}
			w := newWorld(t, dir)
			env.Defer(w.close)
			env.Setenv("WEFT_URL", w.url)
			env.Setenv("WEFT_TOKEN", w.token)
			env.Setenv("ROOTS", w.roots)
			env.Setenv("HOME", filepath.Join(env.WorkDir, "home"))
			env.Setenv("TZ", "UTC")
			return os.Mkdir(filepath.Join(env.WorkDir, "home"), 0o700)
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"json": jsonCmd, "exits": exitsCmd, "same": sameCmd, "saved-image": savedImageCmd, "let-in": letInCmd},
	})
}

// jsonCmd is json PATH [VAR]: what is at PATH, like 0.outputs.1.knitId, in the JSON that the last
// command has printed. It is kept in the variable or, without one, compared with what
// follows: json PATH == TEXT. length is how many there are in a list.
func jsonCmd(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 && len(args) != 3 {
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
	got := fmt.Sprint(v)
	if len(args) == 2 {
		ts.Setenv(args[1], got)
	} else if got != args[2] {
		ts.Fatalf("%s is %q, not %q", args[0], got, args[2])
	}
}

// exitsCmd is exits CODE COMMAND…: runs a command that must end with that code.
func exitsCmd(ts *testscript.TestScript, neg bool, args []string) {
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	err = ts.Exec(args[1], args[2:]...)
	got := 0
	var exit *exec.ExitError
	switch {
	case errors.As(err, &exit):
		got = exit.ExitCode()
	case err != nil:
		ts.Fatalf("%v", err)
	}
	if (got == want) == neg {
		ts.Fatalf("the exit code is %d", got)
	}
}

// sameCmd is same DIR DIR: the directories have the same files, links and modes.
func sameCmd(ts *testscript.TestScript, neg bool, args []string) {
	list := func(dir string) string {
		var b strings.Builder
		s, err := walk(ts.MkAbs(dir), false)
		ts.Check(err)
		for _, e := range s.entries {
			fmt.Fprintf(&b, "%c %04o %q -> %q", e.Kind, e.Mode, e.Path, e.Target)
			if e.Kind == 'f' {
				text, err := os.ReadFile(s.at(e))
				ts.Check(err)
				fmt.Fprintf(&b, " %q", text)
			}
			b.WriteByte('\n')
		}
		return b.String()
	}
	a, b := list(args[0]), list(args[1])
	if (a == b) == neg {
		ts.Fatalf("they are\n%s\nand\n%s", a, b)
	}
}

// savedImageCmd is saved-image NAME FILE: writes an image as docker save does.
func savedImageCmd(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: saved-image NAME FILE")
	}
	img, err := random.Image(1000, 2)
	ts.Check(err)
	img, err = mutate.ConfigFile(img, func() *v1.ConfigFile {
		c, err := img.ConfigFile()
		ts.Check(err)
		c.OS, c.Architecture, c.Config.Cmd = "linux", "amd64", []string{"train", "/in/data", "/out/model"}
		return c
	}())
	ts.Check(err)
	tag, err := name.NewTag(args[0])
	ts.Check(err)
	ts.Check(gcrtarball.WriteToFile(ts.MkAbs(args[1]), tag, img))
}
