package server

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/weft-dev/weft"
)

// A SignIn lets people in: by a password, by OpenID Connect, and programs by the device
// flow. It limits guessing, and enters all that happens into the audit log.
type SignIn interface {
	// SignIn is Unauthenticated when the name or the password is not right, and
	// Unavailable after too many failures.
	SignIn(ctx context.Context, name, password, from string) (weft.User, error)
	// BeginSession makes a session in the place of former, which ends.
	BeginSession(ctx context.Context, u weft.User, from, agent, former string) (secret string, n weft.Session, err error)
	EndSession(ctx context.Context, p weft.Principal, secret, from string, everywhere bool) error

	Providers() []weft.SignInProvider
	// URL is that of this server, without a slash at its end; "" is the one that the
	// request was sent to.
	URL() string
	BeginOIDC(ctx context.Context, provider, redirect, next string) (url, state string, err error)
	FinishOIDC(ctx context.Context, provider, state string, query map[string][]string, from string) (u weft.User, next string, err error)

	MakeToken(ctx context.Context, u weft.User, name string) (secret string, k weft.Token, err error)
	Revoke(ctx context.Context, secret, from string) error

	BeginDevice(ctx context.Context, client, from string) (weft.DeviceCodes, error)
	FindDevice(ctx context.Context, userCode, from string) (weft.Device, error)
	DecideDevice(ctx context.Context, p weft.Principal, userCode, from string, allow bool) error
	PollDevice(ctx context.Context, deviceCode, from string) (secret string, k weft.Token, state weft.DeviceState, err error)
}

// flowLife is how long a browser keeps a sign-in under way at another system.
const flowLife = 10 * time.Minute

// signInRoutes declares the pages by which people sign in, and what programs use for it.
// They are open to everyone, and look after themselves who is asking.
func (s *Server) signInRoutes() {
	open := func(method, path, id, summary string) streamed {
		return streamed{route: route{method: method, path: path, id: id, summary: summary}, gives: "text/html"}
	}
	add := func(d streamed, act func(http.ResponseWriter, *http.Request) error) {
		s.stream(d, selfAudited(s.paged(act)))
	}
	add(open(http.MethodGet, "/sign-in", "show-sign-in", "Show the page for signing in"), s.showSignIn)
	add(open(http.MethodPost, "/sign-in", "sign-in-by-form", "Sign in with a browser"), s.signInByForm)
	add(open(http.MethodGet, "/sign-in/oidc/{provider}", "begin-oidc", "Sign in at an OpenID provider"), s.beginOIDC)
	add(open(http.MethodGet, "/sign-in/oidc/{provider}/callback", "finish-oidc", "Come back from an OpenID provider"), s.finishOIDC)
	add(open(http.MethodPost, "/sign-out", "sign-out", "End the session of a browser"), s.signOut)
	add(open(http.MethodGet, accountPage, "show-account", "Show who is signed in"), s.showAccount)
	add(open(http.MethodGet, "/device", "show-device", "Show the page for letting in a program"), s.showDevice)
	add(open(http.MethodPost, "/device", "decide-device", "Let a program in, or turn it away"), s.decideDevice)
	style := open(http.MethodGet, "/sign-in/style.css", "get-sign-in-style", "Get the style of these pages")
	style.gives = "text/css"
	s.stream(style, s.getStyle)
	s.oauthRoutes()
}

// selfAudited marks requests whose entries in the audit log are made by SignIn, which
// knows more than the request tells.
func selfAudited(act func(http.ResponseWriter, *http.Request) error) func(http.ResponseWriter, *http.Request) error {
	return func(w http.ResponseWriter, r *http.Request) error {
		infoOf(r.Context()).audit.Written = true
		return act(w, r)
	}
}

// visitor returns who is signed in with this browser; nobody is the zero Principal.
func (s *Server) visitor(r *http.Request) (weft.Principal, error) {
	if s.guard.anonymous != nil {
		return *s.guard.anonymous, nil
	}
	p, _, err := s.guard.bySession(r)
	if weft.KindOf(err) == weft.Unauthenticated {
		return weft.Principal{}, nil
	}
	infoOf(r.Context()).principal = p.Name
	return p, err
}

func (s *Server) showSignIn(w http.ResponseWriter, r *http.Request) error {
	p, err := s.visitor(r)
	if err != nil {
		return err
	}
	next := localPage(r.URL.Query().Get("next"))
	if !p.ID.IsZero() {
		return goTo(w, r, next)
	}
	return s.showSignInForm(w, r, "", next, nil)
}

func (s *Server) showSignInForm(w http.ResponseWriter, r *http.Request, name, next string, err error) error {
	problem, status := s.problem(r, err)
	return s.show(w, status, "sign-in", page{Title: "Sign in", Problem: problem, Name: name, Next: next, Providers: s.SignIn.Providers()})
}

