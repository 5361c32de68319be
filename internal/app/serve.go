package app

import (
	"context"
	"fmt"
	"net"
	"os"

	"github.com/spf13/cobra"

	"github.com/weft-dev/weft"
	"github.com/weft-dev/weft/internal/cli"
)

// setupGroup is the group of commands, made by cli, that serve and config belong to.
const setupGroup = "setup"

func newServe(env cli.Env) *cobra.Command {
	flags := configFlags()
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Run the server: API, registry, engine and executor in one process",
		Long: `Serve runs the whole system in one process, and keeps everything in one directory.
When it is ready it prints one line with its URL; the first time also the password of
the user admin, which is kept nowhere. The administrator's token is in the
file admin.token of the state directory; the user who started it needs none, as a
profile is left for him.

It ends on SIGTERM. Containers go on meanwhile; the next start finds them again.`,
		Args:    cobra.NoArgs,
		GroupID: setupGroup,
		RunE: func(cmd *cobra.Command, _ []string) error {
			load := func() (Config, error) { return loadConfig(flags) }
			c, err := load()
			if err != nil {
				return err
			}
			return serve(cmd.Context(), c, &reloader{load: load, file: configFile(flags)}, env)
		},
	}
	cmd.Flags().AddFlagSet(flags)
	return cmd
}

func newConfig(env cli.Env) *cobra.Command {
	flags := configFlags()
	cmd := &cobra.Command{
		Use:     "config",
		Short:   "Print the server's settings, as a file that serve --config takes",
		Args:    cobra.NoArgs,
		GroupID: setupGroup,
		RunE: func(*cobra.Command, []string) error {
			c, err := loadConfig(flags)
			if err != nil {
				return err
			}
			text, err := c.write()
			if err == nil {
				_, err = fmt.Fprint(env.Out, text)
			}
			return err
		},
	}
	cmd.Flags().AddFlagSet(flags)
	return cmd
}

// serve runs a server until ctx ends.
func serve(ctx context.Context, c Config, again *reloader, env cli.Env) error {
	log := newLogger(c, env.Err)
	listener, err := net.Listen("tcp", c.Listen)
	if err != nil {
		return weft.Errorf(weft.Conflict, "listen on %s: %w", c.Listen, err).WithAdvice("choose another address with --listen; port 0 picks a free one")
	}
	p, err := open(ctx, c, listener, again, log)
	if err != nil {
		return closeAfter(err, listener.Close)
	}
	if err := p.sayWhere(); err != nil {
		return closeAfter(err, p.close)
	}
	if err := leaveProfile(p); err != nil {
		log.Warn("no profile was left for the local user", "error", err)
	}
	if err := announce(env.Out, p); err != nil {
		return closeAfter(err, p.close)
	}
	return closeAfter(p.run(ctx), p.close)
}

// leaveProfile lets the user who runs the server use it without typing a token.
func leaveProfile(p *process) error {
	home, err := os.UserHomeDir()
	if err != nil {
		return err
	}
	url := p.localURL()
	trust, err := p.trust(url)
	if err != nil {
		return err
	}
	profile, err := cli.NewProfile(url, p.token, trust)
	if err != nil {
		return err
	}
	return cli.SaveProfile(cli.LocalProfile(home), profile)
}

// profileAgain leaves the profile once more, as the authority may be another.
func (p *process) profileAgain() {
	if err := leaveProfile(p); err != nil {
		p.log.Warn("no profile was left for the local user", "error", err)
	}
}
