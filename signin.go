package weft

import "time"

// A SignInProvider is another system by which people can sign in with a browser.
type SignInProvider struct {
	Name  string // in URLs
	Title string // for people
}

// DeviceCodes are what a program gets that wants to be let in (RFC 8628).
type DeviceCodes struct {
	DeviceCode string // secret: it asks with it whether it was
	UserCode   string // to be shown
	Life       time.Duration
	Pause      time.Duration // between its questions
}

// A DeviceState is what a program is told that asks whether it is let in.
type DeviceState string

// The states of a program's sign-in, as RFC 8628, section 3.5, calls them.
const (
	DeviceWaits   DeviceState = "authorization_pending"
	DeviceTooFast DeviceState = "slow_down"
	DeviceDenied  DeviceState = "access_denied"
	DeviceExpired DeviceState = "expired_token"
	DeviceLetIn   DeviceState = "" // here is its token
)
