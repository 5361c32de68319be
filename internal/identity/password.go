package identity

import (
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"fmt"
	"runtime"
	"strings"
	"unicode/utf8"

	"golang.org/x/crypto/argon2"

	"github.com/weft-dev/weft"
)

// What a password must be. Length is what counts; there are no rules about the kinds of
// characters (NIST SP 800-63B).
const (
	minPassword = 8    // characters
	maxPassword = 1024 // bytes: a bound on the work of one request
)

// params are the costs of one argon2id hash (RFC 9106).
type params struct {
	memory uint32 // KiB
	time   uint32 // passes
	lanes  uint8
}

// present is what new passwords are hashed with: the first choice of OWASP's Password
// Storage Cheat Sheet. Older hashes are replaced at the next sign-in.
var present = params{memory: 19 * 1024, time: 2, lanes: 1}

// most bounds what a stored hash may ask for, as it says itself what it costs.
var most = params{memory: 256 * 1024, time: 16, lanes: 16}

const (
	saltSize = 16
	hashSize = 32
)

// A crowd lets some in at once and lets some wait; the rest is sent away.
type crowd struct{ inside, all chan struct{} }

func newCrowd(inside, waiting int) crowd {
	return crowd{make(chan struct{}, inside), make(chan struct{}, inside+waiting)}
}

// enter waits for room. leave is to be called if there is no error.
func (c crowd) enter() (leave func(), err error) {
	select {
	case c.all <- struct{}{}:
	default:
		return nil, weft.Errorf(weft.Unavailable, "too many people are signing in just now").WithAdvice("try again in a moment")
	}
	c.inside <- struct{}{}
	return func() { <-c.inside; <-c.all }, nil
}

// hashing bounds how many hashes are made at once, and so the memory that guessing can
// take: each needs 19 MiB. It belongs to the process, as its memory does.
var hashing = newCrowd(max(2, runtime.GOMAXPROCS(0)), 256)

// HashPassword returns the form in which a password is stored, with the costs that it was
// made with. Passwords that are too short or too long are Invalid.
func HashPassword(password string) (string, error) {
	switch n := utf8.RuneCountInString(password); {
	case n < minPassword:
		return "", weft.Errorf(weft.Invalid, "the password has fewer than %d characters", minPassword).WithAdvice("four random words make a good one")
	case len(password) > maxPassword:
		return "", weft.Errorf(weft.Invalid, "the password has more than %d bytes", maxPassword)
	}
	salt := make([]byte, saltSize)
	rand.Read(salt) // never fails
	sum, err := present.hash(password, salt, hashSize)
	if err != nil {
		return "", err
	}
	return present.encode(salt, sum), nil
}

// CheckPassword is nil if hash was made of password, and Unauthenticated if not. It is
// Unavailable when too many passwords are being checked already.
func CheckPassword(hash, password string) error {
	p, salt, sum, err := parseHash(hash)
	if err != nil {
		return err
	}
	if len(password) > maxPassword {
		password = "" // is nobody's, and takes as long to check
	}
	got, err := p.hash(password, salt, uint32(len(sum)))
	if err != nil {
		return err
	}
	if subtle.ConstantTimeCompare(got, sum) != 1 {
		return weft.Errorf(weft.Unauthenticated, "the password is not right")
	}
	return nil
}

// outdated reports whether a hash was made at other costs than new ones are.
func outdated(hash string) bool {
	p, _, _, err := parseHash(hash)
	return err == nil && p != present
}

// hash computes argon2id when it is its turn.
func (p params) hash(password string, salt []byte, size uint32) ([]byte, error) {
	leave, err := hashing.enter()
	if err != nil {
		return nil, err
	}
	defer leave()
	return argon2.IDKey([]byte(password), salt, p.time, p.memory, p.lanes, size), nil
}

// encode writes a hash in the form that argon2's own command prints.
func (p params) encode(salt, sum []byte) string {
	b64 := base64.RawStdEncoding
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, p.memory, p.time, p.lanes, b64.EncodeToString(salt), b64.EncodeToString(sum))
}

// nobodysHash returns what takes as long to check as any hash, and is of no password.
func nobodysHash() string {
	salt, sum := make([]byte, saltSize), make([]byte, hashSize)
	rand.Read(salt) // never fails
	rand.Read(sum)
	return present.encode(salt, sum)
}

// parseHash reads what encode has written.
func parseHash(hash string) (p params, salt, sum []byte, err error) {
	damaged := fmt.Errorf("a stored password hash is damaged")
	parts := strings.Split(hash, "$")
	if len(parts) != 6 || parts[0] != "" || parts[1] != "argon2id" || parts[2] != fmt.Sprintf("v=%d", argon2.Version) {
		return p, nil, nil, damaged
	}
	if _, err := fmt.Sscanf(parts[3], "m=%d,t=%d,p=%d", &p.memory, &p.time, &p.lanes); err != nil {
		return p, nil, nil, damaged
	}
	if p.memory > most.memory || p.time > most.time || p.lanes > most.lanes || p.time == 0 || p.lanes == 0 {
		return p, nil, nil, damaged
	}
	b64 := base64.RawStdEncoding.Strict()
	salt, err = b64.DecodeString(parts[4])
	if err == nil {
		sum, err = b64.DecodeString(parts[5])
	}
	if err != nil || len(salt) < 8 || len(sum) < 16 || len(sum) > 64 {
		return p, nil, nil, damaged
	}
	return p, salt, sum, nil
}
