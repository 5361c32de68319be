package weft

import (
	"regexp"
	"time"
)

// A User is an account: of a person, who signs in, or of a service, which has tokens
// only. It is made by an administrator, or by its owner's first sign-in from outside.
// Deleting it ends its tokens and sessions; what it did keeps its id.
type User struct {
	ID          PrincipalID
	Name        string
	Kind        PrincipalKind
	FullName    string
	Email       string
	Admin       bool
	Disabled    bool
	HasPassword bool
	Home        Project // the project of its requests that name none
	CreatedAt   time.Time
	SignedInAt  time.Time  // last; zero: never
	Identities  []Identity // by which it signs in from outside
}

// An Identity is how another system names somebody: an OpenID issuer and its subject, or
// "ldap:" with the directory's URL and the entry's distinguished name.
type Identity struct {
	Issuer  string
	Subject string
}

// A Credential is what a sign-in with a password needs to know of an account.
type Credential struct {
	User
	PasswordHash string // opaque; "" when it has none
}

// A UserChange says what becomes of an account; nil leaves it as it is.
type UserChange struct {
	FullName *string
	Email    *string
	Admin    *bool
	Disabled *bool
	Home     *ProjectID
}

// A SignInFailures tells how often a sign-in under one name failed in a row. The name
// need not be that of any account: so nothing can be learned from it.
type SignInFailures struct {
	Count       int
	LastAt      time.Time
	LockedUntil time.Time // zero: it is not locked
}

// A Membership is one principal's role in one project.
type Membership struct {
	Project Project
	ID      PrincipalID
	Name    string
	Kind    PrincipalKind
	Role    Role
}

var (
	userPattern    = regexp.MustCompile(`^[a-z0-9]([a-z0-9._@+-]{0,62}[a-z0-9])?$`)
	projectPattern = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`)
)

const maxText = 200 // of a name for people

// CheckUserName returns an error unless name can be that of an account.
func CheckUserName(name string) error {
	if !userPattern.MatchString(name) {
		return Errorf(Invalid, "%q is not a name of a user", name).
			WithAdvice("a name has up to 64 lower-case letters, digits and . _ @ + -, and begins and ends with a letter or a digit")
	}
	return nil
}

// CheckProjectName returns an error unless name can be that of a project. Such names are
// also legal as parts of host names and in Kubernetes.
func CheckProjectName(name string) error {
	if !projectPattern.MatchString(name) {
		return Errorf(Invalid, "%q is not a name of a project", name).
			WithAdvice("a name has up to 63 lower-case letters, digits and -, and begins and ends with a letter or a digit")
	}
	return nil
}

// CheckTitle returns an error unless text can be a name that only people read: of a
// token, or a person's full name.
func CheckTitle(what, text string) error {
	if len(text) > maxText {
		return Errorf(Invalid, "the %s has %d bytes; %d is the most", what, len(text), maxText)
	}
	for _, r := range text {
		if r < ' ' || r == 0x7f || r == 0xfffd {
			return Errorf(Invalid, "the %s %q has characters that cannot be printed", what, text)
		}
	}
	return nil
}
