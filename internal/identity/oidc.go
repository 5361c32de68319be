package identity

import (
	"context"
	"crypto/subtle"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"github.com/weft-dev/weft"
)

// OIDC is the section of settings for sign-in by OpenID Connect.
type OIDC struct {
	Providers []Provider `koanf:"providers" yaml:"providers"`
}

// A Provider is an OpenID provider as the settings name it. The secret of the client is
// in the file, or in the variable WEFT_OIDC_NAME_SECRET; there may be none, as PKCE
// protects the code in any case.
type Provider struct {
	Name             string   `koanf:"name" yaml:"name"`     // part of its URLs here
	Title            string   `koanf:"title" yaml:"title"`   // on the page; empty: the name
	Issuer           string   `koanf:"issuer" yaml:"issuer"` // exactly as the provider writes it
	ClientID         string   `koanf:"client-id" yaml:"client-id"`
	ClientSecretFile string   `koanf:"client-secret-file" yaml:"client-secret-file"`
	CAFile           string   `koanf:"ca-file" yaml:"ca-file"`           // authority of the provider's certificate, PEM; empty: the machine's
	Scopes           []string `koanf:"scopes" yaml:"scopes"`             // beside openid, profile and email
	NameClaim        string   `koanf:"name-claim" yaml:"name-claim"`     // empty: preferred_username, else email
	GroupsClaim      string   `koanf:"groups-claim" yaml:"groups-claim"` // may be a path, such as realm_access.roles; empty: groups
	Groups           Groups   `koanf:"groups" yaml:"groups"`             // what they are worth here
}

const (
	oidcTimeout = 10 * time.Second // of each request to a provider
	firstPause  = time.Second      // after a discovery that failed
	lastPause   = 30 * time.Second
	flowLife    = 10 * time.Minute // how long somebody may take at the provider
	flowPurpose = "oidc sign-in"
)

