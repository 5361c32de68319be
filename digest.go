package weft

import (
	"database/sql/driver"
	"encoding/hex"
	"fmt"
	"strings"
)

// A Digest is the SHA-256 of some content and is that content's address.
type Digest [32]byte

const digestPrefix = "sha256:"

// ParseDigest reads "sha256:" and 64 lower-case hexadecimal digits.
func ParseDigest(s string) (Digest, error) {
	var d Digest
	h, ok := strings.CutPrefix(s, digestPrefix)
	if !ok || len(h) != 2*len(d) || strings.ToLower(h) != h {
		return d, Errorf(Invalid, "%q is not a sha256 digest", s)
	}
	if _, err := hex.Decode(d[:], []byte(h)); err != nil {
		return d, Errorf(Invalid, "%q is not a sha256 digest", s)
	}
	return d, nil
}

func (d Digest) String() string { return digestPrefix + d.Hex() }

// Hex returns the 64 digits alone, as used in file names.
func (d Digest) Hex() string { return hex.EncodeToString(d[:]) }

// IsZero reports whether d was never set.
func (d Digest) IsZero() bool { return d == Digest{} }

func (d Digest) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

func (d *Digest) UnmarshalText(b []byte) error {
	v, err := ParseDigest(string(b))
	if err == nil {
		*d = v
	}
	return err
}

// Value and Scan keep a digest as 32 bytes in a database; the zero digest is NULL.
func (d Digest) Value() (driver.Value, error) {
	if d.IsZero() {
		return nil, nil
	}
	return d[:], nil
}

func (d *Digest) Scan(src any) error {
	switch v := src.(type) {
	case nil:
		*d = Digest{}
		return nil
	case []byte:
		if len(v) == len(d) {
			copy(d[:], v)
			return nil
		}
	}
	return fmt.Errorf("scan digest: %T is not 32 bytes", src)
}
