package cli

import (
	"github.com/weft-dev/weft"
	"github.com/weft-dev/weft/api"
)

// planOf turns what is sent into the noun, for checking.
func planOf(s api.PlanSpec) (weft.Plan, error) {
	p := weft.Plan{Entrypoint: s.Entrypoint, Args: s.Args, ServiceAccount: s.ServiceAccount, AllowRuns: s.AllowRuns, Active: s.Active == nil || *s.Active,
		Name: s.Name, Pair: s.Pair, FromNow: s.From == api.FromNow}
	var err error
	if s.Image != "" {
		if p.Image, err = weft.ParseImage(s.Image); err != nil {
			return p, err
		}
	}
	for _, in := range s.Inputs {
		tags, err := nounTags(in.Tags)
		if err != nil {
			return p, err
		}
		input := weft.Input{Path: in.Path, Tags: tags}
		if in.Latest != nil {
			input.Latest = weft.Latest{On: true, By: in.Latest.By}
		}
		p.Inputs = append(p.Inputs, input)
	}
	for _, out := range s.Outputs {
		tags, err := nounTags(out.Tags)
		if err != nil {
			return p, err
		}
		p.Outputs = append(p.Outputs, weft.Output{Path: out.Path, Tags: tags})
	}
	if s.Log != nil {
		tags, err := nounTags(s.Log.Tags)
		if err != nil {
			return p, err
		}
		p.Log = &weft.Log{Tags: tags}
	}
	if s.OnNode != nil {
		if p.OnNode, err = nounOnNode(*s.OnNode); err != nil {
			return p, err
		}
	}
	p.Env = weft.NewEnv(s.Env, s.Secrets)
	p.Policy, err = weft.ParsePolicy(policyTexts(s.Timeout, s.Grace, s.Retry, s.Concurrency))
	return p, err
}

func nounTags(tags []api.Tag) (weft.Tags, error) {
	out := make([]weft.Tag, len(tags))
	for i, t := range tags {
		var err error
		if out[i], err = weft.NewTag(t.Key, t.Value); err != nil {
			return nil, err
		}
	}
	return weft.NewTags(out...), nil
}

func nounOnNode(o api.OnNode) (weft.OnNode, error) {
	var out weft.OnNode
	for _, m := range []struct {
		from []string
		to   *[]weft.Label
	}{{o.May, &out.May}, {o.Prefer, &out.Prefer}, {o.Must, &out.Must}} {
		for _, s := range m.from {
			l, err := weft.ParseLabel(s)
			if err != nil {
				return out, err
			}
			*m.to = append(*m.to, l)
		}
	}
	return out, nil
}
