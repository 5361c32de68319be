package api

import (
	"context"
	"iter"
	"net/http"
	"net/url"
	"strconv"
)

// A PlanQuery selects plans. Conditions combine by and; zero ones do not count.
type PlanQuery struct {
	Active     *bool
	Name       string     // exact
	Image      string     // repository[:tag]; exact
	Superseded bool       // former revisions of named plans, too
	InTags     []string   // key:value; one input has all of them
	OutTags    []string   // key:value; one output, or the log, has all of them
	More       url.Values // further conditions, as of a kept Search
	Page       Page
}

// Values returns the conditions as a Search keeps them.
func (q PlanQuery) Values() url.Values {
	p := params{}.set("name", q.Name).flag("superseded", q.Superseded).set("image", q.Image).all("in_tag", q.InTags).all("out_tag", q.OutTags)
	if q.Active != nil {
		p.set("active", strconv.FormatBool(*q.Active))
	}
	return url.Values(p.more(q.More))
}

// FindPlans yields the plans that a query selects, in order of id.
func (c *Client) FindPlans(ctx context.Context, q PlanQuery) iter.Seq2[PlanDetail, error] {
	p := params(q.Values()).page(q.Page)
	return list[PlanDetail](ctx, c, request{path: "/api/plans", query: url.Values(p)}, "")
}

// Plan returns one plan.
func (c *Client) Plan(ctx context.Context, id string) (PlanDetail, error) {
	return call[PlanDetail](ctx, c, request{path: at("plans", id)})
}

// CreatePlan registers a plan. If an equal one exists, the error's See is its id.
func (c *Client) CreatePlan(ctx context.Context, spec PlanSpec) (PlanDetail, error) {
	return call[PlanDetail](ctx, c, request{method: http.MethodPost, path: at("plans"), json: spec})
}

// WouldCreatePlan tells which runs CreatePlan would make, and fails where it would.
func (c *Client) WouldCreatePlan(ctx context.Context, spec PlanSpec) (DryRun, error) {
	return call[DryRun](ctx, c, request{method: http.MethodPost, path: at("plans"), query: dryRun(), json: spec})
}

// ActivatePlan activates or deactivates a plan.
func (c *Client) ActivatePlan(ctx context.Context, id string, active bool) (PlanDetail, error) {
	return c.changePlan(ctx, putOrDelete(active), id, "active", nil)
}

// ChangeResources changes the resources of a plan.
func (c *Client) ChangeResources(ctx context.Context, id string, change ResourceChange) (PlanDetail, error) {
	return c.changePlan(ctx, http.MethodPut, id, "resources", change)
}

// ChangeAnnotations changes the annotations of a plan.
func (c *Client) ChangeAnnotations(ctx context.Context, id string, change AnnotationChange) (PlanDetail, error) {
	return c.changePlan(ctx, http.MethodPut, id, "annotations", change)
}

// SetServiceAccount sets the service account of a plan; "" removes it.
func (c *Client) SetServiceAccount(ctx context.Context, id, name string) (PlanDetail, error) {
	if name == "" {
		return c.changePlan(ctx, http.MethodDelete, id, "serviceaccount", nil)
	}
	return c.changePlan(ctx, http.MethodPut, id, "serviceaccount", ServiceAccount{name})
}

// SetRunLimit sets how many pending runs a plan may make at once; 0 is the system's
// limit. A plan that was blocked makes its runs if they are not more than that.
func (c *Client) SetRunLimit(ctx context.Context, id string, runs int64) (PlanDetail, error) {
	return c.changePlan(ctx, http.MethodPut, id, "limit", RunLimit{runs})
}

// ChangePolicy changes how the runs of a plan are run, those under way included.
func (c *Client) ChangePolicy(ctx context.Context, id string, change PolicyChange) (PlanDetail, error) {
	return c.changePlan(ctx, http.MethodPut, id, "policy", change)
}

func (c *Client) changePlan(ctx context.Context, method, id, what string, body any) (PlanDetail, error) {
	return call[PlanDetail](ctx, c, request{method: method, path: at("plans", id, what), json: body})
}

func putOrDelete(put bool) string {
	if put {
		return http.MethodPut
	}
	return http.MethodDelete
}

// Why explains what keeps a data from being used by a plan.
func (c *Client) Why(ctx context.Context, plan, data string) (Why, error) {
	return call[Why](ctx, c, request{path: at("plans", plan, "why"), query: url.Values{"data": {data}}})
}

// A GraphQuery asks for the plans around a plan: both directions when neither is
// named, without end when Depth is 0.
type GraphQuery struct {
	Upstream   bool
	Downstream bool
	Depth      int // steps from plan to plan
}

// PlanGraph returns the plans around a plan.
func (c *Client) PlanGraph(ctx context.Context, id string, q GraphQuery) (PlanGraph, error) {
	p := params{}.flag("upstream", q.Upstream).flag("downstream", q.Downstream).number("depth", q.Depth)
	return call[PlanGraph](ctx, c, request{path: at("plans", id, "graph"), query: url.Values(p)})
}

// PlanHistory returns what the name of a plan stood for.
func (c *Client) PlanHistory(ctx context.Context, name string) (PlanHistory, error) {
	return call[PlanHistory](ctx, c, request{path: at("plans", name, "history")})
}

// DeletePlan deletes a plan, by id or name; with a named one all its revisions. Its runs that
// ended stay, with what they made.
func (c *Client) DeletePlan(ctx context.Context, plan string) (PlanRemoval, error) {
	return call[PlanRemoval](ctx, c, request{method: http.MethodDelete, path: at("plans", plan)})
}

// WouldDeletePlan tells what DeletePlan would do.
func (c *Client) WouldDeletePlan(ctx context.Context, plan string) (PlanRemoval, error) {
	return call[PlanRemoval](ctx, c, request{method: http.MethodDelete, path: at("plans", plan), query: dryRun()})
}
