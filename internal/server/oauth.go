package server

import (
	"context"
	"net/http"
	"net/url"
	"reflect"
	"time"

	"github.com/weft-dev/weft"
	"github.com/weft-dev/weft/api"
)

const (
	deviceGrant = "urn:ietf:params:oauth:grant-type:device_code" // RFC 8628, section 3.4
	formType    = "application/x-www-form-urlencoded"
)

// oauthRoutes declares what programs use to be let in and to leave.
func (s *Server) oauthRoutes() {
	post := func(path, id, summary, more string) route {
		return route{method: http.MethodPost, path: path, id: id, summary: summary, more: more}
	}
	handle(s, post("/api/sign-in", "sign-in", "Sign in with a password", "For programs of people without a browser. The answer holds a token, which is told this once."), s.signInForToken)
	add := func(rt route, gives reflect.Type, act func(http.ResponseWriter, *http.Request) error) {
		s.stream(streamed{route: rt, takes: formType, gives: "application/json", givesA: gives}, selfAudited(s.formed(act)))
	}
	add(post("/api/oauth/device_authorization", "begin-device", "Ask to be let in as somebody", "RFC 8628, section 3.1. Takes client_name, which people will be shown; client_id may be anything."),
		reflect.TypeFor[api.DeviceAuthorization](), s.beginDevice)
	add(post("/api/oauth/token", "get-device-token", "Ask for the token after having asked to be let in", "RFC 8628, section 3.4. Takes grant_type and device_code."),
		reflect.TypeFor[api.AccessToken](), s.getDeviceToken)
	add(post("/api/oauth/revoke", "revoke-own-token", "End a token by showing it", "RFC 7009. Takes token."), reflect.TypeFor[struct{}](), s.revokeToken)
}

// formed reads the form of a program's request.
func (s *Server) formed(act func(http.ResponseWriter, *http.Request) error) func(http.ResponseWriter, *http.Request) error {
	return func(w http.ResponseWriter, r *http.Request) error {
		r.Body = http.MaxBytesReader(w, r.Body, maxForm)
		if err := r.ParseForm(); err != nil {
			return weft.Errorf(weft.Invalid, "the form cannot be read")
		}
		w.Header().Set("Cache-Control", "no-store")
		return act(w, r)
	}
}

// A signInInput is a request to sign in.
type signInInput struct{ Body api.SignIn }

func (s *Server) signInForToken(ctx context.Context, in *signInInput) (*body[api.SignedIn], error) {
	i := infoOf(ctx)
	i.audit.Written = true
	u, err := s.SignIn.SignIn(ctx, in.Body.Name, in.Body.Password, i.audit.From)
	if err != nil {
		return nil, err
	}
	i.principal = u.Name
	name := in.Body.Client
	if name == "" {
		name = "weft login"
	}
	if err := weft.CheckTitle("client", name); err != nil {
		return nil, err
	}
	secret, k, err := s.SignIn.MakeToken(ctx, u, name)
	return answer(api.SignedIn{Token: secret, TokenID: k.ID.String(), User: u.Name, ExpiresAt: wireTime(k.ExpiresAt)}, err)
}

func (s *Server) beginDevice(w http.ResponseWriter, r *http.Request) error {
	codes, err := s.SignIn.BeginDevice(r.Context(), r.PostForm.Get("client_name"), addressOf(r))
	if err != nil {
		return err
	}
	page := s.base(r) + "/device"
	writeJSON(w, http.StatusOK, api.DeviceAuthorization{
		DeviceCode: codes.DeviceCode, UserCode: codes.UserCode,
		VerificationURI: page, VerificationURIComplete: page + "?" + url.Values{"user_code": {codes.UserCode}}.Encode(),
		ExpiresIn: int(codes.Life.Seconds()), Interval: int(codes.Pause.Seconds()),
	}, s.log)
	return nil
}

func (s *Server) getDeviceToken(w http.ResponseWriter, r *http.Request) error {
	if r.PostForm.Get("grant_type") != deviceGrant {
		return s.oauthError(w, "unsupported_grant_type", "only "+deviceGrant+" is offered")
	}
	secret, k, state, err := s.SignIn.PollDevice(r.Context(), r.PostForm.Get("device_code"), addressOf(r))
	switch {
	case err != nil:
		return err
	case state != weft.DeviceLetIn:
		return s.oauthError(w, string(state), "")
	}
	infoOf(r.Context()).principal = k.OwnerName
	writeJSON(w, http.StatusOK, api.AccessToken{AccessToken: secret, TokenType: "Bearer", ExpiresIn: int(time.Until(k.ExpiresAt).Seconds())}, s.log)
	return nil
}

// oauthError answers as RFC 6749, section 5.2, has it.
func (s *Server) oauthError(w http.ResponseWriter, code, description string) error {
	writeJSON(w, http.StatusBadRequest, api.OAuthError{Error: code, Description: description}, s.log)
	return nil
}

func (s *Server) revokeToken(w http.ResponseWriter, r *http.Request) error {
	if err := s.SignIn.Revoke(r.Context(), r.PostForm.Get("token"), addressOf(r)); err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, struct{}{}, s.log)
	return nil
}
