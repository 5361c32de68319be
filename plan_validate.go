package weft

import (
	"path"
	"slices"
	"strings"
	"unicode/utf8"
)

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
	if err := validateVariables(p.Env); err != nil {
		return err
	}
	if err := p.Policy.Validate(); err != nil {
		return err
	}
	if err := ValidateServiceAccount(p.ServiceAccount); err != nil {
		return err
	}
	if err := ValidatePlanName(p.Name); err != nil {
		return err
	}
	return p.validateChoice()
}

// validateChoice checks what Knitfab's plans do not have.
func (p Plan) validateChoice() error {
	if p.Pair != "" {
		if err := validateTagKey("pair", p.Pair); err != nil {
			return err
		}
		if len(p.Inputs) < 2 {
			return Errorf(Invalid, "pair: %s joins inputs, of which the plan has only one", clip(p.Pair)).WithAdvice("remove pair, or add an input")
		}
	}
	for _, in := range p.Inputs {
		if in.Latest.By != "" {
			if err := validateTagKey("input "+in.Path+": latest by", in.Latest.By); err != nil {
				return err
			}
		}
	}
	return nil
}

func validateTagKey(what, key string) error {
	t, err := NewTag(key, "")
	switch {
	case strings.HasPrefix(key, SystemPrefix):
		return Errorf(Invalid, "%s: %q is a system tag", what, clip(key)).WithAdvice("name the key of a tag of your own")
	case err != nil:
		return Errorf(Invalid, "%s: %w", what, err)
	case t.Key() != strings.TrimSpace(key):
		return Errorf(Invalid, "%s: %q begins or ends with a blank", what, clip(key))
	}
	return nil
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
