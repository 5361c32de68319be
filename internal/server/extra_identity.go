package server

import (
	"context"
	"crypto/ecdsa"
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/weft-dev/weft"
	"github.com/weft-dev/weft/api"
)

// IdentityHeader tells the service behind an endpoint who asks: a JWT (RFC 7519).
const IdentityHeader = "X-Weft-Identity"

// identityLife is how long it is good: for the request that it comes with.
const identityLife = time.Minute

// claims are what the header says.
type claims struct {
	jwt.RegisteredClaims
	Name        string `json:"name"`
	Kind        string `json:"kind,omitempty"` // person or service
	Admin       bool   `json:"admin,omitempty"`
	ProjectID   string `json:"project_id"`
	ProjectName string `json:"project,omitempty"` // where the client or the endpoint has named it
	Role        string `json:"role"`              // in that project
	Scope       string `json:"scope,omitempty"`   // of the token
}

// identityFor signs who makes a request.
func (s *Server) identityFor(r *http.Request, e *endpoint, p weft.Principal) (string, error) {
	now := time.Now()
	c := claims{
		RegisteredClaims: jwt.RegisteredClaims{
			Issuer: "weft", Subject: p.ID.String(), Audience: jwt.ClaimStrings{e.Path}, ID: infoOf(r.Context()).id,
			IssuedAt: jwt.NewNumericDate(now), ExpiresAt: jwt.NewNumericDate(now.Add(identityLife)),
		},
		Name: p.Name, Kind: string(p.Kind), Admin: weft.May(p, weft.Manage, weft.Object{Kind: "system"}) == nil, ProjectID: p.Project.String(), ProjectName: r.Header.Get(api.ProjectHeader),
		Role: p.RoleIn(p.Project).String(), Scope: string(p.Scope),
	}
	if len(e.Secret) > 0 {
		return jwt.NewWithClaims(jwt.SigningMethodHS256, c).SignedString(e.Secret)
	}
	if s.ExtraKey == nil {
		return "", weft.Errorf(weft.Unavailable, "the server has no key to sign who asks")
	}
	t := jwt.NewWithClaims(jwt.SigningMethodES256, c)
	t.Header["kid"] = keyID(s.ExtraKey)
	return t.SignedString(s.ExtraKey)
}

// keyID names a key by its thumbprint, shortened (RFC 7638).
func keyID(key *ecdsa.PrivateKey) string {
	x, y := coordinates(key)
	sum := sha256.Sum256([]byte(`{"crv":"P-256","kty":"EC","x":"` + x + `","y":"` + y + `"}`))
	return base64.RawURLEncoding.EncodeToString(sum[:12])
}

// coordinates are those of the public key, in base64url.
func coordinates(key *ecdsa.PrivateKey) (x, y string) {
	public, err := key.PublicKey.Bytes() // 4, x, y
	if err != nil {
		return "", "" // a key that is not on its curve signs nothing either
	}
	half := (len(public) - 1) / 2
	return base64.RawURLEncoding.EncodeToString(public[1 : 1+half]), base64.RawURLEncoding.EncodeToString(public[1+half:])
}

// extraRoutes declares where services get the key that the header is signed with.
func (s *Server) extraRoutes() {
	handle(s, route{
		method: http.MethodGet, path: "/api/extra/keys", id: "get-extra-keys",
		summary: "Get the public key that the extra API's header is signed with, as a JSON Web Key Set (RFC 7517)",
	}, s.getExtraKeys)
}

func (s *Server) getExtraKeys(context.Context, *struct{}) (*body[api.KeySet], error) {
	set := api.KeySet{Keys: []api.Key{}}
	if s.ExtraKey != nil {
		x, y := coordinates(s.ExtraKey)
		set.Keys = append(set.Keys, api.Key{Type: "EC", Curve: "P-256", X: x, Y: y, ID: keyID(s.ExtraKey), Algorithm: "ES256", Use: "sig"})
	}
	return answer(set, nil)
}
