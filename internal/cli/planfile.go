package cli

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"

	"gopkg.in/yaml.v3"

	"github.com/weft-dev/weft"
	"github.com/weft-dev/weft/api"
)

// maxPlanFile bounds a plan file. No plan is near it; a wrong file may be.
const maxPlanFile = 8 << 20

// readPlanFile reads a plan in YAML or JSON and checks all that can be checked
// without a server. Errors name the line.
func readPlanFile(name string, r io.Reader) (api.PlanSpec, error) {
	text, err := io.ReadAll(io.LimitReader(r, maxPlanFile+1))
	if err != nil {
		return api.PlanSpec{}, fmt.Errorf("read %s: %w", name, err)
	}
	if len(text) > maxPlanFile {
		return api.PlanSpec{}, weft.Errorf(weft.TooLarge, "%s is longer than %s; it is not a plan file", name, byteCount(maxPlanFile))
	}
	root, err := parsePlanYAML(name, text)
	if err != nil {
		return api.PlanSpec{}, err
	}
	p := planParser{file: name}
	spec := p.plan(root)
	if p.err != nil {
		return api.PlanSpec{}, p.err
	}
	return spec, p.check(spec, root)
}

func parsePlanYAML(name string, text []byte) (*yaml.Node, error) {
	dec := yaml.NewDecoder(strings.NewReader(string(text)))
	var doc, more yaml.Node
	err := dec.Decode(&doc)
	switch {
	case errors.Is(err, io.EOF) || err == nil && len(doc.Content) == 1 && doc.Content[0].Tag == "!!null":
		return nil, weft.Errorf(weft.Invalid, "%s is empty", name).WithAdvice("make a plan file with: weft plan template")
	case err != nil:
		return nil, weft.Errorf(weft.Invalid, "%s is not YAML: %s", name, strings.TrimPrefix(err.Error(), "yaml: "))
	}
	if err := dec.Decode(&more); !errors.Is(err, io.EOF) {
		return nil, weft.Errorf(weft.Invalid, "%s:%d: a plan file holds one plan", name, max(more.Line, doc.Line)).WithAdvice("put each plan into a file of its own")
	}
	return doc.Content[0], nil
}

// A planParser turns the nodes of a plan file into a plan. It keeps the first error
// and goes through the rest in vain.
type planParser struct {
	file string
	err  error
}

func (p *planParser) failf(at *yaml.Node, advice, format string, args ...any) {
	if p.err == nil {
		e := weft.Errorf(weft.Invalid, "%s:%d: %w", p.file, at.Line, fmt.Errorf(format, args...))
		if advice != "" {
			e = e.WithAdvice("%s", advice)
		}
		p.err = e
	}
}

// fail reports an error about a node, with its advice.
func (p *planParser) fail(at *yaml.Node, err error) {
	if err == nil {
		return
	}
	var e *weft.Error
	advice := ""
	if errors.As(err, &e) {
		advice = e.Advice
	}
	p.failf(at, advice, "%w", err)
}

// planFields are the fields that a plan may have.
var planFields = []string{"annotations", "image", "entrypoint", "args", "inputs", "outputs", "log", "active", "on_node", "resources", "service_account", "allow_runs",
	"timeout", "grace", "retry", "concurrency", "env", "secrets", "name", "from", "pair"}

func (p *planParser) plan(n *yaml.Node) api.PlanSpec {
	var s api.PlanSpec
	p.fields(n, "the plan", planFields, func(key string, v *yaml.Node) {
		switch key {
		case "name":
			s.Name = p.text(v, key)
			p.fail(v, weft.ValidatePlanName(s.Name))
		case "from":
			if s.From = p.text(v, key); s.From != api.FromNow {
				p.failf(v, "write from: now, or leave it out", "from is %q", s.From)
			}
		case "pair":
			s.Pair = p.text(v, key)
		case "annotations":
			s.Annotations = p.annotations(v)
		case "image":
			s.Image = p.image(v)
		case "entrypoint":
			s.Entrypoint = p.texts(v, key)
		case "args":
			s.Args = p.texts(v, key)
		case "inputs":
			s.Inputs = p.inputs(v)
		case "outputs":
			s.Outputs = p.mountpoints(v, "output")
		case "log":
			s.Log = p.log(v)
		case "active":
			s.Active = p.boolean(v, key)
		case "on_node":
			s.OnNode = p.onNode(v)
		case "resources":
			s.Resources = p.resources(v)
		case "service_account":
			s.ServiceAccount = p.text(v, key)
		case "allow_runs":
			s.AllowRuns = p.number(v, key)
		default:
			p.policy(&s, key, v)
		}
	})
	return s
}

// resolve follows aliases.
func resolve(n *yaml.Node) *yaml.Node {
	for n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	return n
}

func isNull(n *yaml.Node) bool { return n.Kind == yaml.ScalarNode && n.Tag == "!!null" }

