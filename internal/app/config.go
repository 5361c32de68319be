package app

import (
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"time"

	"github.com/go-viper/mapstructure/v2"
	"github.com/knadh/koanf/parsers/yaml"
	"github.com/knadh/koanf/providers/env/v2"
	"github.com/knadh/koanf/providers/file"
	"github.com/knadh/koanf/providers/posflag"
	"github.com/knadh/koanf/providers/structs"
	"github.com/knadh/koanf/v2"
	"github.com/spf13/pflag"
	yamlv3 "gopkg.in/yaml.v3"

	"github.com/weft-dev/weft"
	"github.com/weft-dev/weft/internal/identity"
)

// A Config is everything that can be set about `weft serve`. It is filled from
// defaults, then a file, then the environment (WEFT_ and the name in capitals), then
// flags, and checked once. Sizes are in bytes, written as quantities (5Gi). A field that
// is a struct is a section: it is set in the file only, and read again when the file
// changes (reload.go).
type Config struct {
	State       string        `koanf:"state" yaml:"state"`                 // directory of everything Weft keeps
	Listen      string        `koanf:"listen" yaml:"listen"`               // HOST:PORT; port 0 picks one
	NoAuth      bool          `koanf:"no-auth" yaml:"no-auth"`             // everyone who can connect is the administrator
	Database    string        `koanf:"database" yaml:"database"`           // postgres://…; empty: SQLite in State
	RunLimit    int64         `koanf:"run-limit" yaml:"run-limit"`         // pending runs above which a plan is blocked
	DiskReserve string        `koanf:"disk-reserve" yaml:"disk-reserve"`   // space to keep free; empty: the smaller of 5 % and 5 GB
	LogLimit    string        `koanf:"log-limit" yaml:"log-limit"`         // of a run's log; empty: none
	OutputLimit string        `koanf:"output-limit" yaml:"output-limit"`   // of a run's outputs together; empty: none
	Labels      []string      `koanf:"labels" yaml:"labels"`               // key=value of this machine, for on_node
	Executor    string        `koanf:"executor" yaml:"executor"`           // auto, runc or docker: what runs containers
	Docker      DockerConfig  `koanf:"docker" yaml:"docker"`               // the container engine, if it is that
	CollectWait time.Duration `koanf:"collect-grace" yaml:"collect-grace"` // how long content stays after nothing refers to it
	LogLevel    string        `koanf:"log-level" yaml:"log-level"`         // debug, info, warn or error
	LogFormat   string        `koanf:"log-format" yaml:"log-format"`       // text or json
	Egress      egressConfig  `koanf:"egress" yaml:"egress"`               // what hooks, notifications and imports may reach

	Hooks       hooksConfig   `koanf:"hooks" yaml:"hooks"`             // URLs that are asked before, and told after a run changes
	OpenLineage lineageConfig `koanf:"openlineage" yaml:"openlineage"` // who is sent OpenLineage events
	SMTP        smtpConfig    `koanf:"smtp" yaml:"smtp"`               // by which mail server notifications are sent

	TLS       string         `koanf:"tls" yaml:"tls"`                         // auto, on or off; auto is on but for loopback addresses
	TLSNames  []string       `koanf:"tls-names" yaml:"tls-names"`             // in the certificate, beside the machine's own
	CADomains []string       `koanf:"ca-domains" yaml:"ca-domains"`           // domains and networks that our authority is limited to; empty: none
	PlainHTTP bool           `koanf:"plain-http" yaml:"plain-http"`           // no TLS anywhere, behind what has it
	Proxies   []string       `koanf:"trusted-proxies" yaml:"trusted-proxies"` // networks of those whose X-Forwarded headers count
	ACME      acmeConfig     `koanf:"acme" yaml:"acme"`                       // certificates of a public authority
	Registry  RegistryConfig `koanf:"registry" yaml:"registry"`
	Import    importConfig   `koanf:"import" yaml:"import"` // data that are somewhere already

	SignIn   identity.SignIn `koanf:"sign-in" yaml:"sign-in"`     // how long sessions and tokens last
	OIDC     identity.OIDC   `koanf:"oidc" yaml:"oidc"`           // OpenID providers by which people sign in
	LDAP     identity.LDAP   `koanf:"ldap" yaml:"ldap"`           // the directory by which they do
	ExtraAPI []extraConfig   `koanf:"extra-api" yaml:"extra-api"` // paths behind which other services answer
}

const defaultLogLimit = "10G"

