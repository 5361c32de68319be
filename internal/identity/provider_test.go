package identity

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/zitadel/oidc/v3/pkg/oidc"
	"github.com/zitadel/oidc/v3/pkg/op"
)

// An issuer is an OpenID provider in this process, made of zitadel/oidc. Whoever comes to
// its sign-in page is signed in as who.
type issuer struct {
	op.Storage // what is not used here is not there
	t          *testing.T
	server     *httptest.Server
	key        *ecdsa.PrivateKey

	mu       sync.Mutex
	down     bool
	who      subject
	requests map[string]*authRequest
	codes    map[string]string // to requests
	tokens   map[string]subject
}

// A subject is somebody there.
type subject struct {
	id, name, full, email string
	groups                []string
}

const (
	clientID     = "weft"
	clientSecret = "the-secret-of-the-client"
	redirectTo   = "https://weft.example.org/sign-in/oidc/corp/callback"
)

func newIssuer(t *testing.T) *issuer {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	i := &issuer{t: t, key: key, requests: map[string]*authRequest{}, codes: map[string]string{}, tokens: map[string]subject{}}
	mux := http.NewServeMux()
	i.server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		i.mu.Lock()
		down := i.down
		i.mu.Unlock()
		if down {
			http.Error(w, "down", http.StatusBadGateway)
			return
		}
		mux.ServeHTTP(w, r)
	}))
	t.Cleanup(i.server.Close)
	p, err := op.NewProvider(&op.Config{CodeMethodS256: true, AuthMethodPost: true}, i, op.StaticIssuer(i.server.URL), op.WithAllowInsecure(), op.WithLogger(slog.New(slog.DiscardHandler)))
	if err != nil {
		t.Fatal(err)
	}
	mux.Handle("/", p)
	mux.HandleFunc("/login", func(w http.ResponseWriter, r *http.Request) {
		id := r.URL.Query().Get("id")
		i.mu.Lock()
		i.requests[id].subject = i.who
		i.requests[id].done = true
		i.mu.Unlock()
		http.Redirect(w, r, op.AuthCallbackURL(p)(op.ContextWithIssuer(r.Context(), i.server.URL), id), http.StatusFound)
	})
	return i
}

// visit follows a browser from the URL that Weft sends it to, until the issuer sends it
// back, and returns what with.
func (i *issuer) visit(to string) url.Values {
	i.t.Helper()
	browser := &http.Client{CheckRedirect: func(r *http.Request, _ []*http.Request) error {
		if strings.HasPrefix(r.URL.String(), redirectTo) {
			return http.ErrUseLastResponse
		}
		return nil
	}}
	res, err := browser.Get(to)
	if err != nil {
		i.t.Fatal(err)
	}
	defer res.Body.Close()
	back, err := res.Location()
	if err != nil {
		i.t.Fatalf("the issuer does not send back: %s", res.Status)
	}
	return back.Query()
}

func (i *issuer) signsIn(who subject) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.who = who
}

func (i *issuer) isDown(down bool) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.down = down
}

// An authRequest is a sign-in under way.
type authRequest struct {
	*oidc.AuthRequest
	id      string
	subject subject
	done    bool
}

func (a *authRequest) GetID() string                      { return a.id }
func (a *authRequest) GetACR() string                     { return "" }
func (a *authRequest) GetAMR() []string                   { return nil }
func (a *authRequest) GetAudience() []string              { return []string{a.ClientID} }
func (a *authRequest) GetAuthTime() time.Time             { return time.Now() }
func (a *authRequest) GetClientID() string                { return a.ClientID }
func (a *authRequest) GetNonce() string                   { return a.Nonce }
func (a *authRequest) GetScopes() []string                { return a.Scopes }
func (a *authRequest) GetSubject() string                 { return a.subject.id }
func (a *authRequest) GetState() string                   { return a.State }
func (a *authRequest) Done() bool                         { return a.done }
func (a *authRequest) GetRedirectURI() string             { return a.RedirectURI }
func (a *authRequest) GetResponseType() oidc.ResponseType { return a.ResponseType }
func (a *authRequest) GetResponseMode() oidc.ResponseMode { return a.ResponseMode }
func (a *authRequest) GetCodeChallenge() *oidc.CodeChallenge {
	return &oidc.CodeChallenge{Challenge: a.CodeChallenge, Method: a.CodeChallengeMethod}
}

func (i *issuer) CreateAuthRequest(_ context.Context, r *oidc.AuthRequest, _ string) (op.AuthRequest, error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if r.CodeChallengeMethod != oidc.CodeChallengeMethodS256 || r.Nonce == "" || r.State == "" {
		return nil, errors.New("PKCE, nonce or state is missing")
	}
	a := &authRequest{AuthRequest: r, id: newSecret()}
	i.requests[a.id] = a
	return a, nil
}

