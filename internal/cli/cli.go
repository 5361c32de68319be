// Package cli is the client side of the weft command: one file per command, each
// with an options struct, a function that parses into it and one that does it. The
// commands talk to a server through package api only.
//
// On a terminal the commands print tables and drawings; into a pipe, JSON in the
// shapes of Knitfab's knit command, whose flags and files they understand.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/weft-dev/weft"
)

// An Env is what surrounds a command. Commands read and write nothing else of the
// process but files.
type Env struct {
	In     io.Reader
	Out    io.Writer
	Err    io.Writer
	Getenv func(string) string
	Dir    string // the working directory

	Version string // of this program
	Commit  string // it was built from; may be empty
}

// OSEnv returns the surroundings of this process.
func OSEnv(version, commit string) (Env, error) {
	dir, err := os.Getwd()
	if err != nil {
		return Env{}, fmt.Errorf("find the working directory: %w", err)
	}
	return Env{In: os.Stdin, Out: os.Stdout, Err: os.Stderr, Getenv: os.Getenv, Dir: dir, Version: version, Commit: commit}, nil
}

// New returns the root command with every client command. Others, such as serve, may
// be added to it.
func New(env Env) *cobra.Command {
	root := &cobra.Command{
		Use:   "weft COMMAND",
		Short: "MLOps that follows your tags",
		Long: `Weft keeps data with tags, and plans: container images with tagged inputs and outputs.
Wherever tags match it runs the image, keeps what comes out as new data, and so goes on;
what came from what is recorded by itself.

Start a server with "weft serve"; then push data and apply plans.`,
		SilenceErrors: true,
		SilenceUsage:  true,
		Version:       env.Version,
		Args:          cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return usageError{cmd, errors.New("name a command")}
		},
	}
	root.SetVersionTemplate("{{.Version}}\n")
	root.SetIn(env.In)
	root.SetOut(env.Out)
	root.SetErr(env.Err)
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error { return usageError{cmd, err} })
	root.AddGroup(&cobra.Group{ID: clientGroup, Title: "Work with a server:"}, &cobra.Group{ID: setupGroup, Title: "Set up:"})
	root.SetHelpCommandGroupID(setupGroup)
	root.SetCompletionCommandGroupID(setupGroup)
	root.AddCommand(newInit(env), newLogin(env), newLogout(env), newWhoami(env), newVersion(env), newExitCodes(),
		newData(env), newPlan(env), newRun(env), newImage(env), newSecret(env), newCluster(env), newNotification(env), newHook(env),
		newFavourite(env), newSearch(env),
		newUser(env), newProject(env), newToken(env), newAudit(env))
	return root
}

const (
	clientGroup = "client"
	setupGroup  = "setup"
)

// Main runs the command that args name and returns the exit code. The commands in add
// join the built-in ones.
func Main(ctx context.Context, env Env, args []string, add ...*cobra.Command) int {
	root := New(env)
	root.AddCommand(add...)
	return Run(ctx, env, root, args)
}

// Run executes a root command that New has made, reports its error, and returns the
// exit code.
func Run(ctx context.Context, env Env, root *cobra.Command, args []string) int {
	addExtensions(env, root)
	checkArgs(root)
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return 0
	}
	report(env.Err, err, ctx.Err() != nil)
	if ctx.Err() != nil {
		return exitInterrupted
	}
	return ExitCode(err)
}

// checkArgs makes wrong arguments usage errors, as wrong flags are, and a group
// without a command an error that shows what there is.
func checkArgs(cmd *cobra.Command) {
	if check := cmd.Args; check != nil {
		cmd.Args = func(cmd *cobra.Command, args []string) error {
			err := check(cmd, args)
			switch {
			case err == nil:
				return nil
			case !cmd.HasParent(): // an unknown command
				return usageError{cmd, err}
			}
			switch want := strings.Join(strings.Fields(cmd.Use)[1:], " "); { // each check is of how many there are
			case want == "":
				return usagef(cmd, "%s takes no arguments, and got %q", cmd.CommandPath(), args)
			case len(args) == 0:
				return usagef(cmd, "%s needs %s", cmd.CommandPath(), want)
			default:
				return usagef(cmd, "%s takes %s, and got %q", cmd.CommandPath(), want, args)
			}
		}
	}
	for _, sub := range cmd.Commands() {
		checkArgs(sub)
	}
}

// A usageError says that a command was called in a wrong way.
type usageError struct {
	cmd *cobra.Command
	err error
}

func (e usageError) Error() string { return e.err.Error() }
func (e usageError) Unwrap() error { return e.err }

// usagef returns a usage error.
func usagef(cmd *cobra.Command, format string, args ...any) error {
	return usageError{cmd, fmt.Errorf(format, args...)}
}

// NewGroup returns a command, to be added to the root, that only has others below it.
func NewGroup(env Env, use, short string, subs ...*cobra.Command) *cobra.Command {
	cmd := newGroup(env, use, short, subs...)
	cmd.GroupID = setupGroup
	return cmd
}

// NewSubgroup returns such a command to be added to a group.
func NewSubgroup(env Env, use, short string, subs ...*cobra.Command) *cobra.Command {
	cmd := newGroup(env, use, short, subs...)
	cmd.GroupID = ""
	return cmd
}

// newGroup returns a command that only has others below it.
func newGroup(env Env, use, short string, subs ...*cobra.Command) *cobra.Command {
	cmd := &cobra.Command{
		Use:     use + " COMMAND",
		Short:   short,
		GroupID: clientGroup,
		Args:    cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return usagef(cmd, "name a command of %s", cmd.CommandPath())
			}
			err := fmt.Errorf("%s has no command %q", cmd.CommandPath(), args[0])
			if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
				err = fmt.Errorf("%w; did you mean %s?", err, strings.Join(near, " or "))
			}
			return usageError{cmd, err}
		},
		SuggestionsMinimumDistance: 2,
	}
	cmd.AddCommand(subs...)
	return cmd
}

// one returns args[0] as an id of the given kind of noun.
func one[T any](args []string, noun string) (weft.ID[T], error) {
	id, err := weft.ParseID[T](args[0])
	if err != nil {
		return id, weft.Errorf(weft.NotFound, "%s %q is not found", noun, args[0]).
			WithAdvice("ids have 36 characters, like 01930e5c-8c54-7a31-9f00-5a3c7e1b2d4f; see weft %s find", noun)
	}
	return id, nil
}
