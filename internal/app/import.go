package app

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/google/uuid"
	"golang.org/x/sync/errgroup"

	"github.com/weft-dev/weft"
	"github.com/weft-dev/weft/internal/engine"
	"github.com/weft-dev/weft/internal/importer"
	"github.com/weft-dev/weft/internal/operate"
	"github.com/weft-dev/weft/internal/store"
)

// An importConfig is the section of settings about data that are somewhere already.
type importConfig struct {
	Inbox       string                       `koanf:"inbox" yaml:"inbox"`             // where importers put what they announced; empty: import in the state directory
	Roots       []string                     `koanf:"roots" yaml:"roots"`             // directories below which every user may import from; none by default
	Credentials map[string]importCredentials `koanf:"credentials" yaml:"credentials"` // of buckets, by the name that users give
	Listen      string                       `koanf:"listen" yaml:"listen"`           // HOST:PORT of a listener for importers without a token; empty: none
	Project     string                       `koanf:"project" yaml:"project"`         // into which those import
}

// importCredentials are for S3. The secret is in a file, so that settings can be shown.
type importCredentials struct {
	Endpoint      string `koanf:"endpoint" yaml:"endpoint"` // https://HOST; empty: Amazon's
	Region        string `koanf:"region" yaml:"region"`
	AccessKey     string `koanf:"access-key" yaml:"access-key"`
	SecretKeyFile string `koanf:"secret-key-file" yaml:"secret-key-file"`
}

// check refuses what would give away more than it says.
func (c importConfig) check(state string) error {
	for _, root := range c.Roots {
		root, state := filepath.Clean(root), filepath.Clean(state)
		if !filepath.IsAbs(root) {
			return weft.Errorf(weft.Invalid, "import: roots: %q is not an absolute path", root)
		}
		if within(state, root) || within(root, state) || c.Inbox != "" && (within(c.Inbox, root) || within(root, c.Inbox)) {
			return weft.Errorf(weft.Invalid, "import: roots: %s and the state directory or the inbox are one in the other", root).
				WithAdvice("users could read the data of every project; name a directory apart from those")
		}
	}
	if c.Listen != "" {
		if _, _, err := net.SplitHostPort(c.Listen); err != nil {
			return weft.Errorf(weft.Invalid, "import: listen: %q is not HOST:PORT", c.Listen)
		}
		if c.Project == "" {
			return weft.Errorf(weft.Invalid, "import: a listener needs the project into which is imported there")
		}
	}
	return nil
}

// within reports whether a path is below another, or the same.
func within(path, dir string) bool {
	rel, err := filepath.Rel(dir, path)
	return err == nil && filepath.IsLocal(rel)
}

// imports is what brings data in, as the server needs it.
type imports struct {
	*importer.Importer
	*store.Store
}

// openImport makes the inbox and the importer.
func (p *process) openImport(ctx context.Context) (err error) {
	inbox := p.Import.Inbox
	if inbox == "" {
		inbox = p.state.path("import")
	}
	if err := os.MkdirAll(inbox, 0o700); err != nil {
		return weft.Errorf(weft.Invalid, "import: inbox: %w", err)
	}
	p.importer = importer.New(importer.Importer{
		Store: p.store, Content: p.content, Keys: p.keys, Client: p.egress.Client(), Inbox: inbox, Roots: p.Import.Roots,
		Credentials: p.importCredentials, Log: p.log.With("part", "import"),
	})
	p.check("import", p.checkImport)
	if p.Import.Listen == "" {
		return nil
	}
	if p.anyImporter, err = p.importerOf(ctx); err != nil {
		return err
	}
	if p.importListener, err = net.Listen("tcp", p.Import.Listen); err != nil {
		return weft.Errorf(weft.Conflict, "import: listen on %s: %w", p.Import.Listen, err).WithAdvice("choose another address")
	}
	p.closing("import listener", func() error {
		if err := p.importListener.Close(); !errors.Is(err, net.ErrClosed) {
			return err
		}
		return nil
	})
	return nil
}

