// Package app makes one process of all the others: it reads the configuration, wires
// the concrete types together, and starts and stops them in order. It is the only
// package that knows them all.
package app

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/weft-dev/weft/internal/cli"
)

// version and commit are set by the linker.
var (
	version = "devel"
	commit  = ""
)

// Main is the main function of the weft command. It returns the exit code. "weft worker
// supervise" does not come here: it branches off earlier, in package worker.
func Main() int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	env, err := cli.OSEnv(version, commit)
	if err != nil {
		fmt.Fprintln(os.Stderr, "weft:", err)
		return 1
	}
	return cli.Main(ctx, env, os.Args[1:], newServe(env), newConfig(env), newAdmin(env))
}
