package server

import (
	"context"
	"iter"
	"net/http"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/weft-dev/weft"
	"github.com/weft-dev/weft/api"
)

// planRoutes declares what is done with Plans.
func (s *Server) planRoutes() {
	s.stream(streamed{
		route: route{method: http.MethodGet, path: "/api/plans", id: "find-plans", summary: "Find plans", verb: weft.Read, kind: "plan",
			more: "In order of id. Built-in plans are included."},
		query: append([]param{
			{name: "name", doc: "exact"},
			{name: "superseded", doc: "true: former revisions of named plans, too"},
			{name: "active", doc: "true or false; absent: both"},
			{name: "image", doc: "repository[:tag]; exact"},
			{name: "in_tag", doc: "key:value; one input has all of them", many: true},
			{name: "out_tag", doc: "key:value; one output, or the log, has all of them", many: true},
		}, pageParams()...),
		gives: "application/json", givesA: reflect.TypeFor[[]api.PlanDetail](),
	}, s.findPlans)
	handle(s, route{method: http.MethodPost, path: "/api/plans", id: "create-plan", summary: "Register a plan", verb: weft.Create, kind: "plan",
		more: "409 when an equal plan exists, whose id is then in see, or when the plan would close a cycle. " +
			"A plan with a name takes the place of the one that has it; what the request says nothing of (active, resources, service_account, annotations, allow_runs) stays as that has it."}, s.createPlan)
	s.planNameRoutes()
	s.grantRoutes()
	handle(s, route{method: http.MethodGet, path: "/api/plans/{id}", id: "get-plan", summary: "Get one plan", verb: weft.Read, kind: "plan"}, s.getPlan)

	change := func(method, part, id, summary string) route {
		return route{method: method, path: "/api/plans/{id}/" + part, id: id, summary: summary, verb: weft.Change, kind: "plan"}
	}
	handle(s, change(http.MethodPut, "active", "activate-plan", "Activate a plan"), s.setActive(true))
	handle(s, change(http.MethodDelete, "active", "deactivate-plan", "Deactivate a plan"), s.setActive(false))
	handle(s, change(http.MethodPut, "resources", "change-resources", "Set, then unset resources of a plan"), s.changeResources)
	handle(s, change(http.MethodPut, "annotations", "change-annotations", "Remove, then add annotations of a plan"), s.changeAnnotations)
	handle(s, change(http.MethodPut, "serviceaccount", "set-service-account", "Set the service account of a plan"), s.setServiceAccount)
	handle(s, change(http.MethodDelete, "serviceaccount", "unset-service-account", "Unset the service account of a plan"), s.unsetServiceAccount)
	handle(s, change(http.MethodPut, "limit", "set-run-limit", "Set how many pending runs a plan may make at once"), s.setRunLimit)

	handle(s, change(http.MethodPut, "policy", "change-policy", "Change timeout, grace, retry and concurrency of a plan"), s.changePolicy)

	handle(s, route{method: http.MethodGet, path: "/api/plans/{id}/why", id: "why", summary: "Explain what keeps data from being used by a plan", verb: weft.Read, kind: "plan"}, s.why)
	handle(s, route{method: http.MethodGet, path: "/api/plans/{id}/graph", id: "get-plan-graph", summary: "Get the plans around a plan", verb: weft.Read, kind: "plan"}, s.planGraph)
}

func (s *Server) findPlans(w http.ResponseWriter, r *http.Request) error {
	q := r.URL.Query()
	query, err := planQuery(q)
	if err != nil {
		return err
	}
	query.Project = principal(r.Context()).Project
	page, err := pageOf(q)
	if err != nil {
		return err
	}
	return answerList(w, r, page, func(p weft.Page) iter.Seq2[weft.PlanView, error] {
		query.Page = p
		return s.Store.FindPlans(r.Context(), query)
	}, func(v weft.PlanView) string { return v.Next }, encoded(s.showPlan))
}

func planQuery(q url.Values) (weft.PlanQuery, error) {
	var query weft.PlanQuery
	if q.Has("active") {
		on := q.Get("active") == "true"
		if !on && q.Get("active") != "false" {
			return query, weft.Errorf(weft.Invalid, "active is %q", q.Get("active")).WithAdvice("it is true or false")
		}
		query.Active = &on
	}
	query.Name, query.Repository = q.Get("name"), q.Get("image")
	superseded, err := flagOf(q, "superseded")
	if err != nil {
		return query, err
	}
	query.Superseded = superseded
	if i := strings.LastIndex(query.Repository, ":"); i > strings.LastIndex(query.Repository, "/") {
		query.Repository, query.Tag = query.Repository[:i], query.Repository[i+1:] // "repository:" is any tag
	}
	if query.InTags, err = weft.ParseTags(q["in_tag"]...); err != nil {
		return query, err
	}
	query.OutTags, err = weft.ParseTags(q["out_tag"]...)
	return query, err
}

type createPlanInput struct {
	DryRunParam
	Body api.PlanSpec
}

