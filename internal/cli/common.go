package cli

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
	"gopkg.in/yaml.v3"

	"github.com/weft-dev/weft"
	"github.com/weft-dev/weft/api"
)

// common are the options that every client command has.
type common struct {
	Env
	profile string // name in the store; "" means the nearest .knitprofile
	store   string // path of the profile store
	knitenv string // path; "" means the nearest knitenv
	inside  string // name of the project; "" leaves it to WEFT_PROJECT, then to the token
	format  format
}

// addTo gives a command and those below it the common flags.
func (c *common) addTo(cmd *cobra.Command) {
	f := cmd.PersistentFlags()
	f.StringVar(&c.profile, "profile", "", "`name` of the profile of the server (default: the first line of the nearest .knitprofile)")
	f.StringVar(&c.inside, "project", "", "`name` of the project on the server (default: WEFT_PROJECT, or the one of the token)")
	f.StringVar(&c.store, "profile-store", "", "`file` that keeps profiles by name (default: ~/.knit/profile)")
	f.StringVar(&c.knitenv, "env", "", "`file` with tags and resources for this project (default: the nearest knitenv)")
}

func newCommon(env Env) *common { return &common{Env: env} }

// home returns the user's home directory.
func (c *common) home() (string, error) {
	if h := c.Getenv("HOME"); h != "" {
		return h, nil
	}
	h, err := os.UserHomeDir()
	if err != nil {
		return "", weft.Errorf(weft.Invalid, "it is not known where your home directory is").WithAdvice("set HOME")
	}
	return h, nil
}

func (c *common) storePath() (string, error) {
	if c.store != "" {
		return c.store, nil
	}
	h, err := c.home()
	return filepath.Join(h, ".knit", "profile"), err
}

// profileName returns the name to look up in the store, and whether the user has
// chosen it rather than that it is the default.
func (c *common) profileName() (name string, chosen bool, err error) {
	if c.profile != "" {
		return c.profile, true, nil
	}
	file := nearest(c.Dir, profileFile)
	if file == "" {
		return c.Dir, false, nil
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return "", false, fileError(err)
	}
	name, _, _ = strings.Cut(string(text), "\n")
	return strings.TrimSpace(name), true, nil
}

// profileFile is the file in a project's directory that names its profile.
const profileFile = ".knitprofile"

// server returns the profile to use: WEFT_URL and WEFT_TOKEN, unless --profile names
// one; else the one in the store; else what weft serve has left on this machine.
func (c *common) server() (Profile, error) {
	if u := c.Getenv("WEFT_URL"); u != "" && c.profile == "" {
		return NewProfile(u, c.Getenv("WEFT_TOKEN"), nil)
	}
	path, err := c.storePath()
	if err != nil {
		return Profile{}, err
	}
	name, chosen, err := c.profileName()
	if err != nil {
		return Profile{}, err
	}
	store, err := readProfileStore(path)
	if err != nil {
		return Profile{}, err
	}
	p, found, err := store.profile(name)
	switch {
	case err != nil || found:
		return p, err
	case chosen:
		return p, weft.Errorf(weft.NotFound, "there is no profile %q in %s", name, path).
			WithAdvice("make one with: weft init URL, or: weft init KNITPROFILE")
	}
	return c.localServer()
}

// localServer returns the profile of the server that this user runs here.
func (c *common) localServer() (Profile, error) {
	h, err := c.home()
	if err != nil {
		return Profile{}, err
	}
	p, err := readProfile(LocalProfile(h))
	var wrong *weft.Error
	if errors.As(err, &wrong) && errors.Is(err, fs.ErrNotExist) {
		return p, weft.Errorf(weft.NotFound, "it is not known which server is meant").
			WithAdvice("start one here with: weft serve\nor tell which with: weft init URL, or: weft init KNITPROFILE\nor set WEFT_URL and WEFT_TOKEN")
	}
	return p, err
}

// client returns a client of the server to use.
func (c *common) client() (*api.Client, error) { return c.clientIn(c.projectName()) }

// clientIn is client, for requests about a project; "" leaves that to the token.
func (c *common) clientIn(project string) (*api.Client, error) {
	p, err := c.server()
	if err != nil {
		return nil, err
	}
	ca, err := p.authority()
	if err != nil {
		return nil, err
	}
	return api.NewClient(p.APIRoot, api.Options{CA: ca, Token: c.token(), Project: project, UserAgent: "weft/" + c.Version})
}

// projectName returns the project on the server to work in, "" for that of the token.
func (c *common) projectName() string {
	if c.inside != "" {
		return c.inside
	}
	return c.Getenv("WEFT_PROJECT")
}

// token returns the one that overrides the profile's.
func (c *common) token() string {
	if c.profile == "" {
		return c.Getenv("WEFT_TOKEN")
	}
	return ""
}

// A project is what a knitenv file says: tags for all that is pushed and for every
// mountpoint of a plan template, and resources for the latter.
type project struct {
	Tags      []string          `yaml:"tag"`
	Resources map[string]string `yaml:"resource"`
}

// project reads the knitenv file. That there is none is fine.
func (c *common) project() (project, error) {
	path := c.knitenvPath()
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return project{}, nil
	}
	if err != nil {
		return project{}, fileError(err)
	}
	var p project
	if err := yaml.Unmarshal(text, &p); err != nil {
		return p, weft.Errorf(weft.Invalid, "%s is not a knitenv file: %w", path, err)
	}
	return p, nil
}

func (c *common) knitenvPath() string {
	if c.knitenv != "" {
		return c.knitenv
	}
	if path := nearest(c.Dir, "knitenv"); path != "" {
		return path
	}
	return filepath.Join(c.Dir, "knitenv")
}

// userTags returns the tags of the project that are not the system's.
func (p project) userTags() (weft.Tags, error) {
	tags, err := weft.ParseTags(p.Tags...)
	if err != nil {
		return nil, err
	}
	return tags.User(), nil
}

// path makes a path of an argument absolute, from the working directory.
func (e Env) path(p string) string {
	if filepath.IsAbs(p) {
		return p
	}
	return filepath.Join(e.Dir, p)
}

// open opens a file to read, or standard input for -.
func (e Env) open(name string) (io.ReadCloser, error) {
	if name == "-" {
		return io.NopCloser(e.In), nil
	}
	f, err := os.Open(e.path(name))
	if err != nil {
		return nil, fileError(err)
	}
	return f, nil
}
