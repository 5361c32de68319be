package weft

import (
	"fmt"
	"time"
)

// A Project holds Data, Plans, Runs and images that belong together. Tags match
// within one project only.
type Project struct {
	ID   ProjectID
	Name string
}

// DefaultProject is the name of the project that exists from the beginning. It keeps
// its name and cannot be removed.
const DefaultProject = "default"

// A Principal is who makes a request: a person or a service, with what the credential
// that was shown lets it do.
type Principal struct {
	ID      PrincipalID
	Name    string
	Kind    PrincipalKind
	Admin   bool               // of the whole system
	Roles   map[ProjectID]Role // by membership
	Project ProjectID          // the one that this request is about
	Scope   Scope              // of its token; "" and ScopeAll cut nothing off
	Bound   ProjectID          // the only project that its token is good for; zero: every one
	TokenID TokenID            // zero when it signed in otherwise
	Token   string             // the name of that token, for people
	Expires time.Time          // when its credential ends; zero: never
}

// A PrincipalKind tells people from programs.
type PrincipalKind string

const (
	Person  PrincipalKind = "person"
	Service PrincipalKind = "service" // has tokens only, and never signs in
)

// A Role is what a member of a project is there for. Each includes the one before.
type Role int

const (
	NoRole  Role = iota
	Viewer       // sees everything in the project
	Member       // and pushes data and images, registers plans, stops and retries runs
	Manager      // and deletes, and manages members
)

// A Scope is what a token is good for at most, whatever its owner may do.
type Scope string

