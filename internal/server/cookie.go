package server

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/weft-dev/weft"
)

// A Sessions knows whose session a cookie is.
type Sessions interface {
	// PrincipalBySession is Unauthenticated when there is no session with the secret of
	// that SHA-256, or it has ended. It takes note that the session is used.
	PrincipalBySession(ctx context.Context, hash [32]byte, from string) (weft.Principal, error)
}

// AcceptSessions lets the Guard know people by the cookie of their session, beside
// tokens. It is to be called before the first request.
func (g *Guard) AcceptSessions(s Sessions) { g.sessions = s }

// Names of cookies. On HTTPS they begin with __Host-, so that no other host and no plain
// connection can have set them.
const (
	sessionCookie = "weft-session"
	flowCookie    = "weft-sign-in" // a sign-in under way at another system
	hostPrefix    = "__Host-"
)

func cookieName(r *http.Request, name string) string {
	if IsSecure(r) {
		return hostPrefix + name
	}
	return name
}

// setCookie gives the browser a cookie for as long as it says; without a value it is to
// forget it.
func setCookie(w http.ResponseWriter, r *http.Request, name, value string, life time.Duration) {
	c := &http.Cookie{
		Name: cookieName(r, name), Value: value, Path: "/",
		HttpOnly: true, Secure: IsSecure(r), SameSite: http.SameSiteLaxMode, MaxAge: int(life.Seconds()),
	}
	if value == "" {
		c.MaxAge = -1
	}
	http.SetCookie(w, c)
}

// cookie returns the value of a cookie, "" if there is none. Several of one name are
// none: one of them is not ours.
func cookie(r *http.Request, name string) string {
	all := r.CookiesNamed(cookieName(r, name))
	if len(all) != 1 {
		return ""
	}
	return all[0].Value
}

// bySession returns whose session the request's cookie is; found says that there is a
// cookie at all. What changes something must come from a page of ours, as a browser
// sends cookies whoever has it do so.
func (g *Guard) bySession(r *http.Request) (p weft.Principal, found bool, err error) {
	secret := cookie(r, sessionCookie)
	if g.sessions == nil || secret == "" {
		return p, false, nil
	}
	if unsafeMethod(r) || r.Header.Get("Upgrade") != "" {
		if err := sameOrigin(r); err != nil {
			return p, true, err
		}
	}
	p, err = g.sessions.PrincipalBySession(r.Context(), HashToken(secret), addressOf(r))
	if weft.KindOf(err) == weft.Unauthenticated {
		err = weft.Errorf(weft.Unauthenticated, "your session has ended").WithAdvice("sign in again")
	}
	return p, true, err
}

func unsafeMethod(r *http.Request) bool {
	return r.Method != http.MethodGet && r.Method != http.MethodHead && r.Method != http.MethodOptions
}

// sameOrigin is Forbidden unless the browser says that a page of this server, or the
// person, made the request. A request that says nothing about it is refused too: every
// browser says it of what can change something.
func sameOrigin(r *http.Request) error {
	switch r.Header.Get("Sec-Fetch-Site") {
	case "same-origin", "none":
		return nil
	case "": // an old browser, or a plain connection
		u, err := url.Parse(r.Header.Get("Origin"))
		if err == nil && u.Host != "" && strings.EqualFold(u.Host, r.Host) {
			return nil
		}
	}
	return weft.Errorf(weft.Forbidden, "another site may not make your browser change anything here").WithAdvice("use the pages of this server")
}