func defaultConfig() Config {
	return Config{
		State:       defaultState(),
		Listen:      "127.0.0.1:30803",
		TLS:         tlsAuto,
		RunLimit:    weft.DefaultRunLimit,
		LogLimit:    defaultLogLimit,
		Executor:    executorAuto,
		CollectWait: time.Hour,
		LogLevel:    "info",
		LogFormat:   "text",
		Registry:    defaultRegistry,
		SignIn:      identity.DefaultSignIn(),
	}
}

// defaultState is where services keep what must last for root, and the user's own
// state directory for anyone else.
func defaultState() string {
	if os.Geteuid() == 0 {
		return "/var/lib/weft"
	}
	if dir := os.Getenv("XDG_STATE_HOME"); dir != "" {
		return filepath.Join(dir, "weft")
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return "weft-state"
	}
	return filepath.Join(home, ".local", "state", "weft")
}

// configFlags returns a flag for each field of Config, and one that names a file.
func configFlags() *pflag.FlagSet {
	d, fs := defaultConfig(), pflag.NewFlagSet("config", pflag.ContinueOnError)
	fs.String("config", "", "read settings from this YAML `file`")
	fs.String("state", d.State, "`directory` in which Weft keeps everything")
	fs.Lookup("state").DefValue = "/var/lib/weft for root, else the user's own state directory"
	fs.String("listen", d.Listen, "`host:port` to listen on; port 0 picks a free one")
	fs.String("tls", d.TLS, "auto, on or off; auto speaks TLS on every address but loopback")
	fs.StringSlice("tls-names", nil, "`names` and addresses for the certificate, beside this machine's own")
	fs.StringSlice("ca-domains", nil, "`domains` and networks that the certificate authority is limited to, when it is made; default none")
	fs.Bool("plain-http", false, "speak no TLS on any address, as a load balancer before Weft does")
	fs.StringSlice("trusted-proxies", nil, "`networks` of load balancers, whose X-Forwarded-For and -Proto count")
	fs.Bool("no-auth", false, "let everyone who can connect do everything; only for networks that you trust")
	fs.String("database", "", "`URL` of a PostgreSQL database; without it, SQLite in the state directory")
	fs.Int64("run-limit", d.RunLimit, "block a plan that would make more `runs` than this at once")
	fs.String("disk-reserve", "", "`bytes` of disk to keep free; default the smaller of 5 % and 5G")
	fs.String("log-limit", d.LogLimit, "`bytes` that a run's log may have")
	fs.String("output-limit", "", "`bytes` that a run's outputs may have; default no limit")
	fs.StringSlice("labels", nil, "`key=value` labels of this machine, for on_node in plans")
	fs.String("executor", d.Executor, "what runs containers: runc, docker (or Podman), or auto for what is there")
	fs.Duration("collect-grace", d.CollectWait, "how long content stays after nothing refers to it any more")
	fs.String("log-level", d.LogLevel, "debug, info, warn or error")
	fs.String("log-format", d.LogFormat, "text or json")
	return fs
}

// configFile is the file that settings are read from; "" when there is none.
func configFile(fs *pflag.FlagSet) string {
	name, _ := fs.GetString("config") // declared by configFlags
	if name == "" {
		name = os.Getenv("WEFT_CONFIG")
	}
	return name
}

// loadConfig reads all sources in their order and checks the result.
func loadConfig(fs *pflag.FlagSet) (Config, error) {
	k := koanf.New("\x00")
	if err := k.Load(structs.Provider(defaultConfig(), "koanf"), nil); err != nil {
		return Config{}, err
	}
	if name := configFile(fs); name != "" {
		if err := k.Load(file.Provider(name), yaml.Parser()); err != nil {
			return Config{}, weft.Errorf(weft.Invalid, "read settings from %s: %w", name, err)
		}
	}
	fromEnv := env.Provider("\x00", env.Opt{Prefix: "WEFT_", TransformFunc: func(key, v string) (string, any) {
		key = strings.ReplaceAll(strings.ToLower(strings.TrimPrefix(key, "WEFT_")), "_", "-")
		if fs.Lookup(key) == nil || key == "config" {
			return "", nil // a variable of the client, such as WEFT_URL
		}
		if key == "labels" {
			return key, strings.Split(v, ",")
		}
		return key, v
	}})
	if err := k.Load(fromEnv, nil); err != nil {
		return Config{}, err
	}
	if err := k.Load(posflag.Provider(fs, "\x00", k), nil); err != nil {
		return Config{}, err
	}
	k.Delete("config")
	if u, err := url.Parse(k.String("database")); err == nil && fs.Changed("database") && u.User != nil {
		if _, secret := u.User.Password(); secret {
			return Config{}, weft.Errorf(weft.Invalid, "database: a password on the command line can be read by every user of this machine").
				WithAdvice("give the URL in the variable WEFT_DATABASE, or in a file with --config")
		}
	}
	var c Config
	if err := rejectUnknown(k, fs); err != nil {
		return Config{}, err
	}
	strict := koanf.UnmarshalConf{Tag: "koanf", DecoderConfig: &mapstructure.DecoderConfig{
		Result: &c, TagName: "koanf", WeaklyTypedInput: true, ErrorUnused: true, // what a section does not know is a typing error
		DecodeHook: mapstructure.ComposeDecodeHookFunc(hookFromURL, mapstructure.StringToTimeDurationHookFunc(), mapstructure.StringToSliceHookFunc(",")),
	}}
	if err := k.UnmarshalWithConf("", &c, strict); err != nil {
		return Config{}, weft.Errorf(weft.Invalid, "settings: %w", err).WithAdvice("`weft config` prints all that can be set")
	}
	return c, c.check()
}

