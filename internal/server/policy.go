package server

import (
	"context"

	"github.com/weft-dev/weft"
	"github.com/weft-dev/weft/api"
)

// wirePolicy adds to a plan how its runs are run.
func wirePolicy(p weft.Plan, d *api.PlanDetail) {
	t := p.Policy.Texts()
	d.Timeout, d.Grace, d.Concurrency = t.Timeout, t.Grace, t.Concurrency
	if t.Limit > 0 {
		d.Retry = &api.Retry{Limit: t.Limit, Backoff: t.Backoff}
		for _, word := range t.OnExit {
			d.Retry.OnExit = append(d.Retry.OnExit, api.ExitWord(word))
		}
	}
	for _, v := range p.Env {
		into, value := &d.Env, v.Value
		if v.Secret != "" {
			into, value = &d.Secrets, v.Secret
		}
		if *into == nil {
			*into = map[string]string{}
		}
		(*into)[v.Name] = value
	}
}

// domainPolicy reads from a plan to be registered how its runs are to be run.
func domainPolicy(spec api.PlanSpec, p *weft.Plan) (err error) {
	p.Env = weft.NewEnv(spec.Env, spec.Secrets)
	for name, secret := range spec.Secrets {
		if secret == "" {
			return weft.Errorf(weft.Invalid, "secrets: %s names no secret", name)
		}
	}
	t := weft.PolicyTexts{Timeout: spec.Timeout, Grace: spec.Grace, Concurrency: spec.Concurrency}
	addRetry(&t, spec.Retry)
	p.Policy, err = weft.ParsePolicy(t)
	return err
}

func addRetry(t *weft.PolicyTexts, r *api.Retry) {
	if r == nil {
		return
	}
	t.Limit, t.Backoff = r.Limit, r.Backoff
	for _, word := range r.OnExit {
		t.OnExit = append(t.OnExit, string(word))
	}
}

type changePolicyInput struct {
	PlanPath
	Body api.PolicyChange
}

func (s *Server) changePolicy(ctx context.Context, in *changePolicyInput) (*body[api.PlanDetail], error) {
	return s.changePlan(ctx, in.ID, func(p *weft.Plan) error {
		t := p.Policy.Texts()
		if in.Body.Timeout != nil {
			t.Timeout = *in.Body.Timeout
		}
		if in.Body.Grace != nil {
			t.Grace = *in.Body.Grace
		}
		if in.Body.Concurrency != nil {
			t.Concurrency = *in.Body.Concurrency
		}
		if in.Body.Retry != nil {
			t.Limit, t.Backoff, t.OnExit = 0, "", nil
			addRetry(&t, in.Body.Retry)
		}
		if p.Name != "" && p.Image.IsZero() {
			return weft.Errorf(weft.Conflict, "plan %s is built in; it runs nothing", p.ID)
		}
		var err error
		p.Policy, err = weft.ParsePolicy(t)
		return err
	})
}
