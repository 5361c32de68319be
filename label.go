package weft

import (
	"regexp"
	"slices"
	"strings"
)

// A Label is a key=value pair of a node.
type Label struct{ Key, Value string }

// ParseLabel reads "key=value" as Kubernetes allows them. An empty value is refused.
func ParseLabel(s string) (Label, error) {
	k, v, ok := strings.Cut(s, "=")
	l := Label{strings.TrimSpace(k), strings.TrimSpace(v)}
	if !ok {
		return l, Errorf(Invalid, "label %q has no =", clip(s)).WithAdvice("write it as key=value")
	}
	return l, nil
}

func (l Label) String() string { return l.Key + "=" + l.Value }

var (
	labelName   = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?$`)
	labelPrefix = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?(\.[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?)*$`)
)

func (l Label) validate() error {
	prefix, name, slash := strings.Cut(l.Key, "/")
	if !slash {
		prefix, name = "", l.Key
	}
	switch {
	case l.Key == "":
		return Errorf(Invalid, "on_node: a label has no key")
	case slash && (len(prefix) > 253 || !labelPrefix.MatchString(prefix)):
		return Errorf(Invalid, "on_node: the prefix of label key %q is not a DNS name of at most 253 characters", clip(l.Key))
	case !labelName.MatchString(name):
		return Errorf(Invalid, "on_node: label key %q is not a Kubernetes label key", clip(l.Key)).
			WithAdvice("use 1 to 63 letters, digits, -, _ and ., with a letter or digit at both ends")
	case l.Value == "":
		return Errorf(Invalid, "on_node: label %s has no value", l.Key)
	case !labelName.MatchString(l.Value):
		return Errorf(Invalid, "on_node: the value %q of label %s is not a Kubernetes label value", clip(l.Value), l.Key)
	}
	return nil
}

// OnNode says where a Run may, should and must run, by labels of nodes. May lets it
// run on nodes that are set apart (tainted) by that label; Prefer does that too and
// seeks them; Must demands them.
type OnNode struct{ May, Prefer, Must []Label }

// IsZero reports whether nothing is asked for.
func (o OnNode) IsZero() bool { return len(o.May)+len(o.Prefer)+len(o.Must) == 0 }

func sortedLabels(ls []Label) []Label {
	out := slices.Clone(ls)
	slices.SortFunc(out, func(a, b Label) int {
		if c := strings.Compare(a.Key, b.Key); c != 0 {
			return c
		}
		return strings.Compare(a.Value, b.Value)
	})
	return slices.Compact(out)
}

func labelStrings(ls []Label) []string {
	out := make([]string, len(ls))
	for i, l := range ls {
		out[i] = l.String()
	}
	return out
}
