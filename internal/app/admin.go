package app

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"golang.org/x/sys/unix"

	"github.com/weft-dev/weft"
	"github.com/weft-dev/weft/api"
	"github.com/weft-dev/weft/internal/cli"
	"github.com/weft-dev/weft/internal/operate"
)

// An admin is what the commands of an administrator have in common. They work on the
// state directory of this machine, whether or not a server runs on it.
type admin struct {
	cli.Env
	flags *pflag.FlagSet // those of serve, of which some are the command's
}

// newAdmin makes the group of commands for whoever looks after a server.
func newAdmin(env cli.Env) *cobra.Command {
	a := &admin{env, configFlags()}
	cmd := cli.NewGroup(env, "admin", "Look after the server of this machine", a.newCerts(), a.newHandout(), a.newDoctor())
	for _, name := range []string{"config", "state"} {
		cmd.PersistentFlags().AddFlag(a.flags.Lookup(name))
	}
	return cmd
}

// config returns the settings, as the server would read them but for its flags.
func (a *admin) config() (Config, error) { return loadConfig(a.flags) }

// certs opens the certificates of the state directory.
func (a *admin) certs() (*operate.Certs, error) {
	c, err := a.config()
	if err != nil {
		return nil, err
	}
	dir := filepath.Join(c.State, certsDir)
	if _, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) {
		return nil, weft.Errorf(weft.NotFound, "there are no certificates in %s", c.State).
			WithAdvice("name the server's state directory with --state; weft serve makes certificates when it listens on another address than loopback, or is given --tls on")
	}
	return operate.OpenCerts(dir)
}

// say prints what was done, a line each.
func (a *admin) say(did []string) error {
	_, err := fmt.Fprintln(a.Out, strings.Join(did, "\n"))
	return err
}

// path makes a path of an argument absolute.
func (a *admin) path(name string) string {
	if filepath.IsAbs(name) {
		return name
	}
	return filepath.Join(a.Dir, name)
}

// read reads a small file that an argument names.
func (a *admin) read(name string) ([]byte, error) {
	const most = 1 << 20
	f, err := os.Open(a.path(name))
	if err != nil {
		return nil, weft.Errorf(weft.NotFound, "%w", err)
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, most))
}

func writeJSON(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "    ")
	enc.SetEscapeHTML(false)
	return enc.Encode(v)
}

// A whereabouts tells where the server of a state directory can be reached.
type whereabouts struct {
	URL   string `json:"url"`   // by others
	Local string `json:"local"` // on this machine
}

const whereFile = "server.json"

// sayWhere leaves for commands of this machine where the server is.
func (p *process) sayWhere() error {
	text, err := json.Marshal(whereabouts{p.url, p.localURL()})
	if err != nil {
		return err
	}
	return writeFile(p.state.path(whereFile), append(text, '\n'), 0o600)
}

// where returns where the server of a state directory is, or was when it last ran.
func where(dir string) (w whereabouts, err error) {
	text, err := os.ReadFile(filepath.Join(dir, whereFile))
	if err != nil {
		return w, weft.Errorf(weft.NotFound, "no server has run on %s", dir).WithAdvice("name the server's state directory with --state")
	}
	return w, json.Unmarshal(text, &w)
}

// runs reports whether a server runs on a state directory: it holds the lock.
func runs(dir string) (bool, error) {
	lock, err := os.Open(filepath.Join(dir, "lock"))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return false, nil
	case err != nil:
		return false, weft.Errorf(weft.Forbidden, "%w", err).WithAdvice("be the user who runs the server, for example with sudo")
	}
	defer lock.Close() // which gives the lock back
	return unix.Flock(int(lock.Fd()), unix.LOCK_SH|unix.LOCK_NB) != nil, nil
}

// client returns an administrator's client of the server that runs on a state directory.
func client(dir, agent string) (*api.Client, error) {
	w, err := where(dir)
	if err != nil {
		return nil, err
	}
	token, err := os.ReadFile(filepath.Join(dir, "admin.token"))
	if err != nil {
		return nil, weft.Errorf(weft.Forbidden, "%w", err).WithAdvice("be the user who runs the server, for example with sudo")
	}
	var trust []byte
	if strings.HasPrefix(w.Local, "https:") {
		if trust, err = trustOf(dir, w.Local); err != nil {
			return nil, err
		}
	}
	return api.NewClient(w.Local, api.Options{Token: strings.TrimSpace(string(token)), CA: trust, UserAgent: agent})
}
