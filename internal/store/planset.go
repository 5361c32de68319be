package store

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"sync"

	"github.com/weft-dev/weft"
)

// A planSet is the plans of one project in memory. It is made current, with what was
// changed since, whenever somebody needs it: plans are few and change rarely.
type planSet struct {
	graph *weft.PlanGraph

	mu     sync.RWMutex
	rev    int64 // project.plan_rev up to which it is current
	inputs map[tagKey][]inputOf
	latest []inputOf // those that take only the latest
}

// An inputOf is an input of a Plan, as listed under the rarest of its tags.
type inputOf struct {
	plan weft.PlanID
	nth  int
}

type planSets struct {
	mu       sync.Mutex
	sets     map[weft.ProjectID]*planSet
	projects map[weft.PlanID]weft.ProjectID
}

func (c *planSets) set(project weft.ProjectID) *planSet {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.sets == nil {
		c.sets, c.projects = map[weft.ProjectID]*planSet{}, map[weft.PlanID]weft.ProjectID{}
	}
	p := c.sets[project]
	if p == nil {
		p = &planSet{graph: weft.NewPlanGraph(), rev: -1, inputs: map[tagKey][]inputOf{}}
		c.sets[project] = p
	}
	return p
}

// planSet returns the project's plans as they are now.
func (s *Store) planSet(ctx context.Context, project weft.ProjectID) (set *planSet, err error) {
	err = s.read(ctx, func(t *tx) error {
		set, err = t.planSet(ctx, project)
		return err
	})
	return set, err
}

// planSet makes the project's plans current with what the transaction sees, which must
// be committed: it is for reading transactions, and lone ones that wrote nothing yet.
func (t *tx) planSet(ctx context.Context, project weft.ProjectID) (*planSet, error) {
	var rev int64
	found, err := t.row(ctx, "SELECT plan_rev FROM project WHERE id = $1", []any{project}, &rev)
	if err != nil {
		return nil, err
	}
	if !found {
		return nil, notFound("project", project)
	}
	set := t.s.plans.set(project)
	set.mu.RLock()
	current := set.rev >= rev
	set.mu.RUnlock()
	if current {
		return set, nil
	}
	set.mu.Lock()
	defer set.mu.Unlock()
	if set.rev >= rev {
		return set, nil
	}
	return set, t.catchUp(ctx, project, set, rev)
}

func (t *tx) catchUp(ctx context.Context, project weft.ProjectID, set *planSet, rev int64) error {
	var changed []weft.Plan
	err := t.rows(ctx, func(r scanner) error {
		p, err := scanPlan(r)
		changed = append(changed, p)
		return err
	}, "SELECT "+planColumns+" FROM plan WHERE project = $1 AND changed > $2 ORDER BY id", project, set.rev)
	if err != nil {
		return err
	}
	inputs := map[tagKey][]inputOf{}
	err = t.rows(ctx, func(r scanner) error {
		var key []byte
		var in inputOf
		err := r.Scan(&key, &in.plan, &in.nth)
		inputs[tagKey(key)] = append(inputs[tagKey(key)], in)
		return err
	}, "SELECT i.tag, i.plan, i.nth FROM plan p JOIN plan_input i ON i.plan = p.id WHERE p.project = $1 AND p.changed > $2", project, set.rev)
	if err != nil {
		return err
	}
	set.list(changed, inputs)
	t.s.plans.mu.Lock()
	for _, p := range changed {
		t.s.plans.projects[p.ID] = project
	}
	t.s.plans.mu.Unlock()
	for _, p := range changed {
		set.graph.Add(p)
	}
	set.rev = rev
	return nil
}