// rejectUnknown refuses names that are neither a setting with a flag nor a section, which
// can be set in a file only.
func rejectUnknown(k *koanf.Koanf, fs *pflag.FlagSet) error {
	sections := map[string]bool{}
	for f := range reflect.TypeFor[Config]().Fields() {
		sections[f.Tag.Get("koanf")] = true
	}
	for _, key := range k.Keys() {
		key, _, _ = strings.Cut(key, "\x00")
		if fs.Lookup(key) == nil && !sections[key] {
			return weft.Errorf(weft.Invalid, "settings: %q is unknown", key).WithAdvice("`weft config` prints all that can be set")
		}
	}
	return nil
}

func (c Config) check() error {
	if err := c.checkTLS(); err != nil {
		return err
	}
	switch {
	case c.RunLimit < 1:
		return weft.Errorf(weft.Invalid, "run-limit: %d is not positive", c.RunLimit)
	case c.CollectWait < 0:
		return weft.Errorf(weft.Invalid, "collect-grace: %s is negative", c.CollectWait)
	case c.Import.check(c.State) != nil:
		return c.Import.check(c.State)
	case c.Registry.KeepUntagged < 0 || c.Registry.KeepUnused < 0:
		return weft.Errorf(weft.Invalid, "registry: a time to keep something is negative").WithAdvice("0 keeps it for ever")
	case c.LogFormat != "text" && c.LogFormat != "json":
		return weft.Errorf(weft.Invalid, "log-format: %q is neither text nor json", c.LogFormat)
	}
	for name, text := range map[string]string{"disk-reserve": c.DiskReserve, "log-limit": c.LogLimit, "output-limit": c.OutputLimit} {
		if _, err := parseBytes(text); err != nil {
			return weft.Errorf(weft.Invalid, "%s: %w", name, err)
		}
	}
	if err := c.checkExecutor(); err != nil {
		return err
	}
	for _, text := range c.Labels {
		if _, err := weft.ParseLabel(text); err != nil {
			return weft.Errorf(weft.Invalid, "labels: %w", err)
		}
	}
	if _, err := parseLevel(c.LogLevel); err != nil {
		return err
	}
	if err := c.signInSettings().Check(); err != nil {
		return err
	}
	if _, err := c.Egress.policy(); err != nil {
		return err
	}
	if _, _, err := c.Hooks.hooks(c.Egress); err != nil {
		return err
	}
	if _, err := c.OpenLineage.receivers(c.Egress); err != nil {
		return err
	}
	if _, err := c.SMTP.mail(); err != nil {
		return err
	}
	if c.Database != "" {
		if u, err := url.Parse(c.Database); err != nil || u.Scheme != "postgres" && u.Scheme != "postgresql" {
			return weft.Errorf(weft.Invalid, "database: this is not a URL that begins with postgres://")
		}
	}
	return nil
}

// databaseURL is what store.Open takes.
func (c Config) databaseURL() string {
	if c.Database != "" {
		return c.Database
	}
	return "sqlite:" + filepath.Join(c.State, databaseFile)
}

// databaseFile is SQLite's, in the state directory.
const databaseFile = "weft.db"

// write prints the settings as a file that --config takes, with secrets hidden.
func (c Config) write() (string, error) {
	if u, err := url.Parse(c.Database); c.Database != "" && err == nil {
		c.Database = u.Redacted()
	}
	c.Hooks = c.Hooks.hidden()
	b, err := yamlv3.Marshal(c)
	return string(b), err
}

// parseBytes reads a size; "" is 0.
func parseBytes(s string) (int64, error) {
	if s == "" {
		return 0, nil
	}
	rs, err := weft.ParseResources(map[string]string{"size": s})
	if err != nil {
		return 0, fmt.Errorf("%q is not a size like 500M or 5Gi", s)
	}
	q := rs["size"]
	return q.Value(), nil
}
