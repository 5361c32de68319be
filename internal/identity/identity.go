package identity

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"log/slog"
	"net/url"
	"reflect"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/weft-dev/weft"
)

// A Store is what signing in needs of the relational store.
type Store interface {
	Credential(ctx context.Context, name string) (weft.Credential, error) // NotFound if there is no such account
	CredentialByIdentity(ctx context.Context, i weft.Identity) (weft.Credential, error)
	UserByID(ctx context.Context, id weft.PrincipalID) (weft.User, error)
	CreateUser(ctx context.Context, u weft.User, passwordHash string, role weft.Role) (weft.User, error)
	ChangeUser(ctx context.Context, name string, c weft.UserChange) (weft.User, error)
	LinkIdentity(ctx context.Context, id weft.PrincipalID, i weft.Identity) error
	// RenewPasswordHash replaces a hash by another of the same password; if it is not that
	// one any more, nothing happens.
	RenewPasswordHash(ctx context.Context, id weft.PrincipalID, from, to string) error
	// ApplyGroups gives an account the rights that its groups give, and takes back those that
	// they gave before. It returns the projects that do not exist.
	ApplyGroups(ctx context.Context, id weft.PrincipalID, admin *bool, roles map[string]weft.Role) (unknown []string, err error)

	SignInFailures(ctx context.Context, name string) (weft.SignInFailures, error)
	SignInFailed(ctx context.Context, name string, lock func(failures int) time.Duration) (weft.SignInFailures, error)
	ClearSignInFailures(ctx context.Context, name string) error
	SignedIn(ctx context.Context, id weft.PrincipalID) error
	// Spend is Conflict if it was called with that hash before.
	Spend(ctx context.Context, hash [32]byte, until time.Time) error

	CreateSession(ctx context.Context, n weft.Session, hash [32]byte) (weft.Session, error)
	DeleteSession(ctx context.Context, hash [32]byte) error
	DeleteSessions(ctx context.Context, owner weft.PrincipalID) error

	CreateToken(ctx context.Context, k weft.Token, hash [32]byte) (weft.Token, error)
	PrincipalByToken(ctx context.Context, hash [32]byte, from string) (weft.Principal, error)
	DeleteToken(ctx context.Context, id weft.TokenID, owner weft.PrincipalID) error

	CreateDevice(ctx context.Context, d weft.Device, hash [32]byte) error // Conflict if the user code is in use
	DeviceByUserCode(ctx context.Context, userCode string) (weft.Device, error)
	DecideDevice(ctx context.Context, userCode string, owner weft.PrincipalID, allow bool) error
	PollDevice(ctx context.Context, hash [32]byte) (weft.Device, error)

	AddAudit(ctx context.Context, e weft.Audit) error
}

// Settings are those of signing in. They may change while the server runs.
type Settings struct {
	SignIn SignIn
	OIDC   OIDC
	LDAP   LDAP
}

// SignIn is the section of settings for what holds whichever way somebody signs in.
type SignIn struct {
	URL         string        `koanf:"url" yaml:"url"`                   // by which browsers reach this server; empty: as each request says
	SessionIdle time.Duration `koanf:"session-idle" yaml:"session-idle"` // a session ends after so long without a request
	SessionLife time.Duration `koanf:"session-life" yaml:"session-life"` // and at the latest after so long
	TokenLife   time.Duration `koanf:"token-life" yaml:"token-life"`     // of what weft login gets
}

// DefaultSignIn returns what holds if the settings say nothing.
func DefaultSignIn() SignIn {
	return SignIn{SessionIdle: 12 * time.Hour, SessionLife: 7 * 24 * time.Hour, TokenLife: 90 * 24 * time.Hour}
}

// Check returns an error unless the settings can be meant.
func (s Settings) Check() error {
	n := s.SignIn
	if n.SessionIdle <= 0 || n.SessionLife <= 0 || n.TokenLife <= 0 {
		return weft.Errorf(weft.Invalid, "sign-in: session-idle, session-life and token-life must be positive")
	}
	if u, err := url.Parse(n.URL); n.URL != "" && (err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || strings.Trim(u.Path, "/") != "") {
		return weft.Errorf(weft.Invalid, "sign-in: url %q is not like https://weft.example.org", n.URL)
	}
	if err := s.OIDC.Check(); err != nil {
		return err
	}
	return s.LDAP.Check()
}

