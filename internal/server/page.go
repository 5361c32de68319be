package server

import (
	"embed"
	"errors"
	"html/template"
	"net/http"
	"net/url"
	"strings"

	"github.com/weft-dev/weft"
)

//go:embed page
var pageFiles embed.FS

// pageTexts are the few pages that signing in needs. They work without scripts.
var pageTexts = template.Must(template.ParseFS(pageFiles, "page/page.html"))

// pagePolicy lets a page of ours load our style and nothing else, send forms to us only,
// and be framed by nobody.
const pagePolicy = "default-src 'none'; style-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"

const (
	maxForm     = 16 << 10 // bytes
	accountPage = "/account"
)

// A page is what templates show. Each uses some of it.
type page struct {
	Title   string
	Problem *weft.Error

	Name      string // of who is signed in, or wants to be
	Admin     bool
	Open      bool // nobody has to sign in
	Next      string
	Providers []weft.SignInProvider

	Code, Client, From string // of a program that wants to be let in

	Text, Link, LinkText string
}

// pageHeaders are those of every page of ours.
func pageHeaders(h http.Header) {
	h.Set("Content-Security-Policy", pagePolicy)
	h.Set("Cache-Control", "no-store")
	h.Set("Referrer-Policy", "same-origin") // no-referrer would hide the origin of forms from us
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Frame-Options", "DENY")
}

// show answers with a page.
func (s *Server) show(w http.ResponseWriter, status int, name string, p page) error {
	var text strings.Builder
	if err := pageTexts.ExecuteTemplate(&text, name, p); err != nil {
		return err
	}
	pageHeaders(w.Header())
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	_, err := w.Write([]byte(text.String()))
	return err
}

// problem makes of an error what a page can say of it, and its status. An error of ours
// is logged.
func (s *Server) problem(r *http.Request, err error) (*weft.Error, int) {
	if err == nil {
		return nil, http.StatusOK
	}
	f := s.fail(r.Context(), err)
	var e *weft.Error
	if errors.As(err, &e) && weft.KindOf(err) != weft.Internal {
		return e, f.status
	}
	message, advice, _ := strings.Cut(f.Message, "\n")
	return weft.Errorf(weft.Internal, "%s", message).WithAdvice("%s", advice), f.status
}

// paged makes a handler one whose errors are pages.
func (s *Server) paged(act func(w http.ResponseWriter, r *http.Request) error) func(http.ResponseWriter, *http.Request) error {
	return func(w http.ResponseWriter, r *http.Request) error {
		if rq := r.Body; rq != nil {
			r.Body = http.MaxBytesReader(w, rq, maxForm)
		}
		if err := r.ParseForm(); err != nil {
			return s.complain(w, r, weft.Errorf(weft.Invalid, "the form cannot be read"))
		}
		if unsafeMethod(r) {
			if err := sameOrigin(r); err != nil {
				return s.complain(w, r, err)
			}
		}
		if err := act(w, r); err != nil {
			return s.complain(w, r, err)
		}
		return nil
	}
}

// complain shows an error as a page.
func (s *Server) complain(w http.ResponseWriter, r *http.Request, err error) error {
	p, status := s.problem(r, err)
	return s.show(w, status, "message", page{Title: "This did not work", Problem: p, Link: "/sign-in", LinkText: "Go to the sign-in page"})
}

// localPage returns next if it is a page of this server, else the account's: nobody may
// have us send people elsewhere once they are signed in.
func localPage(next string) string {
	u, err := url.Parse(next)
	if err != nil || u.IsAbs() || u.Host != "" || u.User != nil || u.Opaque != "" || !strings.HasPrefix(u.Path, "/") || strings.HasPrefix(u.Path, "//") ||
		strings.ContainsFunc(next, func(r rune) bool { return r == '\\' || r <= ' ' || r == 0x7f }) || !strings.HasPrefix(next, "/") || strings.HasPrefix(next, "//") {
		return accountPage
	}
	return u.RequestURI()
}

// goTo sends the browser to another page, by GET.
func goTo(w http.ResponseWriter, r *http.Request, to string) error {
	pageHeaders(w.Header())
	http.Redirect(w, r, to, http.StatusSeeOther)
	return nil
}

// getStyle sends the pages' style.
func (s *Server) getStyle(w http.ResponseWriter, _ *http.Request) error {
	text, err := pageFiles.ReadFile("page/style.css")
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "text/css; charset=utf-8")
	w.Header().Set("Cache-Control", "max-age=3600")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	_, err = w.Write(text)
	return err
}
