package weft

import (
	"database/sql/driver"
	"encoding/hex"
	"fmt"
	"strings"
)

// A Digest512 is the SHA-512 of some content: another name for it, by which clients of
// the registry may ask. The content's address is its Digest all the same.
type Digest512 [64]byte

const digest512Prefix = "sha512:"

// ParseDigest512 reads "sha512:" and 128 lower-case hexadecimal digits.
func ParseDigest512(s string) (Digest512, error) {
	var d Digest512
	h, ok := strings.CutPrefix(s, digest512Prefix)
	if !ok || len(h) != 2*len(d) || strings.ToLower(h) != h {
		return d, Errorf(Invalid, "%q is not a sha512 digest", clip(s))
	}
	if _, err := hex.Decode(d[:], []byte(h)); err != nil {
		return d, Errorf(Invalid, "%q is not a sha512 digest", clip(s))
	}
	return d, nil
}

func (d Digest512) String() string { return digest512Prefix + hex.EncodeToString(d[:]) }

// IsZero reports whether d was never set.
func (d Digest512) IsZero() bool { return d == Digest512{} }

// Value and Scan keep a digest as 64 bytes in a database; the zero digest is NULL.
func (d Digest512) Value() (driver.Value, error) {
	if d.IsZero() {
		return nil, nil
	}
	return d[:], nil
}

func (d *Digest512) Scan(src any) error {
	switch v := src.(type) {
	case nil:
		*d = Digest512{}
		return nil
	case []byte:
		if len(v) == len(d) {
			copy(d[:], v)
			return nil
		}
	}
	return fmt.Errorf("scan digest: %T is not 64 bytes", src)
}