// A Config is what a Service is made of.
type Config struct {
	Store    Store
	Keys     *Keys
	Settings Settings
	Getenv   func(string) string // for secrets that are not in files
	Log      *slog.Logger

	DevicePause time.Duration // between a program's questions whether it is let in; 0 is 5 s
}

// How often one address may fail: to sign in or to type a code, and to begin the sign-in
// of a device.
const (
	failBurst    = 20
	failRefill   = 10 * time.Second
	deviceBurst  = 30
	deviceRefill = 5 * time.Second
)

// A Service signs people in. It is safe for concurrent use.
type Service struct {
	store Store
	keys  *Keys
	log   *slog.Logger
	env   func(string) string

	now     atomic.Pointer[outside]
	nobody  string // a password hash that nobody's password has
	fails   *limit
	devices *limit
	pause   time.Duration // between a program's questions
	turns   turns
}

// An outside is what the settings of one time say, with what was made of them.
type outside struct {
	Settings
	providers []*provider
	directory *directory // nil: none
}

// New returns a Service. It asks none of the systems that the settings name.
func New(c Config) (*Service, error) {
	s := &Service{store: c.Store, keys: c.Keys, log: c.Log, env: c.Getenv, nobody: nobodysHash(), fails: newLimit(failBurst, failRefill), devices: newLimit(deviceBurst, deviceRefill), pause: cmp.Or(c.DevicePause, devicePause)}
	return s, s.Reload(c.Settings)
}

// Reload takes other settings. With an error, the former go on. Sessions and sign-ins
// under way stay as they are.
func (s *Service) Reload(settings Settings) error {
	if err := settings.Check(); err != nil {
		return err
	}
	next := &outside{Settings: settings}
	for _, c := range settings.OIDC.Providers {
		p, err := newProvider(c, s.env)
		if err != nil {
			return err
		}
		next.providers = append(next.providers, s.keep(p))
	}
	if len(settings.LDAP.URLs) > 0 {
		d, err := newDirectory(settings.LDAP, s.env)
		if err != nil {
			return err
		}
		next.directory = d
	}
	s.now.Store(next)
	return nil
}

// keep returns the provider that is in use if p is no other, as it knows already what it
// is like.
func (s *Service) keep(p *provider) *provider {
	if former := s.now.Load(); former != nil {
		for _, old := range former.providers {
			if reflect.DeepEqual(old.Provider, p.Provider) && old.secret == p.secret && p.CAFile == "" {
				return old
			}
		}
	}
	return p
}

// newSecret returns 256 random bits as text, for what must not be guessed.
func newSecret() string {
	b := make([]byte, 32)
	rand.Read(b) // never fails
	return base64.RawURLEncoding.EncodeToString(b)
}

// hashSecret returns the form in which such secrets are kept.
func hashSecret(secret string) [32]byte { return sha256.Sum256([]byte(secret)) }

// turns lets only one at a time do something under one name.
type turns struct {
	mu   sync.Mutex
	busy map[string]*turn
}

type turn struct {
	sync.Mutex
	users int
}

// take waits for the turn and returns what ends it.
func (ts *turns) take(name string) (done func()) {
	ts.mu.Lock()
	if ts.busy == nil {
		ts.busy = make(map[string]*turn)
	}
	t := ts.busy[name]
	if t == nil {
		t = &turn{}
		ts.busy[name] = t
	}
	t.users++
	ts.mu.Unlock()
	t.Lock()
	return func() {
		t.Unlock()
		ts.mu.Lock()
		defer ts.mu.Unlock()
		if t.users--; t.users == 0 {
			delete(ts.busy, name)
		}
	}
}

// audit adds an entry about a sign-in to the audit log.
func (s *Service) audit(ctx context.Context, e weft.Audit) error {
	e.Kind = "user"
	if note := weft.AuditOf(ctx); note != nil {
		e.Request = note.Request
	}
	if err := s.store.AddAudit(context.WithoutCancel(ctx), e); err != nil {
		return fmt.Errorf("audit a sign-in: %w", err)
	}
	return nil
}
