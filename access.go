package weft

// A Project holds Data, Plans, Runs and images that belong together. Tags match
// within one project only.
type Project struct {
	ID   ProjectID
	Name string
}

// DefaultProject is the name of the project that exists from the beginning.
const DefaultProject = "default"

// A Principal is who makes a request: a person or a service.
type Principal struct {
	ID      PrincipalID
	Name    string
	Admin   bool               // of the whole system
	Roles   map[ProjectID]Role // by membership
	Project ProjectID          // the one that requests naming none are about
}

// A Role is what a member of a project is there for. Each includes the one before.
type Role int

const (
	NoRole  Role = iota
	Viewer       // sees everything in the project
	Member       // and pushes data and images, registers plans, stops and retries runs
	Manager      // and deletes, and manages members
)

// A Verb is what a principal wants to do to an object.
type Verb string

const (
	Read   Verb = "read"
	Create Verb = "create"
	Change Verb = "change"
	Delete Verb = "delete"
	Manage Verb = "manage"
)

// An Object is what a request is about: a kind of thing in a project, or, when
// Project is zero, the system itself.
type Object struct {
	Kind    string // "data", "plan", "run", "image", "event", "system"
	Project ProjectID
}

// needs says which role in the object's project a verb takes.
var needs = map[Verb]Role{Read: Viewer, Create: Member, Change: Member, Delete: Manager, Manage: Manager}

// May decides whether p may do v to o. It is the only place where rights are
// decided. A denial says which right misses.
func May(p Principal, v Verb, o Object) error {
	role, known := needs[v]
	switch {
	case p.ID.IsZero():
		return Errorf(Unauthenticated, "nobody is signed in").WithAdvice("send a token")
	case p.Admin:
		return nil
	case o.Project.IsZero() && o.Kind == "system" && v == Read:
		return nil // what the system offers is told to everyone who is signed in
	case o.Project.IsZero() || !known:
		return Errorf(Forbidden, "%s may not %s the %s: that takes a system administrator", p.Name, v, o.Kind)
	case p.Roles[o.Project] < role:
		return Errorf(Forbidden, "%s may not %s %s in this project: that takes the role %s", p.Name, v, o.Kind, role)
	}
	return nil
}

func (r Role) String() string {
	return [...]string{"none", "viewer", "member", "manager"}[r]
}