func (s *Server) createPlan(ctx context.Context, in *createPlanInput) (*body[changed[api.PlanDetail]], error) {
	p, err := domainPlan(in.Body)
	if err != nil {
		return nil, err
	}
	p = p.Normalize()
	if err := p.Validate(); err != nil {
		return nil, err
	}
	who := principal(ctx)
	p.ID, p.Project, p.CreatedAt = weft.NewID[weft.Plan](), who.Project, time.Now()
	apply := applyOf(in.Body, p)
	if in.dry {
		return s.wouldApplyPlan(ctx, apply)
	}
	done, err := s.Store.ApplyPlan(ctx, apply, who.ID)
	if err != nil {
		return nil, err
	}
	d := s.showPlan(done.Plan)
	d.Applied = wireApplied(done)
	return did(d, nil)
}

type PlanPath struct {
	ID string `path:"id"`
}

// planID returns the id of the Plan that a text stands for: its id, or its name.
func (s *Server) planID(ctx context.Context, text string) (weft.PlanID, error) {
	ids, err := s.Store.PlanNamed(ctx, principal(ctx).Project, text)
	if err != nil {
		return weft.PlanID{}, err
	}
	return ids[0], nil
}

func (s *Server) plan(ctx context.Context, text string) (weft.PlanView, error) {
	id, err := s.planID(ctx, text)
	if err != nil {
		return weft.PlanView{}, err
	}
	return s.Store.Plan(ctx, principal(ctx).Project, id)
}

func (s *Server) getPlan(ctx context.Context, in *PlanPath) (*body[api.PlanDetail], error) {
	v, err := s.plan(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	return answer(s.showPlan(v), nil)
}

// showPlan adds to a Plan what depends on the server's settings.
func (s *Server) showPlan(v weft.PlanView) api.PlanDetail {
	d := wirePlan(v)
	d.Blocked = blocked(v.Plan, v.Plan.PendingRuns, s.RunLimit)
	return d
}

// changePlan changes one Plan and answers with it.
func (s *Server) changePlan(ctx context.Context, text string, change func(*weft.Plan) error) (*body[api.PlanDetail], error) {
	id, err := s.planID(ctx, text)
	if err != nil {
		return nil, err
	}
	p := principal(ctx)
	v, err := s.Store.ChangePlan(ctx, p.Project, id, p.ID, change)
	if err != nil {
		return nil, err
	}
	return answer(s.showPlan(v), nil)
}

func (s *Server) setActive(active bool) func(context.Context, *PlanPath) (*body[api.PlanDetail], error) {
	return func(ctx context.Context, in *PlanPath) (*body[api.PlanDetail], error) {
		return s.changePlan(ctx, in.ID, func(p *weft.Plan) error {
			p.Active = active
			return nil
		})
	}
}

type changeResourcesInput struct {
	PlanPath
	Body api.ResourceChange
}

// changeResources sets, then unsets: unset wins for a name in both.
func (s *Server) changeResources(ctx context.Context, in *changeResourcesInput) (*body[api.PlanDetail], error) {
	set, err := domainResources(in.Body.Set)
	if err != nil {
		return nil, err
	}
	return s.changePlan(ctx, in.ID, func(p *weft.Plan) error {
		now := make(weft.Resources, len(p.Resources)+len(set))
		for _, from := range []weft.Resources{p.Resources, set} {
			for name, q := range from {
				if !slices.Contains(in.Body.Unset, name) {
					now[name] = q
				}
			}
		}
		p.Resources = now
		return nil
	})
}

type changeAnnotationsInput struct {
	PlanPath
	Body api.AnnotationChange
}

func (s *Server) changeAnnotations(ctx context.Context, in *changeAnnotationsInput) (*body[api.PlanDetail], error) {
	change, err := domainAnnotationChange(in.Body)
	if err != nil {
		return nil, err
	}
	return s.changePlan(ctx, in.ID, func(p *weft.Plan) error {
		p.Annotations = change.Apply(p.Annotations)
		return nil
	})
}

type setServiceAccountInput struct {
	PlanPath
	Body api.ServiceAccount
}

func (s *Server) setServiceAccount(ctx context.Context, in *setServiceAccountInput) (*body[api.PlanDetail], error) {
	const most = 63
	switch name := in.Body.ServiceAccount; {
	case name == "":
		return nil, weft.Errorf(weft.Invalid, "service_account is empty").WithAdvice("name one; DELETE unsets it")
	case len(name) > most:
		return nil, weft.Errorf(weft.Invalid, "service_account is longer than %d characters", most)
	}
	return s.changePlan(ctx, in.ID, func(p *weft.Plan) error {
		p.ServiceAccount = in.Body.ServiceAccount
		return nil
	})
}

func (s *Server) unsetServiceAccount(ctx context.Context, in *PlanPath) (*body[api.PlanDetail], error) {
	return s.changePlan(ctx, in.ID, func(p *weft.Plan) error {
		p.ServiceAccount = ""
		return nil
	})
}

type setRunLimitInput struct {
	PlanPath
	Body api.RunLimit
}

func (s *Server) setRunLimit(ctx context.Context, in *setRunLimitInput) (*body[api.PlanDetail], error) {
	if in.Body.AllowRuns < 0 {
		return nil, weft.Errorf(weft.Invalid, "allowRuns is negative").WithAdvice("0 is the system's limit")
	}
	return s.changePlan(ctx, in.ID, func(p *weft.Plan) error {
		p.AllowRuns = in.Body.AllowRuns
		return nil
	})
}
