package weft

import (
	"slices"
	"strings"
	"unicode/utf8"
)

// An Annotation is a key=value pair on a Plan, for people; it changes no behaviour.
type Annotation struct{ Key, Value string }

const (
	maxAnnotationKey   = 253
	maxAnnotationValue = 1 << 20
)

// ParseAnnotation reads "key=value", split at the first =; both halves are trimmed.
func ParseAnnotation(s string) (Annotation, error) {
	k, v, ok := strings.Cut(s, "=")
	a := Annotation{strings.TrimSpace(k), strings.TrimSpace(v)}
	switch {
	case !ok:
		return a, Errorf(Invalid, "annotation %q has no =", clip(s)).WithAdvice("write it as key=value")
	case utf8.RuneCountInString(a.Key) > maxAnnotationKey:
		return a, Errorf(Invalid, "annotation key %q is longer than %d characters", clip(a.Key), maxAnnotationKey)
	case utf8.RuneCountInString(a.Value) > maxAnnotationValue:
		return a, Errorf(Invalid, "the value of annotation %q is longer than %d characters", clip(a.Key), maxAnnotationValue)
	case !utf8.ValidString(s) || strings.Contains(s, "\x00"):
		return a, Errorf(Invalid, "annotation %q is not UTF-8 text without NUL", clip(s))
	}
	return a, nil
}

func (a Annotation) String() string { return a.Key + "=" + a.Value }

// Annotations is a set of annotations, sorted by key and value.
type Annotations []Annotation

// NewAnnotations makes a set.
func NewAnnotations(as ...Annotation) Annotations {
	out := slices.Clone(as)
	slices.SortFunc(out, func(a, b Annotation) int {
		if c := strings.Compare(a.Key, b.Key); c != 0 {
			return c
		}
		return strings.Compare(a.Value, b.Value)
	})
	return slices.Compact(out)
}

// An AnnotationChange removes first, then adds.
type AnnotationChange struct {
	Add       Annotations
	Remove    Annotations
	RemoveKey []string
}

// Apply returns as with the change made.
func (c AnnotationChange) Apply(as Annotations) Annotations {
	var kept []Annotation
	for _, a := range as {
		if !slices.Contains(c.Remove, a) && !slices.Contains(c.RemoveKey, a.Key) {
			kept = append(kept, a)
		}
	}
	return NewAnnotations(append(kept, c.Add...)...)
}
