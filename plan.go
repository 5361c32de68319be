package weft

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"maps"
	"path"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"k8s.io/apimachinery/pkg/api/resource"
)

// A Plan says how Data are made from other Data: a container image, where its
// inputs and outputs are mounted, and the tags that select and mark them. A user
// registers it. Afterwards only Active, Resources, ServiceAccount, Annotations and
// AllowRuns can change.
type Plan struct {
	ID        PlanID
	Project   ProjectID
	CreatedAt time.Time
	Rev       int64

	// Name is set for built-in Plans only (PlanUploaded, PlanImported), which have
	// no image, no inputs and no resources.
	Name string

	Image          Image
	Entrypoint     []string // empty: the image's own
	Args           []string // empty: the image's own
	Inputs         []Input  // sorted by path; at least one
	Outputs        []Output // sorted by path
	Log            *Log     // nil: the log is not kept
	OnNode         OnNode
	Active         bool
	Resources      Resources
	ServiceAccount string
	Annotations    Annotations // sorted

	// AllowRuns is how many pending Runs this Plan may make at once; 0 is the
	// system's limit. PendingRuns is how many it would make while it is blocked
	// because that is more than the limit; 0 when it is not blocked.
	AllowRuns   int64
	PendingRuns int64
}

// An Input selects every usable Data that has all of its tags, and mounts each of
// them, in a Run of its own, at Path.
type Input struct {
	Path string
	Tags Tags
}

// An Output is what a Run leaves at Path; it becomes Data with these tags.
type Output struct {
	Path string
	Tags Tags
}

// A Log says that what a Run prints becomes Data with these tags.
type Log struct{ Tags Tags }

// LogPath is where the log of a Run counts as mounted. It takes no part in the
// check for overlaps: a Plan may have an output of that path too.
const LogPath = "/log"

// Resources are the limits of a Run by name, such as cpu, memory and nvidia.com/gpu.
type Resources map[string]resource.Quantity

// Defaults that apply to a Plan that does not name these resources.
var defaultResources = map[string]string{"cpu": "1", "memory": "1Gi"}

// ParseResources reads Kubernetes quantities.
func ParseResources(texts map[string]string) (Resources, error) {
	rs := Resources{}
	for _, name := range slices.Sorted(maps.Keys(texts)) { // so that of several errors always the same is told
		text := texts[name]
		q, err := resource.ParseQuantity(text)
		if err != nil {
			return nil, Errorf(Invalid, "resource %s: %q is not a quantity", clip(name), clip(text)).WithAdvice("write it like 500m, 2 or 1Gi")
		}
		if q.Sign() < 0 {
			return nil, Errorf(Invalid, "resource %s: %s is negative", clip(name), q.String())
		}
		if name == "" {
			return nil, Errorf(Invalid, "a resource has no name")
		}
		rs[name] = q
	}
	return rs, nil
}

// WithDefaults returns rs with cpu and memory set where they are missing.
func (rs Resources) WithDefaults() Resources {
	out := maps.Clone(rs)
	if out == nil {
		out = Resources{}
	}
	for name, text := range defaultResources {
		if _, ok := out[name]; !ok {
			out[name] = resource.MustParse(text)
		}
	}
	return out
}

// Strings returns the quantities in canonical form.
func (rs Resources) Strings() map[string]string {
	out := make(map[string]string, len(rs))
	for name, q := range rs {
		out[name] = q.String()
	}
	return out
}

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

