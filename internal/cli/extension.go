package cli

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/weft-dev/weft"
)

const extensionGroup = "extension"

// addExtensions adds a command for each program in PATH that is called weft-NAME or
// knit-NAME. The first one in PATH wins; of two in one place, Weft's own. Built-in
// commands cannot be replaced.
func addExtensions(env Env, root *cobra.Command) {
	taken := map[string]bool{"help": true, "completion": true}
	for _, c := range root.Commands() {
		taken[c.Name()] = true
	}
	found := findExtensions(env.Getenv("PATH"))
	if len(found) > 0 {
		root.AddGroup(&cobra.Group{ID: extensionGroup, Title: "Extensions:"})
	}
	for _, x := range found {
		if !taken[x.name] {
			taken[x.name] = true
			root.AddCommand(newExtension(env, x))
		}
	}
}

// An extension is a program that serves as a command.
type extension struct{ name, path string }

func findExtensions(path string) []extension {
	var found []extension
	for _, dir := range filepath.SplitList(path) {
		if dir == "" {
			dir = "."
		}
		for _, prefix := range []string{"weft-", "knit-"} {
			files, err := filepath.Glob(filepath.Join(globText(dir), prefix+"*"))
			if err != nil {
				continue // a directory of PATH that cannot be searched has none
			}
			for _, f := range files {
				name := strings.TrimPrefix(filepath.Base(f), prefix)
				if ext := filepath.Ext(name); slices.Contains([]string{".exe", ".bat", ".cmd", ".com"}, ext) {
					name = strings.TrimSuffix(name, ext)
				}
				info, err := os.Stat(f)
				if err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0 && name != "" && !strings.ContainsAny(name, " \t\n") {
					found = append(found, extension{name, f})
				}
			}
		}
	}
	return found
}

// globText makes a directory's name stand for itself in a pattern.
func globText(dir string) string {
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`).Replace(dir)
}

func newExtension(env Env, x extension) *cobra.Command {
	return &cobra.Command{
		Use:                x.name,
		Short:              x.path,
		GroupID:            extensionGroup,
		DisableFlagParsing: true,
		RunE: func(cmd *cobra.Command, args []string) error {
			c := newCommon(env)
			rest, err := c.takeCommonFlags(args)
			if err != nil {
				return usageError{cmd, err}
			}
			return c.runExtension(cmd, x, rest)
		},
	}
}

// takeCommonFlags takes the common flags out of the arguments of an extension and
// leaves everything else as it is and in order.
func (c *common) takeCommonFlags(args []string) ([]string, error) {
	flags := map[string]*string{"--profile": &c.profile, "--profile-store": &c.store, "--env": &c.knitenv}
	var rest []string
	for i := 0; i < len(args); i++ {
		name, value, joined := strings.Cut(args[i], "=")
		to, ours := flags[name]
		switch {
		case args[i] == "--":
			return append(rest, args[i:]...), nil
		case !ours:
			rest = append(rest, args[i])
		case joined:
			*to = value
		case i+1 == len(args):
			return nil, fmt.Errorf("%s needs a value", name)
		default:
			i++
			*to = args[i]
		}
	}
	return rest, nil
}

// runExtension runs the program with the streams and the environment of this one.
func (c *common) runExtension(cmd *cobra.Command, x extension, args []string) error {
	run := exec.CommandContext(cmd.Context(), x.path, args...)
	run.Stdin, run.Stdout, run.Stderr, run.Dir = c.In, c.Out, c.Err, c.Dir
	run.Cancel = func() error { return run.Process.Signal(os.Interrupt) }
	env, err := c.extensionEnv()
	if err != nil {
		return err
	}
	run.Env = append(os.Environ(), env...)
	err = run.Run()
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.ExitCode() >= 0 {
		return exitError{code: exit.ExitCode()}
	}
	if err != nil {
		return fmt.Errorf("run %s: %w", x.path, err)
	}
	return nil
}

// extensionEnv tells an extension which server and project are meant, as knit tells
// it and, where there is a profile, as Weft does.
func (c *common) extensionEnv() ([]string, error) {
	store, err := c.storePath()
	if err != nil {
		return nil, err
	}
	name, _, err := c.profileName()
	if err != nil {
		return nil, err
	}
	env := []string{"KNIT_PROFILE=" + name, "KNIT_PROFILE_STORE=" + store, "KNIT_ENV=" + c.knitenvPath()}
	client, err := c.client()
	if weft.KindOf(err) == weft.NotFound { // an extension may do without a server
		return env, nil
	}
	if err != nil {
		return nil, err
	}
	env = append(env, "WEFT_URL="+client.Base())
	if client.Token() != "" {
		env = append(env, "WEFT_TOKEN="+client.Token())
	}
	if p := c.projectName(); p != "" {
		env = append(env, "WEFT_PROJECT="+p)
	}
	return env, nil
}