// fields calls f with each field of a mapping that is known and not null.
func (p *planParser) fields(n *yaml.Node, what string, known []string, f func(string, *yaml.Node)) {
	n = resolve(n)
	if n.Kind != yaml.MappingNode {
		p.failf(n, "", "%s is %s; it must be a mapping of fields to values", what, kindName(n))
		return
	}
	seen := map[string]int{}
	for i := 0; i+1 < len(n.Content) && p.err == nil; i += 2 {
		key, v := n.Content[i], resolve(n.Content[i+1])
		if line, again := seen[key.Value]; again {
			p.failf(key, "", "field %q is there twice; first in line %d", key.Value, line)
			return
		}
		seen[key.Value] = key.Line
		if !slices.Contains(known, key.Value) {
			p.unknown(key, what, known)
			return
		}
		if !isNull(v) {
			f(key.Value, v)
		}
	}
}

func (p *planParser) unknown(key *yaml.Node, what string, known []string) {
	advice := "it can have: " + strings.Join(known, ", ")
	if near := nearestWord(key.Value, known); near != "" {
		advice = fmt.Sprintf("did you mean %s?", near)
	}
	p.failf(key, advice, "%s has no field %q", what, key.Value)
}

func kindName(n *yaml.Node) string {
	switch n.Kind {
	case yaml.MappingNode:
		return "a mapping"
	case yaml.SequenceNode:
		return "a list"
	}
	switch n.Tag {
	case "!!null":
		return "empty"
	case "!!int", "!!float":
		return "a number"
	case "!!bool":
		return "a truth value"
	}
	return "text"
}

// items calls f with each item of a list.
func (p *planParser) items(n *yaml.Node, what string, f func(*yaml.Node)) {
	if n.Kind != yaml.SequenceNode {
		p.failf(n, "begin each item with \"- \"", "%s is %s; it must be a list", what, kindName(n))
		return
	}
	for _, item := range n.Content {
		f(resolve(item))
	}
}

// text reads any scalar as it is written, so that 1.10 stays 1.10.
func (p *planParser) text(n *yaml.Node, what string) string {
	if n.Kind != yaml.ScalarNode {
		p.failf(n, "", "%s is %s; it must be text", what, kindName(n))
	}
	return n.Value
}

func (p *planParser) texts(n *yaml.Node, what string) []string {
	out := []string{}
	p.items(n, what, func(item *yaml.Node) {
		if isNull(item) {
			p.failf(item, "to give an empty word write \"\"", "an item of %s is empty", what)
		}
		out = append(out, p.text(item, "an item of "+what))
	})
	return out
}

func (p *planParser) boolean(n *yaml.Node, what string) *bool {
	var b bool
	if n.Kind != yaml.ScalarNode || n.Decode(&b) != nil {
		p.failf(n, "", "%s is neither true nor false", what)
	}
	return &b
}

func (p *planParser) number(n *yaml.Node, what string) int64 {
	v, err := strconv.ParseInt(n.Value, 10, 64)
	if n.Kind != yaml.ScalarNode || err != nil || v < 0 {
		p.failf(n, "", "%s is not a number from 0 on", what)
	}
	return v
}

func (p *planParser) image(n *yaml.Node) string {
	s := p.text(n, "image")
	img, err := weft.ParseImage(s)
	if err != nil {
		p.fail(n, err)
		return ""
	}
	return img.String()
}

func (p *planParser) annotations(n *yaml.Node) []string {
	var out []string
	p.items(n, "annotations", func(item *yaml.Node) {
		a, err := weft.ParseAnnotation(p.text(item, "an annotation"))
		p.fail(item, err)
		out = append(out, a.String())
	})
	return out
}

func (p *planParser) mountpoints(n *yaml.Node, what string) []api.Mountpoint {
	out := []api.Mountpoint{}
	p.items(n, what+"s", func(item *yaml.Node) {
		out = append(out, p.mountpoint(item, what, nil))
	})
	return out
}

// mountpoint reads an input or an output; more reads the fields that not both have.
func (p *planParser) mountpoint(item *yaml.Node, what string, more map[string]func(*yaml.Node)) api.Mountpoint {
	m := api.Mountpoint{Tags: []api.Tag{}}
	known := append([]string{"path", "tags"}, slices.Sorted(maps.Keys(more))...)
	p.fields(item, "an "+what, known, func(key string, v *yaml.Node) {
		switch key {
		case "path":
			m.Path = p.text(v, "path")
		case "tags":
			m.Tags = p.tags(v, what == "input")
		default:
			more[key](v)
		}
	})
	if m.Path == "" {
		p.failf(item, "add path: /somewhere", "this %s has no path", what)
	}
	return m
}