// Normalize returns p in the form in which plans are compared and kept: one
// trailing slash is cut off each path; inputs, outputs and labels are sorted.
// Defaults of resources are filled in. Validate expects this form.
func (p Plan) Normalize() Plan {
	cut := func(s string) string { return strings.TrimSuffix(s, "/") }
	p.Inputs, p.Outputs = slices.Clone(p.Inputs), slices.Clone(p.Outputs)
	for i := range p.Inputs {
		p.Inputs[i].Path = cut(p.Inputs[i].Path)
	}
	for i := range p.Outputs {
		p.Outputs[i].Path = cut(p.Outputs[i].Path)
	}
	slices.SortStableFunc(p.Inputs, func(a, b Input) int { return strings.Compare(a.Path, b.Path) })
	slices.SortStableFunc(p.Outputs, func(a, b Output) int { return strings.Compare(a.Path, b.Path) })
	p.OnNode = OnNode{sortedLabels(p.OnNode.May), sortedLabels(p.OnNode.Prefer), sortedLabels(p.OnNode.Must)}
	p.Annotations = NewAnnotations(p.Annotations...)
	p.Resources = p.Resources.WithDefaults()
	return p
}

const (
	maxPath           = 4096
	maxServiceAccount = 63
)

// Validate reports the first reason to refuse a normalized plan, in the order in
// which Knitfab checks them.
func (p Plan) Validate() error {
	for _, labels := range [][]Label{p.OnNode.May, p.OnNode.Must, p.OnNode.Prefer} { // by name of the mode
		for _, l := range labels {
			if err := l.validate(); err != nil {
				return err
			}
		}
	}
	if p.Image.Repository == "" || p.Image.Tag == "" {
		return Errorf(Invalid, "the plan has no image").WithAdvice("set image: repository:tag")
	}
	if len(p.Inputs) == 0 {
		return Errorf(Invalid, "the plan has no inputs").WithAdvice("list at least one under inputs, with a path and tags")
	}
	for _, in := range p.Inputs {
		if in.Path == "" {
			return Errorf(Invalid, "an input has no path")
		}
	}
	for _, out := range p.Outputs {
		if out.Path == "" {
			return Errorf(Invalid, "an output has no path")
		}
	}
	for i, in := range p.Inputs {
		if err := p.validateInput(i, in); err != nil {
			return err
		}
	}
	for i, out := range p.Outputs {
		if err := p.validateOutput(i, out); err != nil {
			return err
		}
	}
	if p.Log != nil {
		if sys := p.Log.Tags.System(); len(sys) > 0 {
			return Errorf(Invalid, "the log has the system tag %s", sys[0]).WithAdvice("remove it; system tags are set by Weft")
		}
	}
	for _, word := range slices.Concat(p.Entrypoint, p.Args) {
		if strings.Contains(word, "\x00") || !utf8.ValidString(word) {
			return Errorf(Invalid, "entrypoint or args: %q is not UTF-8 text without NUL", clip(word))
		}
	}
	return ValidateServiceAccount(p.ServiceAccount)
}

func (p Plan) validateInput(i int, in Input) error {
	if err := validatePath("input", in.Path); err != nil {
		return err
	}
	if len(in.Tags) == 0 {
		return Errorf(Invalid, "input %s has no tags", in.Path).WithAdvice("give it at least one tag; it decides which data the plan runs on")
	}
	if err := in.validateSystemTags(); err != nil {
		return err
	}
	for _, other := range p.Inputs[i+1:] {
		if overlap(in.Path, other.Path) {
			return Errorf(Invalid, "input %s and input %s overlap", in.Path, other.Path)
		}
	}
	for _, out := range p.Outputs {
		if overlap(in.Path, out.Path) {
			return Errorf(Invalid, "input %s and output %s overlap", in.Path, out.Path)
		}
	}
	return nil
}

// ValidateServiceAccount refuses a name that cannot be one; "" is none.
func ValidateServiceAccount(name string) error {
	switch {
	case utf8.RuneCountInString(name) > maxServiceAccount:
		return Errorf(Invalid, "service_account is longer than %d characters", maxServiceAccount)
	case strings.Contains(name, "\x00") || !utf8.ValidString(name):
		return Errorf(Invalid, "service_account %q is not UTF-8 text without NUL", clip(name))
	}
	return nil
}

