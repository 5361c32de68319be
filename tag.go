package weft

import (
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// System tags are computed by Weft and shown among a Data's tags. Their keys, and
// every key that begins like them, are reserved.
const (
	SystemPrefix = "knit#"
	KeyID        = "knit#id"        // the id of the Data itself
	KeyTimestamp = "knit#timestamp" // when the Run that made the Data ended
	KeyTransient = "knit#transient" // present while that Run is not done
)

// Values of knit#transient.
const (
	TransientProcessing = "processing"
	TransientFailed     = "failed"
)

// Limits of a tag, in characters.
const (
	MaxTagKey   = 1024
	MaxTagValue = 1 << 20
)

// A Tag is a key:value pair on a Data, or on an input, an output or the log of a
// Plan. One key may occur with many values. It is made by ParseTag or NewTag only,
// so every Tag that exists is well formed.
type Tag struct{ key, value string }

// ParseTag reads "key:value", split at the first colon; both halves are trimmed.
func ParseTag(s string) (Tag, error) {
	k, v, ok := strings.Cut(s, ":")
	if !ok {
		return Tag{}, Errorf(Invalid, "tag %q has no colon", clip(s)).WithAdvice("write it as key:value")
	}
	return NewTag(strings.TrimSpace(k), strings.TrimSpace(v))
}

// NewTag makes a tag of a key and a value as they are, without trimming them.
func NewTag(key, value string) (Tag, error) {
	t := Tag{key, value}
	switch {
	case strings.Contains(key, ":"):
		return Tag{}, Errorf(Invalid, "tag key %q contains a colon", clip(key))
	case !utf8.ValidString(key), !utf8.ValidString(value), strings.Contains(key, "\x00"), strings.Contains(value, "\x00"):
		return Tag{}, Errorf(Invalid, "tag %q is not UTF-8 text without NUL", clip(t.String()))
	case utf8.RuneCountInString(key) > MaxTagKey:
		return Tag{}, Errorf(Invalid, "tag key %q is longer than %d characters", clip(key), MaxTagKey)
	case utf8.RuneCountInString(value) > MaxTagValue:
		return Tag{}, Errorf(Invalid, "the value of tag %q is longer than %d characters", clip(key), MaxTagValue)
	}
	switch key {
	case KeyTimestamp:
		if _, err := ParseTime(value); err != nil {
			return Tag{}, Errorf(Invalid, "tag %s: %w", KeyTimestamp, err).WithAdvice(timeAdvice)
		}
	case KeyTransient:
		if value != TransientProcessing && value != TransientFailed {
			return Tag{}, Errorf(Invalid, "tag %s is %q", KeyTransient, clip(value)).
				WithAdvice("it is either %s or %s", TransientProcessing, TransientFailed)
		}
	}
	return t, nil
}

// clip shortens user text for a message.
func clip(s string) string {
	const most = 80
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most], "") + "…"
}

func (t Tag) Key() string    { return t.key }
func (t Tag) Value() string  { return t.value }
func (t Tag) String() string { return t.key + ":" + t.value }

// IsSystem reports whether the key is reserved for Weft.
func (t Tag) IsSystem() bool { return strings.HasPrefix(t.key, SystemPrefix) }

// instant returns the time a knit#timestamp tag names, cut to milliseconds.
func (t Tag) instant() time.Time {
	at, _ := ParseTime(t.value) // NewTag has parsed it before
	return at.Truncate(time.Millisecond)
}

// same reports whether two tags mean the same: equal text, or for knit#timestamp
// the same instant.
func (t Tag) same(u Tag) bool {
	if t.key == KeyTimestamp && u.key == KeyTimestamp {
		return t.instant().Equal(u.instant())
	}
	return t == u
}

func (t Tag) MarshalText() ([]byte, error) { return []byte(t.String()), nil }

// UnmarshalText reads what MarshalText wrote. Unlike ParseTag it trims nothing, so
// that a tag made by NewTag survives being stored.
func (t *Tag) UnmarshalText(b []byte) error {
	key, value, ok := strings.Cut(string(b), ":")
	if !ok {
		return Errorf(Invalid, "tag %q has no colon", clip(string(b)))
	}
	v, err := NewTag(key, value)
	if err == nil {
		*t = v
	}
	return err
}

