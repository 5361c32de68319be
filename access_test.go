package weft

import (
	"strings"
	"testing"
)

func TestMay(t *testing.T) {
	t.Parallel()
	ours, theirs := id[Project](1), id[Project](2)
	who := func(r Role) Principal {
		return Principal{ID: id[Principal](1), Name: r.String(), Roles: map[ProjectID]Role{ours: r}}
	}
	verbs := []Verb{Read, Create, Change, Delete, Manage, "fly"}
	for _, row := range []struct {
		who    Principal
		in     ProjectID
		kind   string
		yes    string // the verbs that are allowed
		denied Kind
	}{
		{Principal{}, ours, "data", "", Unauthenticated},
		{Principal{}, ProjectID{}, "system", "", Unauthenticated},
		{who(NoRole), ours, "data", "", Forbidden},
		{who(Viewer), ours, "data", "read", Forbidden},
		{who(Member), ours, "data", "read create change", Forbidden},
		{who(Manager), ours, "data", "read create change delete manage", Forbidden},
		{who(Manager), theirs, "data", "", Forbidden},
		{who(Manager), ProjectID{}, "system", "read", Forbidden},
		{who(NoRole), ProjectID{}, "system", "read", Forbidden},
		{who(Manager), ProjectID{}, "event", "", Forbidden}, // all projects' events
		{Principal{ID: id[Principal](2), Admin: true}, theirs, "data", "read create change delete manage fly", ""},
		{Principal{ID: id[Principal](2), Admin: true}, ProjectID{}, "system", "read create change delete manage fly", ""},
	} {
		for _, v := range verbs {
			err := May(row.who, v, Object{Kind: row.kind, Project: row.in})
			want := row.denied
			if strings.Contains(row.yes, string(v)) {
				want = ""
			}
			if KindOf(err) != want {
				t.Errorf("%s may %s %s of %s: %v; want %q", row.who.Name, v, row.kind, row.in, err, want)
			}
		}
	}
}