func (s *Server) signInByForm(w http.ResponseWriter, r *http.Request) error {
	name, next := r.PostForm.Get("name"), localPage(r.PostForm.Get("next"))
	u, err := s.SignIn.SignIn(r.Context(), name, r.PostForm.Get("password"), addressOf(r))
	if err != nil {
		return s.showSignInForm(w, r, name, next, err)
	}
	return s.enter(w, r, u, next)
}

// enter begins a session of somebody who has signed in, and goes on to a page.
func (s *Server) enter(w http.ResponseWriter, r *http.Request, u weft.User, next string) error {
	secret, n, err := s.SignIn.BeginSession(r.Context(), u, addressOf(r), r.UserAgent(), cookie(r, sessionCookie))
	if err != nil {
		return err
	}
	infoOf(r.Context()).principal = u.Name
	setCookie(w, r, sessionCookie, secret, time.Until(n.ExpiresAt))
	return goTo(w, r, localPage(next))
}

// base is the URL of this server as browsers have it.
func (s *Server) base(r *http.Request) string {
	if u := s.SignIn.URL(); u != "" {
		return strings.TrimRight(u, "/")
	}
	return (&url.URL{Scheme: r.URL.Scheme, Host: r.Host}).String()
}

func (s *Server) beginOIDC(w http.ResponseWriter, r *http.Request) error {
	name := r.PathValue("provider")
	next := localPage(r.URL.Query().Get("next"))
	to, state, err := s.SignIn.BeginOIDC(r.Context(), name, s.base(r)+"/sign-in/oidc/"+url.PathEscape(name)+"/callback", next)
	if err != nil {
		return s.showSignInForm(w, r, "", next, err)
	}
	setCookie(w, r, flowCookie, state, flowLife)
	return goTo(w, r, to)
}

func (s *Server) finishOIDC(w http.ResponseWriter, r *http.Request) error {
	state := cookie(r, flowCookie)
	setCookie(w, r, flowCookie, "", 0)
	u, next, err := s.SignIn.FinishOIDC(r.Context(), r.PathValue("provider"), state, r.URL.Query(), addressOf(r))
	if err != nil {
		return s.showSignInForm(w, r, "", localPage(next), err)
	}
	return s.enter(w, r, u, next)
}

func (s *Server) signOut(w http.ResponseWriter, r *http.Request) error {
	p, err := s.visitor(r)
	if err != nil {
		return err
	}
	if secret := cookie(r, sessionCookie); secret != "" && !p.ID.IsZero() {
		if err := s.SignIn.EndSession(r.Context(), p, secret, addressOf(r), r.PostForm.Get("everywhere") != ""); err != nil {
			return err
		}
	}
	setCookie(w, r, sessionCookie, "", 0)
	return goTo(w, r, "/sign-in")
}

func (s *Server) showAccount(w http.ResponseWriter, r *http.Request) error {
	p, err := s.visitor(r)
	if err != nil {
		return err
	}
	if p.ID.IsZero() {
		return s.signInFirst(w, r)
	}
	return s.show(w, http.StatusOK, "account", page{Title: "Signed in", Name: p.Name, Admin: p.Admin, Open: s.guard.anonymous != nil})
}

// signInFirst sends somebody who is not signed in to sign in, and from there back here.
func (s *Server) signInFirst(w http.ResponseWriter, r *http.Request) error {
	return goTo(w, r, "/sign-in?"+url.Values{"next": {r.URL.RequestURI()}}.Encode())
}

func (s *Server) showDevice(w http.ResponseWriter, r *http.Request) error {
	p, err := s.visitor(r)
	if err != nil {
		return err
	}
	if p.ID.IsZero() {
		return s.signInFirst(w, r)
	}
	code := r.URL.Query().Get("user_code")
	if code == "" {
		return s.show(w, http.StatusOK, "device-code", page{Title: "Let in a program", Name: p.Name})
	}
	d, err := s.SignIn.FindDevice(r.Context(), code, addressOf(r))
	if err != nil {
		problem, status := s.problem(r, err)
		return s.show(w, status, "device-code", page{Title: "Let in a program", Name: p.Name, Problem: problem})
	}
	return s.show(w, http.StatusOK, "device", page{Title: "Let in a program", Name: p.Name, Code: d.UserCode, Client: d.Client, From: d.From})
}

func (s *Server) decideDevice(w http.ResponseWriter, r *http.Request) error {
	p, err := s.visitor(r)
	if err != nil {
		return err
	}
	if p.ID.IsZero() {
		return weft.Errorf(weft.Unauthenticated, "you are not signed in any more").WithAdvice("sign in, and begin again")
	}
	allow := r.PostForm.Get("decision") == "allow"
	if err := s.SignIn.DecideDevice(r.Context(), p, r.PostForm.Get("user_code"), addressOf(r), allow); err != nil {
		return err
	}
	text := "The program is turned away."
	if allow {
		text = "The program is let in. It goes on within some seconds; this page can be closed."
	}
	return s.show(w, http.StatusOK, "message", page{Title: "Done", Text: text, Link: accountPage, LinkText: "See who is signed in"})
}