// validateSystemTags tells of knit#transient first and of unknown keys last.
func (in Input) validateSystemTags() error {
	refuse := func(t Tag) error {
		return Errorf(Invalid, "input %s has the system tag %s", in.Path, clip(t.String())).
			WithAdvice("of the system tags an input may have %s and %s", KeyID, KeyTimestamp)
	}
	if ts := in.Tags.Key(KeyTransient); len(ts) > 0 {
		return refuse(ts[0])
	}
	for _, key := range []string{KeyID, KeyTimestamp} {
		if len(in.Tags.Key(key)) > 1 {
			return Errorf(Invalid, "input %s has more than one %s", in.Path, key)
		}
	}
	for _, t := range in.Tags.System() {
		if t.Key() != KeyID && t.Key() != KeyTimestamp {
			return refuse(t)
		}
	}
	return nil
}

func (p Plan) validateOutput(i int, out Output) error {
	if err := validatePath("output", out.Path); err != nil {
		return err
	}
	if sys := out.Tags.System(); len(sys) > 0 {
		return Errorf(Invalid, "output %s has the system tag %s", out.Path, clip(sys[0].String())).
			WithAdvice("remove it; system tags are set by Weft")
	}
	for _, other := range p.Outputs[i+1:] {
		if overlap(out.Path, other.Path) {
			return Errorf(Invalid, "output %s and output %s overlap", out.Path, other.Path)
		}
	}
	return nil
}

func validatePath(what, s string) error {
	switch {
	case !path.IsAbs(s):
		return Errorf(Invalid, "%s path %q is not absolute", what, clip(s))
	case path.Clean(s) != s:
		return Errorf(Invalid, "%s path %q is not clean", what, clip(s)).WithAdvice("write it without ., .. and //, like %s", path.Clean(s))
	case len(s) > maxPath:
		return Errorf(Invalid, "%s path %q is longer than %d bytes", what, clip(s), maxPath)
	case strings.Contains(s, "\x00") || !utf8.ValidString(s):
		return Errorf(Invalid, "%s path %q is not UTF-8 text without NUL", what, clip(s))
	}
	return nil
}

// overlap reports whether one of two clean paths is or contains the other.
func overlap(a, b string) bool {
	return a == b || strings.HasPrefix(a, b+"/") || strings.HasPrefix(b, a+"/")
}

// Identity returns a digest of everything that makes a plan what it is: image,
// entrypoint, args, inputs, outputs, log and on_node. Two plans of one project with
// the same identity are equal, and the second is refused. Active, resources,
// service account and annotations are not part of it.
func (p Plan) Identity() Digest {
	h := sha256.New()
	put := func(parts ...string) { // length-prefixed, so that no two lists give the same bytes
		fmt.Fprintf(h, "%d[", len(parts))
		for _, s := range parts {
			var n [8]byte
			binary.BigEndian.PutUint64(n[:], uint64(len(s)))
			h.Write(n[:])
			h.Write([]byte(s))
		}
	}
	put(p.Name, p.Image.Repository, p.Image.Tag)
	put(p.Entrypoint...)
	put(p.Args...)
	for _, labels := range [][]Label{p.OnNode.May, p.OnNode.Prefer, p.OnNode.Must} {
		put(labelStrings(labels)...)
	}
	put("inputs")
	for _, in := range p.Inputs {
		put(append([]string{in.Path}, in.Tags.canonical()...)...)
	}
	put("outputs")
	for _, out := range p.Outputs {
		put(append([]string{out.Path}, out.Tags.Strings()...)...)
	}
	if p.Log != nil {
		put(append([]string{"log"}, p.Log.Tags.Strings()...)...)
	}
	return Digest(h.Sum(nil))
}

func labelStrings(ls []Label) []string {
	out := make([]string, len(ls))
	for i, l := range ls {
		out[i] = l.String()
	}
	return out
}

// OutputTags returns the tags of each output and, last, of the log if there is one.
func (p Plan) OutputTags() []Tags {
	out := make([]Tags, 0, len(p.Outputs)+1)
	for _, o := range p.Outputs {
		out = append(out, o.Tags)
	}
	if p.Log != nil {
		out = append(out, p.Log.Tags)
	}
	return out
}