// list notes the inputs of plans that were changed, which are the keys' of inputs.
func (p *planSet) list(changed []weft.Plan, inputs map[tagKey][]inputOf) {
	linked, live := map[weft.PlanID]bool{}, map[weft.PlanID]bool{}
	left := false
	for _, plan := range changed {
		was, known := p.graph.Plan(plan.ID)
		linked[plan.ID], live[plan.ID] = known && was.Live(), plan.Live()
		left = left || linked[plan.ID] && !plan.Live()
		if !linked[plan.ID] && plan.Live() {
			for nth, in := range plan.Inputs {
				if !in.Latest.IsZero() {
					p.latest = append(p.latest, inputOf{plan.ID, nth})
				}
			}
		}
	}
	if left {
		out := func(in inputOf) bool { return linked[in.plan] && !live[in.plan] }
		p.latest = slices.DeleteFunc(p.latest, out)
		for key := range inputs {
			p.inputs[key] = slices.DeleteFunc(p.inputs[key], out)
		}
	}
	for key, list := range inputs {
		for _, in := range list {
			if live[in.plan] && !linked[in.plan] {
				p.inputs[key] = append(p.inputs[key], in)
			}
		}
	}
}

// fits returns the inputs that a Data with the given tags fits.
func (p *planSet) fits(d weft.Data) []inputOf {
	if !d.Usable() {
		return nil
	}
	p.mu.RLock()
	defer p.mu.RUnlock()
	var found []inputOf
	for _, tag := range d.AllTags() {
		for _, in := range p.inputs[keyOf(d.Project, tag)] {
			if plan, ok := p.graph.Plan(in.plan); ok && plan.Takes(in.nth, d) {
				found = append(found, in)
			}
		}
	}
	return found
}

// plansByID returns plans of any project. Where the transaction sees what is not
// committed yet, only what never changes in a Plan may be relied on.
func (t *tx) plansByID(ctx context.Context, ids []weft.PlanID) (map[weft.PlanID]weft.Plan, error) {
	found := make(map[weft.PlanID]weft.Plan, 8)
	current := map[weft.ProjectID]*planSet{}
	for _, id := range ids {
		if _, ok := found[id]; ok {
			continue
		}
		project, ok, err := t.projectOf(ctx, id)
		if err != nil {
			return nil, err
		}
		if !ok {
			continue
		}
		if current[project] == nil {
			current[project] = t.s.plans.set(project)
			if t.committed {
				if _, err := t.planSet(ctx, project); err != nil {
					return nil, err
				}
			}
		}
		p, ok := current[project].graph.Plan(id)
		if !ok {
			if p, err = t.plan(ctx, project, id, ""); err != nil {
				return nil, err
			}
		}
		found[id] = p
	}
	return found, nil
}

func (t *tx) projectOf(ctx context.Context, id weft.PlanID) (weft.ProjectID, bool, error) {
	c := &t.s.plans
	c.mu.Lock()
	project, ok := c.projects[id]
	c.mu.Unlock()
	if ok {
		return project, true, nil
	}
	ok, err := t.row(ctx, "SELECT project FROM plan WHERE id = $1", []any{id}, &project)
	return project, ok, err
}

// plan reads a Plan as the transaction sees it; lock is what follows the SELECT.
func (t *tx) plan(ctx context.Context, project weft.ProjectID, id weft.PlanID, lock string) (weft.Plan, error) {
	var p weft.Plan
	found := false
	err := t.rows(ctx, func(r scanner) (err error) {
		found = true
		p, err = scanPlan(r)
		return err
	}, "SELECT "+planColumns+" FROM plan WHERE id = $1 AND project = $2"+lock, id, project)
	if err == nil && !found {
		err = notFound("plan", id)
	}
	return p, err
}

const planColumns = "id, project, name, body, active, rev, allow_runs, pending_runs, created_at, revision, since, state"

func scanPlan(r scanner) (weft.Plan, error) {
	var p weft.Plan
	var body string
	var active, created int64
	if err := r.Scan(&p.ID, &p.Project, &p.Name, &body, &active, &p.Rev, &p.AllowRuns, &p.PendingRuns, &created, &p.Revision, &p.Since, &p.State); err != nil {
		return p, err
	}
	p.Active, p.CreatedAt = active != 0, fromMicros(created)
	if err := decodePlan(body, &p); err != nil {
		return p, fmt.Errorf("plan %s: %w", p.ID, err)
	}
	return p, nil
}

