package weft

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"time"
)

// A Plan says how Data are made from other Data: a container image, where its
// inputs and outputs are mounted, and the tags that select and mark them. A user
// registers it. Afterwards only Active, Resources, Policy, ServiceAccount, Annotations
// and AllowRuns can change.
type Plan struct {
	ID        PlanID
	Project   ProjectID
	CreatedAt time.Time
	Rev       int64

	// Name is "" or, unique among the project's live Plans, what people call it.
	// Built-in Plans (PlanUploaded, PlanImported) have names that begin with knit#, and
	// no image, no inputs and no resources.
	Name     string
	Revision int64     // counts the Plans that bore the Name, from 1; 0 without a name
	State    PlanState // live, or kept only for what it made

	// FromNow keeps the Plan from Data that were usable before it was registered: it
	// takes those whose Epoch is not less than Since, which the store sets. Pair, if not
	// "", is the key of a tag whose value all inputs of a Run share.
	FromNow bool
	Since   int64
	Pair    string

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
	Env            []Variable  // of its programs, sorted by name
	Policy         Policy

	// AllowRuns is how many pending Runs this Plan may make at once; 0 is the
	// system's limit. PendingRuns is how many it would make while it is blocked
	// because that is more than the limit; 0 when it is not blocked.
	AllowRuns   int64
	PendingRuns int64
}

// An Input selects every usable Data that has all of its tags, and mounts each of
// them, in a Run of its own, at Path.
type Input struct {
	Path   string
	Tags   Tags
	Latest Latest
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
	p.Env = sortVariables(p.Env)
	return p
}

// Identity returns a digest of everything that makes a plan what it is: image,
// entrypoint, args, inputs, outputs, log, on_node, environment, and what it chooses of
// the Data. Two plans of one project with the same identity are equal, and the second is
// refused. Name, active, resources, policy, service account and annotations are not part
// of it.
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
	name := ""
	if p.BuiltIn() {
		name = p.Name
	}
	put(name, p.Image.Repository, p.Image.Tag)
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
	if len(p.Env) > 0 {
		put("env")
		for _, v := range p.Env {
			put(v.Name, v.Value, v.Secret)
		}
	}
	p.putChoice(put)
	return Digest(h.Sum(nil))
}

// putChoice writes what Knitfab's plans do not have, and nothing for a plan without.
func (p Plan) putChoice(put func(...string)) {
	if p.FromNow {
		put("from now")
	}
	if p.Pair != "" {
		put("pair", p.Pair)
	}
	for _, in := range p.Inputs {
		switch {
		case in.Latest.By != "":
			put("latest", in.Path, "by", in.Latest.By)
		case in.Latest.On:
			put("latest", in.Path)
		}
	}
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