func (p *planParser) inputs(n *yaml.Node) []api.PlanSpecInput {
	out := []api.PlanSpecInput{}
	p.items(n, "inputs", func(item *yaml.Node) {
		var in api.PlanSpecInput
		in.Mountpoint = p.mountpoint(item, "input", map[string]func(*yaml.Node){
			"latest": func(v *yaml.Node) { in.Latest = p.latest(v) },
		})
		out = append(out, in)
	})
	return out
}

// latest reads true, false or {by: KEY}.
func (p *planParser) latest(n *yaml.Node) *api.Latest {
	if n.Kind == yaml.ScalarNode {
		if on := p.boolean(n, "latest"); !*on {
			return nil
		}
		return &api.Latest{}
	}
	var l api.Latest
	p.fields(n, "latest", []string{"by"}, func(_ string, v *yaml.Node) { l.By = p.text(v, "by") })
	if l.By == "" {
		p.failf(n, "write latest: true, or latest: {by: KEY}", "latest names no key")
	}
	return &l
}

// tags reads a list of tags. System tags may only be in inputs.
func (p *planParser) tags(n *yaml.Node, system bool) []api.Tag {
	out := []api.Tag{}
	p.items(n, "tags", func(item *yaml.Node) {
		t, err := p.tag(item)
		if err == nil && t.IsSystem() && !system {
			err = weft.Errorf(weft.Invalid, "%s is a system tag", t).WithAdvice("remove it; system tags are set by Weft")
		}
		p.fail(item, err)
		out = append(out, api.Tag{Key: t.Key(), Value: t.Value()})
	})
	return out
}

// tag reads key:value. YAML takes "key: value" without quotes for a mapping; what is
// meant is plain.
func (p *planParser) tag(n *yaml.Node) (weft.Tag, error) {
	if n.Kind == yaml.MappingNode && len(n.Content) == 2 && n.Content[0].Kind == yaml.ScalarNode && n.Content[1].Kind == yaml.ScalarNode {
		return weft.NewTag(n.Content[0].Value, n.Content[1].Value)
	}
	return weft.ParseTag(p.text(n, "a tag"))
}

func (p *planParser) log(n *yaml.Node) *api.LogPoint {
	log := api.LogPoint{Tags: []api.Tag{}}
	p.fields(n, "log", []string{"tags"}, func(_ string, v *yaml.Node) { log.Tags = p.tags(v, false) })
	return &log
}

func (p *planParser) onNode(n *yaml.Node) *api.OnNode {
	var o api.OnNode
	p.fields(n, "on_node", []string{"may", "prefer", "must"}, func(key string, v *yaml.Node) {
		var labels []string
		p.items(v, key, func(item *yaml.Node) {
			l, err := weft.ParseLabel(p.text(item, "a label"))
			p.fail(item, err)
			labels = append(labels, l.String())
		})
		switch key {
		case "may":
			o.May = labels
		case "prefer":
			o.Prefer = labels
		case "must":
			o.Must = labels
		}
	})
	return &o
}

func (p *planParser) resources(n *yaml.Node) map[string]api.Quantity {
	out := map[string]api.Quantity{}
	if n.Kind != yaml.MappingNode {
		p.failf(n, "write one name: quantity per line", "resources is %s; it must be a mapping", kindName(n))
		return out
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		name, v := n.Content[i], resolve(n.Content[i+1])
		if _, again := out[name.Value]; again {
			p.failf(name, "", "resource %q is there twice", name.Value)
		}
		text := p.text(v, "a quantity")
		_, err := weft.ParseResources(map[string]string{name.Value: text})
		p.fail(v, err)
		out[name.Value] = api.Quantity(text)
	}
	return out
}

// check applies the rules for whole plans, and names the line of the part that a
// complaint is about where that can be told.
func (p *planParser) check(spec api.PlanSpec, root *yaml.Node) error {
	plan, err := planOf(spec)
	if err == nil {
		err = plan.Normalize().Validate()
	}
	if err != nil {
		p.fail(p.blame(root, err.Error()), err)
	}
	return p.err
}

// blame finds the mountpoint whose path a message quotes, or else the whole plan.
func (p *planParser) blame(root *yaml.Node, message string) *yaml.Node {
	blamed := root
	var walk func(n *yaml.Node, depth int)
	walk = func(n *yaml.Node, depth int) {
		if n.Kind == yaml.MappingNode && depth > 1 {
			for i := 0; i+1 < len(n.Content); i += 2 {
				path := strings.TrimSuffix(n.Content[i+1].Value, "/")
				if n.Content[i].Value == "path" && path != "" && blamed == root && slices.Contains(strings.Fields(strings.ReplaceAll(message, `"`, " ")), path) {
					blamed = n.Content[i+1]
				}
			}
		}
		if depth < 4 {
			for _, c := range n.Content {
				walk(c, depth+1)
			}
		}
	}
	walk(root, 0)
	return blamed
}