// importCredentials finds those of the settings, else a secret of the project: a JSON
// object with the same names, and secret-key.
func (p *process) importCredentials(ctx context.Context, project weft.ProjectID, name string) (importer.Credentials, error) {
	if c, ok := p.Import.Credentials[name]; ok {
		secret, err := os.ReadFile(c.SecretKeyFile)
		if err != nil {
			return importer.Credentials{}, weft.Errorf(weft.Invalid, "the secret key of the credentials %q cannot be read", name).
				WithAdvice("tell the administrator of the server")
		}
		return importer.Credentials{AccessKey: c.AccessKey, SecretKey: strings.TrimSpace(string(secret)), Endpoint: c.Endpoint, Region: c.Region}, nil
	}
	text, err := p.secrets().value(ctx, project, name)
	if err != nil {
		return importer.Credentials{}, err
	}
	var c struct {
		Endpoint  string `json:"endpoint"`
		Region    string `json:"region"`
		AccessKey string `json:"access-key"`
		SecretKey string `json:"secret-key"`
	}
	if json.Unmarshal([]byte(text), &c) != nil { // its error would show what is in the secret
		return importer.Credentials{}, weft.Errorf(weft.Invalid, "the secret %q does not hold credentials", name).
			WithAdvice(`set it to {"endpoint": "https://…", "access-key": "…", "secret-key": "…"}`)
	}
	return importer.Credentials{AccessKey: c.AccessKey, SecretKey: c.SecretKey, Endpoint: c.Endpoint, Region: c.Region}, nil
}

// value opens one secret.
func (s secrets) value(ctx context.Context, project weft.ProjectID, name string) (string, error) {
	found, err := s.store.SealedSecrets(ctx, project, []string{name})
	if err != nil {
		return "", err
	}
	if found[name] == nil {
		return "", weft.Errorf(weft.NotFound, "neither the settings nor the project have credentials %q", name).
			WithAdvice("keep them with `weft secret set %s`", name)
	}
	plain, err := s.keys.Open(secretPurpose(project, name), found[name])
	if err != nil {
		return "", fmt.Errorf("open secret %s: %w", name, err)
	}
	return string(plain), nil
}

const (
	importPause   = 5 * time.Second
	importsAtOnce = 3
)

// runImports does imports, and answers the listener for importers without a token.
func (p *process) runImports(ctx context.Context, g *errgroup.Group) {
	for range importsAtOnce {
		g.Go(func() error {
			return engine.Loop(ctx, p.log.With("loop", "import"), importPause, p.importer.Wake(), p.importer.Step)
		})
	}
	if p.importListener == nil {
		return
	}
	h := &http.Server{
		Handler: p.server.ImportOnly(p.anyImporter), ReadHeaderTimeout: readHeaderTimeout, IdleTimeout: idleTimeout, MaxHeaderBytes: maxHeader,
		ErrorLog: slog.NewLogLogger(p.log.Handler(), slog.LevelDebug),
	}
	g.Go(func() error {
		if err := h.Serve(p.importListener); !errors.Is(err, http.ErrServerClosed) {
			return err
		}
		return nil
	})
	g.Go(func() error {
		<-ctx.Done()
		drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainFor)
		defer cancel()
		if err := h.Shutdown(drain); err != nil {
			return h.Close()
		}
		return nil
	})
	p.log.Warn("everyone who reaches this address may import, without a token", "address", p.importListener.Addr().String(), "project", p.Import.Project)
}

// importerOf is who everyone is that connects to the listener of its own: somebody who
// may do the handshake in one project, and nothing else.
func (p *process) importerOf(ctx context.Context) (weft.Principal, error) {
	project, err := p.store.ProjectNamed(ctx, p.Import.Project)
	if err != nil {
		return weft.Principal{}, weft.Errorf(weft.Invalid, "import: project: %w", err)
	}
	const name = "importer without a token"
	return weft.Principal{
		ID: weft.PrincipalID(uuid.NewSHA1(uuid.Nil, []byte(name))), Name: name, Token: name, Kind: weft.Service,
		Scope: weft.ScopeImport, Project: project.ID, Bound: project.ID, Roles: map[weft.ProjectID]weft.Role{project.ID: weft.Member},
	}, nil
}

// checkImport is a finding of the doctor.
func (p *process) checkImport(context.Context) []operate.Finding {
	if p.importListener == nil {
		return nil
	}
	address := p.importListener.Addr().String()
	level := operate.Warning
	if host, _, err := net.SplitHostPort(address); err == nil && isLoopback(host) {
		level = operate.Notice
	}
	return finding(level, "everyone who reaches "+address+" may import data into the project "+p.Import.Project+" without a token",
		"see to it that only importers reach it; give them tokens of scope import where they can send them, and remove listen from the section import")
}