const (
	ScopeAll    Scope = "all"    // everything that its owner may do
	ScopeWrite  Scope = "write"  // read, create and change; nothing is deleted or managed
	ScopeRead   Scope = "read"   // read
	ScopeImport Scope = "import" // the import handshake, and nothing else
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
// Project is zero, of the system itself.
type Object struct {
	Kind    string // "data", "plan", "run", "image", "event", "system", "user", "project", "member", "token", "audit", …
	Project ProjectID
	Owner   PrincipalID // whose it is, where it belongs to somebody rather than to a project: an account, a token
}

// needs says which role in the object's project a verb takes.
var needs = map[Verb]Role{Read: Viewer, Create: Member, Change: Member, Delete: Manager, Manage: Manager}

// special says which verbs take another role for some kinds: whoever decides about the
// people of a project, or about what leaves it, is its manager; what somebody marks for
// himself is nobody else's business.
var special = map[string]map[Verb]Role{
	"member":       {Create: Manager, Change: Manager},
	"grant":        {Create: Manager, Change: Manager},
	"notification": {Create: Manager, Change: Manager},
	"audit":        {Read: Manager},
	"secret":       {Create: Manager, Change: Manager},
	"project":      {Create: Manager, Change: Manager},
	"favourite":    {Change: Viewer},
	"search":       {Create: Viewer, Change: Viewer},
	"user":         {Read: Manager, Create: Manager, Change: Manager}, // a service whose home the project is
	"token":        {Read: Manager, Create: Manager, Change: Manager}, // … and its tokens
}

// administration is what no token of a smaller scope than ScopeAll may do more to than
// read: else it could make itself a larger one.
var administration = map[string]bool{"user": true, "project": true, "member": true, "token": true, "grant": true}

// May decides whether p may do v to o. It is the only place where rights are
// decided. A denial says which right misses.
func May(p Principal, v Verb, o Object) error {
	if p.ID.IsZero() {
		return Errorf(Unauthenticated, "nobody is signed in").WithAdvice("send a token")
	}
	if err := p.mayByToken(v, o); err != nil {
		return err
	}
	role, known := needs[v]
	if r, ok := special[o.Kind][v]; ok {
		role = r
	}
	whole := p.Admin && p.Bound.IsZero() && (p.Scope == "" || p.Scope == ScopeAll)
	switch {
	case whole:
		return nil
	case !o.Owner.IsZero() && o.Owner == p.ID:
		return nil // one's own
	case o.Project.IsZero() && o.Kind == "system" && v == Read:
		return nil // what the system offers is told to everyone who is signed in
	case o.Project.IsZero() || !known:
		return Errorf(Forbidden, "%s may not %s the %s: that takes a system administrator%s", p.Name, v, objectName(o), p.lessened())
	case p.RoleIn(o.Project) < role:
		return Errorf(Forbidden, "%s may not %s %s in this project: that takes the role %s%s", p.Name, v, objectName(o), role, p.roleNow(o.Project))
	}
	return nil
}

// mayByToken decides whether the credential reaches that far, whoever shows it.
func (p Principal) mayByToken(v Verb, o Object) error {
	deny := func(takes string) error {
		return Errorf(Forbidden, "the token %q is of scope %s: to %s %s takes one of scope %s", p.Token, p.Scope, v, objectName(o), takes).
			WithAdvice("use another token; `weft token add --scope %s` makes one", takes)
	}
	switch p.Scope {
	case "", ScopeAll:
	case ScopeWrite:
		if v != Read && (administration[o.Kind] || v != Create && v != Change) {
			return deny(string(ScopeAll))
		}
	case ScopeRead:
		if v != Read {
			if administration[o.Kind] || v != Create && v != Change {
				return deny(string(ScopeAll))
			}
			return deny(string(ScopeWrite))
		}
	case ScopeImport:
		if o.Kind != "import" {
			return deny(string(ScopeAll))
		}
	default:
		return Errorf(Forbidden, "the token %q is of the scope %q, which this server does not know", p.Token, p.Scope)
	}
	if !p.Bound.IsZero() && o.Project.IsZero() && administration[o.Kind] && v != Read && v != Create {
		return Errorf(Forbidden, "the token %q is bound to a project, and may not %s %s", p.Token, v, objectName(o)).WithAdvice("use one that is bound to none")
	}
	if !p.Bound.IsZero() && !o.Project.IsZero() && o.Project != p.Bound {
		return Errorf(Forbidden, "the token %q is bound to another project", p.Token).
			WithAdvice("use a token of this project, or one that is bound to none")
	}
	return nil
}

// RoleIn returns the role that p has in a project. Administrators manage every one.
func (p Principal) RoleIn(project ProjectID) Role {
	if !p.Bound.IsZero() && project != p.Bound {
		return NoRole
	}
	if p.Admin {
		return Manager
	}
	return p.Roles[project]
}

// roleNow tells the role that p has, for a denial.
func (p Principal) roleNow(project ProjectID) string {
	if r := p.RoleIn(project); r != NoRole {
		return fmt.Sprintf("; %s is %s there", p.Name, r)
	}
	return fmt.Sprintf("; %s is not a member of it", p.Name)
}

// lessened tells an administrator why it is none in this request.
func (p Principal) lessened() string {
	if !p.Admin {
		return ""
	}
	return fmt.Sprintf(", with a token of scope %s that is bound to no project", ScopeAll)
}

func objectName(o Object) string {
	switch o.Kind {
	case "system", "data", "audit":
		return o.Kind
	case "search":
		return "searches"
	}
	return o.Kind + "s"
}

var roleNames = [...]string{"none", "viewer", "member", "manager"}

func (r Role) String() string {
	if r < 0 || int(r) >= len(roleNames) {
		return fmt.Sprintf("role %d", int(r))
	}
	return roleNames[r]
}

// ParseRole reads the name of a role that a member can have.
func ParseRole(s string) (Role, error) {
	for r := Viewer; r <= Manager; r++ {
		if roleNames[r] == s {
			return r, nil
		}
	}
	return NoRole, Errorf(Invalid, "%q is not a role: it is viewer, member or manager", s)
}

// ParseScope reads the name of a scope; "" is ScopeAll.
func ParseScope(s string) (Scope, error) {
	switch sc := Scope(s); sc {
	case "":
		return ScopeAll, nil
	case ScopeAll, ScopeWrite, ScopeRead, ScopeImport:
		return sc, nil
	}
	return "", Errorf(Invalid, "%q is not a scope: it is all, write, read or import", s)
}