func (i *issuer) AuthRequestByID(_ context.Context, id string) (op.AuthRequest, error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if a := i.requests[id]; a != nil {
		return a, nil
	}
	return nil, errors.New("no such request")
}

func (i *issuer) AuthRequestByCode(ctx context.Context, code string) (op.AuthRequest, error) {
	i.mu.Lock()
	id := i.codes[code]
	i.mu.Unlock()
	return i.AuthRequestByID(ctx, id)
}

func (i *issuer) SaveAuthCode(_ context.Context, id, code string) error {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.codes[code] = id
	return nil
}

func (i *issuer) DeleteAuthRequest(_ context.Context, id string) error {
	i.mu.Lock()
	defer i.mu.Unlock()
	delete(i.requests, id)
	return nil
}

func (i *issuer) CreateAccessToken(_ context.Context, r op.TokenRequest) (string, time.Time, error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	id := newSecret()
	i.tokens[id] = i.who
	return id, time.Now().Add(time.Hour), nil
}

func (i *issuer) Health(context.Context) error { return nil }

func (i *issuer) GetClientByClientID(_ context.Context, id string) (op.Client, error) {
	if id != clientID {
		return nil, errors.New("no such client")
	}
	return client{i}, nil
}

func (i *issuer) AuthorizeClientIDSecret(_ context.Context, id, secret string) error {
	if id != clientID || secret != clientSecret {
		return errors.New("wrong secret")
	}
	return nil
}

func (i *issuer) SetUserinfoFromScopes(_ context.Context, u *oidc.UserInfo, id, _ string, _ []string) error {
	u.Subject = id
	return nil
}

// SetUserinfoFromToken is the only place where this issuer tells names and groups, as
// several do.
func (i *issuer) SetUserinfoFromToken(_ context.Context, u *oidc.UserInfo, tokenID, _, _ string) error {
	i.mu.Lock()
	defer i.mu.Unlock()
	who := i.tokens[tokenID]
	u.Subject, u.PreferredUsername, u.Name, u.Email, u.EmailVerified = who.id, who.name, who.full, who.email, true
	u.Claims = map[string]any{"groups": who.groups}
	return nil
}

func (i *issuer) GetPrivateClaimsFromScopes(context.Context, string, string, []string) (map[string]any, error) {
	return nil, nil
}

func (i *issuer) SigningKey(context.Context) (op.SigningKey, error) { return signingKey{i.key}, nil }

func (i *issuer) SignatureAlgorithms(context.Context) ([]jose.SignatureAlgorithm, error) {
	return []jose.SignatureAlgorithm{jose.ES256}, nil
}

func (i *issuer) KeySet(context.Context) ([]op.Key, error) { return []op.Key{publicKey{i.key}}, nil }

type signingKey struct{ key *ecdsa.PrivateKey }

func (signingKey) ID() string                                  { return "the-key" }
func (signingKey) SignatureAlgorithm() jose.SignatureAlgorithm { return jose.ES256 }
func (k signingKey) Key() any                                  { return k.key }

type publicKey struct{ key *ecdsa.PrivateKey }

func (publicKey) ID() string                         { return "the-key" }
func (publicKey) Algorithm() jose.SignatureAlgorithm { return jose.ES256 }
func (publicKey) Use() string                        { return "sig" }
func (k publicKey) Key() any                         { return &k.key.PublicKey }

// client is Weft, as the issuer has it registered.
type client struct{ i *issuer }

func (client) GetID() string                       { return clientID }
func (client) RedirectURIs() []string              { return []string{redirectTo} }
func (client) PostLogoutRedirectURIs() []string    { return nil }
func (client) ApplicationType() op.ApplicationType { return op.ApplicationTypeWeb }
func (client) AuthMethod() oidc.AuthMethod         { return oidc.AuthMethodBasic }
func (client) ResponseTypes() []oidc.ResponseType  { return []oidc.ResponseType{oidc.ResponseTypeCode} }
func (client) GrantTypes() []oidc.GrantType        { return []oidc.GrantType{oidc.GrantTypeCode} }
func (c client) LoginURL(id string) string {
	return c.i.server.URL + "/login?id=" + url.QueryEscape(id)
}
func (client) AccessTokenType() op.AccessTokenType { return op.AccessTokenTypeBearer }
func (client) IDTokenLifetime() time.Duration      { return time.Hour }
func (client) DevMode() bool                       { return false }
func (client) RestrictAdditionalIdTokenScopes() func([]string) []string {
	return slices.Clone[[]string]
}
func (client) RestrictAdditionalAccessTokenScopes() func([]string) []string {
	return slices.Clone[[]string]
}
func (client) IsScopeAllowed(scope string) bool     { return scope == "groups" }
func (client) IDTokenUserinfoClaimsAssertion() bool { return false }
func (client) ClockSkew() time.Duration             { return 0 }
