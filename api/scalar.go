package api

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"time"
)

// TimeLayout is how times are written: at most milliseconds, trailing zeros
// dropped, the offset always numeric and never Z.
const TimeLayout = "2006-01-02T15:04:05.999-07:00"

// A Time is a time on the wire.
type Time struct{ time.Time }

// String writes t in TimeLayout.
func (t Time) String() string { return t.Time.Truncate(time.Millisecond).Format(TimeLayout) }

// MarshalText writes t in TimeLayout.
func (t Time) MarshalText() ([]byte, error) { return []byte(t.String()), nil }

// UnmarshalText reads RFC 3339 with up to nanoseconds.
func (t *Time) UnmarshalText(b []byte) error {
	at, err := time.Parse(time.RFC3339Nano, string(b))
	t.Time = at
	return err
}

// MarshalJSON writes t as a string in TimeLayout.
func (t Time) MarshalJSON() ([]byte, error) { return []byte(`"` + t.String() + `"`), nil }

// UnmarshalJSON reads a string of RFC 3339.
func (t *Time) UnmarshalJSON(b []byte) error {
	var s string
	if err := json.Unmarshal(b, &s); err != nil {
		return err
	}
	return t.UnmarshalText([]byte(s))
}

// A Tag is a key:value pair. In requests it may also be an object with the fields
// key and value; answers always have the text.
type Tag struct{ Key, Value string }

// ParseTag reads "key:value", split at the first colon; both halves are trimmed.
func ParseTag(s string) (Tag, error) {
	k, v, ok := strings.Cut(s, ":")
	if !ok {
		return Tag{}, fmt.Errorf("tag %q has no colon; write it as key:value", s)
	}
	return Tag{strings.TrimSpace(k), strings.TrimSpace(v)}, nil
}

func (t Tag) String() string { return t.Key + ":" + t.Value }

// MarshalText writes key:value.
func (t Tag) MarshalText() ([]byte, error) { return []byte(t.String()), nil }

// UnmarshalText reads key:value.
func (t *Tag) UnmarshalText(b []byte) (err error) {
	*t, err = ParseTag(string(b))
	return err
}

// UnmarshalJSON reads the text form or the object form. The latter is taken as it
// is, without trimming.
func (t *Tag) UnmarshalJSON(b []byte) error {
	var s string
	if json.Unmarshal(b, &s) == nil {
		return t.UnmarshalText([]byte(s))
	}
	var pair struct{ Key, Value *string }
	if err := json.Unmarshal(b, &pair); err != nil || pair.Key == nil || pair.Value == nil {
		return fmt.Errorf(`tag %s is neither "key:value" nor {"key": …, "value": …}`, clip(b))
	}
	*t = Tag{*pair.Key, *pair.Value}
	return nil
}

// A Quantity is an amount of a resource, as Kubernetes writes them: 500m, 2, 1Gi. In
// requests it may also be a number.
type Quantity string

// UnmarshalJSON reads a string or a number.
func (q *Quantity) UnmarshalJSON(b []byte) error {
	if len(b) > 0 && b[0] != '"' {
		var n json.Number
		if err := json.Unmarshal(b, &n); err != nil {
			return fmt.Errorf("quantity %s is neither a string nor a number", clip(b))
		}
		*q = Quantity(n)
		return nil
	}
	return json.Unmarshal(b, (*string)(q))
}

// clip shortens the JSON of a user's value for a message.
func clip(b []byte) []byte {
	const most = 80
	if len(b) <= most {
		return b
	}
	return append(bytes.ToValidUTF8(b[:most:most], nil), "…"...)
}
