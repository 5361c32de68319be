package api

// An ExtraAPI is a path of the server behind which another service answers.
type ExtraAPI struct {
	Path  string `json:"path" doc:"requests for it, and for what is below, go to the service"`
	Takes string `json:"takes" enum:"nothing,viewer,member,manager,admin" doc:"the role that using it takes; nothing: it is open to everyone"`
	State string `json:"state" enum:"healthy,unhealthy,unknown" doc:"whether the service answers"`
	Since Time   `json:"since,omitzero" doc:"when that was first seen"`
}

// A KeySet is a JSON Web Key Set (RFC 7517).
type KeySet struct {
	Keys []Key `json:"keys" doc:"public keys"`
}

// A Key is a public key on an elliptic curve (RFC 7518, section 6.2).
type Key struct {
	Type      string `json:"kty" doc:"EC"`
	Curve     string `json:"crv" doc:"P-256"`
	X         string `json:"x" doc:"base64url"`
	Y         string `json:"y" doc:"base64url"`
	ID        string `json:"kid" doc:"names the key in the header of a token"`
	Algorithm string `json:"alg" doc:"ES256"`
	Use       string `json:"use" doc:"sig"`
}
