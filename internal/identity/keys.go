// Package identity tells who somebody is: it checks passwords, asks OpenID providers and
// LDAP directories, keeps sessions of browsers, and lets a command line in by the device
// flow. What somebody may do is decided elsewhere, by weft.May. It also keeps the keys
// with which the server seals what it stores and signs what it hands out.
package identity

import (
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"golang.org/x/crypto/chacha20poly1305"

	"github.com/weft-dev/weft"
)

const (
	keyIDSize  = 8
	secretSize = 32
	sealFormat = 1 // the first byte of what is sealed
)

// Keys is the key ring of a server. The newest key seals and signs, every key opens and
// verifies, so that a key can be followed by another without anything being lost. For
// each purpose, keys of their own are derived (RFC 5869): what is made for one cannot be
// used for another. Keys is safe for concurrent use.
type Keys struct {
	newest *key
	byID   map[string]*key
}

// A key is one secret of the ring.
type key struct {
	id     string // hexadecimal
	secret []byte
}

// A keyFile is what the file of a ring holds, the newest key last.
type keyFile struct {
	Keys []keyEntry `json:"keys"`
}

type keyEntry struct {
	ID     string    `json:"id"`     // 16 hexadecimal digits
	Secret []byte    `json:"secret"` // 32 bytes, in base64
	MadeAt time.Time `json:"madeAt"`
}

// OpenKeys reads the ring in a file, which is made with one key if it is not there. Only
// its owner can read it.
func OpenKeys(path string) (*Keys, error) {
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		text, err = createKeys(path)
	}
	if err == nil {
		err = os.Chmod(path, 0o600)
	}
	if err != nil {
		return nil, fmt.Errorf("open the key ring: %w", err)
	}
	damaged := func(why string) error {
		return weft.Errorf(weft.Invalid, "the key ring %s is damaged: %s", path, why).
			WithAdvice("put back the file of a backup; without it, what was sealed cannot be opened any more")
	}
	var f keyFile
	if err := json.Unmarshal(text, &f); err != nil {
		return nil, damaged("it is not JSON")
	}
	ks := &Keys{byID: make(map[string]*key)}
	for i, e := range f.Keys {
		if id, err := hex.DecodeString(e.ID); err != nil || len(id) != keyIDSize || len(e.Secret) != secretSize {
			return nil, damaged(fmt.Sprintf("its key %d has not the right form", i+1))
		}
		ks.newest = &key{e.ID, e.Secret}
		ks.byID[e.ID] = ks.newest
	}
	if ks.newest == nil {
		return nil, damaged("it has no key")
	}
	return ks, nil
}

// createKeys writes a ring with one new key and returns its text.
func createKeys(path string) ([]byte, error) {
	id, secret := make([]byte, keyIDSize), make([]byte, secretSize)
	rand.Read(id) // never fails
	rand.Read(secret)
	text, err := json.MarshalIndent(keyFile{[]keyEntry{{hex.EncodeToString(id), secret, time.Now().UTC().Truncate(time.Second)}}}, "", "  ")
	if err != nil {
		return nil, err
	}
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*") // mode 0600
	if err != nil {
		return nil, err
	}
	_, err = f.Write(append(text, '\n'))
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return nil, errors.Join(err, os.Remove(f.Name()))
	}
	return text, nil
}

// derive returns the key of k for one use of one purpose.
func (k *key) derive(use, purpose string) ([]byte, error) {
	return hkdf.Key(sha256.New, k.secret, nil, "weft "+use+" "+purpose, secretSize)
}

// Seal encrypts plain so that only Open, with the same purpose, gives it back, and only
// as it is. Sealing the same text twice gives different results. The result is a format
// byte, the key's id, a nonce, and XChaCha20-Poly1305's output.
func (ks *Keys) Seal(purpose string, plain []byte) ([]byte, error) {
	k := ks.newest
	secret, err := k.derive("seal", purpose)
	if err != nil {
		return nil, fmt.Errorf("seal: %w", err)
	}
	aead, err := chacha20poly1305.NewX(secret)
	if err != nil {
		return nil, fmt.Errorf("seal: %w", err)
	}
	id, err := hex.DecodeString(k.id)
	if err != nil {
		return nil, fmt.Errorf("seal: %w", err)
	}
	out := append([]byte{sealFormat}, id...)
	nonce := make([]byte, aead.NonceSize(), aead.NonceSize()+len(plain)+aead.Overhead())
	rand.Read(nonce) // never fails
	return append(out, aead.Seal(nonce, nonce, plain, out)...), nil
}

// Open gives back what was sealed for a purpose. What was sealed for another, by an
// unknown key, or was changed since, is Invalid.
func (ks *Keys) Open(purpose string, sealed []byte) ([]byte, error) {
	const head = 1 + keyIDSize
	refused := weft.Errorf(weft.Invalid, "this was not sealed by this server, or not for this purpose").
		WithAdvice("the file keys.json of the state directory must be the one with which it was sealed")
	if len(sealed) < head+chacha20poly1305.NonceSizeX || sealed[0] != sealFormat {
		return nil, refused
	}
	k := ks.byID[hex.EncodeToString(sealed[1:head])]
	if k == nil {
		return nil, refused
	}
	secret, err := k.derive("seal", purpose)
	if err != nil {
		return nil, fmt.Errorf("open: %w", err)
	}
	aead, err := chacha20poly1305.NewX(secret)
	if err != nil {
		return nil, fmt.Errorf("open: %w", err)
	}
	nonce := sealed[head : head+aead.NonceSize()]
	plain, err := aead.Open(nil, nonce, sealed[head+aead.NonceSize():], sealed[:head])
	if err != nil {
		return nil, refused
	}
	return plain, nil
}

// Sign returns claims as a JWT (RFC 7519) with HS256 and the key's id as kid.
func (ks *Keys) Sign(purpose string, claims jwt.Claims) (string, error) {
	secret, err := ks.newest.derive("sign", purpose)
	if err != nil {
		return "", fmt.Errorf("sign: %w", err)
	}
	t := jwt.NewWithClaims(jwt.SigningMethodHS256, claims)
	t.Header["kid"] = ks.newest.id
	return t.SignedString(secret)
}

// Verify fills claims with those of a token that Sign made for the same purpose and that
// has not expired. Anything else, "alg": "none" above all, is Unauthenticated. Who wants
// an audience or an issuer checked does so with what comes out.
func (ks *Keys) Verify(purpose, token string, claims jwt.Claims) error {
	_, err := jwt.ParseWithClaims(token, claims, func(t *jwt.Token) (any, error) {
		kid, _ := t.Header["kid"].(string) // what is no text is no key's id
		k := ks.byID[kid]
		if k == nil {
			return nil, errors.New("its key is not known")
		}
		return k.derive("sign", purpose)
	}, jwt.WithValidMethods([]string{jwt.SigningMethodHS256.Alg()}))
	if err != nil {
		return weft.Errorf(weft.Unauthenticated, "the signed token is not valid: %w", err).WithAdvice("get a new one from this server")
	}
	return nil
}
