package server

import (
	"context"
	"net/http"
	"strings"

	"github.com/weft-dev/weft"
	"github.com/weft-dev/weft/api"
)

// PlanNames is what the server needs of the store to name, revise and delete Plans.
type PlanNames interface {
	// ApplyPlan registers a Plan, in place of the one that has its name.
	ApplyPlan(ctx context.Context, a weft.Apply, by weft.PrincipalID) (weft.Application, error)
	// WouldApplyPlan tells what ApplyPlan would do, and which Runs would be made at once.
	WouldApplyPlan(ctx context.Context, a weft.Apply, limit int) (would weft.Application, total int64, first []weft.Assignment, err error)
	// PlanNamed returns the Plans that an id, a name or name@revision stands for, the present
	// one first.
	PlanNamed(ctx context.Context, project weft.ProjectID, text string) ([]weft.PlanID, error)
	PlanHistory(ctx context.Context, project weft.ProjectID, name string) ([]weft.PlanRevision, error)
	DeletePlan(ctx context.Context, project weft.ProjectID, id weft.PlanID, by weft.PrincipalID) (weft.PlanRemoval, error)
	WouldDeletePlan(ctx context.Context, project weft.ProjectID, id weft.PlanID) (weft.PlanRemoval, error)
	// NewestOf returns the Data that an input of a Plan which takes the latest only takes
	// instead of d; zero when it takes d, or does not take the latest only.
	NewestOf(ctx context.Context, p weft.Plan, nth int, d weft.Data) (weft.DataID, error)
}

func (s *Server) planNameRoutes() {
	handle(s, route{method: http.MethodDelete, path: "/api/plans/{id}", id: "delete-plan", summary: "Delete a plan", verb: weft.Delete, kind: "plan",
		more: "By id or name; a named plan goes with all its revisions. It matches nothing any more, and an equal one may be registered. Runs that ended stay, with their data and lineage; " +
			"those in flight go on to their end; those never started are deleted."}, s.deletePlan)
	handle(s, route{method: http.MethodGet, path: "/api/plans/{id}/history", id: "get-plan-history", summary: "Get the revisions of a named plan", verb: weft.Read, kind: "plan"}, s.planHistory)
}

// checkChoice refuses what cannot be said in the noun.
func checkChoice(spec api.PlanSpec) error {
	if spec.From != "" && spec.From != api.FromNow {
		return weft.Errorf(weft.Invalid, "from is %q", spec.From).WithAdvice("it is now, or left out")
	}
	return nil
}

func domainLatest(l *api.Latest) weft.Latest {
	if l == nil {
		return weft.Latest{}
	}
	return weft.Latest{On: true, By: l.By}
}

func wireLatest(l weft.Latest) *api.Latest {
	if l.IsZero() {
		return nil
	}
	return &api.Latest{By: l.By}
}

// applyOf says which parts of a Plan the request says nothing of.
func applyOf(spec api.PlanSpec, p weft.Plan) weft.Apply {
	return weft.Apply{
		Plan: p, KeepActive: spec.Active == nil, KeepResources: spec.Resources == nil, KeepPolicy: p.Policy.IsZero(), KeepServiceAccount: spec.ServiceAccount == "",
		KeepAnnotations: spec.Annotations == nil, KeepAllowRuns: spec.AllowRuns == 0,
	}
}

// wireApplied is nil for a Plan without a name: registering it does nothing else.
func wireApplied(a weft.Application) *api.Applied {
	if a.Plan.Plan.Name == "" {
		return nil
	}
	out := &api.Applied{Did: string(a.Did), Name: a.Plan.Plan.Name, Revision: a.Plan.Plan.Revision, Resting: a.Resting, InFlight: a.InFlight}
	if !a.Replaced.IsZero() {
		out.Replaced = a.Replaced.String()
	}
	return out
}

func (s *Server) wouldApplyPlan(ctx context.Context, a weft.Apply) (*body[changed[api.PlanDetail]], error) {
	would, total, first, err := s.Store.WouldApplyPlan(ctx, a, dryRunFirst)
	if err != nil {
		return nil, err
	}
	p := would.Plan.Plan
	if p.ID == a.Plan.ID {
		p.ID = weft.PlanID{} // it is not registered
	}
	d := s.would([]weft.PlanRuns{{Plan: p, Total: total, First: first}})
	d.Applies = wireApplied(would)
	return answer(changed[api.PlanDetail]{would: d}, nil)
}

// planIDs returns the Plans that any of the texts, joined by commas, stands for; nil when
// there are no texts.
func (s *Server) planIDs(ctx context.Context, texts string) ([]weft.PlanID, error) {
	if texts == "" {
		return nil, nil
	}
	var ids []weft.PlanID
	for _, text := range strings.Split(texts, ",") {
		some, err := s.Store.PlanNamed(ctx, principal(ctx).Project, text)
		if err != nil {
			return nil, err
		}
		ids = append(ids, some...)
	}
	return ids, nil
}

type deletePlanInput struct {
	PlanPath
	DryRunParam
}

func (s *Server) deletePlan(ctx context.Context, in *deletePlanInput) (*body[api.PlanRemoval], error) {
	id, err := s.planID(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	p := principal(ctx)
	var gone weft.PlanRemoval
	if in.dry {
		gone, err = s.Store.WouldDeletePlan(ctx, p.Project, id)
	} else {
		gone, err = s.Store.DeletePlan(ctx, p.Project, id, p.ID)
	}
	out := api.PlanRemoval{Plans: []string{}, Unstarted: gone.Unstarted, InFlight: gone.InFlight}
	for _, q := range gone.Plans {
		out.Plans = append(out.Plans, q.ID.String())
	}
	return answer(out, err)
}

func (s *Server) planHistory(ctx context.Context, in *PlanPath) (*body[api.PlanHistory], error) {
	name, _, _ := strings.Cut(in.ID, "@")
	project := principal(ctx).Project
	if id, err := weft.ParseID[weft.Plan](name); err == nil {
		v, err := s.Store.Plan(ctx, project, id)
		if err != nil {
			return nil, err
		}
		if name = v.Plan.Name; name == "" || v.Plan.BuiltIn() {
			return answer(api.PlanHistory{Name: name, Revisions: []api.PlanRevision{}}, nil)
		}
	}
	history, err := s.Store.PlanHistory(ctx, project, name)
	if err != nil {
		return nil, err
	}
	out := api.PlanHistory{Name: name, Revisions: make([]api.PlanRevision, len(history))}
	for i, h := range history {
		p := h.Plan
		p.Revision = h.Number
		r := api.PlanRevision{Revision: h.Number, At: wireTime(h.At), State: h.Plan.State.String(), Plan: wirePlanSummary(p), Runs: map[string]int64{}}
		if h.Plan.Live() && h.Plan.Revision != h.Number {
			r.State = weft.PlanSuperseded.String() // it is in place again under a later number
		}
		if !h.By.IsZero() {
			r.By = h.By.String()
		}
		for status, n := range h.Runs {
			r.Runs[string(status)] = n
		}
		out.Revisions[i] = r
	}
	return answer(out, nil)
}
