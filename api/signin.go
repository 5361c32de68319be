package api

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// A SignIn is a name with its password, by which somebody wants a token.
type SignIn struct {
	Name     string `json:"name"`
	Password string `json:"password"`
	Client   string `json:"client,omitempty" doc:"what the token is for; its name in lists"`
}

// A SignedIn is the answer to it.
type SignedIn struct {
	Token     string `json:"token" doc:"told this once"`
	TokenID   string `json:"tokenId"`
	User      string `json:"user"`
	ExpiresAt Time   `json:"expiresAt"`
}

// A DeviceAuthorization is what a program gets that asks to be let in (RFC 8628, section
// 3.2).
type DeviceAuthorization struct {
	DeviceCode              string `json:"device_code" doc:"secret; to ask for the token with"`
	UserCode                string `json:"user_code" doc:"to be shown to the person"`
	VerificationURI         string `json:"verification_uri" doc:"where the person types it in"`
	VerificationURIComplete string `json:"verification_uri_complete" doc:"the same page with the code"`
	ExpiresIn               int    `json:"expires_in" doc:"seconds"`
	Interval                int    `json:"interval" doc:"seconds between questions, at least"`
}

// An AccessToken is what a program gets that was let in (RFC 6749, section 5.1).
type AccessToken struct {
	AccessToken string `json:"access_token" doc:"told this once"`
	TokenType   string `json:"token_type"`
	ExpiresIn   int    `json:"expires_in" doc:"seconds"`
}

// An OAuthError is how the OAuth routes say that they give no token (RFC 6749, section
// 5.2).
type OAuthError struct {
	Error       string `json:"error"`
	Description string `json:"error_description,omitempty"`
}

// SignIn returns a token for a name and its password.
func (c *Client) SignIn(ctx context.Context, in SignIn) (SignedIn, error) {
	return call[SignedIn](ctx, c, request{method: http.MethodPost, path: at("sign-in"), json: in})
}

// formed is a request with a form.
func formed(path string, form url.Values) request {
	return request{
		method: http.MethodPost, path: path, body: strings.NewReader(form.Encode()),
		header: http.Header{"Content-Type": {"application/x-www-form-urlencoded"}},
	}
}

// BeginDevice asks to be let in, under a name that people are shown.
func (c *Client) BeginDevice(ctx context.Context, name string) (DeviceAuthorization, error) {
	return call[DeviceAuthorization](ctx, c, formed(at("oauth", "device_authorization"), url.Values{"client_id": {"weft"}, "client_name": {name}}))
}

// AwaitDevice asks for the token now and then, until somebody lets the program in or
// turns it away, or the time is up.
func (c *Client) AwaitDevice(ctx context.Context, d DeviceAuthorization) (AccessToken, error) {
	pause := time.Duration(max(d.Interval, 1)) * time.Second
	form := url.Values{"grant_type": {"urn:ietf:params:oauth:grant-type:device_code"}, "client_id": {"weft"}, "device_code": {d.DeviceCode}}
	for {
		t := time.NewTimer(pause)
		select {
		case <-ctx.Done():
			t.Stop()
			return AccessToken{}, context.Cause(ctx)
		case <-t.C:
		}
		token, code, err := c.askDevice(ctx, form)
		var e *Error
		switch {
		case code == "authorization_pending":
		case code == "slow_down", errors.As(err, &e) && e.Kind == KindUnavailable: // RFC 8628, section 3.5
			pause += 5 * time.Second
		case code == "access_denied":
			return token, &Error{Kind: KindForbidden, Message: "you were turned away in the browser"}
		case code == "expired_token":
			return token, &Error{Kind: KindUnauthenticated, Message: "the code has expired\nbegin again"}
		case code != "":
			return token, &Error{Kind: KindInternal, Message: "the server answered " + code}
		default:
			return token, err
		}
	}
}

// askDevice asks once. An error of OAuth is returned by its code.
func (c *Client) askDevice(ctx context.Context, form url.Values) (token AccessToken, code string, err error) {
	req, err := c.build(ctx, formed(at("oauth", "token"), form))
	if err != nil {
		return token, "", err
	}
	res, err := c.http.Do(req)
	if err != nil {
		return token, "", c.unreached(ctx, err)
	}
	defer res.Body.Close()
	switch res.StatusCode {
	case http.StatusOK:
		err = json.NewDecoder(res.Body).Decode(&token)
	case http.StatusBadRequest:
		var e OAuthError
		err = json.NewDecoder(res.Body).Decode(&e)
		code = e.Error
	default:
		return token, "", readError(res)
	}
	if err != nil {
		err = c.broken(ctx, err)
	}
	return token, code, err
}

// RevokeToken ends the token that this client sends.
func (c *Client) RevokeToken(ctx context.Context) error {
	return c.send(ctx, formed(at("oauth", "revoke"), url.Values{"token": {c.token}}))
}