// A planBody is how a Plan is kept, apart from what has columns.
type planBody struct {
	Repository     string            `json:"repository,omitempty"`
	Tag            string            `json:"tag,omitempty"`
	Entrypoint     []string          `json:"entrypoint,omitempty"`
	Args           []string          `json:"args,omitempty"`
	Inputs         []planPort        `json:"inputs,omitempty"`
	Outputs        []planPort        `json:"outputs,omitempty"`
	Log            *[]string         `json:"log,omitempty"`
	OnNode         [3][]weft.Label   `json:"on_node"` // may, prefer, must
	Resources      map[string]string `json:"resources,omitempty"`
	ServiceAccount string            `json:"service_account,omitempty"`
	Annotations    weft.Annotations  `json:"annotations,omitempty"`
	Env            []weft.Variable   `json:"env,omitempty"`
	Policy         *weft.Policy      `json:"policy,omitempty"`
	FromNow        bool              `json:"from_now,omitempty"`
	Pair           string            `json:"pair,omitempty"`
}

type planPort struct {
	Path     string   `json:"path"`
	Tags     []string `json:"tags"`
	Latest   bool     `json:"latest,omitempty"`
	LatestBy string   `json:"latest_by,omitempty"`
}

func encodePlan(p weft.Plan) (string, error) {
	b := planBody{
		Repository: p.Image.Repository, Tag: p.Image.Tag, Entrypoint: p.Entrypoint, Args: p.Args,
		OnNode:    [3][]weft.Label{p.OnNode.May, p.OnNode.Prefer, p.OnNode.Must},
		Resources: p.Resources.Strings(), ServiceAccount: p.ServiceAccount, Annotations: p.Annotations,
		FromNow: p.FromNow, Pair: p.Pair,
	}
	for _, in := range p.Inputs {
		b.Inputs = append(b.Inputs, planPort{in.Path, in.Tags.Strings(), in.Latest.On, in.Latest.By})
	}
	for _, out := range p.Outputs {
		b.Outputs = append(b.Outputs, planPort{Path: out.Path, Tags: out.Tags.Strings()})
	}
	if p.Log != nil {
		tags := p.Log.Tags.Strings()
		b.Log = &tags
	}
	b.Env = p.Env
	if !p.Policy.IsZero() {
		b.Policy = &p.Policy
	}
	text, err := json.Marshal(b)
	return string(text), err
}

func decodePlan(text string, p *weft.Plan) error {
	var b planBody
	err := json.Unmarshal([]byte(text), &b)
	if err != nil {
		return err
	}
	p.Image = weft.Image{Repository: b.Repository, Tag: b.Tag}
	p.Entrypoint, p.Args, p.ServiceAccount, p.Annotations = b.Entrypoint, b.Args, b.ServiceAccount, b.Annotations
	p.Env = b.Env
	if b.Policy != nil {
		p.Policy = *b.Policy
	}
	p.FromNow, p.Pair = b.FromNow, b.Pair
	p.OnNode = weft.OnNode{May: b.OnNode[0], Prefer: b.OnNode[1], Must: b.OnNode[2]}
	for _, port := range b.Inputs {
		tags, err := tagsOf(port.Tags)
		if err != nil {
			return err
		}
		p.Inputs = append(p.Inputs, weft.Input{Path: port.Path, Tags: tags, Latest: weft.Latest{On: port.Latest, By: port.LatestBy}})
	}
	for _, port := range b.Outputs {
		tags, err := tagsOf(port.Tags)
		if err != nil {
			return err
		}
		p.Outputs = append(p.Outputs, weft.Output{Path: port.Path, Tags: tags})
	}
	if b.Log != nil {
		tags, err := tagsOf(*b.Log)
		if err != nil {
			return err
		}
		p.Log = &weft.Log{Tags: tags}
	}
	if len(b.Resources) > 0 {
		p.Resources, err = weft.ParseResources(b.Resources)
	}
	return err
}