var providerName = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?$`)

// goodAlgorithms are those by which a provider may sign: all are asymmetric.
var goodAlgorithms = []string{oidc.RS256, oidc.RS384, oidc.RS512, oidc.PS256, oidc.PS384, oidc.PS512, oidc.ES256, oidc.ES384, oidc.ES512, oidc.EdDSA}

// Check returns an error unless the settings can be meant. It asks no provider.
func (o OIDC) Check() error {
	seen := map[string]bool{}
	for _, p := range o.Providers {
		if !providerName.MatchString(p.Name) || seen[p.Name] {
			return weft.Errorf(weft.Invalid, "oidc: %q is not a name of a provider, or two have it", p.Name).WithAdvice("use lower-case letters, digits and -")
		}
		seen[p.Name] = true
		u, err := url.Parse(p.Issuer)
		if err != nil || u.Host == "" || u.Scheme != "https" && !(u.Scheme == "http" && isLoopback(u.Hostname())) {
			return weft.Errorf(weft.Invalid, "oidc %s: the issuer %q is not a URL that begins with https://", p.Name, p.Issuer)
		}
		if p.ClientID == "" {
			return weft.Errorf(weft.Invalid, "oidc %s: client-id is missing", p.Name)
		}
		if err := p.Groups.check(); err != nil {
			return fmt.Errorf("oidc %s: groups: %w", p.Name, err)
		}
	}
	return nil
}

func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// A provider is one that is in use. What it is like is found out when somebody first
// wants to sign in by it: a provider that cannot be reached stops nobody else.
type provider struct {
	Provider
	secret string
	http   *http.Client

	mu    sync.Mutex
	found *oidc.Provider
	err   error         // of the last attempt
	pause time.Duration // before the next
	next  time.Time
}

func newProvider(p Provider, getenv func(string) string) (*provider, error) {
	variable := "WEFT_OIDC_" + strings.ToUpper(strings.ReplaceAll(p.Name, "-", "_")) + "_SECRET"
	secret, err := readSecret(p.ClientSecretFile, getenv(variable))
	if err != nil {
		return nil, fmt.Errorf("oidc %s: client-secret-file: %w", p.Name, err)
	}
	roots, err := readRoots(p.CAFile)
	if err != nil {
		return nil, fmt.Errorf("oidc %s: ca-file: %w", p.Name, err)
	}
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.TLSClientConfig = &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}
	return &provider{Provider: p, secret: secret, http: &http.Client{Transport: t, Timeout: oidcTimeout}}, nil
}

// readSecret returns what a file holds, without the space around it, or else the value.
func readSecret(file, value string) (string, error) {
	if file == "" {
		return value, nil
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return "", weft.Errorf(weft.Invalid, "%w", err)
	}
	secret := strings.TrimSpace(string(text))
	if secret == "" {
		return "", weft.Errorf(weft.Invalid, "%s is empty", file)
	}
	return secret, nil
}

// readRoots returns the authorities in a file, or nil for the machine's.
func readRoots(file string) (*x509.CertPool, error) {
	if file == "" {
		return nil, nil
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, weft.Errorf(weft.Invalid, "%w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(text) {
		return nil, weft.Errorf(weft.Invalid, "%s holds no certificate in PEM", file)
	}
	return pool, nil
}

// title is what people read.
func (p *provider) title() string {
	if p.Title != "" {
		return p.Title
	}
	return p.Name
}

// discover returns what the provider says of itself, and asks it only if that is not
// known. After a failure it is left alone for a while, which grows.
func (p *provider) discover(ctx context.Context) (*oidc.Provider, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.found != nil {
		return p.found, nil
	}
	now := time.Now()
	if p.err == nil || !now.Before(p.next) {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), oidcTimeout)
		defer cancel()
		p.found, p.err = oidc.NewProvider(oidc.ClientContext(ctx, p.http), p.Issuer)
		if p.err == nil {
			p.pause = 0
			return p.found, nil
		}
		p.pause = min(max(2*p.pause, firstPause), lastPause)
		p.next = time.Now().Add(p.pause)
	}
	return nil, p.unreached(p.err)
}

// unreached says to whoever wants to sign in that the provider does not serve; why is for
// the log.
func (p *provider) unreached(cause error) error {
	return because(weft.Errorf(weft.Unavailable, "%s cannot be reached just now", p.title()).WithAdvice("sign in another way, or try again in a while"), cause)
}

// because adds a cause that the log is to have, and the one who asked is not.
func because(e *weft.Error, cause error) error { return fmt.Errorf("%w: %v", e, cause) }

// config returns what the code flow takes.
func (p *provider) config(found *oidc.Provider, redirect string) *oauth2.Config {
	scopes := []string{oidc.ScopeOpenID, "profile", "email"}
	for _, s := range p.Scopes {
		if !slices.Contains(scopes, s) {
			scopes = append(scopes, s)
		}
	}
	return &oauth2.Config{ClientID: p.ClientID, ClientSecret: p.secret, Endpoint: found.Endpoint(), RedirectURL: redirect, Scopes: scopes}
}

// A flow is a sign-in that is under way at a provider. It is kept by the browser, sealed.
type flow struct {
	Provider string    `json:"p"`
	State    string    `json:"s"`
	Nonce    string    `json:"n"`
	Verifier string    `json:"v"` // PKCE, RFC 7636
	Redirect string    `json:"r"`
	Next     string    `json:"x"` // the page to go to afterwards
	Until    time.Time `json:"u"`
}

// begin returns the URL to send a browser to.
func (p *provider) begin(ctx context.Context, f *flow) (string, error) {
	found, err := p.discover(ctx)
	if err != nil {
		return "", err
	}
	f.Provider, f.State, f.Nonce, f.Verifier = p.Name, newSecret(), newSecret(), oauth2.GenerateVerifier()
	f.Until = time.Now().Add(flowLife)
	return p.config(found, f.Redirect).AuthCodeURL(f.State, oidc.Nonce(f.Nonce), oauth2.S256ChallengeOption(f.Verifier)), nil
}

// finish turns what the provider sent the browser back with into a Person. What does not
// belong to the flow, or was not signed by the provider for us, is Unauthenticated.
func (p *provider) finish(ctx context.Context, f flow, q url.Values) (Person, error) {
	refuse := func(format string, args ...any) error {
		return weft.Errorf(weft.Unauthenticated, "the sign-in at %s was not accepted: "+format, append([]any{p.title()}, args...)...).
			WithAdvice("sign in again")
	}
	switch {
	case f.Provider != p.Name || subtle.ConstantTimeCompare([]byte(q.Get("state")), []byte(f.State)) != 1:
		return Person{}, refuse("it was not begun by this browser")
	case time.Now().After(f.Until):
		return Person{}, refuse("it took too long")
	case q.Has("error"):
		return Person{}, refuse("it said %.100q", q.Get("error"))
	case q.Has("iss") && q.Get("iss") != p.Issuer: // RFC 9207
		return Person{}, refuse("the answer came from another issuer")
	}
	found, err := p.discover(ctx)
	if err != nil {
		return Person{}, err
	}
	ctx = oidc.ClientContext(ctx, p.http)
	token, err := p.config(found, f.Redirect).Exchange(ctx, q.Get("code"), oauth2.VerifierOption(f.Verifier))
	if err != nil {
		var answered *oauth2.RetrieveError
		if errors.As(err, &answered) {
			return Person{}, refuse("it does not take the code (%.100s)", answered.ErrorCode)
		}
		return Person{}, p.unreached(err)
	}
	raw, _ := token.Extra("id_token").(string) // the verifier refuses what is none
	claims, err := p.verify(ctx, found, raw, token.AccessToken, f.Nonce)
	if err != nil {
		return Person{}, refuse("%w", err)
	}
	if claims.lacks(p.nameClaims()...) || claims.lacks(p.groupsClaim()) {
		p.ask(ctx, found, token, claims)
	}
	return p.person(claims)
}

// claims are what a provider says of somebody.
type claims map[string]json.RawMessage

// verify checks an ID token as OpenID Connect Core 1.0, §3.1.3.7 has it.
func (p *provider) verify(ctx context.Context, found *oidc.Provider, raw, access, nonce string) (claims, error) {
	v := found.VerifierContext(ctx, &oidc.Config{ClientID: p.ClientID, SupportedSigningAlgs: goodAlgorithms})
	id, err := v.Verify(ctx, raw)
	if err != nil {
		return nil, err
	}
	if subtle.ConstantTimeCompare([]byte(id.Nonce), []byte(nonce)) != 1 {
		return nil, errors.New("its token is of another sign-in")
	}
	if id.AccessTokenHash != "" {
		if err := id.VerifyAccessToken(access); err != nil {
			return nil, err
		}
	}
	all := claims{}
	if err := id.Claims(&all); err != nil {
		return nil, err
	}
	if azp := all.text("azp"); azp != "" && azp != p.ClientID {
		return nil, errors.New("its token was made for another client")
	}
	if id.Subject == "" {
		return nil, errors.New("its token names nobody")
	}
	return all, nil
}

// ask adds what only the provider's userinfo tells. That it tells nothing is no error:
// what misses is noticed where it is needed.
func (p *provider) ask(ctx context.Context, found *oidc.Provider, token *oauth2.Token, to claims) {
	info, err := found.UserInfo(ctx, oauth2.StaticTokenSource(token))
	if err != nil || info.Subject != to.text("sub") {
		return
	}
	more := claims{}
	if info.Claims(&more) != nil {
		return
	}
	for name, v := range more {
		if _, has := to[name]; !has {
			to[name] = v
		}
	}
}

func (p *provider) nameClaims() []string {
	if p.NameClaim != "" {
		return []string{p.NameClaim}
	}
	return []string{"preferred_username", "email"}
}

func (p *provider) groupsClaim() string {
	if p.GroupsClaim != "" {
		return p.GroupsClaim
	}
	return "groups"
}

// person makes a Person of claims. An address of e-mail is a name only if the provider
// has verified it, or the settings want it.
func (p *provider) person(c claims) (Person, error) {
	who := Person{Identity: weft.Identity{Issuer: p.Issuer, Subject: c.text("sub")}, FullName: c.text("name"), Groups: c.texts(p.groupsClaim())}
	verified := string(c["email_verified"])
	if verified != "false" {
		who.Email = c.text("email")
	}
	for _, claim := range p.nameClaims() {
		text := c.text(claim)
		if claim == "email" && (verified == "false" || verified != "true" && p.NameClaim == "") {
			text = ""
		}
		if who.Name == "" {
			who.Name = text
		}
	}
	var err error
	who.Name, err = accountName(who.Name)
	return who, err
}

// find returns a claim, which may be below others, as in realm_access.roles.
func (c claims) find(name string) json.RawMessage {
	if v, ok := c[name]; ok {
		return v
	}
	head, tail, deeper := strings.Cut(name, ".")
	below := claims{}
	if !deeper || json.Unmarshal(c[head], &below) != nil {
		return nil
	}
	return below.find(tail)
}

// lacks reports whether none of the claims is there.
func (c claims) lacks(names ...string) bool {
	return !slices.ContainsFunc(names, func(n string) bool { return c.find(n) != nil })
}

func (c claims) text(name string) string {
	var s string
	if json.Unmarshal(c.find(name), &s) != nil {
		return ""
	}
	return s
}

// texts returns a claim that is a list, or a single text.
func (c claims) texts(name string) []string {
	var list []string
	if json.Unmarshal(c.find(name), &list) == nil {
		return list
	}
	if s := c.text(name); s != "" {
		return []string{s}
	}
	return nil
}
