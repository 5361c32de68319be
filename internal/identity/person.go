package identity

import (
	"fmt"
	"slices"
	"strings"

	"github.com/weft-dev/weft"
)

// A Person is somebody as another system describes them, which has just checked that it
// is them.
type Person struct {
	Identity weft.Identity
	Name     string // to be that of the account
	FullName string
	Email    string
	Groups   []string
}

// Groups say what the groups of another system are worth here. The zero value lets
// everyone in that the other system lets in, and gives nobody any right.
type Groups struct {
	SignIn []string    `koanf:"sign-in" yaml:"sign-in"` // whose members may sign in; none: everyone may
	Admin  []string    `koanf:"admin" yaml:"admin"`     // whose members administer the system; none: nothing is said about that
	Roles  []GroupRole `koanf:"roles" yaml:"roles"`
}

// A GroupRole gives the members of a group a role in a project.
type GroupRole struct {
	Group   string `koanf:"group" yaml:"group"`
	Project string `koanf:"project" yaml:"project"`
	Role    string `koanf:"role" yaml:"role"` // viewer, member or manager
}

// Rights are what somebody's groups give. They are applied at each sign-in, and what
// they gave before and give no longer is taken back then.
type Rights struct {
	Admin *bool // nil: nothing is said about it
	Roles map[string]weft.Role
}

// check returns an error unless the settings can be meant.
func (g Groups) check() error {
	for _, r := range g.Roles {
		if _, err := weft.ParseRole(r.Role); err != nil {
			return fmt.Errorf("roles: %w", err)
		}
		if r.Group == "" || r.Project == "" {
			return weft.Errorf(weft.Invalid, "roles: an entry lacks group or project")
		}
	}
	return nil
}

// rights returns what the groups of p are worth. They are compared without regard to
// case where the other system does so too. It is Forbidden for p to sign in without one
// of the groups for that.
func (g Groups) rights(p Person) (Rights, error) {
	if len(g.SignIn) > 0 && !slices.ContainsFunc(g.SignIn, p.in) {
		return Rights{}, weft.Errorf(weft.Forbidden, "%s is in none of the groups that may sign in here", p.Name).
			WithAdvice("an administrator says in the server's settings which groups may")
	}
	r := Rights{Roles: map[string]weft.Role{}}
	if len(g.Admin) > 0 {
		admin := slices.ContainsFunc(g.Admin, p.in)
		r.Admin = &admin
	}
	for _, gr := range g.Roles {
		role, err := weft.ParseRole(gr.Role)
		if err != nil {
			return r, err
		}
		if !p.in(gr.Group) {
			role = weft.NoRole
		}
		r.Roles[gr.Project] = max(r.Roles[gr.Project], role)
	}
	return r, nil
}

// in reports whether p belongs to a group.
func (p Person) in(group string) bool {
	return slices.ContainsFunc(p.Groups, func(g string) bool { return strings.EqualFold(g, group) })
}

// accountName makes the name of an account of what another system calls somebody.
func accountName(name string) (string, error) {
	name = strings.ToLower(strings.TrimSpace(name))
	if name == "" {
		return "", weft.Errorf(weft.Invalid, "the other system does not say what you are called").
			WithAdvice("an administrator says in the server's settings which claim or attribute is the name")
	}
	return name, weft.CheckUserName(name)
}