// Tags is a set of tags: no two the same, sorted by key and then value in byte
// order. It is made by NewTags only.
type Tags []Tag

// NewTags makes a set. Of two knit#timestamp tags of one instant the first is kept.
func NewTags(tags ...Tag) Tags {
	ts := make(Tags, 0, len(tags))
	for _, t := range tags {
		if t.key == KeyTimestamp && slices.ContainsFunc(ts, t.same) {
			continue
		}
		ts = append(ts, t)
	}
	slices.SortFunc(ts, compareTags)
	return slices.Compact(ts)
}

// ParseTags reads each text with ParseTag and makes a set of them.
func ParseTags(texts ...string) (Tags, error) {
	ts := make([]Tag, len(texts))
	for i, s := range texts {
		t, err := ParseTag(s)
		if err != nil {
			return nil, err
		}
		ts[i] = t
	}
	return NewTags(ts...), nil
}

func compareTags(a, b Tag) int {
	if c := strings.Compare(a.key, b.key); c != 0 {
		return c
	}
	return strings.Compare(a.value, b.value)
}

// Has reports whether t is in the set.
func (ts Tags) Has(t Tag) bool {
	_, ok := slices.BinarySearchFunc(ts, t, compareTags)
	return ok || t.key == KeyTimestamp && slices.ContainsFunc(ts, t.same)
}

// HasAll reports whether every tag of sub is in the set.
func (ts Tags) HasAll(sub Tags) bool {
	for _, t := range sub {
		if !ts.Has(t) {
			return false
		}
	}
	return true
}

// User returns the tags that are not system tags.
func (ts Tags) User() Tags { return ts.filter(func(t Tag) bool { return !t.IsSystem() }) }

// System returns the tags whose keys are reserved.
func (ts Tags) System() Tags { return ts.filter(Tag.IsSystem) }

// Key returns the tags with that key.
func (ts Tags) Key(key string) Tags { return ts.filter(func(t Tag) bool { return t.key == key }) }

func (ts Tags) filter(keep func(Tag) bool) Tags {
	out := make(Tags, 0, len(ts))
	for _, t := range ts {
		if keep(t) {
			out = append(out, t)
		}
	}
	return out
}

// Equal reports whether both sets hold the same tags.
func (ts Tags) Equal(us Tags) bool { return len(ts) == len(us) && ts.HasAll(us) }

// Strings returns the text forms, in the set's order.
func (ts Tags) Strings() []string {
	out := make([]string, len(ts))
	for i, t := range ts {
		out[i] = t.String()
	}
	return out
}

// canonical is like Strings, but writes one instant in one way.
func (ts Tags) canonical() []string {
	out := ts.Strings()
	for i, t := range ts {
		if t.key == KeyTimestamp {
			out[i] = KeyTimestamp + ":" + FormatTime(t.instant())
		}
	}
	return out
}

// A TagChange says how the user tags of a Data are to change: what is removed goes
// first, then what is added comes. Removing what is not there and adding what is
// there are no errors.
type TagChange struct {
	Add       Tags
	Remove    Tags
	RemoveKey []string
}

// Validate refuses to touch system tags.
func (c TagChange) Validate() error {
	for _, t := range append(slices.Clone(c.Add), c.Remove...) {
		if t.IsSystem() {
			return reservedKey(t.key)
		}
	}
	for _, k := range c.RemoveKey {
		if strings.HasPrefix(k, SystemPrefix) {
			return reservedKey(k)
		}
	}
	return nil
}

func reservedKey(key string) error {
	return Errorf(Invalid, "tag key %q is reserved: keys that begin with %s are set by the system", clip(key), SystemPrefix).
		WithAdvice("choose another key")
}

// Apply returns ts with the change made.
func (c TagChange) Apply(ts Tags) Tags {
	kept := ts.filter(func(t Tag) bool { return !c.Remove.Has(t) && !slices.Contains(c.RemoveKey, t.key) })
	return NewTags(append(kept, c.Add...)...)
}
