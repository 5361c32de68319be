package store

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/weft-dev/weft"
)

// A tagKey stands for a tag of one project in the tables data_tag and plan_input. Being
// a digest it is known without asking the database, equal tags have equal keys, and keys
// of different projects never meet.
type tagKey [16]byte

// keyOf returns the key of a tag. All texts of a knit#timestamp that mean one
// millisecond have one key.
func keyOf(project weft.ProjectID, t weft.Tag) tagKey {
	value := t.Value()
	if t.Key() == weft.KeyTimestamp {
		if at, err := weft.ParseTime(value); err == nil {
			value = weft.FormatTime(at)
		}
	}
	text := make([]byte, 0, 128)
	text = append(text, project[:]...)
	text = append(text, t.Key()...)
	text = append(text, 0)
	text = append(text, value...)
	sum := sha256.Sum256(text)
	return tagKey(sum[:len(tagKey{})])
}

// encodeTags writes tags as they are kept beside a Data: a JSON list of texts.
func encodeTags(ts weft.Tags) (string, error) {
	if len(ts) == 0 {
		return "[]", nil
	}
	b, err := json.Marshal(ts.Strings())
	return string(b), err
}

// decodeTags reads what encodeTags wrote. The text is split at the first colon without
// trimming, since a tag may have been made with blanks.
func decodeTags(s string) (weft.Tags, error) {
	if s == "[]" {
		return nil, nil
	}
	var texts []string
	if err := json.Unmarshal([]byte(s), &texts); err != nil {
		return nil, fmt.Errorf("decode tags: %w", err)
	}
	return tagsOf(texts)
}

// tagsOf reads tags from their texts.
func tagsOf(texts []string) (weft.Tags, error) {
	ts := make([]weft.Tag, len(texts))
	for i, text := range texts {
		t, err := splitTag(text)
		if err != nil {
			return nil, fmt.Errorf("decode tags: %w", err)
		}
		ts[i] = t
	}
	return weft.NewTags(ts...), nil
}

// noTime is how the timestamp of a Data that has none is stored: behind all others.
const noTime = 1<<63 - 1

func storedTimestamp(t time.Time) int64 {
	if t.IsZero() {
		return noTime
	}
	return micros(t.Truncate(time.Millisecond))
}

func timestampOf(us int64) time.Time {
	if us == noTime {
		return time.Time{}
	}
	return fromMicros(us)
}

func splitTag(s string) (weft.Tag, error) {
	key, value, ok := strings.Cut(s, ":")
	if !ok {
		return weft.Tag{}, fmt.Errorf("tag %q has no colon", s)
	}
	return weft.NewTag(key, value)
}

func keysOf(project weft.ProjectID, ts weft.Tags) []tagKey {
	keys := make([]tagKey, len(ts))
	for i, t := range ts {
		keys[i] = keyOf(project, t)
	}
	return keys
}
